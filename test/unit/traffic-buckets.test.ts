// Amounts over time: whole numbers whose sum is the amount, whatever the span, the width and the clock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { eachBucket, mostBuckets } from '../../daemons/traffic/core/buckets.ts';
import { keyOfSeries, levelsOf, type Pending, type Sums, Tally } from '../../daemons/traffic/core/tally.ts';

const beginMs = 1_800_000_000_000;

function bucketsOf(fromMs: number, toMs: number, widthMs: number): [number, number][] {
  const found: [number, number][] = [];
  eachBucket(fromMs, toMs, widthMs, (startMs, part) => found.push([startMs, part]));
  return found;
}

test('a span within a bucket is that bucket', () => {
  assert.deepEqual(bucketsOf(beginMs + 1, beginMs + 9_999, 10_000), [[beginMs, 1]]);
  assert.deepEqual(bucketsOf(beginMs, beginMs, 10_000), [[beginMs, 1]]);
});

test('a span over several buckets has the part that has come by the end of each', () => {
  assert.deepEqual(bucketsOf(beginMs + 5_000, beginMs + 25_000, 10_000), [
    [beginMs, 0.25],
    [beginMs + 10_000, 0.75],
    [beginMs + 20_000, 1],
  ]);
});

test('what came over a longer time is spread over the last buckets', () => {
  const found = bucketsOf(beginMs - 86_400_000, beginMs + 1, 10_000);
  assert.equal(found.length, mostBuckets);
  assert.equal(found[0]?.[0], beginMs - (mostBuckets - 1) * 10_000);
  assert.deepEqual(found.at(-1), [beginMs, 1]);
});

test('a span that runs backwards is its last bucket', () => {
  assert.deepEqual(bucketsOf(beginMs + 60_000, beginMs + 1, 10_000), [[beginMs, 1]]);
});

// With fractions, as the kernel's times have them; from 1970 to far ahead; forwards, backwards and both at once.
const instant = fc.oneof(
  fc.integer({ min: 0, max: 200_000 }),
  fc.integer({ min: beginMs, max: beginMs + 7_200_000 }).map((ms) => ms + 0.123_456),
  fc.integer({ min: 0, max: 8_000_000_000_000 }),
);
const width = fc.constantFrom(1_000, 7_000, 10_000, 3_600_000, 86_400_000);

test('buckets rise without a gap, at most so many, and parts rise to exactly 1', () => {
  fc.assert(
    fc.property(instant, instant, width, (fromMs, toMs, widthMs) => {
      const found = bucketsOf(fromMs, toMs, widthMs);
      assert.ok(found.length >= 1 && found.length <= mostBuckets);
      assert.equal(found.at(-1)?.[0], Math.floor(toMs / widthMs) * widthMs);
      assert.equal(found.at(-1)?.[1], 1);
      for (const [index, [start, part]] of found.entries()) {
        assert.equal(start % widthMs, 0);
        assert.ok(part >= (found[index - 1]?.[1] ?? 0) && part <= 1);
        if (index > 0) assert.equal(start, (found[index - 1]?.[0] ?? 0) + widthMs);
      }
    }),
    { numRuns: 500 },
  );
});

const series = { className: 'all', peer: '192.0.2.7', family: 4, protocol: 6 } as const;
const volume = ([rxBytes, txBytes, rxPackets, txPackets]: Sums) => ({
  rxBytes,
  txBytes,
  rxPackets,
  txPackets,
});
const only = (tally: Tally): Pending => {
  const [pending, ...rest] = tally.pending;
  assert.ok(pending && rest.length === 0);
  return pending;
};

test('an amount is in the total once and in each level once, in whole numbers', () => {
  const amount = fc.oneof(
    fc.nat(10),
    fc.nat(100_000),
    fc.maxSafeNat().map((most) => Math.floor(most / 64)),
  );
  const amounts = fc.tuple(amount, amount, amount, amount);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(amounts, instant, instant), { minLength: 1, maxLength: 5 }),
      fc.constantFrom(1_000, 10_000, 3_600_000),
      (all, intervalMs) => {
        const tally = new Tally(intervalMs);
        for (const [sums, fromMs, toMs] of all) tally.add('k', series, volume(sums), fromMs, toMs);
        const { total, buckets } = only(tally);
        assert.deepEqual(
          total,
          [0, 1, 2, 3].map((index) => all.reduce((sum, [sums]) => sum + (sums[index] ?? 0), 0)),
        );
        assert.equal(buckets.length, 3);
        for (const level of buckets) {
          const whole = [...level.values()];
          assert.ok(whole.flat().every((sum) => Number.isSafeInteger(sum) && sum >= 0));
          assert.deepEqual(
            total,
            [0, 1, 2, 3].map((index) => whole.reduce((sum, sums) => sum + (sums[index] ?? 0), 0)),
          );
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('levels are the interval, the hour and the day of UTC, by their start in seconds', () => {
  assert.deepEqual(levelsOf(10_000), [10_000, 3_600_000, 86_400_000]);
  const tally = new Tally(10_000);
  const atMs = Date.UTC(2030, 4, 6, 7, 8, 9);
  tally.add('k', series, volume([1, 2, 3, 4]), atMs, atMs);
  const starts = [Date.UTC(2030, 4, 6, 7, 8, 0), Date.UTC(2030, 4, 6, 7), Date.UTC(2030, 4, 6)];
  assert.deepEqual(
    only(tally).buckets,
    starts.map((ms) => new Map([[ms / 1_000, [1, 2, 3, 4]]])),
  );
});

test('a small amount over a long span is not lost between buckets', () => {
  const tally = new Tally(10_000);
  tally.add('k', series, volume([1, 0, 1, 0]), beginMs, beginMs + 95_000);
  const rows = [...(only(tally).buckets[0] ?? [])].filter(([, sums]) => sums.some((sum) => sum > 0));
  assert.deepEqual(rows, [[(beginMs + 90_000) / 1_000, [1, 0, 1, 0]]]);
});

test('a series is first and last seen at the ends of all its spans, and others have sums of their own', () => {
  const tally = new Tally(10_000);
  const sums = volume([1, 1, 1, 1]);
  tally.add('a', { ...series, isOriginator: true }, sums, beginMs, beginMs + 5);
  tally.add('a', series, sums, beginMs - 7, beginMs + 3);
  tally.add('a', series, sums, beginMs + 1, beginMs + 9);
  assert.deepEqual([only(tally).firstMs, only(tally).lastMs], [beginMs - 7, beginMs + 9]);
  assert.deepEqual(only(tally).series, series);
  tally.add('b', series, sums, beginMs, beginMs);
  assert.equal(tally.size, 2);
  assert.deepEqual(
    [...tally.pending].map(({ total }) => total),
    [
      [3, 3, 3, 3],
      [1, 1, 1, 1],
    ],
  );
  tally.clear();
  assert.equal(tally.size, 0);
});

test('the key of a series has all of its parts', () => {
  const keys = [
    series,
    { ...series, className: 'b' },
    { ...series, peer: '192.0.2.8' },
    { ...series, family: 6 as const },
    { ...series, protocol: 17 },
  ].map(keyOfSeries);
  assert.equal(new Set(keys).size, keys.length);
});
