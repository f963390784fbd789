// The ledger on a real database: what survives, what makes room, and that no total changes by it.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import fc from 'fast-check';
import { Flows, type Known } from '../../daemons/traffic/core/flows.ts';
import { keyOfSeries, type Series, type Sums, Tally } from '../../daemons/traffic/core/tally.ts';
import { fileName, Store } from '../../daemons/traffic/store.ts';
import type { Flow } from '../../lib/netlink/conntrack.ts';
import { scratch } from '../support/scratch.ts';

const beginMs = Date.UTC(2030, 4, 6, 7);
const hourMs = 3_600_000;
const series: Series = { className: 'all', peer: '192.0.2.7', family: 4, protocol: 6 };
const usual: Sums = [1, 2, 3, 4];
/** For a ledger that is not damaged. */
const undamaged = (kept: string): void => assert.equal(kept, '');
const known: Known = {
  sent: { packets: 1, bytes: 100 },
  received: { packets: 2, bytes: 2_000_000_000_000 },
  seenMs: beginMs + 0.25,
  rate: 1.5,
  series: keyOfSeries(series),
  dump: 9,
  missingMs: 0,
  lost: undefined,
};

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
const totals = (store: Store): [string, ...Sums][] =>
  [...store.series].map(({ peer, total }) => [peer, ...total]);

/** By level: start, peer, sums, revision. */
function history(store: Store, level: number): unknown[][] {
  return store.db
    .prepare(
      `SELECT start_s, peer, r.rx_bytes, r.tx_bytes, r.rx_packets, r.tx_packets, revision
       FROM rollup r JOIN series s ON s.id = r.series WHERE level = ? ORDER BY start_s, peer`,
    )
    .raw()
    .all(level) as unknown[][];
}

const wholeOf = (store: Store, table: string): unknown =>
  store.db
    .prepare(
      `SELECT sum(rx_bytes) AS rx, sum(tx_bytes) AS tx, sum(rx_packets) AS rxp, sum(tx_packets) AS txp FROM ${table}`,
    )
    .get();

test('sums, history, flows and facts survive the end of the process', (t) => {
  const { folder, store } = fresh(t);
  const flows = new Flows([], { flows: 3, bytes: 77 });
  const key = '5 0 1.5 6 1 2 \u0000\u00ff\u0080\n';
  flows.dumpBegins();
  flows.living(key, { ...flowOf(known) }, known.series, known.seenMs);
  Object.assign(store.facts, { bootId: 'a-boot', drops: 5, isRunning: 1, socket: 17 });
  const tally = tallied({ fromMs: beginMs + 0.5, toMs: beginMs + 15_000.5 }, { of: { protocol: 17 } });
  store.commit(tally, flows, true);
  assert.deepEqual([tally.size, flows.changed.size], [0, 0]);
  const before = [
    [...store.series],
    history(store, 0),
    history(store, 1),
    history(store, 2),
    { ...store.facts },
  ];
  store.close();
  const again = opened(folder);
  assert.deepEqual(
    [[...again.series], history(again, 0), history(again, 1), history(again, 2), { ...again.facts }],
    before,
  );
  assert.equal(again.facts.revision, 1);
  assert.deepEqual([again.facts.lostFlows, again.facts.lostBytes, again.facts.bootId], [3, 77, 'a-boot']);
  const [first] = again.series;
  assert.deepEqual(first && [first.firstMs, first.lastMs, first.total], [
    beginMs,
    beginMs + 15_001,
    [1, 2, 3, 4],
  ]);
  assert.deepEqual(again.flows(), [[key, { ...known, rate: 0, dump: 0 }]]);
  again.close();
});

function flowOf({ sent, received }: Known): Flow {
  const nobody = '\0\0\0\0';
  const tuple = { source: nobody, destination: nobody, protocol: 6, sourcePort: 1, destinationPort: 2 };
  return {
    ...{ event: 'dumped', id: 5, original: tuple, reply: tuple, status: 0, mark: 0, zone: 0 },
    ...{ sent, received, startMs: undefined, stopMs: undefined },
  };
}

test('a flow that has changed is written anew, with what was stated of it, and one that is gone is not kept', (t) => {
  const { store } = fresh(t);
  const flows = new Flows([
    ['a', { ...known, missingMs: beginMs, lost: 9 }],
    ['b', known],
  ]);
  for (const key of ['a', 'b']) flows.changed.add(key);
  store.commit(new Tally(10_000), flows, false);
  assert.deepEqual(
    store.flows().map(([key, { missingMs, lost }]) => [key, missingMs, lost]),
    [
      ['a', beginMs, 9],
      ['b', 0, undefined],
    ],
  );
  flows.ended('a', flowOf(known), beginMs);
  store.commit(new Tally(10_000), flows, false);
  assert.deepEqual(
    store.flows().map(([key]) => key),
    ['b'],
  );
  assert.deepEqual([store.facts.lostFlows, store.facts.lostBytes], [-1, -9]);
});

test('what is committed later is added, and moves the ends of what was seen', (t) => {
  const { store } = fresh(t);
  book(store, { fromMs: beginMs, toMs: beginMs + 5 });
  book(store, { fromMs: beginMs - 7, toMs: beginMs + 2, sums: [10, 20, 30, 40] });
  const [state, ...rest] = [...store.series];
  assert.deepEqual(rest, []);
  assert.deepEqual(state?.total, [11, 22, 33, 44]);
  assert.deepEqual([state.firstMs, state.lastMs], [beginMs - 7, beginMs + 5]);
  assert.deepEqual(wholeOf(store, 'series'), { rx: 11, tx: 22, rxp: 33, txp: 44 });
  for (const level of [0, 1, 2])
    assert.deepEqual(wholeOf(store, `rollup WHERE level = ${level}`), { rx: 11, tx: 22, rxp: 33, txp: 44 });
});

test('a commit that fails changes nothing, and what it had is written by the next', (t) => {
  const { store } = fresh(t);
  const [tally, flows] = [tallied({}), new Flows([['a', known]])];
  flows.changed.add('a');
  store.db.pragma('query_only = ON');
  assert.throws(() => store.commit(tally, flows, true), { code: /^SQLITE_READONLY/ });
  assert.deepEqual(
    [tally.size, flows.changed.size, store.facts.revision, [...store.series].length],
    [1, 1, 0, 0],
  );
  store.db.pragma('query_only = OFF');
  store.commit(tally, flows, true);
  assert.deepEqual(totals(store), [['192.0.2.7', 1, 2, 3, 4]]);
  assert.equal(store.flows().length, 1);
});

test('facts alone can be made durable', (t) => {
  const { folder, store } = fresh(t);
  store.facts.crashes = 4;
  store.putFacts();
  store.close();
  const again = opened(folder);
  assert.equal(again.facts.crashes, 4);
  again.close();
});

test('a damaged file is moved aside and told of, and a new one begins', (t) => {
  const folder = scratch(t);
  const text = 'this is no database '.repeat(500);
  writeFileSync(path.join(folder, fileName), text);
  const told: string[] = [];
  const store = opened(folder, (kept) => told.push(kept));
  const kept = path.join(folder, `${fileName}.damaged-${beginMs}`);
  assert.deepEqual(told, [kept]);
  assert.equal(readFileSync(kept, 'utf8'), text);
  assert.deepEqual([...store.series], []);
  book(store, {});
  assert.deepEqual(totals(store), [['192.0.2.7', 1, 2, 3, 4]]);
  store.close();
});

test('another error than damage is thrown and moves nothing', (t) => {
  const folder = scratch(t);
  assert.throws(() => opened(path.join(folder, 'absent')), { code: 'E_STATE_OPEN' });
  assert.deepEqual(readdirSync(folder), []);
});

test('what is older than its level keeps goes, totals stay, and facts say from when on history is there', (t) => {
  const { folder, store } = fresh(t);
  for (const daysAgo of [9, 3, 1, 0]) book(store, { fromMs: beginMs - daysAgo * 24 * hourMs });
  store.trim(beginMs + 5_000, [2 * hourMs, 48 * hourMs, 240 * hourMs]);
  assert.deepEqual(
    [0, 1, 2].map((level) => history(store, level).length),
    [1, 2, 4],
  );
  assert.deepEqual(totals(store), [['192.0.2.7', 4, 8, 12, 16]]);
  const { keptSince0, keptSince1, keptSince2 } = store.facts;
  const seconds = (ms: number): number => (beginMs + 5_000 - ms) / 1_000;
  assert.deepEqual([keptSince0, keptSince1, keptSince2], [seconds(2 * hourMs), seconds(48 * hourMs), 0]);
  // Where nothing went, nothing is missing: an earlier statement stays, and no later one is made.
  store.trim(beginMs + 6_000, [2 * hourMs, 48 * hourMs, 240 * hourMs]);
  store.close();
  const again = opened(folder);
  assert.deepEqual(
    [again.facts.keptSince0, again.facts.keptSince1, again.facts.keptSince2],
    [keptSince0, keptSince1, 0],
  );
  again.close();
});

test('every second that is said to be kept is kept', (t) => {
  const ages = fc.array(fc.nat(100), { minLength: 1, maxLength: 10 });
  const folder = scratch(t);
  let run = 0;
  fc.assert(
    fc.property(
      ages,
      fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 3 }),
      (all, keeps) => {
        const name = path.join(folder, String(run));
        run += 1;
        const store = Store.open(scratchIn(name), beginMs, undamaged);
        book(store, ...all.map((age) => ({ fromMs: beginMs - age * 10_000 })));
        const before = history(store, 0);
        for (const kept of keeps) store.trim(beginMs, [kept * 10_000, hourMs * 24, hourMs * 24]);
        const since = store.facts.keptSince0;
        assert.deepEqual(
          history(store, 0),
          before.filter(([start]) => Number(start) >= since),
        );
        store.close();
      },
    ),
    { numRuns: 30 },
  );
});

/** A folder of that name within a scratch folder. */
function scratchIn(folder: string): string {
  mkdirSync(folder);
  return folder;
}

test('a probe reads, and fails once the ledger is closed', (t) => {
  const { store } = fresh(t);
  assert.doesNotThrow(() => store.probe());
  store.close();
  assert.throws(() => store.probe());
});
