// Ends of flows that the kernel tells twice.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecentEnds } from '../../daemons/traffic/core/recent.ts';

test('an end that is told again is known, and another flow is not taken for it', () => {
  const ends = new RecentEnds();
  const startMs = 1_795_000_000_000.125;
  assert.equal(ends.isRepeated(0xffff_fff0, startMs), false);
  assert.equal(ends.isRepeated(0xffff_fff0, startMs), true);
  assert.equal(ends.isRepeated(0xffff_fff0, startMs), true);
  // The id is made of an address in memory, which is used again.
  assert.equal(ends.isRepeated(0xffff_fff0, startMs + 1), false);
  assert.equal(ends.isRepeated(0x7fff_fff0, startMs + 1), false);
});

test('of many the last hundred thousand or so are remembered', () => {
  const ends = new RecentEnds();
  for (let id = 0; id < 100_000; id += 1) assert.equal(ends.isRepeated(id, 1), false);
  for (let id = 0; id < 100_000; id += 1) assert.equal(ends.isRepeated(id, 1), true);
});

test('without a time of its beginning no flow is taken for another', () => {
  const ends = new RecentEnds();
  assert.equal(ends.isRepeated(7, undefined), false);
  assert.equal(ends.isRepeated(7, undefined), false);
});
