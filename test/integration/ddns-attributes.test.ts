// What a rewrite of the zone keeps: link, mode, owner, access list, attributes, the edits of others, and for readers
// one whole file at any time. Where an edit has to fall into the moment before the exchange, strace makes it long.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseAddress } from '../../daemons/ddns/core/address.ts';
import { rewrite } from '../../daemons/ddns/core/rewrite.ts';
import { ZoneFile } from '../../daemons/ddns/zonefile.ts';
import type { Daemon } from '../support/daemon.ts';
import { type Bench, Client, receiverOn, send } from '../support/ddns.ts';
import { lacks, lacksTracing, type Program, program } from '../support/netns.ts';
import { scratch } from '../support/scratch.ts';
import { Traffic } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const nobody = 65_534;
const rewrites = 300;
const marker = '# the last line.';
const edit = '+edit.example.net:8.8.4.9:300\n';
// Long beside the steps before the exchange, in microseconds.
const pauseMicros = 2_000_000;

function zoneOf(client: Client): string {
  return `# dynamic: 0 ${client.publicText}\n+home.example.net:192.0.2.1:300\n\n${marker}\n`;
}

function run(name: Program, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program(name), args, { encoding: 'utf8' });
  assert.equal(status, 0, `${name} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

test('a symbolic link stays one; mode, owner, access list and attributes are those of before', {
  skip: lacks(['setfacl', 'getfacl', 'setfattr', 'getfattr'], true),
}, async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneOf(client));
  const folder = path.join(bench.folder, 'elsewhere');
  const target = path.join(folder, 'zone');
  mkdirSync(folder);
  renameSync(bench.zone, target);
  symlinkSync('../elsewhere/zone', bench.zone);
  chownSync(target, nobody, nobody);
  chmodSync(target, 0o640);
  const supported = spawnSync(program('setfacl'), ['-m', 'u:1234:r,g:1235:r', target], { encoding: 'utf8' });
  if (supported.status !== 0) {
    t.skip(`needs a file system with access lists: ${supported.stderr.trim()}`);
    return;
  }
  run('setfattr', '-n', 'user.note', '-v', 'kept\\000by\\377all', target);
  run('setfattr', '-n', 'trusted.note', '-v', 'of root', target);
  const look = (): Record<string, unknown> => {
    const { mode, uid, gid, nlink } = statSync(target);
    const acl = run('getfacl', '--omit-header', '--absolute-names', '--numeric', target);
    const attributes = run('getfattr', '--dump', '--match=-', '--encoding=hex', '--absolute-names', target);
    return { mode: mode.toString(8), uid, gid, nlink, acl, attributes };
  };
  const before = look();
  assert.match(String(before['acl']), /^user:1234:r--$/m);
  const { ino } = statSync(target);

  const daemon = bench.start();
  await send(await daemon.ready(), client.packet(), '127.0.0.5');
  await daemon.record(/^updated /);
  assert.equal(await daemon.stop(), 0);
  assert.ok(readFileSync(target, 'latin1').includes('+home.example.net:127.0.0.5:300\n'));
  assert.ok(lstatSync(bench.zone).isSymbolicLink());
  assert.equal(readlinkSync(bench.zone), '../elsewhere/zone');
  assert.deepEqual(look(), before);
  // Or it was written in place, and there was nothing to keep.
  assert.notEqual(statSync(target).ino, ino);
  assert.deepEqual(readdirSync(folder), ['zone']);
});

test(`readers see whole files alone while the zone is rewritten ${rewrites} times`, async (t) => {
  const clients = Array.from({ length: 100 }, () => new Client());
  const [client] = clients;
  assert.ok(client);
  const file = path.join(scratch(t), 'data');
  writeFileSync(file, clients.map(zoneOf).join('\n'));
  const silent = (): void => undefined;
  const zone = new ZoneFile(file, { read: silent, conflict: silent, leftover: silent, watchLost: silent });
  await zone.refresh();
  const reader = new Traffic(t);
  await reader.watch({ file, marker, line: '^(|#.*[=.]|[+].*:300)$' });
  const started = performance.now();
  for (let n = 1; n <= rewrites; n += 1) {
    // Of different lengths, so that a file that is overwritten would show.
    const address = parseAddress(n % 2 === 0 ? '8.8.8.8' : `108.108.108.${100 + (n % 100)}`);
    assert.ok(address);
    const update = { keyId: client.key.keyId, address, stamp: n };
    const { changes } = await zone.apply((read) =>
      rewrite(read, [update], { always: false, latest: Infinity }),
    );
    assert.equal(changes.length, 1);
  }
  const seconds = (performance.now() - started) / 1_000;
  const { reads, versions, broken } = await reader.stopWatching();
  await zone.close();
  t.diagnostic(`${Math.round(rewrites / seconds)} rewrites/s, ${versions} versions in ${reads} reads`);
  assert.deepEqual(broken, []);
  assert.ok(versions > 2, `the reader saw ${versions} versions`);
});

/** A receiver that sleeps before its first exchange, and then does what `more` says. */
function slow(bench: Bench, ...more: string[]): Daemon {
  const injections = [`renameat2:delay_enter=${pauseMicros}:when=1`, ...more];
  const options = ['-D', '-f', '-qq', '-e', 'signal=none', '-o', path.join(bench.folder, 'trace')];
  return bench.start({
    wrapper: [program('strace'), ...options, ...injections.flatMap((each) => ['-e', `inject=${each}`])],
    env: { UV_THREADPOOL_SIZE: '1' },
  });
}

/** The names of files that a rewrite has made and not yet removed. */
function temporaries(bench: Bench): string[] {
  return readdirSync(path.dirname(bench.zone)).filter((name) => name.startsWith('.data.lares-'));
}

const saves: Record<string, (file: string) => void> = {
  'into the file': (file) => appendFileSync(file, edit),
  'as a new file': (file) => {
    const text = readFileSync(file, 'latin1');
    writeFileSync(`${file}.new`, text + edit);
    renameSync(`${file}.new`, file);
  },
};

async function saveBeforeExchange(bench: Bench, save: (file: string) => void): Promise<void> {
  const [name = ''] = await until('temporary file', () => {
    const names = temporaries(bench);
    return names.length > 0 && names;
  });
  const temporary = path.join(path.dirname(bench.zone), name);
  await until('content of it', () => statSync(temporary).size > 0);
  save(bench.zone);
}

for (const [how, save] of Object.entries(saves)) {
  test(`an edit saved ${how} just before the exchange is merged with the update`, {
    skip: lacksTracing(),
  }, async (t) => {
    const client = new Client();
    const bench = receiverOn(t, zoneOf(client));
    const daemon = slow(bench);
    const packet = client.packet();
    await send(await daemon.ready(), packet, '127.0.0.5');
    await saveBeforeExchange(bench, save);
    await daemon.record(/^updated /);
    await daemon.record(/saved by somebody else during a rewrite/);
    assert.equal(await daemon.stop(), 0);
    const stamped = zoneOf(client).replace('dynamic: 0', `dynamic: ${packet.readDoubleBE(28)}`);
    assert.equal(readFileSync(bench.zone, 'latin1'), stamped.replace('192.0.2.1', '127.0.0.5') + edit);
    assert.deepEqual(temporaries(bench), []);
  });
}

test('an edit that was displaced is kept beside the zone if the merge is killed', {
  skip: lacksTracing(),
}, async (t: TestContext) => {
  const client = new Client();
  const bench = receiverOn(t, zoneOf(client));
  // The second file that it makes is the merged one.
  const victim = slow(bench, 'fchmod:signal=KILL:when=2');
  await send(await victim.ready(), client.packet(), '127.0.0.5');
  await saveBeforeExchange(bench, (file) => appendFileSync(file, edit));
  await until(
    'kill',
    () => victim.process.signalCode === 'SIGKILL',
    () => victim.text,
  );
  assert.ok(!readFileSync(bench.zone, 'latin1').includes(edit), 'killed too late to show anything');

  const heir = bench.start();
  await heir.ready();
  const { MESSAGE } = await heir.record(/left a file that may hold an edit/);
  const kept = /compare (\S+) with/.exec(MESSAGE)?.[1] ?? '';
  assert.equal(readFileSync(kept, 'latin1'), zoneOf(client) + edit);
  assert.equal(await heir.stop(), 0);
  assert.ok(readFileSync(bench.zone, 'latin1').includes(':127.0.0.5:'));
  assert.deepEqual(temporaries(bench), []);
});

test('a rewrite that fails after the exchange is in place, and the hook hears of it all the same', {
  skip: lacksTracing(),
}, async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneOf(client), 'Hook=/bin/sh -c "cat >>heard"\n');
  const folder = path.dirname(bench.zone);
  const options = [
    '-D',
    '-f',
    '-qq',
    '-e',
    'signal=none',
    '-o',
    path.join(bench.folder, 'trace'),
    '-P',
    folder,
  ];
  const daemon = bench.start({
    wrapper: [program('strace'), ...options, '-e', 'inject=fsync:error=EIO:when=1'],
    env: { UV_THREADPOOL_SIZE: '1' },
  });
  await send(await daemon.ready(), client.packet(), '127.0.0.5');
  await daemon.record(/EIO.*1 update waiting/);
  await daemon.record(/^published 1 change/);
  assert.match(readFileSync(path.join(folder, 'heard'), 'utf8'), /"to":"127\.0\.0\.5"\}\n$/);
  assert.equal(await daemon.stop(), 0);
});
