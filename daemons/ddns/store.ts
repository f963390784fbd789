// What the receiver must not forget, in SQLite: each key's high-water mark, what was last seen of it, addresses
// accepted but not yet written to the zone, changes not yet published, and counts of refusals. All marks live in
// memory as well; `commit` makes what changed durable in one transaction, before anything acts on it.
import { existsSync, renameSync } from 'node:fs';
import path from 'node:path';
import { errnoOf, LaresError } from '../../lib/errors.ts';
import { type Database, openDatabase, openForReading } from '../../lib/sqlite.ts';
import { type Address, type Family, parseAddress, prefixOf } from './core/address.ts';
import type { Known } from './core/decide.ts';
import { advance, type Mark } from './core/marks.ts';
import { type Change, typeOf, type Update } from './core/rewrite.ts';

const migrations = [
  `CREATE TABLE mark (
     key_id TEXT PRIMARY KEY, stamp REAL NOT NULL, families TEXT NOT NULL, accepted_ms INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE peer (
     key_id TEXT NOT NULL, family INTEGER NOT NULL, address TEXT NOT NULL, stamp REAL NOT NULL,
     seen_ms INTEGER NOT NULL, changed_ms INTEGER, due INTEGER NOT NULL, PRIMARY KEY (key_id, family)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE refusal (
     reason TEXT PRIMARY KEY, count INTEGER NOT NULL, last_ms INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;`,
];

const fileName = 'ddns.db';
/** What was last seen of a key in one family. */
export interface Peer {
  address: Address;
  /** Unix seconds, as the client had them. */
  stamp: number;
  seenMs: number;
  changedMs: number | undefined;
  /** Whether the zone has yet to say it. */
  due: boolean;
}

interface KeyState extends Known {
  peers: Map<Family, Peer>;
}

interface PeerRow {
  key_id: string;
  family: Family;
  address: string;
  stamp: number;
  seen_ms: number;
  changed_ms: number | null;
  due: number;
}

export class Store {
  readonly #db: Database;
  readonly #keys = new Map<string, KeyState>();
  readonly #dirty = new Set<string>();
  readonly #waiting = new Set<string>();
  readonly #write: (keyIds: Iterable<string>) => void;

  /** Opens `folder`'s database; a damaged one is moved aside, which `lost` is told. @throws LaresError E_STATE_* */
  static open(folder: string, nowMs: number, lost: (kept: string) => void): Store {
    const file = path.join(folder, fileName);
    try {
      return new Store(openDatabase(file, migrations));
    } catch (error) {
      if (!(error instanceof LaresError && error.code === 'E_STATE_CORRUPT')) throw error;
      const kept = `${file}.damaged-${nowMs}`;
      for (const suffix of ['', '-wal', '-shm']) moveIfThere(file + suffix, kept + suffix);
      lost(kept);
      return new Store(openDatabase(file, migrations));
    }
  }

  private constructor(db: Database) {
    this.#db = db;
    for (const row of db.prepare('SELECT * FROM mark').all() as {
      key_id: string;
      stamp: number;
      families: string;
      accepted_ms: number;
    }[]) {
      const mark: Mark = {
        stamp: row.stamp,
        families: row.families.split('').map(Number) as Family[],
        acceptedMs: row.accepted_ms,
      };
      this.#keys.set(row.key_id, { mark, prefixes: [], peers: new Map() });
    }
    for (const { keyId, family, peer } of readPeers(db)) {
      const state = this.#keys.get(keyId);
      state?.peers.set(family, peer);
      if (state !== undefined) state.prefixes = prefixesOf(state.peers);
      if (peer.due) this.#waiting.add(keyId);
    }
    const putMark = db.prepare(
      `INSERT INTO mark VALUES (?, ?, ?, ?) ON CONFLICT (key_id) DO UPDATE SET
         stamp = excluded.stamp, families = excluded.families, accepted_ms = excluded.accepted_ms
       WHERE excluded.stamp >= stamp`,
    );
    const putPeer = db.prepare('INSERT OR REPLACE INTO peer VALUES (?, ?, ?, ?, ?, ?, ?)');
    const write = (keyIds: Iterable<string>): void => {
      for (const keyId of keyIds) {
        const state = this.#keys.get(keyId);
        if (state === undefined) continue;
        const { mark, peers } = state;
        putMark.run(keyId, mark.stamp, mark.families.join(''), mark.acceptedMs);
        for (const [family, peer] of peers) {
          putPeer.run(
            keyId,
            family,
            peer.address.text,
            peer.stamp,
            peer.seenMs,
            peer.changedMs ?? null,
            peer.due ? 1 : 0,
          );
        }
      }
    };
    this.#write = db.transaction(write);
  }

  /** How many keys have a mark. */
  get size(): number {
    return this.#keys.size;
  }

  known(keyId: string): Known | undefined {
    return this.#keys.get(keyId);
  }

  /** Takes a verified packet in: moves the mark, remembers the address. Durable with the next `commit`. */
  accept({ keyId, address, stamp }: Update, publish: boolean, nowMs: number): void {
    const state: KeyState = this.#keys.get(keyId) ?? {
      mark: { stamp, families: [], acceptedMs: nowMs },
      prefixes: [],
      peers: new Map(),
    };
    state.mark = advance(state.mark, stamp, address.family, nowMs);
    const before = state.peers.get(address.family);
    if (publish) {
      state.peers.set(address.family, {
        address,
        stamp,
        seenMs: nowMs,
        changedMs: before?.changedMs,
        due: before?.due ?? false,
      });
      state.prefixes = prefixesOf(state.peers);
    }
    this.#keys.set(keyId, state);
    this.#dirty.add(keyId);
  }

  /** Marks an accepted address as one that the zone has to say. Durable with the next `commit`. */
  require({ keyId, address }: Update): void {
    const peer = this.#keys.get(keyId)?.peers.get(address.family);
    if (peer === undefined) return;
    peer.due = true;
    this.#waiting.add(keyId);
  }

  /**
   * Makes all that was accepted durable: on the disk when it returns. @throws SqliteError, and keeps it for the next
   * try
   */
  commit(): void {
    if (this.#dirty.size === 0) return;
    this.#write(this.#dirty);
    this.#dirty.clear();
  }

  /** Accepted addresses that the zone has yet to say, oldest stamp first. */
  get due(): Update[] {
    const updates: Update[] = [];
    for (const keyId of this.#waiting) {
      for (const { address, stamp, due } of this.#keys.get(keyId)?.peers.values() ?? []) {
        if (due) updates.push({ keyId, address, stamp });
      }
    }
    return updates.sort((a, b) => a.stamp - b.stamp);
  }

  /**
   * The zone says `updates` now, `changed` of them newly. Not worth a wait for the disk: lost in a crash, it is done
   * again and changes nothing. The next commit takes it along.
   */
  written(updates: Update[], changed: Change[], nowMs: number): void {
    const isNew = new Set(changed.map(({ keyId, type }) => keyId + type));
    for (const { keyId, address } of updates) {
      const peers = this.#keys.get(keyId)?.peers;
      const peer = peers?.get(address.family);
      // Another address may have come meanwhile.
      if (peers === undefined || peer?.address.text !== address.text) continue;
      peer.due = false;
      if (isNew.has(keyId + typeOf(address.family))) peer.changedMs = nowMs;
      this.#dirty.add(keyId);
      if (![...peers.values()].some(({ due }) => due)) this.#waiting.delete(keyId);
    }
  }

  /** Adds to the refusals of each reason. */
  countRefusals(counts: Map<string, number>, nowMs: number): void {
    const add = this.#db.prepare(
      `INSERT INTO refusal VALUES (?, ?, ?) ON CONFLICT (reason)
       DO UPDATE SET count = count + excluded.count, last_ms = excluded.last_ms`,
    );
    this.#db.transaction(() => counts.forEach((count, reason) => add.run(reason, count, nowMs)))();
  }

  /** Reads something. @throws SqliteError */
  probe(): void {
    this.#db.prepare('SELECT count(*) FROM refusal').get();
  }

  /** As of the last commit. */
  get status(): Status {
    return statusOf(this.#db);
  }

  close(): void {
    this.#db.close();
  }
}

/**
 * Drops a key's high-water mark and what was last seen of it; whether there was one. Only while no daemon runs on
 * `folder`, which holds all marks in memory. @throws LaresError E_STATE_*
 */
export function forgetKey(folder: string, keyId: string): boolean {
  const file = path.join(folder, fileName);
  if (!existsSync(file)) return false;
  const db = openDatabase(file, migrations);
  try {
    return db.transaction(() => {
      db.prepare('DELETE FROM peer WHERE key_id = ?').run(keyId);
      return db.prepare('DELETE FROM mark WHERE key_id = ?').run(keyId).changes > 0;
    })();
  } finally {
    db.close();
  }
}

export interface Status {
  peers: ({ keyId: string; family: Family } & Peer)[];
  refusals: Refused[];
}

/** What `lares ddns status` shows; undefined where the daemon has no state yet. */
export function readStatus(folder: string): Status | undefined {
  const db = openForReading(path.join(folder, fileName));
  if (db === undefined) return undefined;
  try {
    return statusOf(db);
  } finally {
    db.close();
  }
}

function statusOf(db: Database): Status {
  const peers = readPeers(db).map(({ keyId, family, peer }) => ({ keyId, family, ...peer }));
  const refusals = db
    .prepare('SELECT reason, count, last_ms AS lastMs FROM refusal ORDER BY count DESC')
    .all() as Refused[];
  return { peers, refusals };
}

export interface Refused {
  reason: string;
  count: number;
  lastMs: number;
}

function readPeers(db: Database): { keyId: string; family: Family; peer: Peer }[] {
  return (db.prepare('SELECT * FROM peer').all() as PeerRow[]).flatMap((row) => {
    const address = parseAddress(row.address);
    if (address === undefined) return [];
    const peer: Peer = {
      address,
      stamp: row.stamp,
      seenMs: row.seen_ms,
      changedMs: row.changed_ms ?? undefined,
      due: row.due !== 0,
    };
    return [{ keyId: row.key_id, family: row.family, peer }];
  });
}

function prefixesOf(peers: Map<Family, Peer>): string[] {
  return [...peers.values()].map(({ address }) => prefixOf(address.text));
}

function moveIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}
