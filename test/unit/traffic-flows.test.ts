// The ledger of differences: what of each flow is booked, when, and what is never booked twice, with a clock and a
// kernel of the test's choice.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Delta, Flows, patience } from '../../daemons/traffic/core/flows.ts';
import { keyOf } from '../../daemons/traffic/core/key.ts';
import type { Counters, Flow, Tuple } from '../../lib/netlink/conntrack.ts';

const beginMs = 1_800_000_000_000;
const { graceMs, dropGraceMs, forgetMs, staleMs } = patience;

const tuple = (id: number): Tuple => ({
  source: String.fromCharCode(192, 0, 2, id),
  destination: String.fromCharCode(198, 51, 100, 1),
  protocol: 6,
  sourcePort: 40_000 + id,
  destinationPort: 443,
});

function flow(sent?: Counters, received?: Counters, more: Partial<Flow> = {}): Flow {
  const { id = 1 } = more;
  return {
    event: 'dumped',
    id,
    original: tuple(id),
    reply: tuple(id),
    status: 0,
    mark: 0,
    zone: 0,
    sent,
    received,
    startMs: undefined,
    stopMs: undefined,
    ...more,
  };
}

const count = (packets: number, bytes = packets * 100): Counters => ({ packets, bytes });
const amounts = (delta: Delta | undefined): number[] | undefined =>
  delta && [delta.sent.packets, delta.sent.bytes, delta.received.packets, delta.received.bytes];
const span = (delta: Delta | undefined): number[] | undefined => delta && [delta.fromMs, delta.toMs];

/** A whole dump that shows `living`. */
function dump(flows: Flows, nowMs: number, living: Record<string, Flow> = {}, isWhole = true): void {
  flows.dumpIsNear();
  flows.dumpBegins();
  for (const [key, one] of Object.entries(living)) flows.living(key, one, 's', nowMs);
  flows.dumpEnds(isWhole, nowMs);
}

/** A flow of 3 and 2 packets that the last dump missed at `missedMs`. */
function missed(missedMs = beginMs + 1_000): Flows {
  const flows = new Flows();
  dump(flows, beginMs - 1_000, { a: flow(count(1), count(0)) });
  dump(flows, beginMs, { a: flow(count(3), count(2)) });
  dump(flows, missedMs);
  return flows;
}

test('the key is the same in every message of one flow, and another for every other flow', () => {
  const key = keyOf(flow(count(1), count(1)));
  assert.equal(keyOf(flow(count(9), undefined, { event: 'destroy', stopMs: 5, mark: 7, status: 1 })), key);
  const others = [
    flow(undefined, undefined, { id: 2, original: tuple(1) }),
    flow(undefined, undefined, { zone: 1 }),
    flow(undefined, undefined, { startMs: 1 }),
    flow(undefined, undefined, { original: { ...tuple(1), protocol: 17 } }),
    flow(undefined, undefined, { original: { ...tuple(1), sourcePort: 1 } }),
    flow(undefined, undefined, { original: { ...tuple(1), destinationPort: 1 } }),
    flow(undefined, undefined, { original: { ...tuple(1), source: String.fromCharCode(192, 0, 2, 9) } }),
    flow(undefined, undefined, { original: { ...tuple(1), destination: String.fromCharCode(192, 0, 2, 9) } }),
  ].map(keyOf);
  assert.equal(new Set([key, ...others]).size, others.length + 1);
});

test('the first sight books all since the start, a later one the difference, the end the rest', () => {
  const flows = new Flows();
  flows.dumpBegins();
  const startMs = beginMs - 9_000;
  const first = flows.living('a', flow(count(3), count(2), { startMs }), 's', beginMs);
  assert.deepEqual(amounts(first), [3, 300, 2, 200]);
  assert.deepEqual(span(first), [startMs, beginMs]);
  const later = flows.living('a', flow(count(5), count(2), { startMs }), 's', beginMs + 1_000);
  assert.deepEqual(amounts(later), [2, 200, 0, 0]);
  assert.deepEqual(span(later), [beginMs, beginMs + 1_000]);
  assert.equal(flows.get('a')?.rate, 0.2);
  flows.dumpEnds(true, beginMs + 1_000);
  const last = flows.ended(
    'a',
    flow(count(6), count(4), { startMs, stopMs: beginMs + 1_500 }),
    beginMs + 9_000,
  );
  assert.deepEqual(amounts(last), [1, 100, 2, 200]);
  assert.deepEqual(span(last), [beginMs + 1_000, beginMs + 1_500]);
  assert.equal(flows.size, 0);
});

test('the end of a flow that no dump has seen books all of it', () => {
  const flows = new Flows();
  const delta = flows.ended(
    'a',
    flow(count(3), count(2), { startMs: beginMs, stopMs: beginMs + 7 }),
    beginMs + 9,
  );
  assert.deepEqual(amounts(delta), [3, 300, 2, 200]);
  assert.deepEqual(span(delta), [beginMs, beginMs + 7]);
  assert.equal(flows.changed.size, 0);
});

test('nothing is booked of a flow that carried nothing, or that the kernel does not count', () => {
  const flows = new Flows();
  assert.equal(flows.ended('a', flow(count(0), count(0)), beginMs), undefined);
  assert.equal(flows.ended('b', flow(), beginMs), undefined);
  assert.equal(flows.living('c', flow(), 's', beginMs), undefined);
  flows.living('d', flow(count(2), count(2)), 's', beginMs);
  assert.equal(flows.living('d', flow(count(2), count(2)), 's', beginMs + 5), undefined);
  assert.equal(flows.get('d')?.rate, 0);
});

test('without a start of its own an amount falls into the moment in which it was seen', () => {
  const flows = new Flows();
  assert.deepEqual(span(flows.living('a', flow(count(1), count(1)), 's', beginMs)), [beginMs, beginMs]);
});

test('a clock that was set back makes no span that runs backwards', () => {
  const flows = new Flows();
  const startMs = beginMs + 500;
  assert.deepEqual(span(flows.living('a', flow(count(1), count(1), { startMs }), 's', beginMs)), [
    beginMs,
    beginMs,
  ]);
  const earlierMs = beginMs - 5_000;
  const delta = flows.living('a', flow(count(2), count(1)), 's', earlierMs);
  assert.deepEqual(span(delta), [earlierMs, earlierMs]);
  assert.equal(flows.get('a')?.rate, 0);
});

test('an entry of a dump is not believed after the end of its flow, while a dump is near or under way', () => {
  for (const begin of [false, true]) {
    const flows = new Flows();
    flows.dumpIsNear();
    if (begin) flows.dumpBegins();
    assert.deepEqual(amounts(flows.ended('a', flow(count(5), count(5)), beginMs)), [5, 500, 5, 500]);
    flows.dumpBegins();
    assert.equal(flows.living('a', flow(count(4), count(4)), 's', beginMs), undefined);
    assert.equal(flows.size, 0);
    flows.dumpEnds(true, beginMs);
    // What a later dump shows is alive: the kernel has used the key again.
    flows.dumpIsNear();
    assert.deepEqual(amounts(flows.living('a', flow(count(1), count(0)), 's', beginMs)), [1, 100, 0, 0]);
  }
});

test('keys of ends matter where a flow is known or a dump is near, and not otherwise', () => {
  const flows = new Flows();
  assert.equal(flows.wantsEnds, false);
  flows.dumpIsNear();
  assert.equal(flows.wantsEnds, true);
  flows.dumpEnds(false, beginMs);
  assert.equal(flows.wantsEnds, false);
  flows.living('a', flow(count(1), count(1)), 's', beginMs);
  assert.equal(flows.wantsEnds, true);
});

test('counters that were set back are told, and what has come since is booked', () => {
  const flows = new Flows();
  flows.living('a', flow(count(10), count(10)), 's', beginMs);
  assert.deepEqual(amounts(flows.living('a', flow(count(2), count(3)), 's', beginMs + 1)), [2, 200, 3, 300]);
  assert.equal(flows.resets, 1);
  assert.deepEqual(amounts(flows.ended('a', flow(count(1), count(4)), beginMs + 2)), [1, 100, 4, 400]);
  assert.equal(flows.resets, 2);
});

test('no amount is ever negative, whatever counters are set back to', () => {
  const counter = fc
    .tuple(fc.nat(20), fc.integer({ min: 20, max: 1_500 }))
    .map(([n, each]) => count(n, n * each));
  fc.assert(
    fc.property(fc.array(fc.tuple(counter, counter), { maxLength: 6 }), (steps) => {
      const flows = new Flows();
      for (const [index, [sent, received]] of steps.entries()) {
        const seen = amounts(flows.living('a', flow(sent, received), 's', beginMs + index));
        assert.ok(seen?.every((amount) => amount >= 0) ?? true, String(seen));
      }
    }),
  );
});

test('what has to be made durable is what is new, has moved, came back or is gone', () => {
  const flows = new Flows();
  const changes = (act: () => void): string[] => {
    flows.changed.clear();
    act();
    return [...flows.changed];
  };
  const see = (packets: number) => () =>
    dump(flows, beginMs + packets, { a: flow(count(packets), count(0)) });
  assert.deepEqual(changes(see(1)), ['a']);
  assert.deepEqual(changes(see(1)), []);
  assert.deepEqual(changes(see(2)), ['a']);
  dump(flows, beginMs + 9);
  assert.deepEqual(changes(see(2)), ['a']);
  assert.deepEqual(
    changes(() => flows.ended('a', flow(count(2), count(0)), beginMs)),
    ['a'],
  );
  assert.deepEqual(
    changes(() => flows.ended('a', flow(count(2), count(0)), beginMs)),
    [],
  );
});

test('a flow that dumps miss is stated as lost after the grace, with an estimate, and once', () => {
  const missedMs = beginMs + 1_000;
  const flows = missed(missedMs);
  assert.equal(flows.get('a')?.missingMs, missedMs);
  assert.equal(flows.isDue(missedMs + graceMs - 1, 0), false);
  assert.equal(flows.judge(missedMs + graceMs - 1, 0), 0);
  assert.deepEqual(flows.lost, { flows: 0, bytes: 0 });
  flows.changed.clear();
  assert.equal(flows.isDue(missedMs + graceMs, 0), true);
  assert.equal(flows.judge(missedMs + graceMs, 0), 1);
  // 400 bytes came in the second before it was last seen, and it was missed a second later: half of that.
  assert.deepEqual(flows.lost, { flows: 1, bytes: 200 });
  assert.deepEqual([...flows.changed], ['a']);
  assert.equal(flows.judge(missedMs + graceMs + 1, 0), 0);
  assert.deepEqual(flows.lost, { flows: 1, bytes: 200 });
});

test('where events were dropped since a flow was last seen, it is stated as lost sooner', () => {
  const missedMs = beginMs + 1_000;
  assert.equal(missed(missedMs).judge(missedMs + dropGraceMs - 1, beginMs), 0);
  assert.equal(missed(missedMs).judge(missedMs + dropGraceMs, beginMs), 1);
  assert.equal(missed(missedMs).judge(missedMs + dropGraceMs, beginMs - staleMs), 1);
  assert.equal(missed(missedMs).judge(missedMs + dropGraceMs, beginMs - staleMs - 1), 0);
});

test('a dump that was broken off says of no flow that it is gone', () => {
  const flows = new Flows();
  dump(flows, beginMs, { a: flow(count(1), count(1)) });
  dump(flows, beginMs + 1_000, {}, false);
  assert.equal(flows.get('a')?.missingMs, 0);
  assert.equal(flows.judge(beginMs + 10 * forgetMs, beginMs), 0);
  dump(flows, beginMs + 2_000);
  assert.equal(flows.get('a')?.missingMs, beginMs + 2_000);
});

test('a flow is missing since the first dump that missed it', () => {
  const flows = missed(beginMs + 1_000);
  dump(flows, beginMs + 5_000);
  assert.equal(flows.get('a')?.missingMs, beginMs + 1_000);
});

test('a flow that turns up again is not missing, and what was stated of it is withdrawn', () => {
  const flows = missed();
  flows.judge(beginMs + 1_000 + graceMs, 0);
  const nowMs = beginMs + 2_000 + graceMs;
  dump(flows, nowMs, { a: flow(count(4), count(2)) });
  assert.deepEqual(flows.lost, { flows: 0, bytes: 0 });
  assert.equal(flows.get('a')?.missingMs, 0);
  assert.equal(flows.judge(nowMs + forgetMs, nowMs), 0);
});

test('an end that comes late books the rest and withdraws the statement', () => {
  const flows = missed();
  flows.judge(beginMs + 1_000 + graceMs, 0);
  assert.equal(flows.lost.flows, 1);
  const delta = flows.ended('a', flow(count(7), count(2)), beginMs + 1_000 + forgetMs - 1);
  assert.deepEqual(amounts(delta), [4, 400, 0, 0]);
  assert.deepEqual(flows.lost, { flows: 0, bytes: 0 });
  assert.equal(flows.size, 0);
});

test('a flow without an end is forgotten after its time, and stays stated', () => {
  const flows = missed();
  const missedMs = beginMs + 1_000;
  flows.judge(missedMs + graceMs, 0);
  assert.equal(flows.isDue(missedMs + forgetMs - 1, 0), false);
  flows.judge(missedMs + forgetMs - 1, 0);
  assert.equal(flows.size, 1);
  flows.changed.clear();
  assert.equal(flows.judge(missedMs + forgetMs, 0), 0);
  assert.equal(flows.size, 0);
  assert.deepEqual([...flows.changed], ['a']);
  assert.deepEqual(flows.lost, { flows: 1, bytes: 200 });
});

test('an estimate is never more than what was counted before', () => {
  const flows = new Flows();
  dump(flows, beginMs, { a: flow(count(4), count(0), { startMs: beginMs - 1 }) });
  dump(flows, beginMs + 60_000);
  flows.judge(beginMs + 60_000 + graceMs, 0);
  assert.deepEqual(flows.lost, { flows: 1, bytes: 400 });
});

test('a flow that nobody wants counted any more is not lost, and keeps what was counted', () => {
  const flows = missed();
  flows.judge(beginMs + 1_000 + graceMs, 0);
  flows.dumpBegins();
  flows.passedBy('a');
  flows.passedBy('unknown');
  flows.dumpEnds(true, beginMs + 200_000);
  assert.deepEqual(flows.lost, { flows: 0, bytes: 0 });
  assert.equal(flows.judge(beginMs + 10 * forgetMs, 0), 0);
  assert.equal(flows.size, 1);
  const again = flows.living('a', flow(count(8), count(2)), 's', beginMs + 300_000);
  assert.deepEqual(amounts(again), [5, 500, 0, 0]);
});

test('after a boot everything is let go of, and each tail is stated once', () => {
  const flows = new Flows();
  dump(flows, beginMs, {
    a: flow(count(1), count(1)),
    b: flow(count(1), count(1)),
    c: flow(count(1), count(1)),
  });
  dump(flows, beginMs + 1_000, { b: flow(count(2), count(2)), c: flow(count(1), count(1)) });
  flows.judge(beginMs + 1_000 + graceMs, 0);
  assert.equal(flows.lost.flows, 1);
  flows.changed.clear();
  assert.equal(flows.abandon(beginMs + 200_000), 2);
  assert.equal(flows.size, 0);
  assert.equal(flows.lost.flows, 3);
  assert.deepEqual([...flows.changed].sort(), ['a', 'b', 'c']);
});

test('a clock that is behind after a boot changes nothing in how many tails are stated', () => {
  const flows = missed();
  assert.equal(flows.abandon(beginMs - 86_400_000), 1);
  assert.deepEqual([flows.size, flows.lost.flows], [0, 1]);
});
