// Markdown to roff: what a reader of man(1) sees, as groff itself renders it where there is one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { renderPage } from '../../scripts/roff.ts';

const about = { version: '1', manual: 'M' };
const bodyOf = (markdown: string): string =>
  renderPage(`# x(1) -- y\n\n${markdown}`, about).roff.replace(/^[\s\S]*\.SH NAME\nx \\- y\n/, '');

test('an item whose line ends with a colon is a tagged paragraph, others are bullets', () => {
  assert.equal(
    bodyOf('* `-n` *N*:\n  Text.\n\n  More.\n'),
    '.TP\n\\fB\\-n\\fR \\fIN\\fR\nText.\n.IP\nMore.\n',
  );
  assert.equal(bodyOf('* one: two\n'), '.IP \\(bu 3\none: two\n');
});

test('an inner list and an example are indented below their item', () => {
  assert.equal(
    bodyOf('* `a`:\n  Text.\n\n  * `b`:\n    Inner.\n'),
    '.TP\n\\fBa\\fR\nText.\n.RS\n.TP\n\\fBb\\fR\nInner.\n.RE\n',
  );
});

test('no text becomes a request or a typographic mark', () => {
  assert.equal(
    bodyOf("    .so x\n    'a\\b-c ~^`\n"),
    '.RS 4\n.nf\n\\&.so x\n\\(aqa\\eb\\-c \\(ti\\(ha\\(ga\n.fi\n.RE\n',
  );
});

test('what a page cannot hold is an error, not a gap', () => {
  assert.throws(() => bodyOf('> quoted\n'), /cannot hold/);
  assert.throws(() => renderPage('# x\n', about), /first line/);
});

test('groff and mandoc find nothing wrong with the pages', (t) => {
  const root = path.join(import.meta.dirname, '../..');
  const tools = [
    ['groff', '-ww', '-t', '-man', '-Tutf8', '-Z', '-K', 'utf8'],
    ['mandoc', '-Tlint', '-Wwarning'],
  ];
  const present = tools.filter(([tool = '']) => spawnSync(tool, ['-v']).error === undefined);
  if (present.length === 0) {
    t.skip('needs groff or mandoc');
    return;
  }
  for (const file of globSync('docs/man/*.?.md', { cwd: root })) {
    const { roff } = renderPage(readFileSync(path.join(root, file), 'utf8'), about);
    for (const [tool = '', ...args] of present) {
      const { stdout, stderr } = spawnSync(tool, args, { input: roff, encoding: 'utf8' });
      const said = (tool === 'mandoc' ? stdout : stderr)
        .split('\n')
        .filter((line) => !line.includes('missing date'));
      assert.deepEqual(
        said.filter((line) => line !== ''),
        [],
        `${tool} ${file}`,
      );
    }
  }
});
