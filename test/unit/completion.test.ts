// Completion, as bash itself runs it: the words before the cursor in, the proposals out.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { scratch } from '../support/scratch.ts';

const file = path.join(import.meta.dirname, '../../units/completion/lares');
const script = `source "$1" || exit 1; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lares
printf '%s\\n' "\${COMPREPLY[@]}"`;
const hasBash = spawnSync('bash', ['--version']).error === undefined;
const skip = hasBash ? false : 'needs bash';

/** Proposals for the last of `words`. PATH is empty: a program that was started would be an error. */
function propose(words: string[], cwd = '/'): string[] {
  const { status, stdout, stderr } = spawnSync(
    '/bin/bash',
    ['--norc', '-u', '-c', script, 'bash', file, 'lares', ...words],
    {
      encoding: 'utf8',
      cwd,
      env: { PATH: '/nonexistent' },
    },
  );
  assert.deepEqual([status, stderr], [0, '']);
  return stdout.split('\n').filter((line) => line !== '');
}

test('bash takes it as the completion of lares', { skip }, () => {
  const { stdout } = spawnSync('bash', ['-c', 'source "$1" && complete -p lares', 'bash', file], {
    encoding: 'utf8',
  });
  assert.equal(stdout, 'complete -F _lares lares\n');
});

test('nouns, then verbs, then options', { skip }, () => {
  assert.deepEqual(propose(['']), ['run', 'up', 'status', 'doctor', 'ddns', 'traffic']);
  assert.deepEqual(propose(['d']), ['doctor', 'ddns']);
  assert.deepEqual(propose(['ddns', 'se']), ['send', 'setup']);
  assert.deepEqual(propose(['ddns', 'send', '--p']), ['--packets']);
  assert.deepEqual(propose(['ddns', 'send', '-v', '']), ['4', '6']);
  assert.deepEqual(propose(['doctor', '--j']), ['--json']);
});

test('run wants a noun, then the flags of the daemon', { skip }, () => {
  assert.deepEqual(propose(['run', '']), ['ddns', 'traffic']);
  assert.deepEqual(propose(['run', 'ddns', '--s']), ['--state', '--show-config']);
});

test('files where a file is wanted, folders where a folder is, nothing where a host is', { skip }, (t) => {
  const folder = scratch(t);
  mkdirSync(path.join(folder, 'a dir'));
  writeFileSync(path.join(folder, 'a file'), '');
  assert.deepEqual(propose(['ddns', 'check', 'a'], folder).toSorted(), ['a dir', 'a file']);
  assert.deepEqual(propose(['up', '--state', 'a'], folder), ['a dir']);
  assert.deepEqual(propose(['up', '--state', '=', 'a'], folder), ['a dir']);
  assert.deepEqual(propose(['ddns', 'send', 'a'], folder), []);
  assert.deepEqual(propose(['ddns', 'send', '-n', '3', 'host', 'a'], folder).toSorted(), ['a dir', 'a file']);
});
