// One zone file on disk: read whole, watched, and replaced so that readers see the old or the new file and nothing
// else. A rewrite swaps names with the file it was made from and then looks at what it displaced; if an admin saved
// in between, that edit came out, and the changes are applied to it again. It never writes into an existing file.
import { type FSWatcher, realpathSync, unlinkSync, watch } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf, explain, LaresError } from '../../lib/errors.ts';
import type { Rewritten } from './core/rewrite.ts';
import { parseZone, piecesOf, type Zone } from './core/zone.ts';
import {
  busy,
  type Found,
  type Identity,
  identify,
  isBeingWritten,
  readWhole,
  sameState,
  unreadable,
} from './reading.ts';
import { asWriteError, recover, replace, syncFolder } from './replace.ts';

export interface ZoneEvents {
  /** Another zone is in force, read from the file. */
  read: (zone: Zone) => void;
  /** An edit was saved during a rewrite and has been merged. */
  conflict: (text: string) => void;
  /** A file was left by an interrupted rewrite and may hold an edit: kept under `kept`. */
  leftover: (kept: string) => void;
  watchLost: (error: unknown) => void;
}

// An editor that truncates and then writes leaves the file whole within this time.
const settleMs = 100;
const settleRounds = 50;
// For what inotify does not see: other hosts, a retargeted link, a replaced folder.
const pollMs = 10_000;
const mergeRounds = 5;

export class ZoneFile {
  readonly #path: string;
  readonly #events: ZoneEvents;
  #zone: Zone | undefined;
  #seen: Identity | undefined;
  /** Whether the rewrite in progress has put something in place. */
  #exchanged = false;
  #target = '';
  #watchers: FSWatcher[] = [];
  #poll: NodeJS.Timeout | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(file: string, events: ZoneEvents) {
    this.#path = file;
    this.#events = events;
  }

  /** The zone in force: the last that could be read. */
  get zone(): Zone | undefined {
    return this.#zone;
  }

  /** Reads the file if it is another than the one in force. @throws LaresError E_DDNS_ZONE_READ */
  refresh(): Promise<void> {
    return this.#alone(() => this.#refresh());
  }

  /**
   * Replaces the file by `edit` of what it holds, durably, and says what changed.
   * @throws LaresError E_DDNS_ZONE_READ, E_DDNS_ZONE_WRITE, E_DDNS_OWNER
   */
  apply(edit: (zone: Zone) => Rewritten): Promise<Rewritten> {
    return this.#alone(async () => {
      for (let round = 1; ; round += 1) {
        try {
          return await this.#apply(edit);
        } catch (error) {
          const code = errnoOf(error);
          // Saved between the reading and the writing: nothing was displaced, and the next reading has it.
          if (code === 'E_DDNS_ZONE_BUSY' && !this.#exchanged && round < mergeRounds) continue;
          // Past an exchange nothing is known of the file: the next look starts anew and clears what was left.
          if (!(error instanceof LaresError) || this.#exchanged) this.#seen = undefined;
          throw asWriteError(this.#target, error);
        }
      }
    });
  }

  /** Calls `look`, which should refresh, whenever the file may have changed. */
  watch(look: () => void): void {
    const names = new Set([path.resolve(this.#path), this.#target].filter((name) => name !== ''));
    for (const name of names) {
      try {
        const watcher = watch(path.dirname(name), { persistent: false }, (_, changed) => {
          if (changed === null || changed === path.basename(name)) look();
        });
        watcher.on('error', this.#events.watchLost);
        this.#watchers.push(watcher);
      } catch (error) {
        this.#events.watchLost(error);
      }
    }
    this.#poll = setInterval(look, pollMs);
  }

  async close(): Promise<void> {
    clearInterval(this.#poll);
    for (const watcher of this.#watchers.splice(0)) watcher.close();
    await this.#turn;
  }

  // One operation at a time; a failed one does not stop the next.
  #alone<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(operation);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #refresh(): Promise<void> {
    try {
      // By far the most looks find the file as it was left: one system call.
      if (sameState(identify(this.#path), this.#seen)) return;
      this.#target = realpathSync(this.#path);
      if (this.#seen === undefined) recover(this.#target, this.#events.leftover);
      else await settled(this.#target);
      const { bytes, identity } = readWhole(this.#target);
      this.#zone = parseZone(bytes, this.#zone);
      this.#seen = identity;
      this.#events.read(this.#zone);
    } catch (error) {
      // What has no errno is ours, or a bug: not to be dressed as trouble with a file.
      throw error instanceof LaresError || errnoOf(error) === ''
        ? error
        : unreadable(this.#path, explain(error), error);
    }
  }

  async #apply(edit: (zone: Zone) => Rewritten): Promise<Rewritten> {
    this.#exchanged = false;
    await this.#refresh();
    const { zone, seen } = this.#inForce();
    const first = edit(zone);
    if (!first.dirty) return first;
    let result = first;
    let expected = seen;
    // What the last round displaced although it was not what it had read: the admin's edit, to be merged and removed.
    let edited: Found | undefined;
    for (let round = 0; round < mergeRounds; round += 1) {
      const { displaced, written } = await replace(
        this.#target,
        edited ?? { file: this.#target, identity: seen },
        expected,
        piecesOf(result.zone),
      );
      this.#exchanged = true;
      if (edited !== undefined) unlinkSync(edited.file);
      this.#zone = result.zone;
      this.#seen = written;
      if (displaced === undefined) {
        await syncFolder(path.dirname(this.#target));
        return { ...result, changes: first.changes };
      }
      this.#events.conflict(
        `${this.#target} was saved by somebody else during a rewrite; both edits are kept`,
      );
      // Its editor may still be writing into it.
      await settled(displaced);
      expected = written;
      const { bytes, identity } = readWhole(displaced);
      edited = { file: displaced, identity };
      const merged = parseZone(bytes, this.#zone);
      this.#events.read(merged);
      result = edit(merged);
    }
    throw new LaresError(
      'E_DDNS_ZONE_WRITE',
      `${this.#target} keeps changing; the last edit displaced is in ${edited?.file ?? ''}`,
    );
  }

  #inForce(): { zone: Zone; seen: Identity } {
    if (this.#zone === undefined || this.#seen === undefined) throw unreadable(this.#path, 'not read yet');
    return { zone: this.#zone, seen: this.#seen };
  }
}

/**
 * Waits until a changed file stays as it is for a moment and nobody has it open for writing.
 * @throws LaresError E_DDNS_ZONE_BUSY if that takes too long
 */
async function settled(file: string): Promise<void> {
  let last = identify(file);
  for (let round = 0; round < settleRounds; round += 1) {
    await sleep(settleMs);
    const now = identify(file);
    if (sameState(now, last) && !isBeingWritten(file)) return;
    last = now;
  }
  if (isBeingWritten(file)) throw busy(file);
}
