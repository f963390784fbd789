// Goal: what a reader of one unit learns holds for all of them, and what is installed is what the table says.
import assert from 'node:assert/strict';
import { existsSync, globSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fastFlags, leanFlags } from '../../daemons/lares/program.ts';
import { installTable, ownFolders, root } from '../../scripts/table.ts';
import { unitsOf, valuesOf } from '../support/units.ts';

const units = unitsOf(root);
const services = [...units].filter(([name]) => name.endsWith('.service'));
const nouns = readdirSync(path.join(root, 'daemons'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== 'lares')
  .map(({ name }) => name);
const table = installTable({ prefix: '/usr' });
const targets = table.map(({ target }) => target);

test('the install table names every file below units/, each file once, and nothing that is not there', () => {
  const known = new Set(table.map(({ from }) => from));
  const present = globSync('units/**/*', { cwd: root }).filter((file) =>
    statSync(path.join(root, file)).isFile(),
  );
  const ours = ['units/README.md', 'units/manifest.json'];
  assert.deepEqual(
    present.filter((file) => !known.has(file) && !ours.includes(file)),
    [],
  );
  assert.equal(new Set(targets).size, table.length);
  // What is built is looked for when it is installed.
  const absent = [...known].filter((from) => !from.startsWith('dist/') && !existsSync(path.join(root, from)));
  assert.deepEqual(absent, []);
});

test('every service carries the same sandbox in the same order, and says why it differs', () => {
  const blocks = services.map(([, text]) => /\n# Sandbox:.*?(?=\n# Deviations:|\n$)/s.exec(text)?.[0] ?? '');
  const [first = ''] = blocks;
  assert.match(first, /^NoNewPrivileges=yes$/m);
  for (const block of blocks) assert.equal(block, first);
  for (const [name, text] of services) {
    const deviations = /\n# Deviations:\n(.*)$/s.exec(text)?.[1] ?? '';
    if (deviations !== '') assert.match(deviations, /^# \S/, `${name}: a deviation begins with its reason`);
  }
});

test('every unit leads to its page, belongs to the target, and says who it is', () => {
  for (const [name, text] of units) {
    const pages = valuesOf(text, 'Documentation').flatMap((value) => value.split(' '));
    assert.notEqual(pages.length, 0, name);
    for (const page of pages) {
      const [, title = '', section = ''] = /^man:([\w.-]+)\((\d)\)$/.exec(page) ?? [];
      assert.ok(targets.includes(`/usr/share/man/man${section}/${title}.${section}.gz`), `${name}: ${page}`);
    }
    if (name !== 'lares.target') assert.match(valuesOf(text, 'PartOf').join(' '), /\blares\.target\b/, name);
  }
  for (const [name, text] of services)
    assert.deepEqual(valuesOf(text, 'SyslogIdentifier'), [path.basename(name, '.service')]);
});

test('one noun names the folder, bundle, unit, identifier, state, configuration and page', () => {
  for (const noun of nouns) {
    const unit = units.get(`lares-${noun}.service`) ?? '';
    const [start = ''] = valuesOf(unit, 'ExecStart');
    assert.match(start, new RegExp(`^/usr/lib/lares/node .* /usr/lib/lares/${noun}\\.mjs( |$)`));
    assert.deepEqual(valuesOf(unit, 'SyslogIdentifier'), [`lares-${noun}`]);
    assert.deepEqual(valuesOf(unit, 'StateDirectory'), [`lares/${noun}`]);
    for (const target of [
      `/usr/lib/lares/${noun}.mjs`,
      `/usr/lib/lares/${noun}.conf`,
      `/usr/lib/systemd/system/lares-${noun}.service`,
      `/usr/share/man/man8/lares-${noun}.service.8.gz`,
      `/usr/share/man/man5/${noun}.conf.5.gz`,
    ])
      assert.ok(targets.includes(target), target);
  }
  const strangers = [...units.keys()].filter(
    (name) => name !== 'lares.target' && !nouns.some((noun) => new RegExp(`^lares-${noun}[-.]`).test(name)),
  );
  assert.deepEqual(strangers, []);
});

test('a service runs with the flags that lares run uses', () => {
  const programs = services
    .flatMap(([, text]) => valuesOf(text, 'ExecStart'))
    .filter((line) => line.includes('/node '));
  assert.notEqual(programs.length, 0);
  for (const line of programs) {
    const flags = line.includes('/traffic.mjs') ? fastFlags : leanFlags;
    assert.ok(line.startsWith(`/usr/lib/lares/node ${flags.join(' ')} `), line);
  }
});

test('a service that a socket or a path starts is never given up', () => {
  const woken = [...units.keys()]
    .filter((name) => /\.(socket|path)$/.test(name))
    .map((name) => valuesOf(units.get(name) ?? '', 'Service')[0] ?? name.replace(/\.\w+$/, '.service'));
  for (const name of new Set(woken)) {
    const text = units.get(name) ?? '';
    assert.deepEqual(valuesOf(text, 'StartLimitIntervalSec'), ['0'], name);
    assert.deepEqual(valuesOf(text, 'Restart'), ['on-failure'], name);
  }
  // Its path would start it again at once, for as long as there are changes: the pause is in the restart.
  assert.deepEqual(valuesOf(units.get('lares-ddns-publish.service') ?? '', 'RestartPreventExitStatus'), []);
  assert.deepEqual(valuesOf(units.get('lares-ddns.service') ?? '', 'RestartPreventExitStatus'), ['2 4 6']);
});

test('another prefix changes every path of ours in what is installed, and nothing else', () => {
  const elsewhere = installTable({ prefix: '/opt/lares' });
  assert.ok(elsewhere.every(({ target }) => target.startsWith('/opt/lares/')));
  const texts = (items: typeof table): string[] =>
    items.filter(({ from }) => from.startsWith('units/')).map((item) => item.read().toString('latin1'));
  const after = texts(elsewhere);
  assert.deepEqual(
    after.filter((text) => /ExecStart=\/usr/.test(text)),
    [],
  );
  assert.deepEqual(
    after.map((text) => text.replaceAll('/opt/lares/lib/lares/', '/usr/lib/lares/')),
    texts(table),
  );
});

test('units, pages and the like have folders of their own choice; the library follows the prefix', () => {
  const folders = { unitdir: '/etc/systemd/system', libdir: '/srv/lib' };
  const targetOf = (from: string): string | undefined =>
    installTable({ prefix: '/usr/local', folders }).find((item) => item.from === from)?.target;
  assert.equal(targetOf('units/system/lares.target'), '/etc/systemd/system/lares.target');
  assert.equal(targetOf('units/conf/ddns.conf'), '/usr/local/lib/lares/ddns.conf');
  assert.throws(() => installTable({ prefix: 'usr' }), /absolute/);
  assert.throws(() => installTable({ prefix: '/opt/my lares' }), /plain/);
});

test('folders that an uninstallation removes are ours alone', () => {
  const own = ['/lib/lares', '/lib/lares/native', '/share/doc/lares'];
  for (const prefix of ['/usr', '/opt/lares', '/home/lares/.local']) {
    const folders = ownFolders(installTable({ prefix }), prefix);
    assert.deepEqual(
      folders.sort(),
      own.map((folder) => prefix + folder),
    );
  }
});
