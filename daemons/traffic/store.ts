// The ledger, in SQLite: totals of each series for ever, its history by interval, hour and day for a while, what of
// each living flow has been counted, and what was lost. One commit has them all, so that no byte can be counted twice.
import { existsSync, renameSync } from 'node:fs';
import path from 'node:path';
import { LaresError } from '../../lib/errors.ts';
import { type Database, openDatabase, type Statement } from '../../lib/sqlite.ts';
import type { Flows, Known } from './core/flows.ts';
import type { Attribution } from './core/peers.ts';
import { keyOfSeries, other, type Pending, type Series, type Sums, type Tally } from './core/tally.ts';

const migrations = [
  `CREATE TABLE fact (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
   CREATE TABLE series (
     id INTEGER PRIMARY KEY, class TEXT NOT NULL, family INTEGER NOT NULL, protocol INTEGER NOT NULL,
     peer TEXT NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
     rx_bytes INTEGER NOT NULL, tx_bytes INTEGER NOT NULL, rx_packets INTEGER NOT NULL,
     tx_packets INTEGER NOT NULL, folded INTEGER NOT NULL DEFAULT 0, UNIQUE (class, family, protocol, peer)
   ) STRICT;
   CREATE TABLE rollup (
     level INTEGER NOT NULL, start_s INTEGER NOT NULL, series INTEGER NOT NULL,
     rx_bytes INTEGER NOT NULL, tx_bytes INTEGER NOT NULL, rx_packets INTEGER NOT NULL,
     tx_packets INTEGER NOT NULL, revision INTEGER NOT NULL, PRIMARY KEY (level, start_s, series)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX rollup_revision ON rollup (revision) WHERE level = 0;
   CREATE TABLE flow (
     key BLOB PRIMARY KEY, sent_packets INTEGER NOT NULL, sent_bytes INTEGER NOT NULL,
     received_packets INTEGER NOT NULL, received_bytes INTEGER NOT NULL, seen_ms REAL NOT NULL,
     rate REAL NOT NULL, series TEXT NOT NULL, missing_ms REAL NOT NULL, lost INTEGER
   ) STRICT, WITHOUT ROWID;`,
];

export const fileName = 'traffic.db';

/** What is remembered beside sums and flows. */
export interface Facts {
  /** Of this ledger, and of no later one: the milliseconds of its making. */
  ledger: number;
  bootId: string;
  /** The event socket: the drops that it counts are its own. */
  socket: number;
  socketDrops: number;
  /** Events that the kernel dropped, over all sockets and boots. */
  drops: number;
  lostFlows: number;
  lostBytes: number;
  /** Runs that did not stop in order. */
  crashes: number;
  isRunning: number;
  revision: number;
  /** Of each level, the second from which on its history is there. */
  keptSince0: number;
  keptSince1: number;
  keptSince2: number;
}

const noFacts: Facts = {
  ledger: 0,
  bootId: '',
  socket: 0,
  socketDrops: 0,
  drops: 0,
  lostFlows: 0,
  lostBytes: 0,
  crashes: 0,
  isRunning: 0,
  revision: 0,
  keptSince0: 0,
  keptSince1: 0,
  keptSince2: 0,
};

const addedUp =
  'rx_bytes = rx_bytes + excluded.rx_bytes, tx_bytes = tx_bytes + excluded.tx_bytes, ' +
  'rx_packets = rx_packets + excluded.rx_packets, tx_packets = tx_packets + excluded.tx_packets';

/** Rows of history of one level at most: some 150 MB. */
const rowsPerLevel = 2_000_000;

export interface SeriesState extends Series {
  id: number;
  firstMs: number;
  lastMs: number;
  total: Sums;
}

interface SeriesRow extends Record<'id' | 'first_ms' | 'last_ms' | 'protocol', number> {
  class: string;
  family: 4 | 6;
  peer: string;
  rx_bytes: number;
  tx_bytes: number;
  rx_packets: number;
  tx_packets: number;
}

export class Store {
  readonly #db: Database;
  readonly #series = new Map<string, SeriesState>();
  /** How many series each peer has. */
  readonly #peers = new Map<string, number>();
  readonly facts: Facts;

  /** Opens `folder`'s database; a damaged one is moved aside, which `lost` is told. @throws LaresError E_STATE_* */
  static open(folder: string, nowMs: number, lost: (kept: string) => void): Store {
    const file = path.join(folder, fileName);
    try {
      return new Store(openDatabase(file, migrations), nowMs);
    } catch (error) {
      if (!(error instanceof LaresError && error.code === 'E_STATE_CORRUPT')) throw error;
      const kept = `${file}.damaged-${nowMs}`;
      for (const suffix of ['', '-wal', '-shm'])
        if (existsSync(file + suffix)) renameSync(file + suffix, kept + suffix);
      lost(kept);
      return new Store(openDatabase(file, migrations), nowMs);
    }
  }

  private constructor(db: Database, nowMs: number) {
    this.#db = db;
    this.facts = readFacts(db);
    if (this.facts.ledger === 0) this.facts.ledger = nowMs;
    for (const state of readSeries(db)) this.#add(state);
  }

  get series(): Iterable<SeriesState> {
    return this.#series.values();
  }

  /** Peers with a row of their own. */
  get peers(): number {
    return this.#peers.size - (this.#peers.has(other) ? 1 : 0);
  }

  get db(): Database {
    return this.#db;
  }

  /** Under whose name an amount is booked: the peer's own, or `other` where there are too many. */
  seriesFor(found: Attribution, mostPeers: number): Series {
    if (found.peer === other || this.#peers.has(found.peer)) return found;
    if (this.peers >= mostPeers) return { ...found, peer: other };
    // Its place is taken now, before it is durable.
    this.#peers.set(found.peer, 0);
    return found;
  }

  flows(): [string, Known][] {
    return readFlows(this.#db);
  }

  /**
   * Makes sums, flows and facts durable in one step. `onDisk`: also against a power cut; else against a crash of this
   * process only, which is what a batch every few milliseconds can afford. @throws SqliteError, and changes nothing
   */
  commit(tally: Tally, flows: Flows, onDisk: boolean): void {
    this.#db.pragma(`synchronous = ${onDisk ? 'FULL' : 'NORMAL'}`);
    const facts: Facts = {
      ...this.facts,
      revision: this.facts.revision + 1,
      lostFlows: flows.lost.flows,
      lostBytes: flows.lost.bytes,
    };
    const written = this.#db.transaction(() => {
      const all = [...tally.pending].map((pending) => this.#writeSeries(pending, facts.revision));
      this.#writeFlows(flows);
      this.#writeFacts(facts);
      return all;
    })();
    for (const state of written) this.#add(state);
    Object.assign(this.facts, facts);
    tally.clear();
    flows.changed.clear();
  }

  #writeSeries(pending: Pending, revision: number): SeriesState {
    const { series, total, firstMs, lastMs, buckets } = pending;
    const known = this.#series.get(keyOfSeries(series));
    const state: SeriesState = {
      ...series,
      id: known?.id ?? 0,
      firstMs: Math.floor(Math.min(known?.firstMs ?? firstMs, firstMs)),
      lastMs: Math.ceil(Math.max(known?.lastMs ?? lastMs, lastMs)),
      total: total.map((sum, index) => sum + (known?.total[index] ?? 0)) as Sums,
    };
    if (known === undefined) {
      const { className, family, protocol, peer } = series;
      const { id } = this.#sql(
        // One that was folded comes back to life.
        `INSERT INTO series VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET
           first_ms = excluded.first_ms, last_ms = excluded.last_ms, ${addedUp}, folded = 0
         RETURNING id`,
      ).get(className, family, protocol, peer, state.firstMs, state.lastMs, ...state.total) as { id: number };
      state.id = id;
    } else {
      this.#sql(
        `UPDATE series SET first_ms = ?, last_ms = ?, rx_bytes = ?, tx_bytes = ?, rx_packets = ?, tx_packets = ?
         WHERE id = ?`,
      ).run(state.firstMs, state.lastMs, ...state.total, state.id);
    }
    const add = this.#sql(
      `INSERT INTO rollup VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET ${addedUp},
         revision = excluded.revision`,
    );
    for (const [level, starts] of buckets.entries())
      for (const [start, sums] of starts)
        if (sums.some((sum) => sum !== 0)) add.run(level, start, state.id, ...sums, revision);
    return state;
  }

  #writeFlows(flows: Flows): void {
    const put = this.#sql('INSERT OR REPLACE INTO flow VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
    const drop = this.#sql('DELETE FROM flow WHERE key = ?');
    for (const key of flows.changed) {
      const flow = flows.get(key);
      const blob = Buffer.from(key, 'latin1');
      if (flow === undefined) drop.run(blob);
      else {
        const { sent, received, seenMs, rate, series, missingMs, lost = null } = flow;
        put.run(
          ...[blob, sent.packets, sent.bytes, received.packets, received.bytes],
          ...[seenMs, rate, series, missingMs, lost],
        );
      }
    }
  }

  #writeFacts(facts: Facts): void {
    const put = this.#sql('INSERT OR REPLACE INTO fact VALUES (?, ?)');
    for (const [name, value] of Object.entries(facts)) put.run(name, value);
  }

  /** Makes facts alone durable. @throws SqliteError */
  putFacts(): void {
    this.#db.pragma('synchronous = FULL');
    this.#db.transaction(() => this.#writeFacts(this.facts))();
  }

  /** Deletes history that is older than `keptMs` of its level, or beyond the bound. @throws SqliteError */
  trim(nowMs: number, keptMs: [number, number, number]): void {
    const facts = { ...this.facts };
    this.#db.transaction(() => {
      for (const level of [0, 1, 2] as const) {
        const name = `keptSince${level}` as const;
        const since = Math.max(Math.floor((nowMs - keptMs[level]) / 1_000), this.#boundOf(level));
        const { changes } = this.#sql('DELETE FROM rollup WHERE level = ? AND start_s < ?').run(level, since);
        if (changes > 0) facts[name] = Math.max(facts[name], since);
      }
      this.#db.exec(
        'DELETE FROM series WHERE folded = 1 AND id NOT IN (SELECT series FROM rollup WHERE level = 0)',
      );
      this.#writeFacts(facts);
    })();
    Object.assign(this.facts, facts);
  }

  /** The second from which on a level has as many rows as it may. */
  #boundOf(level: number): number {
    const found = this.#sql(
      'SELECT start_s FROM rollup WHERE level = ? ORDER BY start_s DESC LIMIT 1 OFFSET ?',
    ).get(level, rowsPerLevel) as { start_s: number } | undefined;
    return found === undefined ? 0 : found.start_s + 1;
  }

  /**
   * Makes room: where more than nine tenths of `mostPeers` are taken, the least of those that were silent since
   * `quietMs` become part of `other`, until a quarter is free. @returns how many @throws SqliteError
   */
  makeRoom(mostPeers: number, quietMs: number): number {
    if (this.peers <= mostPeers * 0.9) return 0;
    const byPeer = Map.groupBy(this.#series.values(), ({ peer }) => peer);
    byPeer.delete(other);
    const size = (all: SeriesState[]): number => all.reduce((sum, { total }) => sum + total[0] + total[1], 0);
    const folded = [...byPeer.values()]
      .filter((all) => all.every(({ lastMs }) => lastMs < quietMs))
      .sort((a, b) => size(a) - size(b))
      .slice(0, Math.ceil(this.peers - mostPeers * 0.75));
    if (folded.length === 0) return 0;
    this.#db.transaction(() => this.#fold(folded.flat()))();
    this.#series.clear();
    this.#peers.clear();
    for (const state of readSeries(this.#db)) this.#add(state);
    return folded.length;
  }

  /**
   * History by interval stays the peer's own: a sink has it, or is yet to get it, under that name. Its series remains
   * as a name for it, without sums, until the last of it is trimmed.
   */
  #fold(all: SeriesState[]): void {
    this.#db.exec('CREATE TEMP TABLE IF NOT EXISTS fold (old INTEGER PRIMARY KEY, new INTEGER NOT NULL)');
    this.#db.exec('DELETE FROM temp.fold');
    for (const { id, className, family, protocol, firstMs, lastMs, total } of all) {
      const { id: into } = this.#sql(
        `INSERT INTO series VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET
           first_ms = min(first_ms, excluded.first_ms), last_ms = max(last_ms, excluded.last_ms),
           ${addedUp}
         RETURNING id`,
      ).get(className, family, protocol, other, firstMs, lastMs, ...total) as { id: number };
      this.#sql('INSERT INTO temp.fold VALUES (?, ?)').run(id, into);
    }
    this.#db.exec(
      `INSERT INTO rollup SELECT level, start_s, new, sum(rx_bytes), sum(tx_bytes), sum(rx_packets),
         sum(tx_packets), 0 FROM rollup JOIN temp.fold ON series = old WHERE level > 0 GROUP BY level, start_s, new
       ON CONFLICT DO UPDATE SET ${addedUp};
       DELETE FROM rollup WHERE level > 0 AND series IN (SELECT old FROM temp.fold);
       UPDATE series SET folded = 1, rx_bytes = 0, tx_bytes = 0, rx_packets = 0, tx_packets = 0
         WHERE id IN (SELECT old FROM temp.fold)`,
    );
  }

  /** Reads something. @throws SqliteError */
  probe(): void {
    this.#sql('SELECT count(*) FROM fact').get();
  }

  close(): void {
    this.#db.close();
  }

  #add(state: SeriesState): void {
    const key = keyOfSeries(state);
    if (!this.#series.has(key)) this.#peers.set(state.peer, (this.#peers.get(state.peer) ?? 0) + 1);
    this.#series.set(key, state);
  }

  readonly #statements = new Map<string, Statement>();

  #sql(text: string): Statement {
    const known = this.#statements.get(text) ?? this.#db.prepare(text);
    this.#statements.set(text, known);
    return known;
  }
}

interface FlowRow {
  key: Buffer;
  sent_packets: number;
  sent_bytes: number;
  received_packets: number;
  received_bytes: number;
  seen_ms: number;
  rate: number;
  series: string;
  missing_ms: number;
  lost: number | null;
}

function stateOf(row: SeriesRow): SeriesState {
  return {
    id: row.id,
    className: row.class,
    family: row.family,
    protocol: row.protocol,
    peer: row.peer,
    firstMs: row.first_ms,
    lastMs: row.last_ms,
    total: [row.rx_bytes, row.tx_bytes, row.rx_packets, row.tx_packets],
  };
}

export function readSeries(db: Database): SeriesState[] {
  return (db.prepare('SELECT * FROM series WHERE folded = 0').all() as SeriesRow[]).map(stateOf);
}

export function readFlows(db: Database): [string, Known][] {
  return (db.prepare('SELECT * FROM flow').all() as FlowRow[]).map((row) => [
    row.key.toString('latin1'),
    {
      sent: { packets: row.sent_packets, bytes: row.sent_bytes },
      received: { packets: row.received_packets, bytes: row.received_bytes },
      seenMs: row.seen_ms,
      rate: row.rate,
      series: row.series,
      dump: 0,
      missingMs: row.missing_ms,
      lost: row.lost ?? undefined,
    },
  ]);
}

export function readFacts(db: Database): Facts {
  const rows = db.prepare('SELECT name, value FROM fact').all() as { name: string; value: string | number }[];
  return { ...noFacts, ...Object.fromEntries(rows.map(({ name, value }) => [name, value])) };
}
