// Answers from the ledger: sums by peer, day, hour, family, class or protocol, since an instant, with a course over
// time. Works on any handle of the database, the daemon's or a command's own.
import { LaresError } from '../../lib/errors.ts';
import type { Database } from '../../lib/sqlite.ts';
import type { Names } from './core/naming.ts';
import { protocolName } from './core/peers.ts';
import { readFacts } from './store.ts';

export const groupings = ['peer', 'day', 'hour', 'family', 'class', 'protocol'] as const;
export type Grouping = (typeof groupings)[number];

export interface Question {
  by: Grouping;
  /** Unix milliseconds; undefined: since the ledger began. */
  sinceMs: number | undefined;
  nowMs: number;
}

/** One row; what it is a row of stands under the name of the grouping, `peer` for instance. */
export interface Row {
  [grouping: string]: unknown;
  rxBytes: number;
  txBytes: number;
  rxPackets: number;
  txPackets: number;
  /** Unix milliseconds. */
  firstSeen: number;
  lastSeen: number;
  /** Bytes of both directions in equal spans of time, the oldest first; only of peers. */
  course?: number[];
}

export interface Answer {
  rows: Row[];
  /** From when on the rows count, which may be earlier than asked for: whole intervals, hours or days. */
  sinceMs: number | undefined;
  courseMs: number;
}

const widthS = [undefined, 3_600, 86_400] as const;
const courseCells = 24;
const dayMs = 86_400_000;
const sums =
  'sum(r.rx_bytes) AS rxBytes, sum(r.tx_bytes) AS txBytes, ' +
  'sum(r.rx_packets) AS rxPackets, sum(r.tx_packets) AS txPackets';

type Summed = Pick<Row, 'rxBytes' | 'txBytes' | 'rxPackets' | 'txPackets' | 'firstSeen' | 'lastSeen'>;

export function answer(db: Database, names: Names, question: Question): Answer {
  const { by, sinceMs, nowMs } = question;
  if (by === 'day' || by === 'hour') return overTime(db, by, sinceMs);
  const level = sinceMs === undefined ? undefined : levelFor(db, sinceMs);
  const from = level === undefined ? 0 : startOf(level, sinceMs ?? 0);
  const columns = 's.class AS class, s.family AS family, s.protocol AS protocol, s.peer AS peer';
  const seen = 'max(s.first_ms, ?) AS firstSeen, s.last_ms AS lastSeen';
  const found = (
    level === undefined
      ? db
          .prepare(`SELECT ${columns}, ${sums}, ${seen} FROM series s JOIN series r USING (id)
             WHERE s.folded = 0 GROUP BY s.id`)
          .all(0)
      : db
          .prepare(
            `SELECT ${columns}, ${sums}, ${seen} FROM rollup r JOIN series s ON s.id = r.series
             WHERE r.level = ? AND r.start_s >= ? GROUP BY s.id`,
          )
          .all(from * 1_000, level, from)
  ) as (Summed & { class: string; family: number; protocol: number; peer: string })[];
  const labelled = found.map((row) => ({ label: labelOf(by, row, names), row }));
  const rows = [...Map.groupBy(labelled, ({ label }) => label)].map(
    ([label, all]): Row => ({ [by]: label, ...added(all.map(({ row }) => row)) }),
  );
  rows.sort((a, b) => b.rxBytes + b.txBytes - a.rxBytes - a.txBytes);
  const spanMs = level === undefined ? dayMs : nowMs - from * 1_000;
  if (by === 'peer') addCourses(db, names, rows, nowMs, spanMs, level);
  return { rows, sinceMs: level === undefined ? undefined : from * 1_000, courseMs: spanMs / courseCells };
}

function labelOf(
  by: Exclude<Grouping, 'day' | 'hour'>,
  row: { class: string; family: number; protocol: number; peer: string },
  names: Names,
): string {
  switch (by) {
    case 'class':
      return row.class;
    case 'family':
      return row.family === 4 ? 'ipv4' : 'ipv6';
    case 'protocol':
      return protocolName(row.protocol);
    case 'peer':
      return names.nameOf(row.peer);
  }
}

function overTime(db: Database, by: 'day' | 'hour', sinceMs: number | undefined): Answer {
  const level = by === 'day' ? 2 : 1;
  const from = sinceMs === undefined ? 0 : startOf(level, sinceMs);
  const found = db
    .prepare(
      `SELECT r.start_s AS start, ${sums}, r.start_s * 1000 AS firstSeen,
         max(min(s.last_ms, (r.start_s + ?) * 1000)) AS lastSeen
       FROM rollup r JOIN series s ON s.id = r.series WHERE r.level = ? AND r.start_s >= ?
       GROUP BY r.start_s ORDER BY r.start_s`,
    )
    .all(widthS[level], level, from) as (Summed & { start: number })[];
  const rows = found.map(({ start, ...rest }): Row => {
    const text = new Date(start * 1_000).toISOString();
    return { [by]: by === 'day' ? text.slice(0, 10) : `${text.slice(0, 13)}:00Z`, ...rest };
  });
  return { rows, sinceMs: sinceMs === undefined ? undefined : from * 1_000, courseMs: 0 };
}

/** The finest level whose history reaches back to then. */
function levelFor(db: Database, sinceMs: number): 0 | 1 | 2 {
  const { keptSince0, keptSince1 } = readFacts(db);
  if (keptSince0 * 1_000 <= sinceMs) return 0;
  return keptSince1 * 1_000 <= sinceMs ? 1 : 2;
}

/** What overlaps the instant counts as a whole; of intervals only those that begin after it. */
function startOf(level: 0 | 1 | 2, sinceMs: number): number {
  const width = widthS[level] ?? 1;
  return Math.floor(sinceMs / 1_000 / width) * width;
}

function added(all: Summed[]): Summed {
  const sum = (value: (one: Summed) => number): number => all.reduce((total, one) => total + value(one), 0);
  return {
    rxBytes: sum(({ rxBytes }) => rxBytes),
    txBytes: sum(({ txBytes }) => txBytes),
    rxPackets: sum(({ rxPackets }) => rxPackets),
    txPackets: sum(({ txPackets }) => txPackets),
    firstSeen: all.reduce((least, one) => Math.min(least, one.firstSeen), Number.POSITIVE_INFINITY),
    lastSeen: all.reduce((most, one) => Math.max(most, one.lastSeen), 0),
  };
}

function addCourses(
  db: Database,
  names: Names,
  rows: Row[],
  nowMs: number,
  spanMs: number,
  least = levelFor(db, nowMs - spanMs),
): void {
  const byPeer = new Map(rows.map((row) => [row['peer'], (row.course = Array<number>(courseCells).fill(0))]));
  const cellS = spanMs / courseCells / 1_000;
  const fromS = (nowMs - spanMs) / 1_000;
  // By hour or day where a cell holds one, or where nothing finer reaches back so far.
  const level = Math.max(least, cellS >= 3_600 * 24 ? 2 : cellS >= 3_600 ? 1 : 0);
  const found = db
    .prepare(
      `SELECT s.peer AS peer, r.start_s AS start, sum(r.rx_bytes + r.tx_bytes) AS bytes
       FROM rollup r JOIN series s ON s.id = r.series WHERE r.level = ? AND r.start_s > ?
       GROUP BY s.peer, r.start_s`,
    )
    .all(level, fromS - cellS) as { peer: string; start: number; bytes: number }[];
  for (const { peer, start, bytes } of found) {
    const course = byPeer.get(names.nameOf(peer));
    const cell = Math.min(courseCells - 1, Math.floor((start - fromS) / cellS));
    if (course !== undefined && cell >= 0) course[cell] = (course[cell] ?? 0) + bytes;
  }
}

/** A question from outside. @throws LaresError E_USAGE */
export function questionOf(parameters: Readonly<Record<string, unknown>>, nowMs: number): Question {
  const { by = 'peer', since } = parameters;
  const grouping = groupings.find((one) => one === by);
  if (grouping === undefined) throw new LaresError('E_USAGE', `by is one of ${groupings.join(', ')}`);
  if (since !== undefined && (typeof since !== 'number' || !Number.isFinite(since)))
    throw new LaresError('E_USAGE', 'since is a number of milliseconds since 1970');
  return { by: grouping, sinceMs: since, nowMs };
}
