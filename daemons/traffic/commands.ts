// `lares traffic …`: the verbs, declared. Each has its own file below verbs/; this one is their table of contents.
import type { DaemonCommands } from '../../lib/command.ts';
import { createDemo } from './demo.ts';
import { examine } from './examine.ts';
import { registerFlows } from './verbs/flows.ts';
import { registerReport } from './verbs/report.ts';
import { registerStatus } from './verbs/status.ts';
import { registerTop } from './verbs/top.ts';

export const commands: DaemonCommands = {
  noun: 'traffic',
  summary: 'who used how much of the network: per peer, live and in history, from connection tracking',
  units: [
    'lares-traffic.socket',
    'lares-traffic-control.socket',
    'lares-traffic-sysctl.service',
    'lares-traffic.service',
    'lares-traffic-carbon.service',
    'lares-traffic-notify.service',
  ],
  register: (program, io) => {
    registerTop(program, io);
    registerReport(program, io);
    registerStatus(program, io);
    registerFlows(program, io);
  },
  doctor: examine,
  demo: createDemo,
};
