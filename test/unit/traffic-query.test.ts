// Answers from the ledger: sums by every grouping, with and without a beginning, and their course over time.
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { Flows } from '../../daemons/traffic/core/flows.ts';
import { Names, parseNames } from '../../daemons/traffic/core/naming.ts';
import { keyOfSeries, type Series, type Sums, Tally } from '../../daemons/traffic/core/tally.ts';
import { type Answer, answer, groupings, type Question, questionOf } from '../../daemons/traffic/query.ts';
import { Store } from '../../daemons/traffic/store.ts';
import { scratch } from '../support/scratch.ts';

const nowMs = Date.UTC(2030, 4, 6, 7, 30);
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const all: Series = { className: 'all', peer: '192.0.2.7', family: 4, protocol: 6 };
const six: Series = { className: 'web', peer: '2001:db8::1', family: 6, protocol: 17 };

/** For a ledger that is not damaged. */
const undamaged = (kept: string): void => assert.equal(kept, '');

/** Each in a commit of its own, in one moment. */
function ledger(t: TestContext, ...amounts: [Series, number, Sums][]): Store {
  const store = Store.open(scratch(t), nowMs, undamaged);
  t.after(() => store.close());
  for (const [series, atMs, [rxBytes, txBytes, rxPackets, txPackets]] of amounts) {
    const tally = new Tally(10_000);
    tally.add(keyOfSeries(series), series, { rxBytes, txBytes, rxPackets, txPackets }, atMs, atMs);
    store.commit(tally, new Flows(), false);
  }
  return store;
}

const usual = (t: TestContext): Store =>
  ledger(
    t,
    [all, nowMs - 3 * dayMs, [1, 2, 3, 4]],
    [all, nowMs - 5_000, [10, 20, 30, 40]],
    [{ ...all, protocol: 17 }, nowMs - 2 * hourMs, [100, 200, 300, 400]],
    [six, nowMs - 2 * hourMs, [1_000, 2_000, 3_000, 4_000]],
  );

function asked(store: Store, question: Partial<Question>, names = new Names([])): Answer {
  return answer(store.db, names, { by: 'peer', sinceMs: undefined, nowMs, ...question });
}

/** Label and sums of each row. */
const sums = ({ rows }: Answer, by = 'peer'): unknown[][] =>
  rows.map((row) => [row[by], row.rxBytes, row.txBytes, row.rxPackets, row.txPackets]);

test('without a beginning peers have all that they ever had, the largest first', (t) => {
  const found = asked(usual(t), {});
  assert.deepEqual(sums(found), [
    ['2001:db8::1', 1_000, 2_000, 3_000, 4_000],
    ['192.0.2.7', 111, 222, 333, 444],
  ]);
  assert.equal(found.sinceMs, undefined);
  assert.deepEqual([found.rows[1]?.firstSeen, found.rows[1]?.lastSeen], [nowMs - 3 * dayMs, nowMs - 5_000]);
});

test('classes, families and protocols have the same sums by their own names', (t) => {
  const store = usual(t);
  assert.deepEqual(sums(asked(store, { by: 'class' }), 'class'), [
    ['web', 1_000, 2_000, 3_000, 4_000],
    ['all', 111, 222, 333, 444],
  ]);
  assert.deepEqual(sums(asked(store, { by: 'family' }), 'family'), [
    ['ipv6', 1_000, 2_000, 3_000, 4_000],
    ['ipv4', 111, 222, 333, 444],
  ]);
  assert.deepEqual(sums(asked(store, { by: 'protocol' }), 'protocol'), [
    ['udp', 1_100, 2_200, 3_300, 4_400],
    ['tcp', 11, 22, 33, 44],
  ]);
});

test('since an instant only what came in intervals that begin after it counts', (t) => {
  const found = asked(usual(t), { sinceMs: nowMs - hourMs });
  assert.deepEqual(sums(found), [['192.0.2.7', 10, 20, 30, 40]]);
  assert.equal(found.sinceMs, nowMs - hourMs);
  assert.deepEqual(sums(asked(usual(t), { sinceMs: nowMs - 3 * hourMs, by: 'protocol' }), 'protocol'), [
    ['udp', 1_100, 2_200, 3_300, 4_400],
    ['tcp', 10, 20, 30, 40],
  ]);
  assert.deepEqual(asked(usual(t), { sinceMs: nowMs + dayMs }).rows, []);
});

test('where intervals are gone the hours answer, and where those are gone the days', (t) => {
  const store = usual(t);
  store.trim(nowMs, [hourMs, 10 * dayMs, 100 * dayMs]);
  const byHour = asked(store, { sinceMs: nowMs - 2.25 * hourMs });
  assert.equal(byHour.sinceMs, Date.UTC(2030, 4, 6, 5));
  assert.deepEqual(sums(byHour), [
    ['2001:db8::1', 1_000, 2_000, 3_000, 4_000],
    ['192.0.2.7', 110, 220, 330, 440],
  ]);
  store.trim(nowMs, [hourMs, dayMs, 100 * dayMs]);
  const byDay = asked(store, { sinceMs: nowMs - 3 * dayMs });
  assert.equal(byDay.sinceMs, Date.UTC(2030, 4, 3));
  assert.deepEqual(sums(byDay), [
    ['2001:db8::1', 1_000, 2_000, 3_000, 4_000],
    ['192.0.2.7', 111, 222, 333, 444],
  ]);
});

test('days and hours are rows in their order, by UTC', (t) => {
  const store = usual(t);
  const byDay = asked(store, { by: 'day' });
  assert.deepEqual(sums(byDay, 'day'), [
    ['2030-05-03', 1, 2, 3, 4],
    ['2030-05-06', 1_110, 2_220, 3_330, 4_440],
  ]);
  assert.deepEqual(sums(asked(store, { by: 'hour' }), 'hour'), [
    ['2030-05-03T07:00Z', 1, 2, 3, 4],
    ['2030-05-06T05:00Z', 1_100, 2_200, 3_300, 4_400],
    ['2030-05-06T07:00Z', 10, 20, 30, 40],
  ]);
  const since = asked(store, { by: 'hour', sinceMs: nowMs - hourMs / 4 });
  assert.deepEqual(sums(since, 'hour'), [['2030-05-06T07:00Z', 10, 20, 30, 40]]);
  assert.equal(since.sinceMs, Date.UTC(2030, 4, 6, 7));
  assert.equal(asked(store, { by: 'day', sinceMs: nowMs }).rows.length, 1);
  assert.deepEqual([byDay.sinceMs, byDay.rows[0]?.course], [undefined, undefined]);
  assert.ok(byDay.rows.every(({ firstSeen, lastSeen }) => firstSeen <= lastSeen && lastSeen <= nowMs));
});

test('peers with one name are one row', (t) => {
  const names = new Names(parseNames('192.0.2.0/24 home\n2001:db8::/32 home').named);
  const found = asked(usual(t), {}, names);
  assert.deepEqual(sums(found), [['home', 1_111, 2_222, 3_333, 4_444]]);
  assert.deepEqual([found.rows[0]?.firstSeen, found.rows[0]?.lastSeen], [nowMs - 3 * dayMs, nowMs - 5_000]);
});

test('the course of a peer is its last day in 24 parts, of other rows there is none', (t) => {
  const store = usual(t);
  const found = asked(store, {});
  assert.equal(found.courseMs, hourMs);
  const course = found.rows.find(({ peer }) => peer === '192.0.2.7')?.course;
  assert.equal(course?.length, 24);
  // What came three days ago is in none of them.
  assert.equal(
    course.reduce((a, b) => a + b, 0),
    330,
  );
  assert.equal(course[23], 30);
  assert.ok(asked(store, { by: 'class' }).rows.every((row) => row.course === undefined));
});

test('the course since an instant covers the time since then, to the last byte', (t) => {
  const found = asked(usual(t), { sinceMs: nowMs - 3 * hourMs });
  assert.equal(found.courseMs, (3 * hourMs) / 24);
  for (const { course = [], rxBytes, txBytes } of found.rows)
    assert.equal(
      course.reduce((a, b) => a + b, 0),
      rxBytes + txBytes,
    );
  assert.equal(found.rows.find(({ peer }) => peer === '2001:db8::1')?.course?.[8], 3_000);
});

test('an empty ledger has no rows, whatever is asked', (t) => {
  const store = ledger(t);
  for (const by of groupings)
    for (const sinceMs of [undefined, 0, -5, nowMs, nowMs + dayMs, 1e300])
      assert.deepEqual(asked(store, { by, sinceMs }).rows, []);
});

test('every grouping has the same whole', (t) => {
  const store = usual(t);
  for (const sinceMs of [undefined, nowMs - dayMs])
    for (const by of groupings) {
      const whole = asked(store, { by, sinceMs }).rows.reduce((sum, { rxPackets }) => sum + rxPackets, 0);
      assert.equal(whole, sinceMs === undefined ? 3_333 : 3_330, by);
    }
});

test('a group of very many series is summed', (t) => {
  const store = usual(t);
  // As MaxPeers= allows.
  store.db.exec(
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000)
     INSERT INTO series SELECT NULL, 'many', 4, 6, 'p' || i, 5, 5 + i, 1, 0, 0, 0, 0 FROM n`,
  );
  const [row] = asked(store, { by: 'class' }).rows;
  assert.deepEqual(row, {
    ...{ class: 'many', rxBytes: 150_000, txBytes: 0, rxPackets: 0, txPackets: 0 },
    ...{ firstSeen: 5, lastSeen: 150_005 },
  });
});

test('a question from outside is by peer unless it says otherwise', () => {
  assert.deepEqual(questionOf({}, nowMs), { by: 'peer', sinceMs: undefined, nowMs });
  assert.deepEqual(questionOf({ by: 'day', since: 5.5 }, nowMs), { by: 'day', sinceMs: 5.5, nowMs });
});

test('a question that makes no sense is E_USAGE', () => {
  for (const by of ['week', '', null, 5, ['peer'], {}, 'Peer', 'constructor'])
    assert.throws(() => questionOf({ by }, nowMs), {
      code: 'E_USAGE',
      message: /^by is one of peer, day, hour/,
    });
  for (const since of ['yesterday', '5', null, {}, [5], Number.NaN, Number.POSITIVE_INFINITY, true])
    assert.throws(() => questionOf({ since }, nowMs), { code: 'E_USAGE', message: /^since is a number/ });
});
