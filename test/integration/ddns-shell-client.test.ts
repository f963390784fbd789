// The client for machines without Node, docs/lares-ddns-send.sh: what it sends, to a plain socket and to a real
// receiver, in each shell that is here; and where its secret key does not go.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { encodeKey, SigningKey } from '../../daemons/ddns/core/keys.ts';
import { buildPacket } from '../../daemons/ddns/core/wire.ts';
import { makeKey, readKeys } from '../../daemons/ddns/keyfile.ts';
import { root } from '../support/daemon.ts';
import { receiverOn } from '../support/ddns.ts';
import { scratch } from '../support/scratch.ts';
import { until } from '../support/wait.ts';

const script = path.join(root, 'docs/lares-ddns-send.sh');
const { PATH: searchPath = '' } = process.env;
const stamps = [1, 2 ** 30, 2 ** 31 - 1, 2 ** 31, 4e9];
// What the script runs besides openssl and nc. Debian's busybox has an nc, but one that knows no UDP.
const applets = ['cat', 'cut', 'date', 'mktemp', 'rm', 'sed', 'tail', 'tr'];

const shells = [
  { name: '/bin/sh', words: ['/bin/sh'], skip: false },
  {
    name: 'busybox',
    words: ['busybox', 'sh'],
    skip: find('busybox') === undefined && 'busybox is not installed',
  },
];

for (const { name, words, skip } of shells) {
  test(`a packet of the script updates the zone (${name})`, { skip }, async (t) => {
    const at = prepare(t, words);
    const { publicText } = makeKey(at.keyFile);
    const bench = receiverOn(t, `# dynamic: 0 ${publicText}\n+home.example.org:192.0.2.1:300\n`);
    const port = await bench.start().ready();

    assert.deepEqual(await at.run([port]), { status: 0, stderr: '' });

    const after = () => readFileSync(bench.zone, 'latin1');
    await until('update of the zone', () => after().includes('+home.example.org:127.0.0.1:300\n'), after);
  });

  test(`the script sends byte for byte what is built here, whatever the time (${name})`, {
    skip,
  }, async (t) => {
    const at = prepare(t, words);
    const { port, packets } = await listen(t);
    const expected = await Promise.all(
      stamps.map(async (stamp) => {
        const keyFile = `${at.keyFile}-${stamp}`;
        makeKey(keyFile);
        assert.equal((await at.run([port, keyFile], { LARES_NOW: String(stamp) })).status, 0);
        return packetOf(keyFile, stamp);
      }),
    );
    await until('packets', () => packets.length === stamps.length);
    assert.deepEqual(packets.sort(), expected.sort());
  });
}

test('two runs in one second are one packet: the receiver refuses the second', async (t) => {
  const at = prepare(t);
  const { publicText, keyId } = makeKey(at.keyFile);
  const daemon = receiverOn(t, `# dynamic: 0 ${publicText}\n+home.example.org:192.0.2.1\n`).start();
  const port = await daemon.ready();
  const LARES_NOW = String(Math.floor(Date.now() / 1_000));

  await Promise.all([at.run([port], { LARES_NOW }), at.run([port], { LARES_NOW })]);

  await daemon.record(/^updated home\.example\.org/);
  const refused = await daemon.record(/^refused/);
  assert.equal(refused.LARES_REASON, 'replayed');
  assert.equal(refused.LARES_KEY_ID, keyId);
});

test('every form of a key file that the suite reads is understood, of several keys the first', async (t) => {
  const at = prepare(t);
  const { port, packets } = await listen(t);
  // In this one both alphabets differ: it has a - and a _.
  const seed = Buffer.concat([Buffer.from('fbfffbff', 'hex'), randomBytes(28)]);
  const text = encodeKey(seed);
  const bare = text.slice(0, -1);
  const standard = seed.toString('base64');
  assert.match(text, /-.*_/);
  const forms = [`${text}\n`, text, `${bare}\n`, bare, `${standard}\n`, `${text}\r\n`, `${text} ${text}\n`];
  forms.push(`${bare}\n${encodeKey(randomBytes(32))}\n`);

  await Promise.all(
    forms.map(async (form, index) => {
      const keyFile = `${at.keyFile}-${index}`;
      writeFileSync(keyFile, form);
      assert.equal(
        (await at.run([port, keyFile], { LARES_NOW: '1700000000' })).status,
        0,
        JSON.stringify(form),
      );
    }),
  );

  await until('packets', () => packets.length === forms.length);
  assert.deepEqual(new Set(packets), new Set([packetWith(new SigningKey(seed), 1_700_000_000)]));
});

test('a key file that is no key fails the run, and nothing is sent', async (t) => {
  const at = prepare(t);
  const { port, packets } = await listen(t);
  const good = makeKey(at.keyFile);
  const bad = ['', '\n', `${encodeKey(randomBytes(31))}\n`, `${'!'.repeat(43)}=\n`];
  await Promise.all(
    bad.map(async (text, index) => {
      writeFileSync(`${at.keyFile}-${index}`, text);
      const { status, stderr } = await at.run([port, `${at.keyFile}-${index}`]);
      assert.equal(status, 1, JSON.stringify(text));
      assert.match(stderr, /key/);
    }),
  );
  assert.equal((await at.run([port, path.join(at.folder, 'absent')])).status, 1);
  assert.deepEqual(readdirSync(at.temporary), []);

  await at.run([port]);
  await until('the packet of the good key', () => packets.length > 0);
  assert.deepEqual(
    packets.map((packet) => Buffer.from(packet, 'hex').toString('latin1', 0, 28)),
    [good.keyId],
  );
});

test('called with anything but three arguments it says how to call it and fails with 2', async (t) => {
  const at = prepare(t);
  for (const args of [[], ['host'], ['host', '5533'], ['host', '5533', 'key', 'more']]) {
    const { status, stderr } = await at.raw(args);
    assert.equal(status, 2);
    assert.equal(stderr, 'usage: lares-ddns-send.sh HOST PORT KEYFILE\n');
  }
});

test('its files lie in a folder of its own, hold no secret, and are gone afterwards', async (t) => {
  const at = prepare(t);
  makeKey(at.keyFile);
  // In place of nc, with the script's files as they are when the packet leaves.
  const seen = path.join(at.folder, 'seen');
  at.program('nc', `cp -a "$TMPDIR" '${seen}'`);

  assert.deepEqual(await at.run([5533]), { status: 0, stderr: '' });

  const [own = '', ...others] = readdirSync(seen);
  assert.deepEqual(others, []);
  assert.equal(statSync(path.join(seen, own)).mode & 0o777, 0o700);
  const files = readdirSync(path.join(seen, own));
  assert.ok(files.includes('packet'));
  for (const file of files) holdsNoSecret(readFileSync(path.join(seen, own, file)), at.keyFile);
  assert.deepEqual(readdirSync(at.temporary), []);
});

test('its files are gone when it is stopped by a signal', async (t) => {
  const at = prepare(t);
  makeKey(at.keyFile);
  at.program('nc', 'kill -TERM $PPID');
  assert.notEqual((await at.run([5533])).status, 0);
  assert.deepEqual(readdirSync(at.temporary), []);
});

const noStrace = find('strace') === undefined && 'strace is not installed';
test('no argument and no environment of any process holds the secret', { skip: noStrace }, async (t) => {
  const trace = path.join(scratch(t), 'trace');
  // All of every string, in hex, so that no byte is written in a way of its own.
  const strace = ['strace', '-f', '-v', '-xx', '-s', '65536', '-e', 'trace=execve,execveat', '-o', trace];
  const at = prepare(t, [...strace, '/bin/sh']);
  makeKey(at.keyFile);
  const { port, packets } = await listen(t);

  assert.equal((await at.run([port])).status, 0);
  await until('the packet', () => packets.length === 1);

  const strings =
    readFileSync(trace, 'latin1')
      .replaceAll('\\x', '')
      .match(/[0-9a-f]{2,}/g) ?? [];
  const said = strings.map((hex) => Buffer.from(hex, 'hex').toString('latin1')).join('\n');
  for (const word of ['pkeyutl', script, at.keyFile, `TMPDIR=${at.temporary}`])
    assert.ok(said.includes(word), word);
  holdsNoSecret(Buffer.from(said, 'latin1'), at.keyFile);
});

interface Place {
  folder: string;
  /** A path for a key; nothing is there yet. */
  keyFile: string;
  /** The TMPDIR of the script. */
  temporary: string;
  raw: (args: string[], env?: Record<string, string>) => Promise<Ended>;
  /** With a port of this host and a key file. */
  run: (args: [number, string?], env?: Record<string, string>) => Promise<Ended>;
  /** Puts a program in front of the one of this name. */
  program: (name: string, body: string) => void;
}

interface Ended {
  status: number | null;
  stderr: string;
}

/** A scratch folder and the script in the shell that `words` start. */
function prepare(t: TestContext, words = ['/bin/sh']): Place {
  const folder = scratch(t);
  const temporary = path.join(folder, 'tmp');
  const programs = path.join(folder, 'bin');
  const keyFile = path.join(folder, 'client.key');
  mkdirSync(temporary);
  mkdirSync(programs);
  const busybox = words.includes('busybox') ? find('busybox') : undefined;
  if (busybox !== undefined) for (const name of applets) symlinkSync(busybox, path.join(programs, name));
  const raw: Place['raw'] = async (args, env = {}) => {
    const [program = '', ...rest] = words;
    const child = spawn(program, [...rest, script, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: `${programs}:${searchPath}`, TMPDIR: temporary, ...env },
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    await once(child, 'close');
    return { status: child.exitCode, stderr };
  };
  return {
    folder,
    keyFile,
    temporary,
    raw,
    run: ([port, key = keyFile], env) => raw(['127.0.0.1', String(port), key], env),
    program: (name, body) =>
      writeFileSync(path.join(programs, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 }),
  };
}

/** A plain socket; `packets` fills with what arrives, in hex. */
async function listen(t: TestContext): Promise<{ port: number; packets: string[] }> {
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  const packets: string[] = [];
  socket.on('message', (packet) => packets.push(packet.toString('hex')));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return { port: socket.address().port, packets };
}

function packetOf(keyFile: string, stamp: number): string {
  const [key] = readKeys([keyFile], (text) => assert.fail(text));
  assert.ok(key);
  return packetWith(key, stamp);
}

function packetWith(key: SigningKey, stamp: number): string {
  return buildPacket(key.keyId, stamp, (signed) => key.sign(signed)).toString('hex');
}

/** Neither the seed nor half of it, as bytes or as any text of it. */
function holdsNoSecret(content: Buffer, keyFile: string): void {
  const text = readFileSync(keyFile, 'latin1').trim();
  const seed = Buffer.from(text, 'base64url');
  assert.equal(seed.length, 32);
  for (const whole of [text, seed.toString('base64'), seed.toString('hex'), seed.toString('latin1')]) {
    const half = whole.length >> 1;
    // Without the last character, which is the padding in two of the texts.
    for (const part of [whole.slice(0, half), whole.slice(half, -1)])
      assert.ok(!content.includes(Buffer.from(part, 'latin1')), `${JSON.stringify(part)} is in it`);
  }
}

function find(program: string): string | undefined {
  return searchPath
    .split(':')
    .map((folder) => path.join(folder, program))
    .find((file) => existsSync(file));
}
