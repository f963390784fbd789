// The accountant: takes the ends of flows as the kernel tells them, looks at living flows every interval, books the
// difference under the peer's name, and makes it durable within a few milliseconds. One thing at a time, on one thread;
// nothing that comes from outside can end it.
import { fstatSync } from 'node:fs';
import type { Methods } from '../../lib/control.ts';
import type { Context, Running } from '../../lib/daemon.ts';
import { explain, LaresError } from '../../lib/errors.ts';
import { isWorldly } from '../../lib/exit.ts';
import { type Flow, flowOf } from '../../lib/netlink/conntrack.ts';
import { messagesOf } from '../../lib/netlink/message.ts';
import { countDropsOnly, dropsOf, reportFailedDelivery } from '../../lib/sys/netlink.ts';
import { plural } from '../../lib/table.ts';
import { Bookkeeper, commitMs } from './bookkeeper.ts';
import type { Config, config } from './config.ts';
import { Flows } from './core/flows.ts';
import { keyOf } from './core/key.ts';
import type { Names } from './core/naming.ts';
import { RecentEnds } from './core/recent.ts';
import { intervalsOf } from './intervals.ts';
import { flowsOf, liveOf } from './live.ts';
import { Lookout } from './lookout.ts';
import { messages } from './messages.ts';
import { readNames } from './names.ts';
import { Ours } from './ours.ts';
import { answer, questionOf } from './query.ts';
import { type Batch, Reader } from './reader.ts';
import type { Report } from './report.ts';
import type { Store } from './store.ts';
import { writeTextfile } from './textfile.ts';
import { Throttle } from './throttle.ts';

type Outside = Omit<Context<typeof config>, 'config' | 'onStop'>;

const lookMs = 1_000;
const namesMs = 60_000;

export class Accountant implements Running<typeof config> {
  readonly #outside: Outside;
  readonly #store: Store;
  readonly #fd: number;
  readonly #flows: Flows;
  readonly #books: Bookkeeper;
  readonly #reader: Reader;
  readonly #lookout: Lookout;
  readonly #throttle: Throttle;
  readonly #ours: Ours;
  readonly #ends = new RecentEnds();
  readonly #timers = new Set<NodeJS.Timeout>();
  #config: Config;
  #names: Names;
  #tickTimer: NodeJS.Timeout | undefined;
  #isStopped = false;
  #namesAtMs = 0;

  static async start(config: Config, store: Store, outside: Outside): Promise<Accountant> {
    const one = new Accountant(config, store, outside);
    await one.#lookout.look();
    return one;
  }

  private constructor(config: Config, store: Store, outside: Outside) {
    const { clock } = outside;
    this.#outside = outside;
    this.#store = store;
    this.#config = config;
    this.#throttle = new Throttle(outside.log, clock);
    this.#fd = outside.netlink();
    countDropsOnly(this.#fd);
    reportFailedDelivery(this.#fd, config.reliable);
    this.#names = this.#readNames();
    this.#ours = new Ours(config);
    const { lostFlows, lostBytes } = store.facts;
    this.#flows = new Flows(store.flows(), { flows: lostFlows, bytes: lostBytes });
    this.#books = new Bookkeeper(config, store, this.#flows, outside);
    this.#lookout = new Lookout({
      outside,
      flows: this.#flows,
      emptyMs: () => this.#reader.emptyMs,
      books: this.#books,
      throttle: this.#throttle,
      ours: this.#ours,
      seen: () => this.#writeTextfile(),
    });
    this.#begin();
    this.#reader = new Reader(this.#fd, clock, this.#take, outside.fail);
    this.#every(lookMs, () => this.#glance());
    this.#plan();
  }

  /** What another run has left, and what this one stands on. */
  #begin(): void {
    const { facts } = this.#store;
    const { log, clock } = this.#outside;
    const bootId = this.#outside.bootId();
    const nowMs = clock.wallMs();
    if (facts.bootId !== '' && facts.bootId !== bootId) {
      const count = this.#flows.abandon(nowMs);
      if (count > 0)
        log.say(
          messages.rebooted,
          `${plural(count, 'flow')} ended with the last boot, their last bytes unseen`,
        );
    } else if (facts.isRunning === 1) {
      facts.crashes += 1;
      log.say(
        messages.crashed,
        `the last run did not stop in order: what it had read in its last ${commitMs} ms is missing`,
      );
    }
    const { ino } = fstatSync(this.#fd);
    // A socket counts from its own beginning, and outlives this process.
    if (facts.bootId !== bootId || facts.socket !== ino) facts.socketDrops = 0;
    Object.assign(facts, { bootId, socket: ino, isRunning: 1 });
    this.#store.putFacts();
    this.#countDrops();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timers.forEach(clearTimeout);
    clearTimeout(this.#tickTimer);
    // What was read is booked; what was not waits in the socket for the next process.
    await this.#reader.stop();
    await this.#lookout.stop();
    this.#store.facts.isRunning = 0;
    this.#books.close();
    if (this.#books.trouble !== undefined)
      throw new LaresError('E_TRAFFIC_STATE', `the last sums could not be written: ${this.#books.trouble}`);
  }

  readonly #take = ({ bytes, lengths, odd }: Batch): void => {
    const nowMs = this.#outside.clock.wallMs();
    const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let bad = odd;
    let why = 'not from the kernel, or too large';
    for (let at = 0, index = 0; index < lengths.length; index += 1) {
      const end = at + (lengths[index] ?? 0);
      try {
        for (const message of messagesOf(whole, at, end)) {
          const flow = flowOf(message);
          if (flow?.event === 'destroy') this.#ended(flow, nowMs);
        }
      } catch (error) {
        if (!(error instanceof LaresError)) throw error;
        bad += 1;
        why = explain(error);
      }
      at = end;
    }
    if (bad > 0) this.#throttle.say(messages.garbage, `${plural(bad, 'message')} left out: ${why}`);
    this.#countDrops();
    this.#books.settle();
  };

  #ended(flow: Flow, nowMs: number): void {
    const found = this.#ours.attribute(flow);
    // Most flows of a busy router are nobody's.
    if (found === undefined && !this.#flows.wantsEnds) return;
    if (this.#ends.isRepeated(flow.id, flow.startMs)) return;
    const key = this.#flows.wantsEnds ? keyOf(flow) : '';
    if (found === undefined && this.#flows.get(key) === undefined) return;
    const delta = this.#flows.ended(key, flow, nowMs);
    if (found !== undefined && delta !== undefined) this.#books.book(found, delta);
  }

  /** A second's work: drops, the clock, and once in a while the upkeep of history and names. */
  #glance(): void {
    const { clock } = this.#outside;
    this.#reader.look();
    this.#countDrops();
    if (this.#books.glance()) this.#plan();
    if (clock.monotonicMs() >= this.#namesAtMs) this.#names = this.#readNames();
    this.#books.settle();
  }

  #countDrops(): void {
    const { facts } = this.#store;
    const counted = dropsOf(this.#fd);
    const rise = (counted - facts.socketDrops) >>> 0;
    if (rise === 0) return;
    facts.socketDrops = counted;
    // Then the kernel tries again, and each try counts.
    if (this.#config.reliable) return;
    facts.drops += rise;
    this.#lookout.droppedMs = this.#outside.clock.wallMs();
    this.#throttle.say(
      messages.dropped,
      `the kernel dropped events, ${facts.drops} by now: the socket's buffer was full; looking at living flows`,
      { LARES_DROPS: facts.drops },
    );
    // From within a batch: after it.
    if (!this.#isStopped) setImmediate(() => this.#lookSoon());
  }

  #lookSoon(): void {
    if (!this.#isStopped) this.#lookout.lookAgain(lookMs).catch(this.#outside.fail);
  }

  #writeTextfile(): void {
    const { textfile } = this.#config;
    if (textfile === '') return;
    try {
      writeTextfile(textfile, this.#store, this.#flows, this.#names);
    } catch (error) {
      if (!isWorldly(error)) throw error;
      this.#throttle.say(messages.textfileFailed, `cannot write ${textfile}: ${explain(error)}`);
    }
  }

  /** The next look, at the end of an interval by the wall clock, so that a living flow's bytes fall into one. */
  #plan(): void {
    clearTimeout(this.#tickTimer);
    if (this.#isStopped) return;
    const { intervalMs } = this.#config;
    const waitMs = intervalMs - (this.#outside.clock.wallMs() % intervalMs);
    this.#tickTimer = setTimeout(
      () => {
        this.#lookout.look().then(() => this.#plan(), this.#outside.fail);
      },
      Math.max(100, waitMs),
    );
  }

  #every(ms: number, act: () => void): void {
    this.#timers.add(setInterval(act, ms));
  }

  #readNames(): Names {
    this.#namesAtMs = this.#outside.clock.monotonicMs() + namesMs;
    const { names, problems } = readNames(this.#config.names);
    for (const { place, message } of problems.slice(0, 1))
      this.#throttle.say(messages.nameProblem, `${place}: ${message}; ${plural(problems.length, 'problem')}`);
    return names;
  }

  async reload(config: Config): Promise<void> {
    await this.#lookout.settled();
    if (!this.#books.adopt(config)) throw new LaresError('E_TRAFFIC_STATE', 'the ledger cannot be written');
    this.#config = config;
    this.#names = this.#readNames();
    this.#ours.adopt(config);
    reportFailedDelivery(this.#fd, config.reliable);
    this.#plan();
  }

  status(): string {
    const { drops } = this.#store.facts;
    const troubles = [
      ...(this.#lookout.trouble === undefined ? [] : [`living flows not seen: ${this.#lookout.trouble}`]),
      ...(this.#books.trouble === undefined ? [] : [`ledger not written: ${this.#books.trouble}`]),
      ...(this.#lookout.sight.uncounted === 0
        ? []
        : [`${plural(this.#lookout.sight.uncounted, 'flow')} without counters`]),
    ];
    const lost = this.#flows.lost.flows === 0 ? '' : `, ${plural(this.#flows.lost.flows, 'tail')} lost`;
    const sums = `${plural(this.#store.peers, 'peer')}, ${plural(this.#flows.size, 'living flow')}`;
    return [`${sums}, ${plural(drops, 'event')} dropped${lost}`, ...troubles].join('; ');
  }

  idle(): boolean {
    return false;
  }

  check(): void {
    this.#reader.check();
    this.#store.probe();
  }

  report(): Report {
    const { drops, crashes } = this.#store.facts;
    const lostTail = { ...this.#flows.lost };
    return {
      peers: this.#store.peers,
      flows: this.#flows.size,
      drops,
      lostTail,
      unseenAtMost: Math.max(0, drops - lostTail.flows),
      crashes,
      uncounted: this.#lookout.sight.uncounted,
      offloaded: this.#lookout.sight.offloaded,
      lastDump: {
        at: this.#lookout.sight.atMs,
        tookMs: Math.round(this.#lookout.sight.tookMs),
        flows: this.#lookout.sight.flows,
      },
      dumpTrouble: this.#lookout.trouble ?? null,
      stateTrouble: this.#books.trouble ?? null,
      intervalMs: this.#config.intervalMs,
      reliable: this.#config.reliable,
    };
  }

  methods(): Methods {
    const { clock } = this.#outside;
    return {
      Live: async () => {
        await this.#lookout.lookAgain(lookMs);
        return liveOf(this.#store.series, this.#names, this.#flows, clock.wallMs());
      },
      Flows: async () => {
        await this.#lookout.lookAgain(lookMs);
        return flowsOf(this.#flows.entries(), this.#names, clock.wallMs());
      },
      Report: async (parameters) => {
        const question = questionOf(parameters, clock.wallMs());
        await this.#lookout.lookAgain(lookMs);
        return answer(this.#store.db, this.#names, question);
      },
      Intervals: (parameters) => intervalsOf(this.#store.db, this.#names, parameters),
    };
  }
}
