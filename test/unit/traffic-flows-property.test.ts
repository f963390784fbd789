// The ledger of differences against a kernel that does what it wants: whatever is told, and in whatever order, no byte
// is counted twice, and none is missing once the end of its flow was told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Delta, Flows, type Known } from '../../daemons/traffic/core/flows.ts';
import type { Flow, Tuple } from '../../lib/netlink/conntrack.ts';

const flowCount = 3;
const nobody: Tuple = {
  source: '\0\0\0\0',
  destination: '\0\0\0\0',
  protocol: 17,
  sourcePort: 0,
  destinationPort: 0,
};

interface Step {
  act:
    | 'grow'
    | 'end'
    | 'tell'
    | 'near'
    | 'begin'
    | 'list'
    | 'hear'
    | 'whole'
    | 'broken'
    | 'judge'
    | 'restart';
  which: number;
  sent: number;
  received: number;
  waitMs: number;
}

interface Truth {
  sent: [number, number];
  received: [number, number];
  /** Of its life in the kernel: whether it has ended, was told of, and is out of the table. */
  hasEnded: boolean;
  isTold: boolean;
  isOut: boolean;
  booked: [number, number, number, number];
}

/** A kernel with a few flows, and the daemon's ledger beside it. */
class Scene {
  readonly truths = Array.from(
    { length: flowCount },
    (): Truth => ({
      sent: [0, 0],
      received: [0, 0],
      hasEnded: false,
      isTold: false,
      isOut: false,
      booked: [0, 0, 0, 0],
    }),
  );
  flows = new Flows();
  /** Entries of the dump that are listed and not yet read. */
  #listed: { which: number; flow: Flow }[] = [];
  #isNear = false;
  #isDumping = false;
  #nowMs = 1_800_000_000_000;

  take({ act, which, sent, received, waitMs }: Step): void {
    this.#nowMs += waitMs;
    const truth = this.truths[which];
    assert.ok(truth);
    if (act === 'grow' && !truth.hasEnded) {
      truth.sent = [truth.sent[0] + sent, truth.sent[1] + sent * 100];
      truth.received = [truth.received[0] + received, truth.received[1] + received * 1_000];
    } else if (act === 'end') truth.hasEnded = true;
    else if (act === 'tell' && truth.hasEnded && !truth.isTold) {
      truth.isTold = true;
      this.#book(which, this.flows.ended(String(which), this.#flow(which), this.#nowMs));
    } else if (act === 'near' && !this.#isDumping) {
      // What was told of before is out of the table by the time that the dump begins.
      for (const one of this.truths) one.isOut ||= one.isTold && !this.#isNear;
      this.#isNear = true;
      this.flows.dumpIsNear();
    } else if (act === 'begin' && this.#isNear) {
      this.#isDumping = true;
      this.#listed = [];
      this.flows.dumpBegins();
    } else if (act === 'list' && this.#isDumping && !truth.isOut)
      this.#listed.push({ which, flow: this.#flow(which) });
    else if (act === 'hear') this.#hear();
    else if ((act === 'whole' || act === 'broken') && this.#isDumping) this.#endDump(act === 'whole');
    else if (act === 'judge') this.flows.judge(this.#nowMs, this.#nowMs - 60_000);
    else if (act === 'restart') this.#restart();
  }

  finish(): void {
    for (const [which, truth] of this.truths.entries()) {
      truth.hasEnded = true;
      this.take({ act: 'tell', which, sent: 0, received: 0, waitMs: 0 });
    }
    while (this.#listed.length > 0) this.#hear();
  }

  #hear(): void {
    const next = this.#listed.shift();
    if (next === undefined) return;
    const { which, flow } = next;
    this.#book(which, this.flows.living(String(which), flow, 's', this.#nowMs));
  }

  #endDump(isWhole: boolean): void {
    // A whole dump lists everything that was there all the time.
    if (isWhole) while (this.#listed.length > 0) this.#hear();
    this.#listed = [];
    this.#isNear = this.#isDumping = false;
    this.flows.dumpEnds(isWhole, this.#nowMs);
  }

  /** As the ledger on disk gives them back. */
  #restart(): void {
    const kept = [...this.flows.entries()].map(([key, known]): [string, Known] => [
      key,
      { ...known, dump: 0 },
    ]);
    this.flows = new Flows(kept, this.flows.lost);
    this.#listed = [];
    this.#isNear = this.#isDumping = false;
  }

  #flow(which: number): Flow {
    const { sent, received } = this.truths[which] ?? { sent: [0, 0], received: [0, 0] };
    return {
      event: 'dumped',
      id: which,
      original: nobody,
      reply: nobody,
      status: 0,
      mark: 0,
      zone: 0,
      sent: { packets: sent[0], bytes: sent[1] },
      received: { packets: received[0], bytes: received[1] },
      startMs: undefined,
      stopMs: undefined,
    };
  }

  #book(which: number, delta: Delta | undefined): void {
    const booked = this.truths[which]?.booked;
    if (delta === undefined || booked === undefined) return;
    const { sent, received, fromMs, toMs } = delta;
    assert.ok(fromMs <= toMs);
    for (const [index, amount] of [sent.packets, sent.bytes, received.packets, received.bytes].entries()) {
      assert.ok(amount >= 0);
      booked[index] = (booked[index] ?? 0) + amount;
    }
  }
}

const step: fc.Arbitrary<Step> = fc.record({
  act: fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom<Step['act']>('grow', 'near', 'begin', 'list', 'hear', 'tell') },
    { weight: 3, arbitrary: fc.constantFrom<Step['act']>('end', 'whole', 'broken', 'judge') },
    { weight: 1, arbitrary: fc.constant<Step['act']>('restart') },
  ),
  which: fc.nat(flowCount - 1),
  sent: fc.nat(3),
  received: fc.nat(3),
  // Shorter altogether than a flow is remembered without an end.
  waitMs: fc.oneof(fc.constant(0), fc.nat(10_000)),
});

test('no order of dumps, growth, ends and late entries books more than a flow had, or less once it was told', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
      const scene = new Scene();
      const check = (): void => {
        for (const { sent, received, isTold, booked } of scene.truths) {
          const whole = [...sent, ...received];
          assert.ok(booked.every((amount, index) => amount <= (whole[index] ?? 0)));
          if (isTold) assert.deepEqual(booked, whole);
        }
      };
      for (const one of steps) {
        scene.take(one);
        check();
      }
      scene.finish();
      check();
      assert.equal(scene.flows.size, 0);
      assert.deepEqual(scene.flows.lost, { flows: 0, bytes: 0 });
      assert.equal(scene.flows.resets, 0);
    }),
    { numRuns: 2_000 },
  );
});
