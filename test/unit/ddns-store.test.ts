// What the receiver must not forget, on a real database.
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Address, parseAddress } from '../../daemons/ddns/core/address.ts';
import type { Change, Update } from '../../daemons/ddns/core/rewrite.ts';
import { readStatus, Store } from '../../daemons/ddns/store.ts';
import { scratch } from '../support/scratch.ts';

const nowMs = 1_800_000_000_123;
const four = address('192.0.2.1');
const six = address('2001:db8::1');
const change: Change = { keyId: 'k', name: 'a', type: 'A', from: '', to: '192.0.2.1' };

function address(text: string): Address {
  return parseAddress(text) ?? assert.fail(text);
}
const update = (stamp: number, at = four, keyId = 'k'): Update => ({ keyId, address: at, stamp });

/** `open` opens the same folder anew, as after a crash: nothing is closed in order. */
function folderWith(t: TestContext): { folder: string; open: () => Store } {
  const folder = scratch(t);
  return {
    folder,
    open: () => {
      const store = Store.open(folder, nowMs, (kept) => assert.fail(kept));
      t.after(() => store.close());
      return store;
    },
  };
}

test('a committed mark is there after a crash, to the last bit, and an uncommitted one is not', (t) => {
  const { open } = folderWith(t);
  const store = open();
  const stamp = 1405421249.890_000_1;
  store.accept(update(stamp), true, nowMs);
  assert.equal(store.known('k')?.mark.stamp, stamp, 'in force at once');
  assert.equal(open().known('k'), undefined);
  store.commit();
  const again = open();
  assert.deepEqual(again.known('k')?.mark, { stamp, families: [4], acceptedMs: nowMs });
  assert.deepEqual(again.known('k')?.prefixes, ['192.0.2']);
});

test('both families of a stamp are remembered', (t) => {
  const { open } = folderWith(t);
  const store = open();
  store.accept(update(5), true, nowMs);
  store.accept(update(5, six), true, nowMs + 9);
  store.commit();
  assert.deepEqual(open().known('k')?.mark, { stamp: 5, families: [4, 6], acceptedMs: nowMs });
});

test('an address that may not be published moves the mark alone', (t) => {
  const { folder, open } = folderWith(t);
  const store = open();
  store.accept(update(5), false, nowMs);
  store.commit();
  assert.equal(open().known('k')?.mark.stamp, 5);
  assert.deepEqual(readStatus(folder)?.peers, []);
});

const texts = (updates: Update[]): string[] => updates.map(({ address: { text } }) => text);

test('what the zone does not say yet survives a crash, and is over once it is written', (t) => {
  const { open } = folderWith(t);
  const store = open();
  for (const one of [update(7, four, 'later'), update(6, six, 'sooner')]) {
    store.accept(one, true, nowMs);
    store.require(one);
  }
  store.commit();
  const again = open();
  assert.deepEqual(
    again.due.map(({ keyId }) => keyId),
    ['sooner', 'later'],
    'oldest stamp first',
  );
  again.written(again.due, [], nowMs);
  assert.deepEqual(again.due, []);
  again.commit();
  assert.deepEqual(open().due, []);
});

test('an address that came while the one before was written stays to be written', (t) => {
  const { open } = folderWith(t);
  const store = open();
  store.accept(update(5), true, nowMs);
  store.require(update(5));
  const writing = store.due;
  store.accept(update(6, address('192.0.2.9')), true, nowMs);
  store.require(update(6, address('192.0.2.9')));
  store.written(writing, [change], nowMs);
  assert.deepEqual(texts(store.due), ['192.0.2.9']);
  store.written(store.due, [], nowMs);
  assert.deepEqual(store.due, []);
});

test('the status tells when a name was seen, changed, and refused', (t) => {
  const { folder, open } = folderWith(t);
  const store = open();
  store.accept(update(5), true, nowMs);
  store.require(update(5));
  store.written(store.due, [change], nowMs + 1);
  store.commit();
  store.countRefusals(new Map([['rate', 3]]), nowMs);
  store.countRefusals(new Map([['rate', 4]]), nowMs + 2);
  assert.deepEqual(readStatus(folder), {
    peers: [
      { keyId: 'k', family: 4, address: four, stamp: 5, seenMs: nowMs, changedMs: nowMs + 1, due: false },
    ],
    refusals: [{ reason: 'rate', count: 7, lastMs: nowMs + 2 }],
  });
});

test('a damaged database is moved aside and said, and the daemon starts with a new one', (t) => {
  const folder = scratch(t);
  writeFileSync(path.join(folder, 'ddns.db'), 'this is no database, by any means at all'.repeat(100));
  const lost: string[] = [];
  const store = Store.open(folder, nowMs, (kept) => lost.push(kept));
  t.after(() => store.close());
  assert.deepEqual(lost, [path.join(folder, `ddns.db.damaged-${nowMs}`)]);
  assert.ok(readdirSync(folder).includes(`ddns.db.damaged-${nowMs}`));
  store.accept(update(5), true, nowMs);
  store.commit();
});

test('no state is no error for the status', (t) => {
  assert.equal(readStatus(scratch(t)), undefined);
});
