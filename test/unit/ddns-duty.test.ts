// Duties: one at a time, not more often than wanted, again until they succeed. The clock is the real one; no test asks
// how long anything took.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Duty } from '../../daemons/ddns/duty.ts';
import { systemClock } from '../../lib/clock.ts';
import { until } from '../support/wait.ts';

const pace = { pauseMs: 0, firstRetryMs: 5, longestRetryMs: 20 };
const fail = (error: unknown): never => assert.fail(String(error));

test('many kicks in one turn are one run', async () => {
  let runs = 0;
  const duty = new Duty(() => (runs += 1) > 0, pace, systemClock, fail);
  for (let n = 0; n < 100; n += 1) duty.kick();
  await until('a run', () => runs > 0);
  await sleep(20);
  assert.equal(runs, 1);
});

test('a kick during a run is another run, after it', async () => {
  let running = 0;
  let runs = 0;
  const duty = new Duty(
    async () => {
      running += 1;
      assert.equal(running, 1);
      await sleep(100);
      running -= 1;
      runs += 1;
      return true;
    },
    pace,
    systemClock,
    fail,
  );
  duty.kick();
  await until('the start', () => running === 1);
  duty.kick();
  duty.kick();
  await until('both runs', () => runs === 2);
  await sleep(150);
  assert.equal(runs, 2);
});

test('a failed run is repeated until it succeeds', async () => {
  let runs = 0;
  const duty = new Duty(() => (runs += 1) >= 4, pace, systemClock, fail);
  duty.kick();
  await until('the fourth run', () => runs === 4);
  await sleep(50);
  assert.equal(runs, 4);
});

test('a long pause holds the second run back until the stop', async () => {
  let runs = 0;
  const duty = new Duty(() => (runs += 1) > 0, { ...pace, pauseMs: 1e9 }, systemClock, fail);
  duty.kick();
  await until('a run', () => runs === 1);
  duty.kick();
  await sleep(30);
  assert.equal(runs, 1);
  await duty.stop();
  assert.equal(runs, 2, 'what is due is done at the stop');
});

test('a stop waits for the run in progress and runs no more afterwards', async () => {
  let done = 0;
  const duty = new Duty(() => sleep(10).then(() => (done += 1) > 0), pace, systemClock, fail);
  duty.kick();
  await sleep(2);
  await duty.stop();
  assert.equal(done, 1);
  duty.kick();
  await sleep(20);
  assert.equal(done, 1);
});

test('a bug in the work goes to fail', async () => {
  const errors: unknown[] = [];
  const duty = new Duty(
    () => Promise.reject(new Error('bug')),
    pace,
    systemClock,
    (error) => errors.push(error),
  );
  duty.kick();
  await until('the error', () => errors.length === 1);
});
