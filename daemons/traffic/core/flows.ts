// What of each flow has been counted: the difference to what the kernel says now is what there is to book. Nothing is
// ever counted twice: a dump that was under way when a flow ended may still name it, and is not believed. Pure; the
// owner says what time it is, and makes durable what has changed.
import type { Counters, Flow } from '../../../lib/netlink/conntrack.ts';

export interface Known {
  /** Of this much has been taken notice. */
  sent: Counters;
  received: Counters;
  /** When that was; wall clock, as all times here, milliseconds. */
  seenMs: number;
  /** Bytes a millisecond when it was last seen; for estimates, and for people. */
  rate: number;
  /** Who has it; '' for nobody. */
  series: string;
  /** The last dump that it was in. */
  dump: number;
  /** Since when dumps miss it; 0: they do not. */
  missingMs: number;
  /** What was stated as lost of it; undefined: nothing. */
  lost: number | undefined;
}

export interface Delta {
  sent: Counters;
  received: Counters;
  fromMs: number;
  toMs: number;
}

/** What has been lost sight of: known flows that went without a last word, and an estimate of their last bytes. */
export interface LostTail {
  flows: number;
  bytes: number;
}

export interface Patience {
  /** How long a flow that dumps miss may take to end: its last event comes when the kernel gets round to it. */
  graceMs: number;
  /** The same, where events were dropped. */
  dropGraceMs: number;
  /** How long a dump that is slow may show a flow after its end. */
  staleMs: number;
  /** When a flow without an end is forgotten. An end that comes until then is taken, and what was stated withdrawn. */
  forgetMs: number;
}

export const patience: Patience = {
  graceMs: 180_000,
  dropGraceMs: 20_000,
  staleMs: 10_000,
  forgetMs: 900_000,
};

const none: Counters = { packets: 0, bytes: 0 };

export class Flows {
  readonly #known = new Map<string, Known>();
  /** Ends that were heard of while a dump was under way or near. */
  readonly #buried = new Set<string>();
  readonly #patience: Patience;
  #dump = 0;
  #isBurying = false;
  /** Keys whose state the owner has to make durable: new, changed or gone. */
  readonly changed = new Set<string>();
  lost: LostTail = { flows: 0, bytes: 0 };
  /** Flows whose counters went backwards: somebody else resets them. */
  resets = 0;

  constructor(
    known: Iterable<[string, Known]> = [],
    lost: LostTail = { flows: 0, bytes: 0 },
    own = patience,
  ) {
    for (const [key, flow] of known) this.#known.set(key, flow);
    this.lost = { ...lost };
    this.#patience = own;
  }

  get size(): number {
    return this.#known.size;
  }

  get(key: string): Known | undefined {
    return this.#known.get(key);
  }

  entries(): Iterable<[string, Known]> {
    return this.#known;
  }

  /** The end of a flow: what is still to be booked of it. */
  ended(key: string, flow: Flow, nowMs: number): Delta | undefined {
    if (this.#isBurying) this.#buried.add(key);
    const known = this.#known.get(key);
    if (known !== undefined) {
      this.#known.delete(key);
      this.changed.add(key);
      if (known.lost !== undefined) this.#state(-1, -known.lost);
    }
    return this.#since(known, flow, flow.stopMs ?? nowMs);
  }

  /** A flow that lives, from a dump: what is to be booked of it since it was last seen. */
  living(key: string, flow: Flow, series: string, nowMs: number): Delta | undefined {
    if (this.#buried.has(key)) return undefined;
    const known = this.#known.get(key);
    const delta = this.#since(known, flow, nowMs);
    const { sent = none, received = none } = flow;
    const spanMs = delta === undefined ? 0 : delta.toMs - delta.fromMs;
    const rate = delta === undefined || spanMs <= 0 ? 0 : (delta.sent.bytes + delta.received.bytes) / spanMs;
    if (known === undefined) {
      this.changed.add(key);
      this.#known.set(key, {
        ...{ sent, received, seenMs: nowMs, rate, series },
        ...{ dump: this.#dump, missingMs: 0, lost: undefined },
      });
      return delta;
    }
    if (delta !== undefined || known.missingMs > 0) this.changed.add(key);
    if (known.lost !== undefined) this.#state(-1, -known.lost);
    // Field by field: of a hundred thousand flows most are as they were.
    known.sent = sent;
    known.received = received;
    known.seenMs = nowMs;
    known.rate = rate;
    known.series = series;
    known.dump = this.#dump;
    known.missingMs = 0;
    known.lost = undefined;
    return delta;
  }

  /** A flow that lives and that nobody wants counted any more; it is not lost. */
  passedBy(key: string): void {
    const known = this.#known.get(key);
    if (known === undefined) return;
    if (known.lost !== undefined) this.#state(-1, -known.lost);
    if (known.missingMs > 0) this.changed.add(key);
    Object.assign(known, { dump: this.#dump, missingMs: 0, lost: undefined });
  }

  /** Whether keys of ends matter: for flows that are known, and where a dump may still name them. */
  get wantsEnds(): boolean {
    return this.#isBurying || this.#known.size > 0;
  }

  /** A dump is near. The kernel tells of an end a moment before the flow leaves its table. */
  dumpIsNear(): void {
    this.#isBurying = true;
  }

  dumpBegins(): void {
    this.#dump += 1;
    this.#isBurying = true;
  }

  /** After the last of its tries. Only one that came to its end unbroken says that a flow is not there any more. */
  dumpEnds(isComplete: boolean, nowMs: number): void {
    this.#isBurying = false;
    this.#buried.clear();
    if (!isComplete) return;
    for (const flow of this.#known.values())
      if (flow.dump !== this.#dump && flow.missingMs === 0) flow.missingMs = nowMs;
  }

  /** Whether `judge` would do something: then a dump of everything has to look for those flows first. */
  isDue(nowMs: number, droppedMs: number): boolean {
    for (const flow of this.#known.values())
      if (this.#verdict(flow, nowMs, droppedMs) !== undefined) return true;
    return false;
  }

  #verdict(flow: Known, nowMs: number, droppedMs: number): 'lost' | 'forgotten' | undefined {
    if (flow.missingMs === 0) return undefined;
    const { graceMs, dropGraceMs, forgetMs, staleMs } = this.#patience;
    const missedMs = nowMs - flow.missingMs;
    if (flow.lost !== undefined) return missedMs >= forgetMs ? 'forgotten' : undefined;
    return missedMs >= (droppedMs >= flow.seenMs - staleMs ? dropGraceMs : graceMs) ? 'lost' : undefined;
  }

  /**
   * States as lost what has been missing for too long. `nowMs`: when every event that had come was taken; `droppedMs`:
   * when events were last dropped. @returns how many flows were stated just now
   */
  judge(nowMs: number, droppedMs: number): number {
    let stated = 0;
    for (const [key, flow] of this.#known) {
      const verdict = this.#verdict(flow, nowMs, droppedMs);
      if (verdict === undefined) continue;
      this.changed.add(key);
      if (verdict === 'forgotten') this.#known.delete(key);
      else {
        flow.lost = tailOf(flow, flow.missingMs);
        this.#state(1, flow.lost);
        stated += 1;
      }
    }
    return stated;
  }

  /** Lets go of everything, as after a boot: the tails of all flows are lost. @returns how many */
  abandon(nowMs: number): number {
    let count = 0;
    for (const [key, flow] of this.#known) {
      this.changed.add(key);
      if (flow.lost !== undefined) continue;
      this.#state(1, tailOf(flow, nowMs));
      count += 1;
    }
    this.#known.clear();
    return count;
  }

  #since(known: Known | undefined, { sent, received, startMs }: Flow, toMs: number): Delta | undefined {
    if (sent === undefined || received === undefined) return undefined;
    if (known === undefined) {
      if (sent.packets + received.packets === 0) return undefined;
      return { sent, received, fromMs: Math.min(startMs ?? toMs, toMs), toMs };
    }
    if (sent.packets === known.sent.packets && received.packets === known.received.packets) return undefined;
    const isReset = isLess(sent, known.sent) || isLess(received, known.received);
    if (isReset) this.resets += 1;
    const base = isReset ? { sent: none, received: none } : known;
    const delta: Delta = {
      sent: less(sent, base.sent),
      received: less(received, base.received),
      // A clock that was set back makes no span.
      fromMs: Math.min(known.seenMs, toMs),
      toMs,
    };
    return delta.sent.packets + delta.received.packets === 0 ? undefined : delta;
  }

  #state(flows: number, bytes: number): void {
    this.lost.flows += flows;
    this.lost.bytes += bytes;
  }
}

/** What a flow may have carried since it was seen: it ended somewhere on the way, and hardly with more than before. */
function tailOf({ rate, seenMs, missingMs, sent, received }: Known, nowMs: number): number {
  const spanMs = Math.max(0, (missingMs === 0 ? nowMs : missingMs) - seenMs);
  return Math.round(Math.min((rate * spanMs) / 2, sent.bytes + received.bytes));
}

function isLess(now: Counters, before: Counters): boolean {
  return now.packets < before.packets || now.bytes < before.bytes;
}

function less(now: Counters, before: Counters): Counters {
  return { packets: now.packets - before.packets, bytes: now.bytes - before.bytes };
}
