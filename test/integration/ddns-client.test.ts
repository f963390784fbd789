// The client against sockets that note what comes: the options of the old one, each.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { encodeKey, SigningKey } from '../../daemons/ddns/core/keys.ts';
import { buildPacket, readPacket } from '../../daemons/ddns/core/wire.ts';
import { makeKey } from '../../daemons/ddns/keyfile.ts';
import { lares, laresArgv } from '../support/lares.ts';
import { scratch } from '../support/scratch.ts';
import { until } from '../support/wait.ts';

interface Sink {
  port: number;
  got: { packet: Buffer; from: RemoteInfo; atMs: number }[];
}

async function sink(t: TestContext, address = '127.0.0.1', port = 0): Promise<Sink> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  const got: Sink['got'] = [];
  socket.on('message', (packet, from) => got.push({ packet, from, atMs: performance.now() }));
  await new Promise<void>((resolve) => socket.bind(port, address, resolve));
  t.after(() => socket.close());
  return { port: socket.address().port, got };
}

/** A file with so many keys, and the keys. */
function keyFile(t: TestContext, count = 1): { file: string; keys: SigningKey[] } {
  const seeds = Array.from({ length: count }, (_, index) => Buffer.alloc(32, index + 1));
  const file = path.join(scratch(t), 'client.key');
  writeFileSync(
    file,
    seeds.map((seed, index) => `${encodeKey(seed)}${index % 2 === 0 ? '\n' : ' \t '}`).join(''),
    { mode: 0o600 },
  );
  return { file, keys: seeds.map((seed) => new SigningKey(seed)) };
}

test('one packet goes out, signed, with the time of now', async (t) => {
  const { file, keys } = keyFile(t);
  const { port, got } = await sink(t);
  const { code, out, err } = await lares(['ddns', 'send', `127.0.0.1:${port}`, file]);
  assert.deepEqual([code, out, err], [0, '', '']);
  await until('the packet', () => got.length === 1);
  const [packet = Buffer.alloc(0)] = got.map((one) => one.packet);
  const { stamp, keyId } = readPacket(packet);
  assert.equal(keyId, keys[0]?.keyId);
  assert.ok(Math.abs(stamp - Date.now() / 1_000) < 60);
  assert.deepEqual(
    packet,
    buildPacket(keyId, stamp, (signed) => keys[0]?.sign(signed) ?? assert.fail()),
  );
});

test('-n and --send-delay: rounds with their pauses, each with a new stamp', async (t) => {
  const { file } = keyFile(t);
  const { port, got } = await sink(t);
  const { code } = await lares([
    'ddns',
    'send',
    '-n',
    '3',
    '--send-delay',
    '0.2:mul:2',
    `127.0.0.1:${port}`,
    file,
  ]);
  assert.equal(code, 0);
  await until('three packets', () => got.length === 3);
  const [first = 0, second = 0, third = 0] = got.map(({ packet }) => readPacket(packet).stamp);
  // A pause is never shorter than asked for; how much longer it takes is the machine's business.
  assert.ok(second - first >= 0.19 && third - second >= 0.39, `${first} ${second} ${third}`);
});

test('several destinations and several keys: one packet each, all of a round with one stamp', async (t) => {
  const { file, keys } = keyFile(t, 3);
  const sinks = [await sink(t), await sink(t)];
  const destination = sinks.map(({ port }) => `127.0.0.1:${port}`).join('/');
  const { code, out } = await lares(['ddns', 'send', '--json', destination, file]);
  assert.equal(code, 0);
  for (const { got } of sinks) {
    await until('three packets', () => got.length === 3);
    assert.deepEqual(
      got.map(({ packet }) => readPacket(packet).keyId).sort(),
      keys.map(({ keyId }) => keyId).sort(),
    );
  }
  assert.equal(
    new Set(sinks.flatMap(({ got }) => got.map(({ packet }) => readPacket(packet).stamp))).size,
    1,
  );
  assert.equal(
    out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object).length,
    6,
  );
});

test('-b: the packet leaves from the address and port that were asked for', async (t) => {
  const { file } = keyFile(t);
  const { port, got } = await sink(t);
  await lares(['ddns', 'send', '-b', '127.0.0.77/127.0.0.78', `127.0.0.1:${port}`, file]);
  await until('two packets', () => got.length === 2);
  assert.deepEqual(
    got.map(({ from }) => from.address),
    ['127.0.0.77', '127.0.0.78'],
  );
});

test('-v: a name is resolved for the family that was asked for', async (t) => {
  const { file } = keyFile(t);
  const six = await sink(t, '::1');
  const four = await sink(t, '127.0.0.1', six.port);
  await lares(['ddns', 'send', '-v', '4', `localhost:${six.port}`, file]);
  await until('the IPv4 packet', () => four.got.length === 1);
  await lares(['ddns', 'send', `[::1]:${six.port}`, file]);
  await until('the IPv6 packet', () => six.got.length === 1);
  const refused = await lares(['ddns', 'send', '-b', '127.0.0.1', `[::1]:${six.port}`, file]);
  assert.equal(refused.code, 1);
  assert.equal((await lares(['ddns', 'send', '-v', '5', 'localhost', file])).code, 2);
});

test('a destination that cannot be resolved is said, and the others get theirs', async (t) => {
  const { file } = keyFile(t);
  const { port, got } = await sink(t);
  const { code, err } = await lares(['ddns', 'send', `no-such-host.invalid/127.0.0.1:${port}`, file]);
  assert.equal(code, 1);
  assert.match(err, /nothing could be sent to no-such-host\.invalid/);
  await until('the other packet', () => got.length === 1);
});

test('a key given twice, a bad key, an empty and a missing file are errors that show no secret', async (t) => {
  const { file } = keyFile(t);
  const secret = encodeKey(Buffer.alloc(32, 1));
  const empty = path.join(path.dirname(file), 'empty');
  writeFileSync(empty, ' \n', { mode: 0o600 });
  const cases: [string[], RegExp][] = [
    [[file, file], /given twice/],
    [[secret.slice(2)], /not a key/],
    [[empty], /holds no key/],
    [[`${file}.missing`], /ENOENT/],
  ];
  for (const [keys, wanted] of cases) {
    const { code, err } = await lares(['ddns', 'send', '127.0.0.1', ...keys]);
    assert.equal(code, 1);
    assert.match(err, wanted);
    assert.ok(!err.includes(secret.slice(4, 40)), err);
  }
});

test('a key that is taken for an option or a host does not stand in the message', async () => {
  const secret = encodeKey(Buffer.alloc(32, 7));
  for (const args of [
    [secret, '127.0.0.1'],
    ['127.0.0.1', `-n${secret.slice(2)}`],
    ['127.0.0.1', `-${secret.slice(1)}`],
    ['127.0.0.1', `--${secret.slice(2)}`],
  ]) {
    const { code, err } = await lares(['ddns', 'send', ...args]);
    assert.equal(code, 2);
    assert.match(err, /^error: /);
    assert.ok(!err.includes(secret.slice(4, 30)), err);
  }
});

test('no new key and no id of one starts with a dash', () => {
  for (let n = 0; n < 400; n += 1) {
    const { secret, keyId } = makeKey(undefined);
    assert.ok(!secret.startsWith('-') && !keyId.startsWith('-'), 'taken for an option');
  }
});

test('a key in the arguments works with a warning, and so does a file that others can read', async (t) => {
  const { file } = keyFile(t);
  const { port, got } = await sink(t);
  const argument = await lares(['ddns', 'send', `127.0.0.1:${port}`, encodeKey(Buffer.alloc(32, 1))]);
  assert.match(argument.err, /every user of this machine/);
  chmodSync(file, 0o644);
  const open = await lares(['ddns', 'send', `127.0.0.1:${port}`, file]);
  assert.match(open.err, /chmod 600/);
  await until('both packets', () => got.length === 2);
});

test('a name is resolved anew for each packet, so a server that moves is found', async (t) => {
  if (process.getuid?.() !== 0) {
    t.skip('needs root, for an /etc/hosts of its own');
    return;
  }
  const { file } = keyFile(t);
  const before = await sink(t, '127.0.0.91');
  const after = await sink(t, '127.0.0.92', before.port);
  const hosts = path.join(scratch(t), 'hosts');
  writeFileSync(hosts, '127.0.0.91 moving.test\n');
  const script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"';
  const args = ['ddns', 'send', '-n', '2', '--send-delay', '1', `moving.test:${before.port}`, file];
  const child = spawn('unshare', ['--mount', '/bin/sh', '-c', script, 'sh', hosts, ...laresArgv, ...args], {
    stdio: 'inherit',
  });
  await until('the first packet', () => before.got.length === 1);
  writeFileSync(hosts, '127.0.0.92 moving.test\n');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
  await until('the second packet', () => after.got.length === 1);
});
