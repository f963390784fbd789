// `make bench`: every figure beside its peer and its bound, measured in this run on this machine. A figure over its
// bound is shown, never an error: machines differ.
import { paintFor, table } from '../../lib/table.ts';
import {
  addressChange,
  answerTime,
  badSignatures,
  type Figure,
  groupedChange,
  junk,
  replayed,
  Skip,
} from './ddns.ts';
import { installed } from './installed.ts';
import { measureBind } from './peers/bind.ts';
import { measureKnot } from './peers/knot.ts';
import type { PeerResult } from './peers/updates.ts';

interface Row {
  measure: (t: Owned) => Promise<Figure | Figure[]>;
  /** From the specification; a row without one is there to be known. */
  bound?: number;
  /** RFC 2136 servers do the same: one durable change of an address. */
  hasPeers?: boolean;
}

const rows: Row[] = [
  { measure: junk, bound: 15 },
  { measure: replayed, bound: 15 },
  { measure: badSignatures, bound: 20 },
  { measure: (t) => addressChange(t, true), bound: 1_000, hasPeers: true },
  { measure: (t) => addressChange(t, false) },
  { measure: groupedChange, bound: 1_000, hasPeers: true },
  { measure: (t) => answerTime(t, false), bound: 100 },
  { measure: (t) => answerTime(t, true), bound: 250 },
  { measure: installed },
];

/** What a measurement leaves behind is undone after it, newest first. */
class Owned {
  readonly #undo: (() => unknown)[] = [];

  after(undo: () => unknown): void {
    this.#undo.push(undo);
  }

  async finish(): Promise<void> {
    for (let step = this.#undo.pop(); step !== undefined; step = this.#undo.pop()) await step();
  }
}

const json = process.argv.includes('--json');
const say = (text: string): void => void process.stderr.write(text);

say('peers …\n');
const peers = [await measureBind(), await measureKnot()];
const results: { figure: Figure; row: Row; bound: number | undefined }[] = [];
for (const row of rows) {
  const owned = new Owned();
  try {
    for (const figure of [await row.measure(owned)].flat()) {
      say(`${figure.name} …\n`);
      results.push({ figure, row, bound: figure.bound ?? row.bound });
    }
  } catch (error) {
    if (!(error instanceof Skip)) throw error;
    say(`left out: ${error.message}\n`);
  } finally {
    await owned.finish();
  }
}

if (json) {
  const figures = results.map(({ figure, bound }) => ({ ...figure, bound: bound ?? null }));
  process.stdout.write(`${JSON.stringify({ figures, peers })}\n`);
} else {
  const paint = paintFor(process.stdout);
  const cells = results.map(({ figure: { name, value, unit, note }, row, bound }) => [
    name,
    `${value.toFixed(value < 100 ? 1 : 0)} ${unit}`,
    bound === undefined ? '' : paint(value <= bound ? 'green' : 'red', `${bound} ${unit}`),
    ...peers.map((peer) => (row.hasPeers === true ? besides(peer, value) : '')),
    note,
  ]);
  process.stdout.write(table(['FIGURE', 'HERE', 'AT MOST', ...peers.map(title), 'NOTE'], cells, paint));
}

function title(peer: PeerResult): string {
  return peer.kind === 'measured' ? `${peer.name} ${peer.version}` : peer.name;
}

/** The peer's figure, and ours as a part of it. */
function besides(peer: PeerResult, value: number): string {
  if (peer.kind === 'skipped') return peer.reason;
  return `${peer.cpuMicrosPerUpdate.toFixed(0)} µs (×${(value / peer.cpuMicrosPerUpdate).toFixed(2)})`;
}
