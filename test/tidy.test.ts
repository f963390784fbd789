// The house rules, executed. Each is one test; a rule that has to bend is changed here, with its reason, and nowhere
// else.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { Command } from 'commander';
import { createProgram } from '../daemons/lares/commandline.ts';
import { renderSample, type Table } from '../lib/config.ts';
import { helpFor } from '../lib/flags.ts';
import { commonMessages, type Message } from '../lib/messages.ts';
import { version } from '../lib/version.ts';
import { renderCompletion } from '../scripts/completion.ts';
import { withKeys } from '../scripts/keys.ts';
import { renderPage } from '../scripts/roff.ts';

const root = path.join(import.meta.dirname, '..');
const lineChars = 120;
const fileLines = 400;
const mainLines = 60;

const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\0')
  .filter((file) => file !== '' && existsSync(path.join(root, file)));
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const typescript = files.filter((file) => file.endsWith('.ts'));
const shipped = typescript.filter((file) => /^(lib|daemons)\//.test(file));
const nouns = readdirSync(path.join(root, 'daemons')).filter((name) =>
  statSync(path.join(root, 'daemons', name)).isDirectory(),
);
const daemons = nouns.filter((noun) => noun !== 'lares');

/** Lines of `among` that match, as file:line. Comments count too, for they should not speak of it either. */
function lines(among: string[], pattern: RegExp, except: string[] = []): string[] {
  return among
    .filter((file) => !except.includes(file))
    .flatMap((file) =>
      read(file)
        .split('\n')
        .flatMap((line, index) => (pattern.test(line) ? [`${file}:${index + 1}`] : [])),
    );
}

test('the top level is the one that was designed', () => {
  const known =
    'package.json package-lock.json tsconfig.json biome.json eslint.config.js Makefile README.md CHANGELOG.md ' +
    'CONTRIBUTING.md LICENSE .gitignore .ci daemons lib units test docs scripts';
  const found = [...new Set(files.map((file) => file.split('/')[0] ?? ''))];
  assert.deepEqual(
    found.filter((name) => !known.split(' ').includes(name)),
    [],
  );
});

test('no line is longer than 120 characters, no file than 400 lines, no main than 60', () => {
  const sources = files.filter((file) => /\.(ts|js|sh|md)$|Makefile$|^\.ci\//.test(file));
  const tables = (line: string): boolean => line.startsWith('|');
  const long = sources.flatMap((file) =>
    read(file)
      .split('\n')
      .flatMap((line, index) => (line.length > lineChars && !tables(line) ? [`${file}:${index + 1}`] : [])),
  );
  assert.deepEqual(long, []);
  assert.deepEqual(
    typescript.filter((file) => read(file).split('\n').length > fileLines),
    [],
  );
  assert.deepEqual(
    nouns.filter(
      (noun) => noun !== 'lares' && read(`daemons/${noun}/main.ts`).split('\n').length > mainLines,
    ),
    [],
  );
});

test('every source file opens with a paragraph that says what it is', () => {
  const bare = files.filter((file) => /\.(ts|js)$/.test(file)).filter((file) => !/^\/\/ \S/.test(read(file)));
  assert.deepEqual(bare, []);
});

test('every folder of sources has a README', () => {
  const folders = [...new Set(typescript.map((file) => path.dirname(file)))];
  // A folder inside a daemon's or a library's is explained there.
  const explained = (folder: string): boolean =>
    existsSync(path.join(root, folder, 'README.md')) ||
    (folder.includes('/') && explained(path.dirname(folder)));
  assert.deepEqual(
    folders.filter((folder) => !explained(folder)),
    [],
  );
  for (const noun of daemons) assert.ok(existsSync(path.join(root, 'daemons', noun, 'README.md')), noun);
});

test('only daemon.ts ends the process or reads the environment, and nothing uses the console', () => {
  assert.deepEqual(lines(shipped, /\bconsole\.\w/), []);
  assert.deepEqual(lines(shipped, /\bprocess\.exit\(/, ['lib/daemon.ts']), []);
  // The lares command is a program of its own: it hands its environment to the daemon that takes its place.
  const programs = ['lib/daemon.ts', 'daemons/lares/main.ts', 'daemons/lares/program.ts'];
  assert.deepEqual(lines(shipped, /\bprocess\.env\b/, programs), []);
});

test('time enters through lib/clock.ts alone', () => {
  const pattern = /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(/;
  assert.deepEqual(lines(shipped, pattern, ['lib/clock.ts']), []);
});

test('no dynamic import or createRequire goes round the walls', () => {
  assert.deepEqual(
    lines(shipped, /\bimport\(|createRequire|process\.(binding|dlopen)/, [
      'daemons/lares/daemons.ts',
      // Loads its addon only where a service manager listens.
      'lib/sys/notify.ts',
    ]),
    [],
  );
  assert.deepEqual(
    lines(
      shipped.filter((file) => !file.startsWith('lib/sys/')),
      /from 'koffi'/,
    ),
    [],
  );
});

test('no check is switched off', () => {
  const off =
    /eslint-disable|@ts-(ignore|expect-error|nocheck)|biome-ignore|\btest\.only\(|\bonly: true|\bas any[;,)]/;
  assert.deepEqual(lines(typescript, off, ['test/tidy.test.ts']), []);
});

test('every error code is documented, and every documented code exists', () => {
  const inSource = new Set(
    shipped.flatMap((file) => [...read(file).matchAll(/'(E_[A-Z_]+)'/g)].map(([, code]) => code ?? '')),
  );
  const inDocs = new Set(
    [...read('docs/errors.md').matchAll(/^\| `(E_[A-Z_]+)`/gm)].map(([, code]) => code ?? ''),
  );
  assert.deepEqual([...inSource].sort(), [...inDocs].sort());
});

async function messageIds(noun?: string): Promise<string[]> {
  if (noun === undefined) return Object.values(commonMessages).map(({ id }) => id);
  const { messages } = (await import(`../daemons/${noun}/messages.ts`)) as {
    messages: Record<string, Message>;
  };
  return Object.values(messages).map(({ id }) => id);
}

test('every message has an id of its own', async () => {
  const ids = (await Promise.all([undefined, ...daemons].map(messageIds))).flat();
  assert.deepEqual(
    ids.filter((id) => !/^[0-9a-f]{32}$/.test(id)),
    [],
  );
  assert.equal(new Set(ids).size, ids.length);
});

test('the catalogue and the man page explain every message, and no other', async () => {
  const catalogue = read('units/catalog/lares.catalog');
  const known = (await Promise.all([undefined, ...daemons].map(messageIds))).flat();
  const explained = [...catalogue.matchAll(/^-- (.*)$/gm)].map(([, id = '']) => id);
  assert.deepEqual(explained.toSorted(), known.toSorted());
  // Head, blank line, what happened, blank line, what to do.
  const entry = /^ \w{32}\nSubject: .+\nDefined-By: Lares\nDocumentation: man:\S+\n\n(.+\n)+\n(.+\n)+\n?$/;
  const entries = catalogue.split(/^--/m).slice(1);
  assert.deepEqual(
    entries.filter((one) => !entry.test(one)),
    [],
  );
  const common = await messageIds();
  for (const noun of daemons) {
    const page = read(`docs/man/lares-${noun}.service.8.md`);
    const named = [...page.matchAll(/^\* `([0-9a-f]{32})`:$/gm)].map(([, id = '']) => id);
    assert.deepEqual(named.toSorted(), [...common, ...(await messageIds(noun))].toSorted(), noun);
  }
});

test('every man page can be rendered, and the keys of conf(5) are those of the table', async () => {
  const pages = files.filter((file) => /^docs\/man\/.+\.\d\.md$/.test(file));
  for (const noun of daemons) {
    const { config } = (await import(`../daemons/${noun}/config.ts`)) as { config: Table };
    const page = `docs/man/${noun}.conf.5.md`;
    assert.equal(read(page), withKeys(read(page), config), 'run: node scripts/samples.ts');
    assert.ok(pages.includes(page) && pages.includes(`docs/man/lares-${noun}.service.8.md`), noun);
  }
  for (const file of pages) {
    const { name, section } = renderPage(read(file), { version, manual: 'Lares' });
    assert.equal(`docs/man/${name}.${section}.md`, file);
  }
});

test('the sample configuration of every daemon is the one that its table writes', async () => {
  for (const noun of daemons) {
    const { config } = (await import(`../daemons/${noun}/config.ts`)) as {
      config: Parameters<typeof renderSample>[0];
    };
    assert.equal(read(`units/conf/${noun}.conf`), renderSample(config, noun), `run: node scripts/samples.ts`);
  }
});

test('the man page and the completion know every command and option', async () => {
  assert.equal(read('units/completion/lares'), await renderCompletion(), 'run: node scripts/completion.ts');
  const none = (): void => undefined;
  const io = { out: none, err: none, exit: none, stdout: process.stdout };
  const page = read('docs/man/lares.1.md');
  const walk = (command: Command, words: string[]): void => {
    const entry =
      words.length === 1 ? page : page.split(`\n* \`${words.slice(1).join(' ')}\``)[1]?.split(/\n[#*] /)[0];
    if (command.commands.length === 0) assert.ok(entry !== undefined, words.join(' '));
    for (const { short, long } of command.options)
      for (const flag of [short, long])
        if (flag !== undefined && command.commands.length === 0)
          assert.ok(entry?.includes(`\`${flag}\``), `${words.join(' ')} ${flag}`);
    for (const one of command.commands) walk(one, [...words, one.name()]);
  };
  walk(await createProgram(io, {}), ['lares']);
  const flags = [...helpFor({ name: '', summary: '' }).matchAll(/^ {2}(--[a-z-]+)/gm)].map(
    ([, flag = '']) => flag,
  );
  for (const flag of flags)
    assert.match(read('units/completion/lares'), new RegExp(`'lares run'.*${flag}\\b`));
});

test('a daemon that is named in one place is named in all', () => {
  const table = read('daemons/lares/daemons.ts');
  for (const noun of daemons) {
    for (const file of ['main.ts', 'config.ts', 'commands.ts', 'messages.ts', 'README.md', 'core']) {
      assert.ok(existsSync(path.join(root, 'daemons', noun, file)), `daemons/${noun}/${file}`);
    }
    assert.ok(table.includes(`../${noun}/commands.ts`), `${noun} in daemons/lares/daemons.ts`);
    assert.match(read(`daemons/${noun}/main.ts`), new RegExp(`name: '${noun}'`));
    assert.match(read('README.md'), new RegExp(`\`${noun}\``));
  }
});

test('one version everywhere', () => {
  const { version: inPackage } = JSON.parse(read('package.json')) as { version: string };
  assert.equal(version, inPackage);
  assert.match(read('CHANGELOG.md'), new RegExp(`^## ${version.replaceAll('.', '\\.')}\\b`, 'm'));
});

test('every dependency has its line of reason', () => {
  const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string>>;
  const names = ['dependencies', 'optionalDependencies', 'devDependencies'].flatMap((kind) =>
    Object.keys(manifest[kind] ?? {}),
  );
  const decisions = read('docs/decisions/0002-dependencies.md');
  assert.deepEqual(
    names.filter((name) => !decisions.includes(`\`${name}\``)),
    [],
  );
  const inexact = ['dependencies', 'optionalDependencies', 'devDependencies'].flatMap((kind) =>
    Object.values(manifest[kind] ?? {}),
  );
  assert.deepEqual(
    inexact.filter((range) => !/^\d+\.\d+\.\d+$/.test(range)),
    [],
    'exact versions only',
  );
});

test('links between documents lead somewhere', () => {
  const dead = files
    .filter((file) => file.endsWith('.md'))
    .flatMap((file) =>
      [...read(file).matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)]
        .map(([, target = '']) => path.join(path.dirname(file), target))
        .filter((target) => !existsSync(path.join(root, target)))
        .map((target) => `${file}: ${target}`),
    );
  assert.deepEqual(dead, []);
});
