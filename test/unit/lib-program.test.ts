// The publish step with programs that behave badly: it always ends, and what it prints stays bounded.
import assert from 'node:assert/strict';
import { chmodSync, closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Outcome, runProgram } from '../../lib/program.ts';
import { scratch } from '../support/scratch.ts';

async function run(t: TestContext, argv: string[]): Promise<Outcome & { lines: string[]; folder: string }> {
  const folder = scratch(t);
  const lines: string[] = [];
  const environment = { PATH: process.env['PATH'] ?? '', MARK: 'yes' };
  const result = await runProgram({
    argv,
    folder,
    environment,
    output: (line) => lines.push(line),
  });
  return { ...result, lines, folder };
}
const shell = (script: string): string[] => ['/bin/sh', '-c', script];

test('it runs in its folder, with its environment and nothing to read, and its lines are told', async (t) => {
  const { ok, outcome, lines, folder } = await run(t, shell('pwd >where; cat; echo $MARK; printf last >&2'));
  assert.deepEqual([ok, outcome], [true, 'exit status 0']);
  assert.deepEqual(lines.sort(), ['last', 'yes']);
  assert.equal(readFileSync(path.join(folder, 'where'), 'utf8').trim(), folder);
});

test('a failure, a signal and an absent program are told apart', async (t) => {
  assert.equal((await run(t, shell('exit 3'))).outcome, 'exit status 3');
  assert.equal((await run(t, shell('kill -9 $$'))).outcome, 'killed by SIGKILL');
  assert.match((await run(t, ['/no/such/program'])).outcome, /cannot start .*ENOENT/);
});

test('a program whose start throws in Node is a failure as any other', async (t) => {
  assert.match((await run(t, ['/bin/true/x'])).outcome, /cannot start .*ENOTDIR/);
  const busy = path.join(scratch(t), 'busy');
  writeFileSync(busy, readFileSync('/bin/true'));
  chmodSync(busy, 0o755);
  const fd = openSync(busy, 'r+');
  t.after(() => closeSync(fd));
  assert.match((await run(t, [busy])).outcome, /cannot start .*ETXTBSY/);
});

test('a child that it leaves behind with its pipes holds nothing up', async (t) => {
  const { ok, lines, folder } = await run(t, shell('setsid sleep 300 & echo $! >pid; echo done'));
  process.kill(Number(readFileSync(path.join(folder, 'pid'), 'utf8')), 'SIGKILL');
  assert.deepEqual([ok, lines], [true, ['done']]);
});

test('an endless line and endless lines are cut, and the rest is read and forgotten', async (t) => {
  const before = process.memoryUsage().rss;
  const { ok, lines } = await run(t, shell('head -c 300000000 /dev/zero; echo; seq 1 100000'));
  assert.ok(ok);
  assert.equal(lines.length, 100);
  assert.ok(lines.every((line) => line.length <= 1_024));
  assert.ok(process.memoryUsage().rss - before < 150_000_000, 'memory follows the output');
});
