// Room for peers in the ledger: who has a row of its own, who becomes part of the others, and that no sum changes by
// it.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import fc from 'fast-check';
import { Flows } from '../../daemons/traffic/core/flows.ts';
import { keyOfSeries, other, type Series, type Sums, Tally } from '../../daemons/traffic/core/tally.ts';
import { Store } from '../../daemons/traffic/store.ts';
import { scratch } from '../support/scratch.ts';

const beginMs = Date.UTC(2030, 4, 6, 7);
const hourMs = 3_600_000;
const series: Series = { className: 'all', peer: '192.0.2.7', family: 4, protocol: 6 };
const usual: Sums = [1, 2, 3, 4];
/** For a ledger that is not damaged. */
const undamaged = (kept: string): void => assert.equal(kept, '');

function opened(folder: string, lost: (kept: string) => void = undamaged): Store {
  return Store.open(folder, beginMs, lost);
}

function fresh(t: TestContext): { folder: string; store: Store } {
  const folder = scratch(t);
  const store = opened(folder);
  t.after(() => store.close());
  return { folder, store };
}

interface Amount {
  of?: Partial<Series>;
  sums?: Sums;
  fromMs?: number;
  toMs?: number;
}

function tallied(...amounts: Amount[]): Tally {
  const tally = new Tally(10_000);
  for (const { of = {}, sums = usual, fromMs = beginMs, toMs = fromMs } of amounts) {
    const [rxBytes, txBytes, rxPackets, txPackets] = sums;
    const one = { ...series, ...of };
    tally.add(keyOfSeries(one), one, { rxBytes, txBytes, rxPackets, txPackets }, fromMs, toMs);
  }
  return tally;
}

const book = (store: Store, ...amounts: Amount[]): void =>
  store.commit(tallied(...amounts), new Flows(), false);

const wholeOf = (store: Store, table: string): unknown =>
  store.db
    .prepare(
      `SELECT sum(rx_bytes) AS rx, sum(tx_bytes) AS tx, sum(rx_packets) AS rxp, sum(tx_packets) AS txp FROM ${table}`,
    )
    .get();

test('a peer has its own name until there are too many, then it is counted with the others', (t) => {
  const { store } = fresh(t);
  const found = (peer: string) => ({ ...series, peer, isOriginator: true });
  assert.equal(store.seriesFor(found('a'), 2).peer, 'a');
  book(store, { of: { peer: 'a' } });
  // Taken from the moment of its first amount, before that is durable.
  assert.equal(store.seriesFor(found('b'), 2).peer, 'b');
  assert.equal(store.seriesFor(found('c'), 2).peer, other);
  assert.equal(store.seriesFor(found('b'), 2).peer, 'b');
  assert.equal(store.seriesFor({ ...found('a'), protocol: 17 }, 2).peer, 'a');
  assert.deepEqual(store.seriesFor({ ...found('c'), family: 6 }, 2), { ...found(other), family: 6 });
  assert.equal(store.peers, 2);
  book(store, { of: { peer: other } }, { of: { peer: 'b' } });
  assert.equal(store.peers, 2);
  assert.equal(store.seriesFor(found('d'), 3).peer, 'd');
});

test('however many peers come, no more than the most have a row of their own', (t) => {
  const { store } = fresh(t);
  for (let index = 0; index < 300; index += 1) {
    const one = store.seriesFor({ ...series, peer: `10.0.${index % 100}.1`, isOriginator: true }, 20);
    if (index % 7 === 0) book(store, { of: one });
    assert.ok(store.peers <= 20);
  }
  assert.equal(store.peers, 20);
});

/** `count` peers; number n has n × 10 bytes, and was silent for n hours. */
function crowd(store: Store, count: number): void {
  const amounts = Array.from({ length: count }, (_, index): Amount => {
    const size = (index + 1) * 5;
    return {
      of: { peer: `p${index + 1}` },
      sums: [size, size, 1, 1],
      fromMs: beginMs - (index + 1) * hourMs,
    };
  });
  book(store, ...amounts);
}

test('while a tenth is free nobody has to make room', (t) => {
  const { store } = fresh(t);
  crowd(store, 9);
  assert.equal(store.makeRoom(10, beginMs), 0);
  assert.equal(store.peers, 9);
});

test('the least of the silent become part of the others until a quarter is free', (t) => {
  const { folder, store } = fresh(t);
  crowd(store, 20);
  const whole = wholeOf(store, 'series');
  assert.equal(store.makeRoom(20, beginMs), 5);
  const left = [...store.series].map(({ peer }) => peer);
  assert.deepEqual(left.slice().sort(), [other, ...Array.from({ length: 15 }, (_, n) => `p${n + 6}`)].sort());
  assert.equal(store.peers, 15);
  assert.deepEqual(wholeOf(store, 'series'), whole);
  const others = [...store.series].find(({ peer }) => peer === other);
  assert.deepEqual(others?.total, [75, 75, 5, 5]);
  assert.deepEqual([others.firstMs, others.lastMs], [beginMs - 5 * hourMs, beginMs - hourMs]);
  const before = [...store.series];
  store.close();
  const again = opened(folder);
  assert.deepEqual([...again.series], before);
  again.close();
});

test('who was heard of lately keeps a row, however little it had', (t) => {
  const { store } = fresh(t);
  crowd(store, 20);
  // Silent in one series, and not in another.
  book(store, { of: { peer: 'p9', protocol: 17 } });
  assert.equal(store.makeRoom(20, beginMs - 7.5 * hourMs), 5);
  const left = [...store.series].map(({ peer }) => peer);
  for (const peer of ['p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7', 'p9', 'p14'])
    assert.ok(left.includes(peer), peer);
  for (const peer of ['p8', 'p10', 'p11', 'p12', 'p13']) assert.ok(!left.includes(peer), peer);
  assert.equal(store.makeRoom(16, beginMs - 30 * hourMs), 0);
});

test('what is folded keeps its history by interval, and moves that by hour and day', (t) => {
  const { store } = fresh(t);
  book(store, { of: { peer: other } });
  book(store, { of: { peer: 'large', className: 'web' }, sums: [50, 50, 5, 5] });
  // The last number, and the first to go.
  book(store, { of: { peer: 'small' } });
  assert.equal(store.makeRoom(1, beginMs + 1), 2);
  const found = store.db
    .prepare(
      'SELECT level, class, peer, r.rx_bytes FROM rollup r JOIN series s ON s.id = r.series ORDER BY 1, 2, 3',
    )
    .raw()
    .all();
  assert.deepEqual(found, [
    [0, 'all', other, 1],
    [0, 'all', 'small', 1],
    [0, 'web', 'large', 50],
    ...[1, 2].flatMap((level) => [
      [level, 'all', other, 2],
      [level, 'web', other, 50],
    ]),
  ]);
  // With the last of it the series goes, too; one that comes back is the same series.
  book(store, { of: { peer: 'small' } });
  store.trim(beginMs + 100 * hourMs, [hourMs, 1_000 * hourMs, 10_000 * hourMs]);
  const series = store.db.prepare('SELECT peer, folded FROM series ORDER BY 1, 2').raw().all();
  assert.deepEqual(series, [
    [other, 0],
    [other, 0],
    ['small', 0],
  ]);
});

test('whatever is folded, the sums of each class, family, protocol, level and time stay what they were', (t) => {
  const folder = scratch(t);
  const amount = fc.record({
    of: fc.record({
      className: fc.constantFrom('all', 'web'),
      peer: fc.constantFrom('a', 'b', 'c', 'd', 'e', other),
      family: fc.constantFrom<4 | 6>(4, 6),
      protocol: fc.constantFrom(6, 17),
    }),
    sums: fc.tuple(fc.nat(1_000), fc.nat(1_000), fc.nat(9), fc.nat(9)),
    fromMs: fc.nat(40).map((n) => beginMs - n * 600_000),
  });
  let run = 0;
  fc.assert(
    fc.property(
      fc.array(amount, { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 6 }),
      (all, most) => {
        run += 1;
        const store = Store.open(scratchIn(path.join(folder, String(run))), beginMs, undamaged);
        for (const one of all) book(store, one);
        const sums = 'sum(r.rx_bytes), sum(r.tx_bytes), sum(r.rx_packets), sum(r.tx_packets)';
        const look = (): unknown[] => [
          store.db
            .prepare(
              `SELECT level, start_s, class, family, protocol, ${sums} FROM rollup r JOIN series s ON s.id = r.series
             GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5`,
            )
            .raw()
            .all(),
          store.db
            .prepare(
              `SELECT class, family, protocol, ${sums} FROM series r GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`,
            )
            .raw()
            .all(),
        ];
        const [before, peers] = [look(), store.peers];
        const count = store.makeRoom(most, beginMs + 1);
        assert.deepEqual(look(), before);
        assert.equal(store.peers, peers - count);
        assert.ok(peers <= most * 0.9 ? count === 0 : store.peers <= most * 0.75);
        assert.deepEqual(
          store.db.prepare('SELECT count(*) FROM rollup').pluck().get(),
          rowsWithSeries(store),
        );
        book(store, { of: { peer: other } });
        store.close();
      },
    ),
    { numRuns: 40 },
  );
});

function rowsWithSeries(store: Store): unknown {
  return store.db.prepare('SELECT count(*) FROM rollup JOIN series ON id = series').pluck().get();
}

/** A folder of that name within a scratch folder. */
function scratchIn(folder: string): string {
  mkdirSync(folder);
  return folder;
}
