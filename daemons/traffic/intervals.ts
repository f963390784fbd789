// What changed in the history by interval since a sink last asked, in the order in which it was written: the ledger
// itself is the spool, so that a sink which was away misses nothing that the ledger still has.
import { LaresError } from '../../lib/errors.ts';
import type { Database } from '../../lib/sqlite.ts';
import type { Names } from './core/naming.ts';
import { readFacts } from './store.ts';

/** One peer in one class and one interval, as it is now. */
export interface Interval {
  /** Unix seconds. */
  start: number;
  class: string;
  peer: string;
  rxBytes: number;
  txBytes: number;
  rxPackets: number;
  txPackets: number;
}

export interface Intervals {
  intervals: Interval[];
  /** Of another ledger revisions mean nothing. */
  ledger: number;
  /** What to ask with next: everything up to here was said. */
  revision: number;
  /** Whether there is more. */
  more: boolean;
  /** Intervals before this second are gone from the ledger. */
  keptSince: number;
}

const rowsAtOnce = 5_000;

interface SeriesName {
  id: number;
  class: string;
  peer: string;
}

interface Amounts {
  rxBytes: number;
  txBytes: number;
  rxPackets: number;
  txPackets: number;
}

const amounts = 'rx_bytes AS rxBytes, tx_bytes AS txBytes, rx_packets AS rxPackets, tx_packets AS txPackets';

/**
 * Intervals that changed after `revision`, as they are now; a past one changes when a flow ends that was in it.
 * @throws LaresError E_USAGE
 */
export function intervalsOf(
  db: Database,
  names: Names,
  parameters: Readonly<Record<string, unknown>>,
  mostRows = rowsAtOnce,
): Intervals {
  const { revision } = parameters;
  if (!Number.isSafeInteger(revision)) throw new LaresError('E_USAGE', 'revision is a whole number');
  const since = revision as number;
  const changed = db
    .prepare(
      `SELECT start_s AS start, series, revision FROM rollup
       WHERE level = 0 AND revision > ? ORDER BY revision LIMIT ?`,
    )
    .all(since, mostRows + 1) as { start: number; series: number; revision: number }[];
  const more = changed.length > mostRows;
  // A commit is said whole or not at all, unless it alone is too much.
  const last = changed.at(-1)?.revision ?? 0;
  const before = changed.filter((row) => row.revision < last);
  const said = more && before.length > 0 ? before : more ? restOf(db, last) : changed;
  const { ledger, keptSince0: keptSince } = readFacts(db);
  return {
    intervals: sums(db, names, said),
    ledger,
    revision: said.at(-1)?.revision ?? since,
    more,
    keptSince,
  };
}

function restOf(db: Database, revision: number): { start: number; series: number; revision: number }[] {
  return db
    .prepare('SELECT start_s AS start, series, revision FROM rollup WHERE level = 0 AND revision = ?')
    .all(revision) as { start: number; series: number; revision: number }[];
}

/** A peer is several series, by family and protocol, and one name may be several peers: all of them count. */
function sums(db: Database, names: Names, changed: { start: number; series: number }[]): Interval[] {
  const all = db.prepare('SELECT id, class, peer FROM series').all() as SeriesName[];
  const label = (one: SeriesName): string => `${one.class}\t${names.nameOf(one.peer)}`;
  const bySeries = new Map(all.map((one) => [one.id, one]));
  const byLabel = Map.groupBy(all, label);
  const row = db.prepare(`SELECT ${amounts} FROM rollup WHERE level = 0 AND start_s = ? AND series = ?`);
  const found = new Map<string, Interval>();
  for (const { start, series } of changed) {
    const one = bySeries.get(series);
    if (one === undefined) continue;
    const own = label(one);
    const key = `${start}\t${own}`;
    if (found.has(key)) continue;
    const sum = { rxBytes: 0, txBytes: 0, rxPackets: 0, txPackets: 0 };
    for (const { id } of byLabel.get(own) ?? []) add(sum, row.get(start, id) as Amounts | undefined);
    found.set(key, { start, class: one.class, peer: names.nameOf(one.peer), ...sum });
  }
  return [...found.values()];
}

function add(sum: Amounts, part: Amounts | undefined): void {
  if (part === undefined) return;
  sum.rxBytes += part.rxBytes;
  sum.txBytes += part.txBytes;
  sum.rxPackets += part.rxPackets;
  sum.txPackets += part.txPackets;
}
