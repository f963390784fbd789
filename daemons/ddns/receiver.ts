// The receiver: datagram → decide → remember, and the keeper sees to the zone. A verified packet is durable in the
// store before the zone is touched. Nothing here waits: neither a slow disk nor a slow hook holds up the next packet
// for longer than the commit takes. It never dies of a packet, a zone, or a full disk.
import type { RemoteInfo } from 'node:dgram';
import type { Clock } from '../../lib/clock.ts';
import { explain } from '../../lib/errors.ts';
import type { Log } from '../../lib/messages.ts';
import { type Config, describeWindow, maxAgeOf } from './config.ts';
import { plainSource } from './core/address.ts';
import { SignatureBudget } from './core/bucket.ts';
import { decide, type Known, type Rules } from './core/decide.ts';
import { wouldChange } from './core/rewrite.ts';
import { describeZone } from './describe.ts';
import { Duty } from './duty.ts';
import { Keeper } from './keeper.ts';
import { messages } from './messages.ts';
import { Refusals } from './refusals.ts';
import { type Report, reportOf } from './report.ts';
import type { Store } from './store.ts';
import { Trouble } from './trouble.ts';

/** What the daemon has around it. */
export interface Outside {
  log: Log;
  clock: Clock;
  environment: Record<string, string>;
  stateFolder: string;
  /** The hook is run by a unit of its own. */
  publishByUnit: boolean;
  /** `status` may answer something else now. */
  changed: () => void;
  fail: (error: unknown) => void;
}

/** The same with what receiver and keeper share. */
export interface Surroundings extends Outside {
  trouble: Trouble;
  /** Runs a write to the store; false, and said, if the disk would not have it. */
  stored: (write: () => void) => boolean;
  /** There is something for the store that need not wait for the disk. */
  later: () => void;
}

const commitPace = { pauseMs: 0, firstRetryMs: 500, longestRetryMs: 10_000 };
// What need not wait for the disk is written so long after it came up; an idle daemon wakes for nothing.
const tidyMs = 500;

export class Receiver {
  readonly #around: Surroundings;
  readonly #store: Store;
  readonly #keeper: Keeper;
  readonly #refusals: Refusals;
  readonly #commit: Duty;
  #tidying: NodeJS.Timeout | undefined;
  readonly #known = (keyId: string): Known | undefined => this.#store.known(keyId);
  #config: Config;
  #rules: Rules;
  #budget: SignatureBudget;

  static async start(config: Config, store: Store, outside: Outside): Promise<Receiver> {
    const receiver = new Receiver(config, store, outside);
    await receiver.#keeper.start();
    receiver.#warnOfLostMarks();
    return receiver;
  }

  private constructor(config: Config, store: Store, outside: Outside) {
    const trouble = new Trouble(outside.log, outside.changed);
    this.#around = {
      ...outside,
      trouble,
      stored: (write) => stored(trouble, write),
      later: () => this.#later(),
    };
    this.#store = store;
    this.#keeper = new Keeper(config, store, this.#around);
    this.#refusals = new Refusals(outside.log);
    this.#commit = new Duty(() => this.#commitNow(), commitPace, outside.clock, outside.fail);
    this.#config = config;
    this.#rules = rulesOf(config);
    this.#budget = new SignatureBudget(config.signatureRate, outside.clock.monotonicMs());
  }

  /** Judges one datagram and, if it is good, sees to the rest. */
  receive(datagram: Buffer, { address: from }: RemoteInfo): void {
    const { clock, log } = this.#around;
    const source = plainSource(from);
    const [nowMs, monotonicMs] = [clock.wallMs(), clock.monotonicMs()];
    const { zone } = this.#keeper;
    const decision = decide(
      datagram,
      source,
      this.#rules,
      { zone, known: this.#known, budget: this.#budget },
      nowMs,
      monotonicMs,
    );
    if (decision.kind === 'refused') {
      this.#refusals.note(decision.reason, source, decision.keyId, monotonicMs);
      this.#later();
      return;
    }
    this.#store.accept(decision, decision.publish, nowMs);
    if (!decision.publish) this.#refusals.note('address', source, decision.keyId, monotonicMs);
    else if (this.#config.updateTimestamps || wouldChange(zone, decision)) this.#store.require(decision);
    else log.say(messages.seen, `seen ${source}`, { LARES_KEY_ID: decision.keyId, LARES_SOURCE: source });
    // One commit, and one wait for the disk, for all packets of this turn of the loop.
    this.#commit.kick();
  }

  /** @throws LaresError where the new configuration cannot be in force; the old one is then */
  async reload(config: Config): Promise<void> {
    await this.#keeper.reload(config);
    if (config.signatureRate !== this.#config.signatureRate) {
      this.#budget = new SignatureBudget(config.signatureRate, this.#around.clock.monotonicMs());
    }
    this.#config = config;
    this.#rules = rulesOf(config);
  }

  /** Brings everything that was accepted into the zone, and published, as far as that goes. */
  async stop(): Promise<void> {
    await this.#commit.stop();
    await this.#keeper.stop();
    this.#refusals.close();
    this.#tidy();
    clearTimeout(this.#tidying);
  }

  /** One line for a person. */
  status(): string {
    const { zone } = this.#keeper;
    const well = `${describeZone(zone)} in ${this.#config.zone}, ${describeWindow(this.#config)}`;
    return this.#around.trouble.text || well;
  }

  /** Nothing to commit, to write or to run. */
  idle(): boolean {
    return this.#commit.idle && this.#keeper.idle;
  }

  /** Whether the database answers and no rewrite hangs. @throws what is wrong */
  check(): void {
    this.#keeper.check();
    this.#store.probe();
  }

  /** For `lares ddns status`. */
  report(): Report {
    this.#tidy();
    const { zone } = this.#config;
    return reportOf(zone, this.#keeper.zone, this.#store.status, this.#keeper.unpublished);
  }

  #commitNow(): boolean {
    const done = this.#around.stored(() => this.#store.commit());
    if (done) this.#keeper.bringIn();
    return done;
  }

  #later(): void {
    this.#tidying ??= setTimeout(() => this.#tidy(), tidyMs);
  }

  #tidy(): void {
    clearTimeout(this.#tidying);
    this.#tidying = undefined;
    const { clock } = this.#around;
    const counts = this.#refusals.drain(clock.monotonicMs());
    this.#around.stored(() => {
      if (counts.size > 0) this.#store.countRefusals(counts, clock.wallMs());
      this.#store.commit();
    });
    if (this.#refusals.holdsBack) this.#later();
  }

  // Without marks an old packet within the clock window is good again; the admin should know.
  #warnOfLostMarks(): void {
    if (this.#store.size > 0 || !this.#keeper.zone.blocks.some(({ stamp }) => stamp > 0)) return;
    this.#around.log.say(
      messages.stateLost,
      'no high-water marks although the zone has been updated before: new or lost state. Until the next packet ' +
        'of a key only the clock window and the stamp in the zone guard it against replays',
    );
  }
}

function stored(trouble: Trouble, write: () => void): boolean {
  try {
    write();
  } catch (error) {
    trouble.enter(messages.stateFailed, `cannot write the state, retrying: ${explain(error)}`);
    return false;
  }
  trouble.leave(messages.stateFailed);
  return true;
}

function rulesOf(config: Config): Rules {
  return {
    window: { maxClockSkewMs: config.maxClockSkewMs, maxAgeMs: maxAgeOf(config) },
    opened: config.allowAddresses,
  };
}
