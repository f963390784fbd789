// Quotas: who has reached one, told once a period, with a clock of the test's choice.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  keyOfAlert,
  periodOf,
  type Quota,
  reached,
  stillTold,
  type Told,
} from '../../daemons/traffic/core/quota.ts';

const nowMs = Date.UTC(2026, 10, 26, 23, 59);
const month: Quota = { name: 'month', limit: 1_000, per: 'month', peer: '' };
const sums = [
  { peer: 'anna', rxBytes: 400, txBytes: 600 },
  { peer: 'ben', rxBytes: 0, txBytes: 999 },
];

test('a period is a day or a month of UTC', () => {
  assert.deepEqual(periodOf('day', nowMs), { name: '2026-11-26', startMs: Date.UTC(2026, 10, 26) });
  assert.deepEqual(periodOf('month', nowMs), { name: '2026-11', startMs: Date.UTC(2026, 10, 1) });
  assert.equal(periodOf('day', nowMs + 60_000).name, '2026-11-27');
});

test('who has just reached the limit is told of, and nobody below', () => {
  assert.deepEqual(reached(month, sums, {}, nowMs), [
    {
      quota: 'month',
      peer: 'anna',
      period: '2026-11',
      limitBytes: 1_000,
      rxBytes: 400,
      txBytes: 600,
      at: nowMs,
    },
  ]);
  assert.deepEqual(reached({ ...month, peer: 'ben' }, sums, {}, nowMs), []);
  assert.equal(reached({ ...month, peer: 'ben', limit: 999 }, sums, {}, nowMs).length, 1);
});

test('once a period, and again in the next', () => {
  const [alert] = reached(month, sums, {}, nowMs);
  assert.ok(alert);
  const told: Told = { [keyOfAlert(alert)]: alert.period };
  assert.deepEqual(reached(month, sums, told, nowMs), []);
  const nextMonth = Date.UTC(2026, 11, 1);
  assert.equal(reached(month, sums, told, nextMonth).length, 1);
  assert.deepEqual(stillTold(told, [month], nowMs), told);
  assert.deepEqual(stillTold(told, [month], nextMonth), {});
  assert.deepEqual(stillTold(told, [{ ...month, name: 'other' }], nowMs), {});
});
