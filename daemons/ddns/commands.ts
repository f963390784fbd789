// `lares ddns …`: the verbs, declared. Each has its own file below verbs/; this one is their table of contents.

import type { DaemonCommands } from '../../lib/command.ts';
import { createDemo } from './demo.ts';
import { examine } from './examine.ts';
import { registerCheck } from './verbs/check.ts';
import { registerForget } from './verbs/forget.ts';
import { registerKeygen } from './verbs/keygen.ts';
import { registerSend } from './verbs/send.ts';
import { registerSetup } from './verbs/setup.ts';
import { registerStatus } from './verbs/status.ts';

export const commands: DaemonCommands = {
  noun: 'ddns',
  summary: 'dynamic DNS: signed UDP packets keep the addresses in a tinydns zone',
  units: [
    'lares-ddns.socket',
    'lares-ddns-control.socket',
    'lares-ddns.service',
    'lares-ddns-publish.path',
    'lares-ddns-publish.service',
    'lares-ddns-send.timer',
    'lares-ddns-send.service',
  ],
  register: (program, io) => {
    registerKeygen(program, io);
    registerSend(program, io);
    registerCheck(program, io);
    registerStatus(program, io);
    registerSetup(program, io);
    registerForget(program, io);
  },
  doctor: examine,
  demo: createDemo,
};
