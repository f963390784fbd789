// Writing a small file whole: readers see the old or the new one, and nothing else is left in the folder.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Worker } from 'node:worker_threads';
import { syncFolder, writeFileAtomic } from '../../lib/atomic.ts';
import { scratch } from '../support/scratch.ts';

const modeOf = (file: string): number => statSync(file).mode & 0o7777;

test('a new file has the content and the mode asked for, whatever the umask', (t) => {
  const folder = scratch(t);
  const before = process.umask(0o077);
  t.after(() => process.umask(before));
  writeFileAtomic(path.join(folder, 'open'), 'text', 0o644);
  process.umask(0);
  writeFileAtomic(path.join(folder, 'secret'), Buffer.from([0, 255]), 0o600);
  assert.equal(readFileSync(path.join(folder, 'open'), 'utf8'), 'text');
  assert.deepEqual(readFileSync(path.join(folder, 'secret')), Buffer.from([0, 255]));
  assert.equal(modeOf(path.join(folder, 'open')), 0o644);
  assert.equal(modeOf(path.join(folder, 'secret')), 0o600);
  assert.deepEqual(readdirSync(folder).sort(), ['open', 'secret']);
});

test('an old file is replaced by another inode, not written into', (t) => {
  const file = path.join(scratch(t), 'file');
  writeFileSync(file, 'a longer old text', { mode: 0o644 });
  const old = statSync(file).ino;
  writeFileAtomic(file, 'new', 0o600);
  assert.equal(readFileSync(file, 'utf8'), 'new');
  assert.equal(modeOf(file), 0o600);
  assert.notEqual(statSync(file).ino, old);
});

test('where the write fails the old file stays and nothing is left behind', (t) => {
  const folder = scratch(t);
  const target = path.join(folder, 'target');
  mkdirSync(path.join(target, 'full'), { recursive: true });
  assert.throws(() => writeFileAtomic(target, 'text', 0o600), { code: 'EISDIR' });
  assert.deepEqual(readdirSync(folder), ['target']);
  assert.deepEqual(readdirSync(target), ['full']);
  assert.throws(() => writeFileAtomic(path.join(folder, 'absent', 'file'), 'text', 0o600), {
    code: 'ENOENT',
  });
});

test('a temporary file left by a crash neither stops the next write nor is touched by it', (t) => {
  const folder = scratch(t);
  writeFileAtomic(path.join(folder, 'file'), 'text', 0o600);
  writeFileSync(path.join(folder, `.file.${process.pid}.tmp`), 'half');
  writeFileAtomic(path.join(folder, 'file'), 'more', 0o600);
  assert.equal(readFileSync(path.join(folder, 'file'), 'utf8'), 'more');
  assert.deepEqual(readdirSync(folder), [`.file.${process.pid}.tmp`, 'file']);
});

test('a reader at the same time sees the old or the new file, never a part', async (t) => {
  const file = path.join(scratch(t), 'file');
  const texts = ['a', 'b'].map((letter) => letter.repeat(200_000));
  writeFileAtomic(file, texts[0] ?? '', 0o600);
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const reader = new Worker(
    `const { parentPort, workerData: { file, stop } } = require('node:worker_threads');
     const { readFileSync } = require('node:fs');
     let reads = 0, torn = 0;
     do {
       const text = readFileSync(file, 'latin1');
       reads += 1;
       if (text !== 'a'.repeat(200000) && text !== 'b'.repeat(200000)) torn += 1;
       if (reads === 1) parentPort.postMessage('reading');
     } while (Atomics.load(stop, 0) === 0);
     parentPort.postMessage({ reads, torn });`,
    { eval: true, workerData: { file, stop } },
  );
  await once(reader, 'message');
  for (let turn = 1; turn <= 50; turn += 1) writeFileAtomic(file, texts[turn % 2] ?? '', 0o600);
  const result = once(reader, 'message');
  Atomics.store(stop, 0, 1);
  const [{ reads, torn }] = (await result) as [{ reads: number; torn: number }];
  assert.equal(torn, 0, `${torn} of ${reads} reads`);
});

test('a folder that is not there cannot be synced', (t) => {
  const folder = scratch(t);
  syncFolder(folder);
  assert.throws(() => syncFolder(path.join(folder, 'absent')), { code: 'ENOENT' });
});
