// What the control socket answers beside reports: all peers now and living flows. Shapes only;
// nothing here changes anything.
import type { Flows, Known } from './core/flows.ts';
import { partsOf } from './core/key.ts';
import type { Names } from './core/naming.ts';
import { formatAddress, protocolName } from './core/peers.ts';
import type { Sums } from './core/tally.ts';
import type { SeriesState } from './store.ts';

export interface LivePeer {
  peer: string;
  rxBytes: number;
  txBytes: number;
  rxPackets: number;
  txPackets: number;
  lastSeen: number;
}

export interface Live {
  /** Unix milliseconds; all times are. */
  at: number;
  flows: number;
  lostFlows: number;
  peers: LivePeer[];
}

/** Totals of each peer, over its classes, families and protocols. */
export function liveOf(
  all: Iterable<Pick<SeriesState, 'peer' | 'total' | 'lastMs'>>,
  names: Names,
  flows: Pick<Flows, 'size' | 'lost'>,
  nowMs: number,
): Live {
  const byName = new Map<string, { sums: Sums; lastMs: number }>();
  for (const { peer, total, lastMs } of all) {
    const name = names.nameOf(peer);
    const one = byName.get(name) ?? { sums: [0, 0, 0, 0], lastMs: 0 };
    byName.set(name, one);
    one.sums = one.sums.map((sum, index) => sum + (total[index] ?? 0)) as Sums;
    one.lastMs = Math.max(one.lastMs, lastMs);
  }
  const peers = [...byName].map(([peer, { sums, lastMs }]) => {
    const [rxBytes, txBytes, rxPackets, txPackets] = sums;
    return { peer, rxBytes, txBytes, rxPackets, txPackets, lastSeen: lastMs };
  });
  return { at: nowMs, flows: flows.size, lostFlows: flows.lost.flows, peers };
}

export interface LiveFlow {
  peer: string;
  class: string;
  protocol: string;
  /** As the flow began; ports of ICMP are its id, and type and code. */
  source: string;
  sourcePort: number;
  destination: string;
  destinationPort: number;
  zone: number;
  sentBytes: number;
  receivedBytes: number;
  bytesPerSecond: number;
  /** null where the kernel takes no notes of time. */
  since: number | null;
}

const flowsShown = 1_000;

/** The fastest first, then the largest; at most a thousand, of `total`. */
export function flowsOf(
  all: Iterable<[string, Known]>,
  names: Names,
  nowMs: number,
): { at: number; total: number; flows: LiveFlow[] } {
  const size = ({ sent, received }: Known): number => sent.bytes + received.bytes;
  const living = [...all].filter(([, { missingMs }]) => missingMs === 0);
  const sorted = living.sort(([, a], [, b]) => b.rate - a.rate || size(b) - size(a));
  return {
    at: nowMs,
    total: living.length,
    flows: sorted.slice(0, flowsShown).map(([key, flow]) => liveFlow(key, flow, names)),
  };
}

function liveFlow(key: string, { sent, received, rate, series }: Known, names: Names): LiveFlow {
  const { zone, startMs, protocol, sourcePort, destinationPort, source, destination } = partsOf(key);
  const [className = '', , , peer = ''] = series.split('\t');
  return {
    peer: names.nameOf(peer),
    class: className,
    protocol: protocolName(protocol),
    source: formatAddress(source),
    sourcePort,
    destination: formatAddress(destination),
    destinationPort,
    zone,
    sentBytes: sent.bytes,
    receivedBytes: received.bytes,
    bytesPerSecond: Math.round(rate * 1_000),
    since: startMs === 0 ? null : Math.round(startMs),
  };
}
