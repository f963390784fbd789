// Keeps the zone as the store wants it: brings accepted addresses into the file, and lays every change out for the
// hook, which a unit of its own runs, or this process where there is none. All at their own pace beside the receiver,
// and again until they succeed; what is still to do is in the store or the spool, so that a crash at any point leaves
// nothing undone.

import path from 'node:path';
import { errnoOf, explain, LaresError } from '../../lib/errors.ts';
import { runProgram } from '../../lib/program.ts';
import { plural } from '../../lib/table.ts';
import type { Config } from './config.ts';
import { type Change, type Rewritten, restate, rewrite, type Update } from './core/rewrite.ts';
import { parseZone, type Zone } from './core/zone.ts';
import { describeZone } from './describe.ts';
import { Duty } from './duty.ts';
import { messages } from './messages.ts';
import type { Surroundings } from './receiver.ts';
import { publishProgram, Spool } from './spool.ts';
import type { Store } from './store.ts';
import { ZoneFile } from './zonefile.ts';

// tinydns serves whole seconds as the serial number, so more than one rewrite a second would go unseen.
const rewritePace = { pauseMs: 1_000, firstRetryMs: 1_000, longestRetryMs: 60_000 };
const publishPace = { pauseMs: 0, firstRetryMs: 1_000, longestRetryMs: 300_000 };
const problemsSaid = 20;
// A disk that hangs for longer is not waited for.
const stuckMs = 60_000;
const nothing = parseZone(Buffer.alloc(0));

export class Keeper {
  readonly #around: Surroundings;
  readonly #store: Store;
  readonly #spool: Spool;
  readonly #rewrite: Duty;
  readonly #publish: Duty;
  #config: Config;
  #file: ZoneFile;
  /** Left by an earlier run or a failed rewrite: whether they came to the zone and the spool is unknown. */
  #resumed: Update[];
  /** In the zone, and not in the spool because its disk would not have them. */
  #unspooled: Change[] = [];

  constructor(config: Config, store: Store, around: Surroundings) {
    this.#config = config;
    this.#store = store;
    this.#around = around;
    this.#resumed = store.due;
    this.#spool = new Spool(around.stateFolder);
    this.#rewrite = new Duty(() => this.#rewriteNow(), rewritePace, around.clock, around.fail);
    this.#publish = new Duty(() => this.#publishNow(), publishPace, around.clock, around.fail);
    this.#file = this.#open(config.zone);
  }

  /** The zone in force; empty as long as none could be read. */
  get zone(): Zone {
    return this.#file.zone ?? nothing;
  }

  /** Reads the zone and takes up what an earlier run left. An unreadable zone is said, and waited for. */
  async start(): Promise<void> {
    await this.#look();
    this.#file.watch(() => void this.#look());
    this.#publish.kick();
  }

  /** There may be accepted addresses that the zone does not say. Those of keys that no block names wait for one. */
  bringIn(): void {
    if (this.#placeable().length > 0) this.#rewrite.kick();
  }

  /** @throws LaresError E_DDNS_ZONE_READ if the new zone cannot be read; the old one stays in force then */
  async reload(config: Config): Promise<void> {
    if (config.zone !== this.#config.zone) {
      const next = this.#open(config.zone);
      await next.refresh();
      await this.#file.close();
      this.#file = next;
      this.#file.watch(() => void this.#look());
    }
    this.#config = config;
    await this.#look();
    this.#retry();
  }

  // What kept them from succeeding may be what was mended.
  #retry(): void {
    if (this.#placeable().length > 0) this.#rewrite.now();
    this.#publish.now();
  }

  /** Does what is due, once, and leaves the rest to the next run. */
  async stop(): Promise<void> {
    await this.#rewrite.stop();
    await this.#publish.stop();
    await this.#file.close();
  }

  #open(file: string): ZoneFile {
    const { log } = this.#around;
    return new ZoneFile(file, {
      read: (zone) => {
        this.#sayRead(zone);
        // A mended block may be what an update has waited for.
        setImmediate(() => this.bringIn());
      },
      conflict: (text) => log.say(messages.zoneConflict, text),
      leftover: (kept) =>
        log.say(
          messages.zoneLeftover,
          `an interrupted rewrite left a file that may hold an edit: compare ${kept} with ${file}, then remove it`,
        ),
      watchLost: (error) =>
        log.say(
          messages.watchLost,
          `cannot watch ${file}, looking every few seconds instead: ${explain(error)}`,
        ),
    });
  }

  async #look(): Promise<void> {
    const { trouble, fail } = this.#around;
    try {
      await this.#file.refresh();
      if (trouble.leave(messages.zoneUnreadable)) this.#retry();
    } catch (error) {
      if (!(error instanceof LaresError)) {
        fail(error);
        return;
      }
      const inForce =
        this.#file.zone === undefined ? 'no zone is in force' : 'the zone last read stays in force';
      trouble.enter(messages.zoneUnreadable, `${error.message}; ${inForce}`);
    }
  }

  /** Nothing to write and nothing to run; what no block names does not count. */
  get idle(): boolean {
    return this.#rewrite.idle && this.#publish.idle;
  }

  /** @throws LaresError E_DDNS_STUCK if a rewrite does not come to its end */
  check(): void {
    if (this.#rewrite.runningMs > stuckMs)
      throw new LaresError('E_DDNS_STUCK', `the rewrite of ${this.#config.zone} does not end`);
  }

  /** Records that the hook has yet to hear of. */
  get unpublished(): number {
    return this.#spool.size;
  }

  #placeable(): Update[] {
    const { keys } = this.zone;
    return this.#store.due.filter(({ keyId }) => keys.has(keyId));
  }

  #sayRead(zone: Zone): void {
    const { log } = this.#around;
    this.#around.changed();
    log.say(messages.zoneRead, `zone read: ${describeZone(zone)}`);
    const bad = zone.problems.filter(({ severity }) => severity === 'bad');
    for (const { line, message } of bad.slice(0, problemsSaid))
      log.say(messages.zoneProblem, `${this.#config.zone}:${line}: ${message}`);
    if (bad.length > problemsSaid)
      log.say(
        messages.zoneProblem,
        `${plural(bad.length - problemsSaid, 'more problem')}: lares ddns check ${this.#config.zone}`,
      );
  }

  async #rewriteNow(): Promise<boolean> {
    const { trouble, clock } = this.#around;
    // Also what came since the last commit: nothing reaches the zone that a crash could make us forget.
    if (!this.#around.stored(() => this.#store.commit())) return false;
    const updates = this.#store.due;
    const stamping = {
      always: this.#config.updateTimestamps,
      latest: (clock.wallMs() + this.#config.maxClockSkewMs) / 1_000,
    };
    let rewritten: Rewritten;
    try {
      rewritten = await this.#file.apply((current) => rewrite(current, updates, stamping));
    } catch (error) {
      if (!(error instanceof LaresError)) throw error;
      // It may be in place all the same; the hook hears of it with the next success.
      this.#resumed = updates;
      trouble.enter(messages.zoneUnwritable, `${error.message}; ${plural(updates.length, 'update')} waiting`);
      return false;
    }
    trouble.leave(messages.zoneUnwritable);
    const { changes, zone } = rewritten;
    this.#sayUpdated(changes);
    // A crash between a rewrite and the spool leaves a zone that says it all and a hook that has heard nothing.
    this.#unspooled.push(...changes, ...restate(zone, this.#resumed));
    this.#resumed = [];
    if (!this.#layOut()) return false;
    // An update whose block is bad or gone at this moment is not done with.
    const placed = updates.filter(({ keyId }) => zone.keys.has(keyId));
    this.#store.written(placed, changes, clock.wallMs());
    this.#around.later();
    this.#publish.kick();
    this.bringIn();
    return true;
  }

  #layOut(): boolean {
    const { trouble } = this.#around;
    try {
      if (this.#config.hook.length > 0) this.#spool.add(this.#unspooled);
    } catch (error) {
      if (errnoOf(error) === '') throw error;
      trouble.enter(messages.spoolFailed, `cannot lay out changes for the hook, retrying: ${explain(error)}`);
      return false;
    }
    trouble.leave(messages.spoolFailed);
    this.#unspooled = [];
    return true;
  }

  #spooled(): number | undefined {
    try {
      return this.#spool.size;
    } catch (error) {
      if (errnoOf(error) === '') throw error;
      const { trouble } = this.#around;
      trouble.enter(messages.spoolFailed, `cannot read what the hook has yet to hear of: ${explain(error)}`);
      return undefined;
    }
  }

  #sayUpdated(changes: Change[]): void {
    for (const { name, type, from, to, keyId } of changes) {
      const fields = { LARES_NAME: name, LARES_KEY_ID: keyId, LARES_SOURCE: to };
      this.#around.log.say(messages.updated, `updated ${name} ${type} ${from || '-'} -> ${to}`, fields);
    }
  }

  async #publishNow(): Promise<boolean> {
    const { log, trouble, environment } = this.#around;
    const { hook, zone } = this.#config;
    if (this.#around.publishByUnit || hook.length === 0) return true;
    const count = this.#spooled();
    if (count === undefined) return false;
    if (count === 0) return true;
    const { ok, outcome } = await runProgram({
      argv: ['/bin/sh', publishProgram, this.#spool.folder, ...hook],
      folder: path.dirname(zone),
      environment: { ...environment, LARES_ZONE: zone },
      output: (line) => log.say(messages.publishOutput, `hook: ${line}`),
    });
    if (!ok) {
      trouble.enter(messages.publishFailed, `hook failed, to be run again: ${outcome}`);
      return false;
    }
    trouble.leave(messages.publishFailed);
    log.say(messages.published, `published ${plural(count, 'change')} with ${hook[0] ?? ''}`);
    return true;
  }
}
