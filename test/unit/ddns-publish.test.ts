// Changes on their way to the hook: the spool that the receiver fills and the program that empties it, as the unit runs
// it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Change } from '../../daemons/ddns/core/rewrite.ts';
import { publishProgram, Spool } from '../../daemons/ddns/spool.ts';
import { scratch } from '../support/scratch.ts';

const change = (from: string, to: string, name = 'a', keyId = 'k'): Change => ({
  keyId,
  name,
  type: 'A',
  from,
  to,
});

interface Setup {
  spool: Spool;
  state: string;
  /** Runs the program with a hook of one line of shell; exit status. */
  publish: (script: string) => number | null;
  /** What the hook has heard so far. */
  heard: () => Change[];
}

function setup(t: TestContext): Setup {
  const state = scratch(t);
  const spool = new Spool(state);
  const file = path.join(state, 'heard');
  return {
    spool,
    state,
    publish: (script) =>
      spawnSync('/bin/sh', [publishProgram, spool.folder, '/bin/sh', '-c', script, 'hook', file]).status,
    heard: () => linesOf(file),
  };
}

function linesOf(file: string): Change[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Change);
}

const hear = 'cat >> "$1"';

test('the hook hears of a record once, from what it knew to what holds', (t) => {
  const { spool, publish, heard } = setup(t);
  spool.add([change('1.1.1.1', '2.2.2.2'), change('', '9.9.9.9', 'b')]);
  spool.add([change('2.2.2.2', '3.3.3.3', 'a', 'other')]);
  assert.equal(spool.size, 2);
  assert.equal(publish(hear), 0);
  assert.deepEqual(heard(), [change('1.1.1.1', '3.3.3.3', 'a', 'other'), change('', '9.9.9.9', 'b')]);
  assert.equal(spool.size, 0);
  assert.deepEqual(readdirSync(spool.folder), []);
});

test('changes of a hook that failed come again, merged with newer ones', (t) => {
  const { spool, publish, heard } = setup(t);
  spool.add([change('1.1.1.1', '2.2.2.2'), change('4.4.4.4', '5.5.5.5', 'b')]);
  assert.equal(publish('exit 3'), 3);
  assert.equal(spool.size, 2);
  spool.add([change('2.2.2.2', '3.3.3.3')]);
  assert.equal(publish('exit 3'), 3);
  assert.equal(publish(hear), 0);
  assert.deepEqual(heard(), [change('1.1.1.1', '3.3.3.3'), change('4.4.4.4', '5.5.5.5', 'b')]);
});

test('whatever moment it was killed in, no change is lost', (t) => {
  const line = (one: Change): string =>
    `${JSON.stringify({ keyId: one.keyId, name: one.name, type: one.type, from: one.from, to: one.to })}\n`;
  const [first, second, third] = [
    change('', '1.1.1.1'),
    change('1.1.1.1', '2.2.2.2'),
    change('2.2.2.2', '3.3.3.3'),
  ];
  for (const files of [
    { taken: [first] },
    { running: [first] },
    { running: [first], taken: [second] },
    { running: [first], taken: [second], changes: [third] },
    { running: [first], taken: [second], changes: [third], merged: [first] },
    { taken: [first], changes: [second] },
  ]) {
    const { spool, state, publish, heard } = setup(t);
    mkdirSync(spool.folder);
    for (const [name, changes] of Object.entries(files))
      writeFileSync(path.join(spool.folder, name), changes.map(line).join(''));
    assert.equal(publish(hear), 0);
    const all = Object.entries(files).flatMap(([name, changes]) => (name === 'merged' ? [] : changes));
    const last = all.reduce((a, b) => (a.to > b.to ? a : b));
    assert.deepEqual(heard(), [change('', last.to)], JSON.stringify(files));
    assert.ok(!existsSync(path.join(state, 'publish/running')));
  }
});

test('a name with quotes, commas and braces comes through a merge as it is', (t) => {
  const { spool, publish, heard } = setup(t);
  const name = String.raw`x","from":"{\",`;
  spool.add([change('1.1.1.1', '2.2.2.2', name)]);
  publish('exit 1');
  spool.add([change('2.2.2.2', '3.3.3.3', name)]);
  publish('exit 1');
  assert.equal(publish(hear), 0);
  assert.deepEqual(heard(), [change('1.1.1.1', '3.3.3.3', name)]);
});

test('a torn file in the spool stops nobody', (t) => {
  const { spool, publish, heard } = setup(t);
  mkdirSync(spool.folder);
  writeFileSync(path.join(spool.folder, 'running'), Buffer.alloc(300));
  writeFileSync(path.join(spool.folder, 'changes'), '{"keyId":"k","na');
  assert.equal(spool.size, 0);
  spool.add([change('1.1.1.1', '2.2.2.2')]);
  assert.equal(spool.size, 1);
  assert.equal(publish('tail -n 1 > "$1"'), 0);
  assert.deepEqual(heard(), [change('1.1.1.1', '2.2.2.2')]);
  assert.equal(publish(hear), 0);
});

test('without changes the hook runs on nothing, and without a hook it says what to do', (t) => {
  const { spool, publish, heard } = setup(t);
  assert.equal(publish(hear), 0);
  assert.deepEqual(heard(), []);
  const { status, stderr } = spawnSync('/bin/sh', [publishProgram, spool.folder], { encoding: 'utf8' });
  assert.equal(status, 6);
  assert.match(stderr, /lares ddns setup/);
});
