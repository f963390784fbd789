// Prometheus' text format, version 0.0.4. Pure.
import type { Names } from './naming.ts';
import { protocolName } from './peers.ts';
import type { Series, Sums } from './tally.ts';

export interface Health {
  flows: number;
  drops: number;
  crashes: number;
  lostFlows: number;
  lostBytes: number;
}

const counters = [
  ['lares_traffic_receive_bytes_total', 'Bytes that the peer has received, IP headers included.'],
  ['lares_traffic_transmit_bytes_total', 'Bytes that the peer has sent, IP headers included.'],
  ['lares_traffic_receive_packets_total', 'Packets that the peer has received.'],
  ['lares_traffic_transmit_packets_total', 'Packets that the peer has sent.'],
] as const;

export function metricsText(
  all: Iterable<Series & { total: Sums }>,
  names: Names,
  { flows, drops, crashes, lostFlows, lostBytes }: Health,
): string {
  const byLabels = new Map<string, Sums>();
  for (const { className, peer, family, protocol, total } of all) {
    const labels =
      `class="${quoted(className)}",family="ipv${family}",` +
      `peer="${quoted(names.nameOf(peer))}",protocol="${protocolName(protocol)}"`;
    // Two peers with one name are one.
    const sums = byLabels.get(labels) ?? [0, 0, 0, 0];
    byLabels.set(labels, sums.map((sum, index) => sum + (total[index] ?? 0)) as Sums);
  }
  const rows = [...byLabels].sort(([a], [b]) => (a < b ? -1 : 1));
  const parts = counters.map(
    ([name, help], index) =>
      `# HELP ${name} ${help}\n# TYPE ${name} counter\n` +
      rows.map(([labels, sums]) => `${name}{${labels}} ${sums[index] ?? 0}\n`).join(''),
  );
  return (
    parts.join('') +
    single('lares_traffic_flows', 'gauge', 'Living flows that are counted.', flows) +
    single('lares_traffic_dropped_events_total', 'counter', 'Events that the kernel dropped.', drops) +
    single('lares_traffic_crashes_total', 'counter', 'Runs that did not stop in order.', crashes) +
    // Both fall when a last word comes late.
    single('lares_traffic_lost_tail_flows', 'gauge', 'Flows that went without a last word.', lostFlows) +
    single('lares_traffic_lost_tail_bytes', 'gauge', 'An estimate of what is missing of them.', lostBytes)
  );
}

function single(name: string, type: string, help: string, value: number): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name} ${value}\n`;
}

function quoted(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
