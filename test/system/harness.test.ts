// The machine that the tests of this folder boot, proven on small units of its own: when this fails, read no other
// failure of the folder.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { Machine } from '../support/machine.ts';
import { folderOf, groupsOf, lacksMachines, processesOf, removeLeftovers } from '../support/machine-parts.ts';
import { scratch } from '../support/scratch.ts';
import { until } from '../support/wait.ts';

const skip = await lacksMachines();
const port = 5599;

/** Reads one datagram from the descriptor that it was given, in one call (its rest would be lost), and says so. */
const receiver = `#!/bin/sh
word=$(dd bs=1500 count=1 status=none <&3)
printf 'MESSAGE=got %s\\nLARES_WORD=%s\\nPRIORITY=5\\n' "$word" "$word" | logger --journald
`;
const files = {
  '/usr/local/bin/fixture-receiver': receiver,
  '/etc/systemd/system/fixture.socket': `[Socket]\nListenDatagram=127.0.0.1:${port}\n`,
  '/etc/systemd/system/fixture.service':
    '[Service]\nExecStart=/bin/sh /usr/local/bin/fixture-receiver\nStandardInput=null\n',
  '/etc/systemd/system/fixture-path.path': '[Path]\nPathExists=/var/tmp/wanted\n',
  '/etc/systemd/system/fixture-path.service':
    '[Service]\nType=oneshot\nExecStart=mv /var/tmp/wanted /var/tmp/done\n',
};

/** What is left of it outside. */
function traces(machine: { name: string }): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return [
    ...mounts.filter((line) => line.includes(machine.name)),
    ...[
      folderOf(machine.name),
      `/run/systemd/nspawn/propagate/${machine.name}`,
      ...groupsOf(machine.name),
    ].filter((place) => existsSync(place)),
    ...processesOf(machine.name).map((pid) => `process ${pid}`),
  ];
}

test('a machine boots with nothing failed, and nothing of it is left after its test', { skip }, async (t) => {
  let machine: Machine | undefined;
  await t.test('it runs', async (inner: TestContext) => {
    machine = await Machine.boot(inner);
    assert.deepEqual(await machine.failed(), []);
    assert.equal(machine.state, 'running');
    assert.notDeepEqual(traces(machine), []);
    assert.equal(readFileSync('/proc/self/mountinfo', 'utf8').includes(machine.name), false);
    assert.match(await machine.must('systemctl', '--version'), /^systemd \d+/);
    assert.deepEqual(await machine.run('sh', '-c', 'echo out; echo err >&2; exit 3'), {
      code: 3,
      stdout: 'out\n',
      stderr: 'err\n',
    });
  });
  assert.ok(machine);
  assert.deepEqual(traces(machine), []);
});

test('units act in it: a datagram, a path, a record with its fields', { skip }, async (t) => {
  const machine = await Machine.boot(t, files);

  await t.test('a socket starts its service at the first datagram', async () => {
    await machine.systemctl('start', 'fixture.socket');
    assert.equal(await machine.show('fixture.service', 'ActiveState'), 'inactive');
    await machine.send(port, [Buffer.from('hello\n')]);
    const [record] = await machine.until('record of the fixture', async () => {
      const records = await machine.journal({ unit: 'fixture.service', match: ['LARES_WORD=hello'] });
      return records.length > 0 && records;
    });
    assert.equal(record?.['MESSAGE'], 'got hello');
    assert.equal(record['PRIORITY'], '5');
    assert.equal(record['_SYSTEMD_UNIT'], 'fixture.service');
    assert.equal(await machine.show('fixture.socket', 'ActiveState'), 'active');
  });

  await t.test('a path unit starts its service when the path appears', async () => {
    await machine.systemctl('start', 'fixture-path.path');
    assert.equal(existsSync(machine.path('/var/tmp/done')), false);
    machine.write('/var/tmp/wanted', 'text');
    await machine.until('work of the path unit', () => existsSync(machine.path('/var/tmp/done')));
    assert.equal(machine.read('/var/tmp/done'), 'text');
  });

  await t.test('a unit written later is known', async () => {
    await machine.writeUnits({ 'later.service': '[Service]\nType=oneshot\nExecStart=false\n' });
    const { code } = await machine.run('systemctl', 'start', 'later.service');
    assert.notEqual(code, 0);
    assert.deepEqual(await machine.failed(), ['later.service']);
  });

  await t.test('what it writes stays in it', () => {
    assert.equal(existsSync('/etc/systemd/system/later.service'), false);
    assert.equal(existsSync('/var/tmp/done'), false);
  });
});

test('a package is installed in it, with its unit, its manual page and its catalogue', {
  skip,
}, async (t) => {
  const tree = path.join(scratch(t), 'fixture');
  const id = 'c0ffee00c0ffee00c0ffee00c0ffee00';
  const contents = {
    'DEBIAN/control':
      'Package: lares-fixture\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\n' +
      'Description: a fixture\n',
    'DEBIAN/postinst': '#!/bin/sh\nset -e\njournalctl --update-catalog\nsystemctl daemon-reload\n',
    'lib/systemd/system/packaged.service':
      '[Service]\nType=oneshot\n' +
      `ExecStart=/bin/sh -c "printf 'MESSAGE=hm\\nMESSAGE_ID=${id}\\n' | logger --journald"\n`,
    'usr/lib/systemd/catalog/fixture.catalog': `-- ${id}\nSubject: A fixture\n\nDo nothing about it.\n`,
    'usr/share/man/man8/fixture.8': '.TH FIXTURE 8\n',
  };
  for (const [file, text] of Object.entries(contents)) {
    mkdirSync(path.dirname(path.join(tree, file)), { recursive: true });
    writeFileSync(path.join(tree, file), text, { mode: file.endsWith('postinst') ? 0o755 : 0o644 });
  }
  execFileSync('dpkg-deb', ['--build', '--root-owner-group', tree, `${tree}.deb`], { stdio: 'pipe' });
  const machine = await Machine.boot(t);
  await machine.install(`${tree}.deb`);
  await machine.systemctl('start', 'packaged.service');
  assert.equal(existsSync(machine.path('/usr/share/man/man8/fixture.8')), true);
  assert.equal(existsSync('/usr/share/man/man8/fixture.8'), false);
  const records = await machine.journal({ match: [`MESSAGE_ID=${id}`] });
  assert.deepEqual(
    records.map((record) => record['MESSAGE']),
    ['hm'],
  );
  const explained = await machine.must('journalctl', '-x', '--no-pager', `MESSAGE_ID=${id}`);
  assert.match(explained, /Subject: A fixture[^]*Do nothing about it\./);
});

test('a machine without a bus is managed all the same', { skip }, async (t) => {
  // An empty unit file is a masked unit.
  const masks = { '/etc/systemd/system/dbus.service': '', '/etc/systemd/system/dbus.socket': '' };
  const machine = await Machine.boot(t, { ...files, ...masks });
  assert.equal(machine.state, 'running');
  assert.equal(existsSync(machine.path('/run/dbus/system_bus_socket')), false);
  await machine.systemctl('start', 'fixture.socket');
  assert.equal(await machine.show('fixture.socket', 'ActiveState'), 'active');
});

test('two machines live beside each other', { skip }, async (t) => {
  const [one, two] = [await Machine.boot(t), await Machine.boot(t)];
  one.write('/var/tmp/here', 'one');
  assert.equal(existsSync(two.path('/var/tmp/here')), false);
  assert.deepEqual([await one.failed(), await two.failed()], [[], []]);
});

test('a machine dies with its test when that is killed, and the next run sweeps up', { skip }, async (t) => {
  const support = path.join(import.meta.dirname, '../support/machine.ts');
  const script =
    `import { Machine } from ${JSON.stringify(support)};` +
    'const machine = await Machine.boot({ after: () => undefined });' +
    'process.stdout.write(machine.name + "\\n"); setInterval(() => undefined, 1000);';
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
  const machine = { name: line.trim() };
  assert.notDeepEqual(processesOf(machine.name), []);
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  await until('end of the machine', () => processesOf(machine.name).length === 0);
  await removeLeftovers();
  assert.deepEqual(traces(machine), []);
});
