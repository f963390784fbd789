// Configuration as one table of keys: which files count, what a bad line does, and that what is printed reads back.
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import fc from 'fast-check';
import {
  configFiles,
  configFolders,
  type Key,
  loadConfig,
  renderConfig,
  renderSample,
} from '../../lib/config.ts';
import { parseSpan } from '../../lib/span.ts';
import { scratch } from '../support/scratch.ts';

const count = (text: string): number => {
  if (!/^\d{1,3}$/.test(text)) throw new Error('not a number up to 999');
  return Number(text);
};

const table = {
  target: {
    section: 'First',
    key: 'Target',
    fallback: '',
    required: true,
    parse: String,
    help: 'What it is about. There is no default.',
  },
  count: {
    section: 'First',
    key: 'Count',
    fallback: '7',
    parse: count,
    help: `How many. This help ${'is long enough '.repeat(12)}that it goes on in more lines of the sample.`,
  },
  periodMs: { section: 'Second', key: 'Period', fallback: '10min', parse: parseSpan, help: 'How often.' },
} as const satisfies Record<string, Key<unknown>>;

const defaults = { target: '', count: 7, periodMs: 600_000 };

function write(folder: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}

/** Three folders, lowest first, with `files` below them; and what `configFiles` says, relative to their parent. */
function folders(t: TestContext, files: Record<string, string>): { parent: string; found: () => string[] } {
  const parent = scratch(t);
  write(parent, files);
  const all = ['low', 'middle', 'high'].map((name) => path.join(parent, name));
  return { parent, found: () => configFiles('x', all).map((file) => path.relative(parent, file)) };
}

function load(t: TestContext, ...texts: string[]) {
  const folder = scratch(t);
  const files = texts.map((text, index) => {
    write(folder, { [`${index}.conf`]: text });
    return path.join(folder, `${index}.conf`);
  });
  const loaded = loadConfig(table, files);
  const problems = loaded.problems.map(
    ({ place, message }) => `${place.slice(folder.length + 1)}: ${message}`,
  );
  return { ...loaded, problems };
}

test('the folders are those of systemd, /etc highest', () => {
  assert.deepEqual(configFolders, ['/usr/lib/lares', '/usr/local/lib/lares', '/run/lares', '/etc/lares']);
});

test('no folder and no file is no configuration, and no error', (t) => {
  assert.deepEqual(folders(t, {}).found(), []);
});

test('there is one main file: the one in the highest folder', (t) => {
  const { found } = folders(t, { 'low/x.conf': '', 'middle/x.conf': '', 'high/y.conf': '' });
  assert.deepEqual(found(), ['middle/x.conf']);
});

test('drop-ins of all folders merge after the main file, sorted by name alone', (t) => {
  const { found } = folders(t, {
    'high/x.conf': '',
    'high/x.conf.d/10-a.conf': '',
    'middle/x.conf.d/05-b.conf': '',
    'low/x.conf.d/20-c.conf': '',
    'low/x.conf.d/00-d.conf': '',
  });
  assert.deepEqual(found(), [
    'high/x.conf',
    'low/x.conf.d/00-d.conf',
    'middle/x.conf.d/05-b.conf',
    'high/x.conf.d/10-a.conf',
    'low/x.conf.d/20-c.conf',
  ]);
});

test('drop-ins count without a main file', (t) => {
  assert.deepEqual(folders(t, { 'low/x.conf.d/a.conf': '' }).found(), ['low/x.conf.d/a.conf']);
});

test('a drop-in hides one of the same name in a lower folder and keeps its place', (t) => {
  const { found } = folders(t, {
    'low/x.conf.d/10-a.conf': '',
    'low/x.conf.d/20-b.conf': '',
    'high/x.conf.d/10-a.conf': '',
    'middle/x.conf.d/10-a.conf': '',
  });
  assert.deepEqual(found(), ['high/x.conf.d/10-a.conf', 'low/x.conf.d/20-b.conf']);
});

test('files that do not end in .conf, and hidden ones, are no drop-ins', (t) => {
  const { found } = folders(t, {
    'low/x.conf.d/a.conf~': '',
    'low/x.conf.d/.b.conf': '',
    'low/x.conf.d/README': '',
    'low/x.conf.d/c.conf.dpkg-old': '',
  });
  assert.deepEqual(found(), []);
});

test('a symlink to /dev/null masks what is below it: drop-in and main file', (t) => {
  const { parent, found } = folders(t, {
    'low/x.conf': '[First]\nTarget=low\n',
    'low/x.conf.d/a.conf': '[First]\nCount=1\n',
    'high/x.conf.d/b.conf': '[Second]\nPeriod=1s\n',
  });
  symlinkSync('/dev/null', path.join(parent, 'high/x.conf'));
  symlinkSync('/dev/null', path.join(parent, 'high/x.conf.d/a.conf'));
  const { values, problems } = loadConfig(
    table,
    found().map((file) => path.join(parent, file)),
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(values, { ...defaults, periodMs: 1_000 });
});

test('without files all defaults hold and the required key is missing', () => {
  const { values, problems, missing } = loadConfig(table, []);
  assert.deepEqual(values, defaults);
  assert.deepEqual(problems, []);
  assert.deepEqual(missing, ['Target= in [First]']);
});

test('a later file overrides key by key', (t) => {
  const { values, problems, missing } = load(
    t,
    '[First]\nTarget=a\nCount=1\n[Second]\nPeriod=1s\n',
    '[First]\nCount=2\n',
  );
  assert.deepEqual(values, { target: 'a', count: 2, periodMs: 1_000 });
  assert.deepEqual(problems, []);
  assert.deepEqual(missing, []);
});

test('an unknown key and an unknown section are problems with file and line, and the rest holds', (t) => {
  const { values, problems } = load(
    t,
    '[First]\nTarget=a\n',
    '[First]\nCuont=2\n[Thrid]\nCount=3\n[Second]\nCount=4\n',
  );
  assert.deepEqual(values, { ...defaults, target: 'a' });
  assert.deepEqual(problems, [
    '1.conf:2: unknown key Cuont= in [First], ignored',
    '1.conf:4: unknown section [Thrid], Count= ignored',
    '1.conf:6: unknown key Count= in [Second], ignored',
  ]);
});

test('a key of the wrong case is unknown, as in systemd', (t) => {
  assert.deepEqual(load(t, '[First]\ntarget=a\n').problems, [
    '0.conf:2: unknown key target= in [First], ignored',
  ]);
});

test('a bad value is a problem with file, line, reason and default, and the default stands', (t) => {
  const { values, texts, problems } = load(t, '[First]\nTarget=a\nCount=3\n', '\n[First]\nCount=many\n');
  assert.equal(values.count, 7);
  assert.equal(texts.count, '7');
  assert.deepEqual(problems, ['1.conf:3: Count=many: not a number up to 999; using the default, Count=7']);
});

test('a good value after a bad one holds', (t) => {
  assert.equal(load(t, '[First]\nCount=many\nCount=5\n').values.count, 5);
});

test('an empty assignment goes back to the default', (t) => {
  const { values, problems, missing } = load(t, '[First]\nTarget=a\nCount=3\n', '[First]\nCount=\nTarget=\n');
  assert.deepEqual(values, defaults);
  assert.deepEqual(problems, []);
  assert.deepEqual(missing, ['Target= in [First]']);
});

test('a broken line is a problem with file and line', (t) => {
  const { problems } = load(t, '[First]\nTarget=a\nCount 3\n');
  assert.equal(problems.length, 1);
  assert.match(problems[0] ?? '', /^0\.conf:3: 'Count 3' is not an assignment/);
});

test('a file that cannot be read, and one that is too large, are problems that name the file', (t) => {
  const folder = scratch(t);
  write(folder, { 'large.conf': `[First]\nTarget=a\n#${'x'.repeat(1_048_576)}\n` });
  const names = ['absent.conf', 'large.conf', '.'].map((name) => path.join(folder, name));
  const { values, problems } = loadConfig(table, names);
  assert.deepEqual(values, defaults);
  assert.deepEqual(
    problems.map(({ place }) => place),
    names,
  );
  assert.match(problems[0]?.message ?? '', /^cannot be read, ignored: ENOENT/);
  assert.match(problems[1]?.message ?? '', /^larger than 1048576 bytes, ignored$/);
  assert.match(problems[2]?.message ?? '', /^not a regular file, ignored/);
});

test('names of object members are keys like any other', (t) => {
  const { problems } = load(t, '[First]\n__proto__=1\nconstructor=2\n[toString]\nvalueOf=3\n');
  assert.equal(problems.length, 3);
});

/** Renders the texts of `loaded`, and reads that back. */
function again(t: TestContext, texts: Record<string, string>) {
  return load(t, renderConfig(table, texts));
}

test('the effective configuration names every key in its section', (t) => {
  const { texts } = load(t, '[Second]\nPeriod=5 s\n[First]\nTarget=a b\n');
  assert.equal(renderConfig(table, texts), '[First]\nTarget=a b\nCount=7\n\n[Second]\nPeriod=5 s\n');
});

test('whatever was loaded reads back from how it is printed', (t) => {
  const value = fc.oneof(
    fc.stringMatching(/^[ -~]{0,20}$/),
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.constantFrom('3', '1h 5s', '[x]', '#c', ';c', '=', '""'),
  );
  const line = fc.tuple(fc.constantFrom('Target', 'Count', 'Period'), value);
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), (lines) => {
      const body = lines.map(([key, text]) => `[${key === 'Period' ? 'Second' : 'First'}]\n${key}=${text}\n`);
      const first = load(t, body.join(''));
      // A test of its own below.
      fc.pre(!Object.values(first.texts).some((text) => text.endsWith('\\')));
      const second = again(t, first.texts);
      assert.deepEqual(second.texts, first.texts);
      assert.deepEqual(second.values, first.values);
      assert.deepEqual(second.problems, []);
      assert.deepEqual(second.missing, first.missing);
    }),
    { numRuns: 300 },
  );
});

test('a value that ends with a backslash reads back from how it is printed', (t) => {
  const first = load(t, '[First]\nTarget=a\\ \\\n\nCount=5\n');
  const second = again(t, first.texts);
  assert.deepEqual(second.texts, first.texts);
});

test('the sample as it stands changes nothing and has no problem', (t) => {
  const { values, problems, missing } = load(t, renderSample(table, 'x'));
  assert.deepEqual(values, defaults);
  assert.deepEqual(problems, []);
  assert.deepEqual(missing, ['Target= in [First]']);
});

test('the sample with its keys uncommented sets every key to its default', (t) => {
  const sample = renderSample(table, 'x').replace(/^#(?=\w+=)/gm, '');
  const assigned = sample.split('\n').filter((line) => /^\w+=/.test(line));
  assert.deepEqual(assigned, ['Target=', 'Count=7', 'Period=10min']);
  const { values, problems } = load(t, sample);
  assert.deepEqual(values, defaults);
  assert.deepEqual(problems, []);
});

test('every line of the sample is a comment, a header or blank, short, and no word of a help is lost', () => {
  const sample = renderSample(table, 'x');
  for (const line of sample.split('\n')) {
    assert.match(line, /^($|#|\[\w+\]$)/);
    assert.ok(line.length <= 100, line);
  }
  const words = sample.replace(/^# /gm, '').split(/\s+/).join(' ');
  for (const { help } of Object.values(table)) assert.ok(words.includes(help), help);
});

test('a help with a word longer than a line stays a comment', () => {
  const help = `See ${'x'.repeat(120)} for more.`;
  const sample = renderSample({ one: { ...table.count, help } }, 'x');
  for (const line of sample.split('\n')) assert.match(line, /^($|#|\[\w+\]$)/);
});
