// `lares traffic flows`: the living flows, the fastest first.
import type { Command } from 'commander';
import { wallMs } from '../../../lib/clock.ts';
import type { Io } from '../../../lib/command.ts';
import { roughSpan } from '../../../lib/span.ts';
import { type Paint, paintFor, plural, table } from '../../../lib/table.ts';
import { formatBytes } from '../core/chart.ts';
import type { LiveFlow } from '../live.ts';
import { addWhere, type FlowList, type Where, withSource } from '../source.ts';

export function registerFlows(program: Command, io: Io): void {
  addWhere(program.command('flows'))
    .description('list living flows, the fastest first; at most a thousand')
    .option('--peer <name>', 'only those of this peer')
    .option('--json', 'print JSON')
    .action(async ({ json = false, peer, ...where }: Where & { json?: boolean; peer?: string }) => {
      const { total, flows } = await withSource(where, (source) => source.flows());
      const chosen = flows.filter((flow) => peer === undefined || flow.peer === peer);
      if (json) io.out(`${JSON.stringify(chosen)}\n`);
      else io.out(render({ total, flows: chosen }, paintFor(io.stdout)));
    });
}

function render({ total, flows }: Pick<FlowList, 'total' | 'flows'>, paint: Paint): string {
  const end = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const row = (flow: LiveFlow): string[] => [
    flow.peer,
    flow.class,
    flow.protocol,
    `${end(flow.source, flow.sourcePort)} → ${end(flow.destination, flow.destinationPort)}`,
    formatBytes(flow.sentBytes),
    formatBytes(flow.receivedBytes),
    `${formatBytes(flow.bytesPerSecond)}/s`,
    flow.since === null ? '' : roughSpan(wallMs() - flow.since),
  ];
  const head = ['PEER', 'CLASS', 'PROTO', 'FLOW', 'SENT', 'RECEIVED', 'RATE', 'AGE'];
  const note = flows.length < total ? `${flows.length} of ${plural(total, 'flow')}\n` : '';
  return table(head, flows.map(row), paint) + note;
}
