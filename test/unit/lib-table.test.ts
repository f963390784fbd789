// Tables for people: columns that stand below each other with and without colours.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import path from 'node:path';
import test from 'node:test';
import { stripVTControlCharacters, styleText } from 'node:util';
import { type Paint, table } from '../../lib/table.ts';

const plain: Paint = (_, text) => text;
const coloured: Paint = (format, text) => styleText(format, text, { validateStream: false });

const expected = `NAME       STATE  LAST
a          ok     now
long.name  bad
`;

test('columns are as wide as their widest cell, two blanks apart, with no blanks at line ends', () => {
  const rows = [
    ['a', 'ok', 'now'],
    ['long.name', 'bad', ''],
  ];
  assert.equal(table(['NAME', 'STATE', 'LAST'], rows, plain), expected);
});

test('a head that is wider than its cells sets the width, and a short row is filled', () => {
  assert.equal(table(['NAME', 'B'], [['a', 'b'], ['c']], plain), 'NAME  B\na     b\nc\n');
});

test('a table without rows is its head', () => {
  assert.equal(table(['NAME', 'STATE'], [], plain), 'NAME  STATE\n');
});

test('colours take no room: stripped of them the table is the plain one', () => {
  const rows = [
    [coloured('cyan', 'a'), coloured('green', 'ok'), 'now'],
    ['long.name', coloured(['bold', 'red'], 'bad'), ''],
  ];
  const text = table(['NAME', 'STATE', 'LAST'], rows, coloured);
  assert.equal(stripVTControlCharacters(text), expected);
  assert.ok(text.startsWith(coloured('bold', 'NAME       STATE  LAST')));
  assert.ok(text.includes(coloured('green', 'ok')));
});

const library = path.join(import.meta.dirname, '../../lib/table.ts');
const script = `import { paintFor } from '${library}'; process.stdout.write(paintFor(process.stdout)('red', 'x'));`;
const command = [process.execPath, '--no-warnings', '--input-type=module', '-e', script];
const environment = { PATH: process.env['PATH'] ?? '', TERM: 'xterm' };

test('a pipe gets plain text', () => {
  const [program = '', ...args] = command;
  assert.equal(execFileSync(program, args, { encoding: 'utf8', env: environment }), 'x');
});

test('a terminal gets colours unless NO_COLOR is set', (t) => {
  const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  const onTerminal = (env: Record<string, string>) =>
    spawnSync('script', ['-qec', quoted, '/dev/null'], {
      encoding: 'utf8',
      env: { ...environment, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const { error, stdout } = onTerminal({});
  if (error !== undefined) {
    t.skip('needs script(1) of util-linux');
    return;
  }
  assert.ok(stdout.includes('\x1b[31mx\x1b[39m'), JSON.stringify(stdout));
  assert.equal(stripVTControlCharacters(onTerminal({ NO_COLOR: '1' }).stdout).includes('x'), true);
  assert.ok(!onTerminal({ NO_COLOR: '1' }).stdout.includes('\x1b[31m'));
});
