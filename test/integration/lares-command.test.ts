// The `lares` command as a person meets it: help, exit codes, output, mistakes.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { decodeKey, encodeKey, SigningKey } from '../../daemons/ddns/core/keys.ts';
import { Client, receiverOn, send, unreadSocket } from '../support/ddns.ts';
import { lares, laresArgv } from '../support/lares.ts';
import { scratch } from '../support/scratch.ts';
import { until } from '../support/wait.ts';

const zoneFor = (client: Client): string => `# dynamic: 0 ${client.publicText}\n+name.example:192.0.2.1\n`;

test('help names every command, and wrong usage ends with 2', async () => {
  const help = await lares(['--help']);
  assert.equal(help.code, 0);
  for (const word of ['run', 'up', 'status', 'doctor', 'ddns'])
    assert.match(help.out, new RegExp(`^  ${word}\\b`, 'm'));
  for (const args of [
    ['nonsense'],
    ['ddns', 'nonsense'],
    ['ddns', 'check'],
    ['--nonsense'],
    ['run', 'nonsense'],
  ]) {
    const { code, err } = await lares(args);
    assert.equal(code, 2, args.join(' '));
    assert.match(err, /nonsense|missing/);
  }
});

test('keygen prints a pair that fits, and the line for the zone', async () => {
  const { code, out } = await lares(['ddns', 'keygen', '--json']);
  assert.equal(code, 0);
  const { secretKey, publicKey, keyId, zoneLine } = JSON.parse(out) as Record<string, string>;
  const key = new SigningKey(decodeKey(Buffer.from(secretKey ?? '')));
  assert.equal(encodeKey(key.publicKey), publicKey);
  assert.equal(key.keyId, keyId);
  assert.equal(zoneLine, `# dynamic: 0 ${publicKey ?? ''}`);
});

test('keygen -o keeps the secret to the file, with mode 0600, and never overwrites a key', async (t) => {
  const file = path.join(scratch(t), 'client.key');
  const { out } = await lares(['ddns', 'keygen', '-o', file]);
  const secret = readFileSync(file, 'utf8').trim();
  assert.equal(statSync(file).mode & 0o7777, 0o600);
  assert.ok(
    !out.includes(secret) &&
      out.includes(encodeKey(new SigningKey(decodeKey(Buffer.from(secret))).publicKey)),
  );
  const again = await lares(['ddns', 'keygen', '-o', file]);
  assert.equal(again.code, 1);
  assert.match(again.err, /it exists already/);
  assert.equal(readFileSync(file, 'utf8').trim(), secret);
});

test('check names every problem with its line, and its exit status tells', async (t) => {
  const file = path.join(scratch(t), 'data');
  writeFileSync(file, zoneFor(new Client()));
  const good = await lares(['ddns', 'check', file]);
  assert.deepEqual([good.code, good.out], [0, `${file}: 1 address line in 1 block for 1 key\n`]);
  writeFileSync(file, `# dynamic: 0 nonsense\n+a:192.0.2.1\n\n${zoneFor(new Client())}`);
  const bad = await lares(['ddns', 'check', file]);
  assert.equal(bad.code, 1);
  assert.match(bad.out, new RegExp(`^${file}:1: bad: key 'nonsense': not a key`, 'm'));
  const json = JSON.parse((await lares(['ddns', 'check', '--json', file])).out) as {
    blocks: number;
    problems: { line: number }[];
  };
  assert.equal(json.blocks, 1);
  assert.equal(json.problems[0]?.line, 1);
  const missing = await lares(['ddns', 'check', `${file}.missing`]);
  assert.equal(missing.code, 1);
  assert.match(missing.err, /ENOENT/);
});

test('status shows a name before and after its packet, for people and for scripts', async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client));
  const args = ['ddns', 'status', '--conf', bench.conf, '--state', path.join(bench.folder, 'state')];
  const before = await lares(args);
  assert.match(before.out, /^name\.example +A +192\.0\.2\.1 +never +never +[\w-]{28}$/m);
  const daemon = bench.start();
  await send(await daemon.ready(), [client.packet(), Buffer.from('junk')]);
  await daemon.record(/^updated/);
  await daemon.stop();
  const after = await lares(args);
  assert.match(after.out, /^name\.example +A +127\.0\.0\.1 +\S+ ago +\S+ ago +[+-]\S+ +[\w-]{28}$/m);
  assert.match(after.out, /^length +1 +\S+ ago$/m);
  const { names, refusals } = JSON.parse((await lares([...args, '--json'])).out) as {
    names: object[];
    refusals: object[];
  };
  assert.deepEqual(Object.keys(names[0] ?? {}), [
    'name',
    'type',
    'address',
    'keyId',
    'lastSeen',
    'lastChange',
    'skewMs',
    'pending',
  ]);
  assert.equal((refusals[0] as { reason: string }).reason, 'length');
});

test('setup writes its drop-ins below --root, keeps the hook, and says which rights are missing', async (t) => {
  const folder = scratch(t);
  const zone = path.join(folder, 'my zone');
  writeFileSync(zone, zoneFor(new Client()));
  const me = process.getuid?.() === 0 ? 'root' : (process.env['USER'] ?? '');
  const args = ['ddns', 'setup', '--user', me, '--root', path.join(folder, 'root'), zone];
  const dry = await lares([...args, '--dry-run']);
  assert.match(dry.out, /would write/);
  const umask = process.umask(0o077);
  const { code, out } = await lares(args).finally(() => process.umask(umask));
  assert.equal(code, 0, out);
  const written = (file: string): string => readFileSync(path.join(folder, 'root/etc', file), 'utf8');
  assert.match(written('lares/ddns.conf.d/50-zone.conf'), new RegExp(`^\\[Receiver\\]\nZone=${zone}$`, 'm'));
  assert.match(
    written('systemd/system/lares-ddns.service.d/50-zone.conf'),
    new RegExp(`^\\[Service\\]\nReadWritePaths=${folder}\n$`, 'm'),
  );
  const publishing = (): string => written('systemd/system/lares-ddns-publish.service.d/50-zone.conf');
  const [, program = ''] =
    /^(ExecStart=\/.*\/(?:ddns-publish|publish\.sh) \/var\/lib\/lares\/ddns\/publish)/m.exec(publishing()) ??
    [];
  const made = statSync(path.join(folder, 'root/etc/systemd/system/lares-ddns-publish.service.d'));
  assert.equal(made.mode & 0o777, 0o755);
  assert.deepEqual(publishing().split('\n').slice(1), [
    '[Unit]',
    `RequiresMountsFor=${folder}`,
    '[Service]',
    `ReadWritePaths=${folder}`,
    `WorkingDirectory=${folder}`,
    `Environment="LARES_ZONE=${zone}"`,
    'ExecStart=',
    program,
    '',
  ]);
  const hook = '/bin/sh -c "echo $1; pwd" "" 100%';
  await lares([...args, '--hook', hook]);
  const words = `${program} /bin/sh -c "echo $$1; pwd" "" 100%%\n`;
  assert.ok(publishing().endsWith(words), publishing());
  assert.ok(written('lares/ddns.conf.d/50-zone.conf').endsWith(`\nHook=${hook}\n`));
  await lares(args);
  assert.ok(publishing().endsWith(words), 'a second setup does not forget it');
  const smuggled = await lares([...args, '--hook', '/bin/true\nUser=root']);
  assert.match(smuggled.err, /control character/);
  const bad = await lares([...args, '--hook', 'tinydns-data']);
  assert.notEqual(bad.code, 0);
  assert.match(bad.err, /'tinydns-data' cannot be a hook: .*absolute path/);
  const other = await lares([
    'ddns',
    'setup',
    '--user',
    'no-such-user',
    '--root',
    path.join(folder, 'root'),
    zone,
  ]);
  assert.equal(other.code, 1);
  assert.match(other.out, /useradd --system .* no-such-user/);
});

test('setup asks the kernel whether another user may write', async (t) => {
  if (process.getuid?.() !== 0) {
    t.skip('needs root, to ask as another user');
    return;
  }
  const folder = scratch(t);
  const zone = path.join(folder, 'data');
  writeFileSync(zone, zoneFor(new Client()));
  const { code, out } = await lares(['ddns', 'setup', '--user', 'nobody', '--root', folder, zone]);
  assert.equal(code, 1);
  assert.match(out, new RegExp(`chown nobody: ${zone}`));
  assert.match(out, new RegExp(`setfacl -m u:nobody:rwx ${folder}`));
});

test('doctor speaks to people and to scripts', async () => {
  const { out } = await lares(['doctor']);
  assert.match(out, /^lares\n {2}\S+ release/m);
  assert.match(out, /^ddns\n/m);
  const json = JSON.parse((await lares(['doctor', '--json'])).out) as Record<string, { health: string }[]>;
  assert.ok(json['lares']?.every(({ health }) => health !== 'bad'));
});

test('run puts the daemon in its own place, passed sockets and all', async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client));
  const { port, fd } = await unreadSocket(t);
  const args = [
    ...laresArgv,
    'run',
    'ddns',
    '--json',
    '--conf',
    bench.conf,
    '--state',
    path.join(bench.folder, 'state'),
  ];
  const shell = 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=udp exec "$@"';
  const child = spawn('/bin/sh', ['-c', shell, 'sh', ...args], { stdio: ['ignore', 'pipe', 'inherit', fd] });
  t.after(() => child.kill('SIGKILL'));
  await send(port, client.packet());
  await until('the update', () => readFileSync(bench.zone, 'latin1').includes('127.0.0.1'));
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});

test('run hands flags and exit codes through', async (t) => {
  const { code, out } = await lares(['run', 'ddns', '--version']);
  assert.deepEqual([code, out.startsWith('lares-ddns ')], [0, true]);
  assert.equal((await lares(['run', 'ddns', '--nonsense'])).code, 2);
  const conf = path.join(scratch(t), 'empty.conf');
  writeFileSync(conf, '');
  assert.equal((await lares(['run', 'ddns', '--conf', conf])).code, 6);
  const check = await lares(['run', 'ddns', '--conf', conf, '--check']);
  assert.deepEqual([check.code, check.out], [6, 'missing: Zone= in [Receiver] must be set\n']);
});

test('up runs the suite, a packet changes its zone, and Ctrl-C ends it cleanly', async (t) => {
  const folder = scratch(t);
  const [program, ...args] = [...laresArgv, 'up', '--state', folder];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part: string) => (text += part));
  await until(
    'readiness',
    () => text.includes('ready: '),
    () => text,
  );
  const hint = /lares (ddns send .*)$/m.exec(text)?.[1]?.split(' ') ?? [];
  assert.equal((await lares(hint)).code, 0);
  await until(
    'the update',
    () => text.includes('updated laptop.example.net A 192.0.2.1 -> 127.0.0.1'),
    () => text,
  );
  child.kill('SIGINT');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
  assert.match(text, /stopped \(SIGTERM\)/);
});
