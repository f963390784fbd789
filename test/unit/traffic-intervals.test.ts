// What a sink is told of the history by interval: whatever changed since it last asked, as it is now, and nothing left
// out.
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import fc from 'fast-check';
import { Flows } from '../../daemons/traffic/core/flows.ts';
import { Names, parseNames } from '../../daemons/traffic/core/naming.ts';
import { keyOfSeries, type Series, Tally } from '../../daemons/traffic/core/tally.ts';
import { type Interval, type Intervals, intervalsOf } from '../../daemons/traffic/intervals.ts';
import { Store } from '../../daemons/traffic/store.ts';
import { scratch } from '../support/scratch.ts';

const beginS = Date.UTC(2030, 4, 6, 7) / 1_000;
const series: Series = { className: 'all', peer: '192.0.2.7', family: 4, protocol: 6 };
const noNames = new Names([]);
/** For a ledger that is not damaged. */
const undamaged = (kept: string): void => assert.equal(kept, '');

interface Amount {
  of?: Partial<Series>;
  bytes?: number;
  /** Seconds after the beginning. */
  from: number;
  to?: number;
}

function fresh(t: TestContext): Store {
  const store = Store.open(scratch(t), beginS * 1_000, undamaged);
  t.after(() => store.close());
  return store;
}

/** One commit. */
function book(store: Store, ...amounts: Amount[]): void {
  const tally = new Tally(10_000);
  for (const { of = {}, bytes = 100, from, to = from } of amounts) {
    const one = { ...series, ...of };
    const volume = { rxBytes: bytes, txBytes: 0, rxPackets: 1, txPackets: 0 };
    tally.add(keyOfSeries(one), one, volume, (beginS + from) * 1_000, (beginS + to) * 1_000);
  }
  store.commit(tally, new Flows(), false);
}

const said = (store: Store, revision: number, mostRows?: number, names = noNames): Intervals =>
  intervalsOf(store.db, names, { revision }, mostRows);
const short = ({ intervals }: { intervals: Interval[] }): [string, number, number][] =>
  intervals.map(({ peer, start, rxBytes }) => [peer, start - beginS, rxBytes]);

test('an interval has its labels and sums, and the ledger that it is from', (t) => {
  const store = fresh(t);
  book(store, { from: 5 });
  const names = new Names(parseNames('192.0.2.7 laptop').named);
  assert.deepEqual(said(store, 0, undefined, names), {
    intervals: [
      { start: beginS, class: 'all', peer: 'laptop', rxBytes: 100, txBytes: 0, rxPackets: 1, txPackets: 0 },
    ],
    ledger: beginS * 1_000,
    revision: 1,
    more: false,
    keptSince: 0,
  });
});

test('what was said is not said again, unless it changes; then it is said as it is now', (t) => {
  const store = fresh(t);
  book(store, { from: 5 }, { from: 5, of: { peer: 'b' } });
  book(store, { from: 15 });
  const first = said(store, 0);
  assert.deepEqual(short(first), [
    ['192.0.2.7', 0, 100],
    ['b', 0, 100],
    ['192.0.2.7', 10, 100],
  ]);
  const none = said(store, first.revision);
  assert.deepEqual([none.intervals, none.revision, none.more], [[], first.revision, false]);
  book(store, { from: 7, bytes: 11 });
  const second = said(store, first.revision);
  assert.deepEqual(short(second), [['192.0.2.7', 0, 111]]);
  assert.ok(second.revision > first.revision);
});

test('all series of one name in one class are one interval, also where only one of them changed', (t) => {
  const store = fresh(t);
  const names = new Names(parseNames('10.8.0.0/24 office').named);
  const of = (peer: string, more: Partial<Series> = {}) => ({ of: { peer, ...more }, from: 5 });
  book(
    store,
    of('10.8.0.1'),
    of('10.8.0.1', { protocol: 17 }),
    of('10.8.0.2'),
    of('10.8.0.1', { className: 'web' }),
  );
  const first = said(store, 0, undefined, names);
  assert.deepEqual(
    first.intervals.map((one) => [one.class, one.peer, one.rxBytes, one.rxPackets]),
    [
      ['all', 'office', 300, 3],
      ['web', 'office', 100, 1],
    ],
  );
  book(store, { of: { peer: '10.8.0.2', family: 6 }, from: 6, bytes: 7 });
  assert.deepEqual(short(said(store, first.revision, undefined, names)), [['office', 0, 307]]);
});

test('a flow that ends over several intervals changes all of them', (t) => {
  const store = fresh(t);
  book(store, { from: 15, to: 35 });
  assert.deepEqual(short(said(store, 0)), [
    ['192.0.2.7', 10, 25],
    ['192.0.2.7', 20, 50],
    ['192.0.2.7', 30, 25],
  ]);
});

/** All after `revision`, in as many questions as it takes; `most` rows at once. */
function drain(
  store: Store,
  most?: number,
  names = noNames,
  from = 0,
): { all: Interval[]; revision: number } {
  const all: Interval[] = [];
  for (let revision = from, questions = 0; ; questions += 1) {
    assert.ok(questions < 1_000);
    const answer = said(store, revision, most, names);
    all.push(...answer.intervals);
    if (!answer.more) return { all, revision: answer.revision };
    assert.ok(answer.revision > revision);
    ({ revision } = answer);
  }
}

test('a sink that asks again and again has every interval as it is in the ledger', (t) => {
  const amount = fc.record({
    of: fc.record({ peer: fc.constantFrom('a', '10.8.0.1', '10.8.0.2'), protocol: fc.constantFrom(6, 17) }),
    bytes: fc.integer({ min: 1, max: 50 }),
    back: fc.nat(30),
  });
  const steps = fc.array(
    fc.oneof(fc.array(amount, { minLength: 1, maxLength: 3 }), fc.constant('ask' as const)),
    {
      maxLength: 14,
    },
  );
  const names = new Names(parseNames('10.8.0.0/24 office').named);
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 5 }), (all, most) => {
      const store = Store.open(scratch(t), beginS * 1_000, undamaged);
      const sink = new Map<string, number>();
      let revision = 0;
      let now = 100;
      const ask = (): void => {
        const found = drain(store, most, names, revision);
        for (const [peer, start, bytes] of short({ intervals: found.all }))
          sink.set(`${peer} ${start}`, bytes);
        ({ revision } = found);
      };
      for (const step of all) {
        now += 4;
        if (step === 'ask') ask();
        else book(store, ...step.map(({ back, ...rest }) => ({ ...rest, from: now - back, to: now })));
      }
      ask();
      const truth = store.db
        .prepare(
          `SELECT iif(peer LIKE '10.8.0.%', 'office', peer) || ' ' || cast(start_s - ? AS INTEGER), sum(r.rx_bytes)
           FROM rollup r JOIN series s ON s.id = r.series WHERE level = 0 GROUP BY 1`,
        )
        .raw()
        .all(beginS);
      store.close();
      assert.deepEqual([...sink].sort(), truth.sort());
    }),
    { numRuns: 60 },
  );
});

test('more than fits an answer comes in several, without a gap', (t) => {
  const store = fresh(t);
  for (const first of [0, 3_000, 6_000])
    book(store, ...Array.from({ length: 3_000 }, (_, n) => ({ from: 5, of: { peer: `p${first + n}` } })));
  const first = said(store, 0);
  assert.deepEqual([first.more, first.revision, first.intervals.length], [true, 1, 3_000]);
  assert.equal(new Set(drain(store).all.map(({ peer }) => peer)).size, 9_000);
});

test('one commit that is more than an answer holds is said to its last interval', (t) => {
  const store = fresh(t);
  // Flows that were there for long before anybody looked at them.
  const old = (n: number): Amount => ({ from: 0, to: 4_005, of: { peer: `p${n}` }, bytes: 1_000_000 });
  book(store, ...Array.from({ length: 20 }, (_, n) => old(n)));
  book(store, { from: 5 });
  const { all } = drain(store);
  assert.equal(new Set(all.map(({ peer, start }) => `${peer} ${start}`)).size, 20 * 360 + 1);
});

test('it is said from when on intervals are there', (t) => {
  const store = fresh(t);
  book(store, { from: 0 }, { from: 7_200 });
  store.trim((beginS + 7_200) * 1_000, [3_600_000, 86_400_000, 86_400_000]);
  const found = said(store, 0);
  assert.deepEqual(short(found), [['192.0.2.7', 7_200, 100]]);
  assert.equal(found.keptSince, beginS + 3_600);
});

test('a ledger that began anew says that it is another one', (t) => {
  const folder = scratch(t);
  const ledgers = [0, 1, 2].map((step) => {
    const own = step === 0 ? folder : scratch(t);
    const store = Store.open(own, (beginS + step) * 1_000, undamaged);
    book(store, { from: 5 });
    const { ledger } = said(store, 0);
    store.close();
    return ledger;
  });
  const again = Store.open(folder, (beginS + 9) * 1_000, undamaged);
  assert.deepEqual(
    [...ledgers, said(again, 0).ledger],
    [0, 1, 2, 0].map((step) => (beginS + step) * 1_000),
  );
  again.close();
});

test('a question for intervals without a whole number is E_USAGE', (t) => {
  const { db } = fresh(t);
  for (const parameters of [
    {},
    { revision: '0' },
    { revision: 0.5 },
    { revision: null },
    { revision: 2 ** 60 },
  ])
    assert.throws(() => intervalsOf(db, noNames, parameters), {
      code: 'E_USAGE',
      message: 'revision is a whole number',
    });
});
