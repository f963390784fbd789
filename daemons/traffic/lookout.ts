// Looks at living flows, one dump at a time: books what they have carried since the last, tries again where the table
// changed under it, and afterwards judges what it has not found.
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import type { Context } from '../../lib/daemon.ts';
import { explain, LaresError } from '../../lib/errors.ts';
import { isWorldly } from '../../lib/exit.ts';
import { type Flow, statusBit } from '../../lib/netlink/conntrack.ts';
import { plural } from '../../lib/table.ts';
import type { Bookkeeper } from './bookkeeper.ts';
import type { config } from './config.ts';
import type { Flows } from './core/flows.ts';
import { keyOf } from './core/key.ts';
import { keyOfSeries } from './core/tally.ts';
import { Dumper } from './dump.ts';
import { messages } from './messages.ts';
import type { Ours } from './ours.ts';
import type { Throttle } from './throttle.ts';

const turnMs = 20;
/** How long before a dump ends of flows are remembered: the kernel needs microseconds. */
const nearMs = 50;
const dumpTries = 3;

/** What the last dump showed beside flows. */
export interface Sight {
  atMs: number;
  tookMs: number;
  flows: number;
  /** Born before counting was switched on. */
  uncounted: number;
  offloaded: number;
}

interface Parts {
  outside: Pick<Context<typeof config>, 'clock' | 'log' | 'changed'>;
  flows: Flows;
  /** When every event that had come was dealt with. */
  emptyMs: () => number;
  books: Bookkeeper;
  throttle: Throttle;
  ours: Ours;
  /** Called when a look has been booked. */
  seen: () => void;
}

export class Lookout {
  readonly #parts: Parts;
  readonly #dumper = new Dumper();
  #looking: Promise<void> | undefined;
  #isStopped = false;
  /** When events were last dropped. */
  droppedMs = 0;
  /** Why living flows are not seen. */
  trouble: string | undefined;
  sight: Sight = { atMs: 0, tookMs: 0, flows: 0, uncounted: 0, offloaded: 0 };

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Whoever asks while one is under way gets that one. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  /** Looks unless it just did; and not so often that looking becomes the main work. */
  async lookAgain(pauseMs: number): Promise<void> {
    const { atMs, tookMs } = this.sight;
    const sinceMs = this.#parts.outside.clock.wallMs() - atMs;
    const isFresh = sinceMs >= 0 && sinceMs < Math.max(pauseMs, 5 * tookMs);
    if (!this.#isStopped && !isFresh) await this.look();
  }

  /** When no look is under way. */
  async settled(): Promise<void> {
    await this.#looking;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#looking;
    this.#dumper.close();
  }

  async #look(): Promise<void> {
    const { outside, flows, emptyMs, books, ours, seen } = this.#parts;
    const { clock, log } = outside;
    ours.refresh();
    // A flow that has lost its mark is not gone: before one is given up, the whole table is looked through.
    const searches = ours.filter === undefined || flows.isDue(emptyMs(), this.droppedMs);
    try {
      flows.dumpIsNear();
      await pause(nearMs);
      let isWhole = false;
      for (let tries = 0; !isWhole && tries < dumpTries && !this.#isStopped; tries += 1)
        isWhole = await this.#dumpOnce(searches ? undefined : ours.filter);
      flows.dumpEnds(isWhole, clock.wallMs());
      if (isWhole && searches) this.#judge();
      if (this.trouble !== undefined) log.say(messages.dumpsAgain, 'living flows are counted again');
      this.trouble = undefined;
    } catch (error) {
      if (!isWorldly(error)) throw error;
      flows.dumpEnds(false, clock.wallMs());
      if (this.trouble === undefined && !this.#isStopped)
        log.say(messages.noDumps, `${explain(error)}; living flows are counted when they end`);
      this.trouble = explain(error);
    }
    books.commit(true);
    seen();
    outside.changed();
  }

  async #dumpOnce(filter: { value: number; mask: number } | undefined): Promise<boolean> {
    const { outside, flows, throttle } = this.#parts;
    const { clock } = outside;
    const beginMs = clock.monotonicMs();
    const sight: Sight = { atMs: clock.wallMs(), tookMs: 0, flows: 0, uncounted: 0, offloaded: 0 };
    let turnAtMs = beginMs + turnMs;
    const turn = async (): Promise<void> => {
      if (this.#isStopped) throw new LaresError('E_TRAFFIC_DUMP', 'stopping');
      if (clock.monotonicMs() < turnAtMs) return;
      await nextTurn();
      turnAtMs = clock.monotonicMs() + turnMs;
    };
    flows.dumpBegins();
    const isWhole = await this.#dumper.dump(
      filter,
      (flow) => this.#living(flow, clock.wallMs(), sight),
      turn,
    );
    sight.tookMs = clock.monotonicMs() - beginMs;
    this.sight = sight;
    if (sight.uncounted > 0)
      throttle.say(
        messages.uncounted,
        `${plural(sight.uncounted, 'flow')} without counters, born before nf_conntrack_acct was 1: not counted`,
      );
    return isWhole;
  }

  #living(flow: Flow, nowMs: number, sight: Sight): void {
    const { flows, books, ours } = this.#parts;
    const found = ours.attribute(flow);
    const key = keyOf(flow);
    if (found === undefined) {
      flows.passedBy(key);
      return;
    }
    sight.flows += 1;
    if (flow.sent === undefined) sight.uncounted += 1;
    if ((flow.status & (statusBit.offload | statusBit.hardwareOffload)) !== 0) sight.offloaded += 1;
    const delta = flows.living(key, flow, keyOfSeries(found), nowMs);
    if (delta !== undefined) books.book(found, delta);
  }

  #judge(): void {
    const { flows, emptyMs, outside, throttle } = this.#parts;
    const stated = flows.judge(emptyMs(), this.droppedMs);
    if (stated > 0)
      outside.log.say(
        messages.lostTail,
        `${plural(stated, 'flow')} went without a last word: booked up to where they were last seen; ` +
          `lost_tail is ${plural(flows.lost.flows, 'flow')} now, an estimated ${flows.lost.bytes} bytes`,
        { LARES_FLOWS: stated },
      );
    if (flows.resets > 0)
      throttle.say(messages.resets, 'another program sets counters of flows back, which loses bytes');
    flows.resets = 0;
  }
}
