// The signature budget: bounded for strangers, kept for known clients, blind to how many sources are forged.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SignatureBudget } from '../../daemons/ddns/core/bucket.ts';

test('one prefix gets a tenth of the rate', () => {
  const budget = new SignatureBudget(100, 0);
  let taken = 0;
  for (let ms = 0; ms < 20_000; ms += 1) if (budget.take('a', false, ms)) taken += 1;
  // 10 a second over 20 s, and a burst of two seconds.
  assert.ok(taken >= 200 && taken <= 225, String(taken));
});

test('any number of sources together get half of the rate', () => {
  const budget = new SignatureBudget(100, 0);
  let taken = 0;
  for (let n = 0; n < 200_000; n += 1) if (budget.take(`p${n}`, false, n / 10)) taken += 1;
  assert.ok(taken >= 1_000 && taken <= 1_105, String(taken));
});

test('a known client is served while strangers use up all that is theirs', () => {
  const budget = new SignatureBudget(100, 0);
  let refused = 0;
  for (let second = 0; second < 60; second += 1) {
    for (let n = 0; n < 1_000; n += 1) budget.take(`s${n}`, false, second * 1_000 + n);
    if (!budget.take('home', true, second * 1_000 + 999)) refused += 1;
  }
  assert.equal(refused, 0);
});

test('a flood from forged prefixes does not make a client that is forgotten wait', () => {
  const budget = new SignatureBudget(100, 0);
  assert.ok(budget.take('home', true, 0));
  for (let n = 0; n < 10_000; n += 1) budget.take(`s${n}`, false, 1);
  assert.ok(budget.take('home', true, 2));
});

test('prefixes are remembered up to a bound, the one unused for longest goes first', () => {
  const budget = new SignatureBudget(100, 0);
  const spent = (prefix: string): boolean => !budget.take(prefix, true, 0);
  for (let n = 0; n < 20; n += 1) assert.ok(budget.take('old', true, 0));
  for (let n = 0; n < 20; n += 1) assert.ok(budget.take('used', true, 0));
  assert.ok(spent('old') && spent('used'));
  for (let n = 0; n < 4_090; n += 1) budget.take(`s${n}`, false, 0);
  assert.ok(spent('used'), 'still remembered');
  for (let n = 0; n < 4_090; n += 1) budget.take(`t${n}`, false, 0);
  assert.ok(!spent('old'), 'forgotten, and so full again');
});

test('even the smallest rate lets a packet through now and then', () => {
  const budget = new SignatureBudget(1, 0);
  let taken = 0;
  for (let second = 0; second < 100; second += 1) if (budget.take('a', false, second * 1_000)) taken += 1;
  assert.ok(taken >= 50, String(taken));
});

test('whatever comes, no more than the rate and its burst is ever given', () => {
  const event = fc.record({
    prefix: fc.integer({ min: 0, max: 30 }),
    known: fc.boolean(),
    waitMs: fc.integer({ min: 0, max: 20 }),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 2_000, minLength: 500 }), (events) => {
      const budget = new SignatureBudget(50, 0);
      let nowMs = 0;
      let taken = 0;
      for (const { prefix, known, waitMs } of events) {
        nowMs += waitMs;
        if (budget.take(String(prefix), known, nowMs)) taken += 1;
      }
      assert.ok(taken <= 50 * (2 + nowMs / 1_000) + 1);
    }),
    { numRuns: 20 },
  );
});

test('a clock that stands still or goes back gives nothing away', () => {
  const budget = new SignatureBudget(10, 1_000);
  let taken = 0;
  for (let n = 0; n < 1_000; n += 1) if (budget.take(`p${n % 9}`, true, 1_000 - n)) taken += 1;
  assert.ok(taken <= 20, String(taken));
});
