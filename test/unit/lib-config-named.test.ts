// Sections with names, `[Kind NAME]`: any number of them, in their order, and each whole or not at all.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import fc from 'fast-check';
import { type Key, loadConfig, renderConfig } from '../../lib/config.ts';
import { scratch } from '../support/scratch.ts';

const digits = (text: string): number => {
  if (!/^\d+$/.test(text)) throw new Error('not a number');
  return Number(text);
};

const table = {
  plain: { section: 'Plain', key: 'Count', fallback: '7', parse: digits, help: 'A section without a name.' },
  size: { section: 'Room NAME', key: 'Size', fallback: '1', parse: digits, help: 'How large.' },
  label: { section: 'Room NAME', key: 'Label', fallback: 'none', parse: String, help: 'What it is called.' },
  door: { section: 'Door NAME', key: 'Width', fallback: '2', parse: digits, help: 'How wide.' },
} as const satisfies Record<string, Key<unknown>>;

function load(t: TestContext, ...texts: string[]) {
  const folder = scratch(t);
  const files = texts.map((text, index) => {
    const file = path.join(folder, `${index}.conf`);
    writeFileSync(file, text);
    return file;
  });
  const loaded = loadConfig(table, files);
  const { size, label, door } = loaded.values;
  return {
    ...loaded,
    rooms: [...size].map(([name, value]) => [name, value, label.get(name)]),
    doors: [...door],
    problems: loaded.problems.map(({ place, message }) => `${place.slice(folder.length + 1)}: ${message}`),
  };
}

test('without sections there are no names, and that is no problem', () => {
  const { values, problems, named } = loadConfig(table, []);
  assert.deepEqual(values, { plain: 7, size: new Map(), label: new Map(), door: new Map() });
  assert.deepEqual([problems, named.size], [[], 0]);
});

test('every named section has its own values, and the defaults for the rest', (t) => {
  const { rooms, doors, values, problems } = load(
    t,
    '[Room hall]\nSize=5\nLabel=the hall\n[Room cellar]\nSize=3\n[Door hall]\nWidth=9\n[Plain]\nCount=8\n',
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(rooms, [
    ['hall', 5, 'the hall'],
    ['cellar', 3, 'none'],
  ]);
  assert.deepEqual(doors, [['hall', 9]]);
  assert.equal(values.plain, 8);
});

test('the order is that of the first mention, over all files, whatever the names', (t) => {
  const { rooms } = load(
    t,
    '[Room z]\nSize=1\n[Room 10]\nSize=2\n[Room 9]\nSize=3\n',
    '[Room a]\nSize=4\n[Room z]\nSize=5\n[Room __proto__]\nSize=6\n',
  );
  assert.deepEqual(
    rooms.map(([name, size]) => `${name ?? ''} ${size ?? ''}`),
    ['z 5', '10 2', '9 3', 'a 4', '__proto__ 6'],
  );
});

test('a section that comes twice is one, and the later assignment holds, key by key', (t) => {
  const { rooms, problems } = load(
    t,
    '[Room hall]\nSize=5\nLabel=a\n[Room hall]\nSize=6\n',
    '[Room hall]\nLabel=b\n',
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(rooms, [['hall', 6, 'b']]);
});

test('an empty assignment goes back to the default and keeps the section', (t) => {
  const { rooms, problems } = load(t, '[Room hall]\nSize=5\n', '[Room hall]\nSize=\n');
  assert.deepEqual(problems, []);
  assert.deepEqual(rooms, [['hall', 1, 'none']]);
});

test('a section with a bad value is left out as a whole, with file and line, and the others hold', (t) => {
  const { rooms, problems, named } = load(
    t,
    '[Room a]\nSize=2\n',
    '[Room b]\nLabel=x\nSize=many\n[Room c]\nSize=3\n',
  );
  assert.deepEqual(problems, ['1.conf:3: Size=many: not a number; [Room b] is left out']);
  assert.deepEqual(
    rooms.map(([name]) => name),
    ['a', 'c'],
  );
  assert.deepEqual([...(named.get('Room NAME')?.keys() ?? [])], ['a', 'c']);
});

test('a section with an unknown key is left out as well, and so is one of the same name in another file', (t) => {
  const { rooms, problems } = load(t, '[Room a]\nSize=2\nSzie=3\n[Room b]\nSize=1\n', '[Room a]\nSize=4\n');
  assert.deepEqual(problems, ['0.conf:3: unknown key Szie= in [Room a]; [Room a] is left out']);
  assert.deepEqual(rooms, [['b', 1, 'none']]);
});

test('a drop-in with a bad value takes the section with it that the main file had', (t) => {
  const { rooms } = load(t, '[Room a]\nSize=2\n[Room b]\nSize=3\n', '[Room a]\nSize=x\n');
  assert.deepEqual(rooms, [['b', 3, 'none']]);
});

test('a good value after the bad one does not bring the section back', (t) => {
  const { rooms, problems } = load(t, '[Room a]\nSize=x\nSize=2\n');
  assert.deepEqual([rooms, problems.length], [[], 1]);
});

test('a section of another kind with the same name is not touched', (t) => {
  const { rooms, doors } = load(t, '[Room a]\nSize=x\n[Door a]\nWidth=4\n');
  assert.deepEqual([rooms, doors], [[], [['a', 4]]]);
});

test('a bad name, no name, and an unknown kind are unknown sections', (t) => {
  const { rooms, problems } = load(
    t,
    `[Room]\nSize=1\n[Room a b]\nSize=2\n[Room a/b]\nSize=3\n[Room ${'x'.repeat(65)}]\nSize=4\n[Hut a]\nSize=5\n` +
      '[Plain a]\nCount=6\n',
  );
  assert.deepEqual(rooms, []);
  assert.deepEqual(problems, [
    '0.conf:2: unknown section [Room], Size= ignored',
    '0.conf:4: unknown section [Room a b], Size= ignored',
    '0.conf:6: unknown section [Room a/b], Size= ignored',
    `0.conf:8: unknown section [Room ${'x'.repeat(65)}], Size= ignored`,
    '0.conf:10: unknown section [Hut a], Size= ignored',
    '0.conf:12: unknown section [Plain a], Count= ignored',
  ]);
});

test('the word NAME itself names no section', (t) => {
  const { rooms, problems } = load(t, '[Room NAME]\nSize=5\n');
  assert.deepEqual(rooms, []);
  assert.equal(problems.length, 1);
  assert.match(problems[0] ?? '', /^0\.conf:2: .*\[Room NAME\]/);
});

test('the effective configuration names every section with all of its keys', (t) => {
  const { texts, named } = load(
    t,
    '[Room b]\nSize=5\n[Door x]\nWidth=3\n[Room a]\nLabel=l\n[Plain]\nCount=9\n',
  );
  assert.equal(
    renderConfig(table, texts, named),
    '[Plain]\nCount=9\n\n[Room b]\nSize=5\nLabel=none\n\n[Room a]\nSize=1\nLabel=l\n\n[Door x]\nWidth=3\n',
  );
});

test('whatever was loaded reads back from how it is printed, in the same order', (t) => {
  const name = fc.oneof(
    fc.constantFrom('a', 'b', '10', '9', 'constructor', '__proto__'),
    fc.stringMatching(/^[\w.-]{1,8}$/),
  );
  const value = fc.oneof(
    fc.constantFrom('1', '22', '', 'bad', '[x]', '#c', '='),
    fc.stringMatching(/^[ -[\]-~]{0,10}$/),
  );
  const entry = fc.tuple(fc.constantFrom('Room Size', 'Room Label', 'Door Width', 'Room Odd'), name, value);
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 8 }), (entries) => {
      const body = entries.map(([what, of, text]) => {
        const [kind = '', key = ''] = what.split(' ');
        return `[${kind} ${of}]\n${key}=${text}\n`;
      });
      const first = load(t, body.join(''));
      const second = load(t, renderConfig(table, first.texts, first.named));
      assert.deepEqual(second.problems, []);
      assert.deepEqual(second.rooms, first.rooms);
      assert.deepEqual(second.doors, first.doors);
    }),
    { numRuns: 200 },
  );
});
