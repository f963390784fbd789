// The sections of the bench: which rows each noun has, the bounds that the specifications set, and its peers.
import type { Owner } from '../support/scratch.ts';
import { addressChange, answerTime, badSignatures, groupedChange, junk, replayed } from './ddns.ts';
import type { Figure, Section } from './figure.ts';
import { installed } from './installed.ts';
import { measureBind } from './peers/bind.ts';
import { conntrack, conntrackVersion } from './peers/conntrack.ts';
import { measureKnot } from './peers/knot.ts';
import { tunedUlogd, ulogd, ulogdVersion } from './peers/ulogd.ts';
import type { PeerResult } from './peers/updates.ts';
import { burst, defaultBuffer, liveFlow } from './traffic.ts';
import { dumps, markedDumps } from './traffic-dumps.ts';
import { gracefulRestart } from './traffic-restart.ts';

export const sections: Record<string, () => Promise<Section>> = { ddns, traffic };

async function ddns(): Promise<Section> {
  const peers = [await measureBind(), await measureKnot()];
  const most =
    (measure: (t: Owner) => Promise<Figure>, atMost: number) =>
    async (t: Owner): Promise<Figure> => ({ ...(await measure(t)), atMost });
  /** RFC 2136 servers do the same: one durable change of an address. */
  const change =
    (measure: (t: Owner) => Promise<Figure>) =>
    async (t: Owner): Promise<Figure> => {
      const figure = await most(measure, 1_000)(t);
      const beside = peers.map((peer) => [peer.name, besides(peer, figure.value)] as const);
      return { ...figure, beside: Object.fromEntries(beside) };
    };
  return {
    noun: 'ddns',
    peers: peers.map((peer) => ({ name: peer.name, title: titleOf(peer), details: peer })),
    rows: [
      most(junk, 15),
      most(replayed, 15),
      most(badSignatures, 20),
      change((t) => addressChange(t, true)),
      (t) => addressChange(t, false),
      change(groupedChange),
      most((t) => answerTime(t, false), 100),
      most((t) => answerTime(t, true), 250),
      installed,
    ],
  };
}

function titleOf(peer: PeerResult): string {
  return peer.kind === 'measured' ? `${peer.name} ${peer.version}` : peer.name;
}

/** The peer's figure, and ours as a part of it. */
function besides(peer: PeerResult, value: number): string {
  if (peer.kind === 'skipped') return peer.reason;
  return `${peer.cpuMicrosPerUpdate.toFixed(0)} µs (×${(value / peer.cpuMicrosPerUpdate).toFixed(2)})`;
}

async function traffic(): Promise<Section> {
  const [daemon, tool] = [await ulogdVersion(), await conntrackVersion()];
  return {
    noun: 'traffic',
    peers: [
      { name: ulogd.name, title: `${ulogd.name} ${daemon}`.trimEnd() },
      { name: tunedUlogd.name, title: tunedUlogd.name },
      { name: conntrack.name, title: `${conntrack.name} ${tool}`.trimEnd() },
    ],
    rows: [burst, defaultBuffer, liveFlow, dumps, markedDumps, gracefulRestart],
  };
}
