// The books while the clock is set: sums stay what they are, and nothing is trimmed by a clock that may be wrong.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Bookkeeper } from '../../daemons/traffic/bookkeeper.ts';
import { config } from '../../daemons/traffic/config.ts';
import { Flows } from '../../daemons/traffic/core/flows.ts';
import { messages } from '../../daemons/traffic/messages.ts';
import { Store } from '../../daemons/traffic/store.ts';
import { loadConfig } from '../../lib/config.ts';
import { scratch } from '../support/scratch.ts';

const beginMs = 1_800_000_000_000;
const hourMs = 3_600_000;
const peer = { className: 'all', peer: '192.0.2.7', family: 4, protocol: 17, isOriginator: true } as const;

function setup(t: TestContext) {
  const clock = { wall: beginMs, steady: 0, wallMs: () => clock.wall, monotonicMs: () => clock.steady };
  const store = Store.open(scratch(t), beginMs, () => assert.fail('a new ledger is not damaged'));
  t.after(() => store.close());
  const said: string[] = [];
  const log = { say: ({ id }: { id: string }) => said.push(id) };
  const { values } = loadConfig(config, []);
  const books = new Bookkeeper(values, store, new Flows(), {
    clock,
    log,
  });
  const book = (fromMs: number, toMs: number, bytes = 1_000): void => {
    const sent = { packets: 1, bytes };
    books.book(peer, { sent, received: { packets: 0, bytes: 0 }, fromMs, toMs });
    books.commit(false);
  };
  const total = (): number => [...store.series].reduce((sum, { total }) => sum + total[1], 0);
  const spread = (level: number): number =>
    (
      store.db.prepare('SELECT total(tx_bytes) AS sum FROM rollup WHERE level = ?').get(level) as {
        sum: number;
      }
    ).sum;
  /** Both clocks go on, the wall by a step more. */
  const pass = (ms: number, stepMs = 0): void => {
    clock.steady += ms;
    clock.wall += ms + stepMs;
  };
  return { clock, store, said, books, book, total, spread, pass };
}

test('a step of the clock is told, and no byte is lost or made by it', (t) => {
  const { clock, said, books, book, total, spread, pass } = setup(t);
  book(beginMs - 10_000, beginMs);
  assert.equal(books.glance(), false);
  pass(1_000, -2 * hourMs);
  assert.equal(books.glance(), true);
  assert.deepEqual(said, [messages.clockStepped.id]);
  // Seen before the step, and now: a span that ends where it began.
  book(clock.wall, clock.wall);
  pass(1_000, 400 * 24 * hourMs);
  assert.equal(books.glance(), true);
  book(beginMs, clock.wall);
  assert.equal(total(), 3_000);
  for (const level of [0, 1, 2]) assert.equal(spread(level), 3_000);
  pass(1_000, 1_000);
  assert.equal(books.glance(), false);
});

test('a clock that is far ahead for less than an hour deletes no history', (t) => {
  const { books, book, spread, pass } = setup(t);
  book(beginMs - 10_000, beginMs);
  pass(hourMs - 60_000);
  books.glance();
  pass(120_000, 100 * 24 * hourMs);
  books.glance();
  assert.equal(spread(0), 1_000);
  pass(hourMs / 2, -100 * 24 * hourMs);
  books.glance();
  pass(2 * hourMs);
  books.glance();
  assert.equal(spread(0), 1_000);
  // A steady clock does.
  pass(3 * 24 * hourMs);
  books.glance();
  assert.deepEqual([spread(0), spread(1), spread(2)], [0, 1_000, 1_000]);
});
