// Books amounts under series and makes them durable with the flows that they came from, all in one commit, a moment
// after the first of them. What cannot be written stays in memory, where it is bounded by peers and flows, for the
// next try.
import type { Clock } from '../../lib/clock.ts';
import { explain } from '../../lib/errors.ts';
import { isWorldly } from '../../lib/exit.ts';
import type { Log } from '../../lib/messages.ts';
import { plural } from '../../lib/table.ts';
import type { Config } from './config.ts';
import type { Delta, Flows } from './core/flows.ts';
import { type Attribution, volumeOf } from './core/peers.ts';
import { keyOfSeries, Tally } from './core/tally.ts';
import { messages } from './messages.ts';
import type { Store } from './store.ts';

/** How long an event that was read may wait to become durable. */
export const commitMs = 50;
const upkeepMs = 3_600_000;
/** More than this between wall and monotonic clock is a step. */
const stepMs = 300_000;

export class Bookkeeper {
  readonly #store: Store;
  readonly #flows: Flows;
  readonly #log: Log;
  readonly #clock: Clock;
  #tally: Tally;
  #config: Config;
  #timer: NodeJS.Timeout | undefined;
  #clockOffsetMs: number;
  #steadySinceMs: number;
  #upkeepAtMs: number;
  /** Why the ledger cannot be written. */
  trouble: string | undefined;

  constructor(config: Config, store: Store, flows: Flows, { log, clock }: { log: Log; clock: Clock }) {
    this.#config = config;
    this.#store = store;
    this.#flows = flows;
    this.#log = log;
    this.#clock = clock;
    this.#tally = new Tally(config.intervalMs);
    this.#steadySinceMs = clock.monotonicMs();
    this.#clockOffsetMs = clock.wallMs() - this.#steadySinceMs;
    this.#upkeepAtMs = this.#steadySinceMs + upkeepMs;
  }

  book(found: Attribution, { sent, received, fromMs, toMs }: Delta): void {
    const series = this.#store.seriesFor(found, this.#config.maxPeers);
    const volume = volumeOf(found.isOriginator, sent, received);
    this.#tally.add(keyOfSeries(series), series, volume, Math.max(0, fromMs), toMs);
  }

  /** Sees to it that what has changed becomes durable soon. */
  settle(): void {
    if (this.#timer !== undefined || (this.#tally.size === 0 && this.#flows.changed.size === 0)) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.commit(false);
    }, commitMs);
  }

  /** `onDisk`: proof against a power cut, too. */
  commit(onDisk: boolean): void {
    this.#guarded(() => this.#store.commit(this.#tally, this.#flows, onDisk));
  }

  /** @returns whether everything is written */
  adopt(config: Config): boolean {
    this.commit(true);
    if (this.trouble !== undefined) return false;
    this.#config = config;
    this.#tally = new Tally(config.intervalMs);
    return true;
  }

  /** The last commit. */
  close(): void {
    clearTimeout(this.#timer);
    this.commit(true);
  }

  /** Once in a while history is trimmed; not where the clock was set, for it may be wrong. @returns whether it was */
  glance(): boolean {
    const nowMs = this.#clock.monotonicMs();
    const offsetMs = this.#clock.wallMs() - nowMs;
    const isStep = Math.abs(offsetMs - this.#clockOffsetMs) > stepMs;
    this.#clockOffsetMs = offsetMs;
    if (isStep) {
      this.#steadySinceMs = nowMs;
      this.#log.say(messages.clockStepped, 'the clock was set: history is not trimmed for an hour');
    }
    if (nowMs >= this.#upkeepAtMs && nowMs - this.#steadySinceMs >= upkeepMs) this.#upkeep(nowMs);
    return isStep;
  }

  #upkeep(nowMs: number): void {
    const { keepIntervalsMs, keepHoursMs, keepDaysMs, maxPeers } = this.#config;
    const wallMs = this.#clock.wallMs();
    this.#upkeepAtMs = nowMs + upkeepMs;
    this.#guarded(() => {
      this.#store.trim(wallMs, [keepIntervalsMs, keepHoursMs, keepDaysMs]);
      const count = this.#store.makeRoom(maxPeers, wallMs - upkeepMs);
      if (count > 0)
        this.#log.say(messages.madeRoom, `${plural(count, 'silent peer')} became part of 'other'`);
    });
  }

  #guarded(act: () => void): void {
    try {
      act();
      if (this.trouble !== undefined) this.#log.say(messages.stateWorks, 'the ledger can be written again');
      this.trouble = undefined;
    } catch (error) {
      if (!isWorldly(error)) throw error;
      if (this.trouble === undefined)
        this.#log.say(
          messages.stateFailed,
          `cannot write the ledger: ${explain(error)}; counting on in memory`,
        );
      this.trouble = explain(error);
    }
  }
}
