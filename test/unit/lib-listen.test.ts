// Sockets of a daemon: addresses as text, what LISTEN_* may say, and adoption of real descriptors by a real process.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import fc from 'fast-check';
import {
  adoptUdp,
  bindUdp,
  formatEndpoint,
  parseEndpoint,
  type Receive,
  takeInherited,
} from '../../lib/listen.ts';
import { bind } from '../../lib/sys/libc.ts';
import { Example } from '../support/example-daemon.ts';
import { scratch } from '../support/scratch.ts';
import { until } from '../support/wait.ts';

const fcntl = bind('int fcntl(int fd, int command, int argument)');
const F_DUPFD_CLOEXEC = 1_030;

/** The same open socket under another number, out of Node's hands and not for programs started here. */
function duplicate(fd: number): number {
  return Number(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

for (const [text, host, port] of [
  ['5533', '::', 5_533],
  ['0', '::', 0],
  ['65535', '::', 65_535],
  ['192.0.2.1:53', '192.0.2.1', 53],
  ['0.0.0.0:53', '0.0.0.0', 53],
  ['[2001:db8::1]:53', '2001:db8::1', 53],
  ['[2001:DB8::A]:53', '2001:DB8::A', 53],
  ['[::]:0', '::', 0],
  ['[::ffff:192.0.2.1]:53', '::ffff:192.0.2.1', 53],
] as const) {
  test(`'${text}' means port ${port} of ${host}`, () => {
    assert.deepEqual(parseEndpoint(text), { host, port });
  });
}

// Names would need a resolver at the start, which a daemon must not wait for.
for (const text of [
  '',
  ' ',
  ':53',
  '65536',
  '99999',
  '-1',
  '5533 ',
  '5_533',
  '192.0.2.1',
  '192.0.2.1:',
  '192.0.2.1:65536',
  '2001:db8::1:53',
  '::1',
  '[::1]',
  '[::1]53',
  '[]:53',
  'localhost:53',
  '*:53',
  '192.0.2.1:53\n',
]) {
  test(`${JSON.stringify(text)} is no listening address`, () => {
    assert.throws(() => parseEndpoint(text), { name: 'LaresError', code: 'E_LISTEN_ADDRESS' });
  });
}

for (const text of [
  '999.0.2.1:53',
  '192.0.2:53',
  '1.2.3.4.5:53',
  '...:53',
  '[1.2.3.4]:53',
  '[12]:53',
  '[:::]:53',
]) {
  test(`'${text}' looks like a listening address but holds no address`, () => {
    assert.throws(() => parseEndpoint(text), { code: 'E_LISTEN_ADDRESS' });
  });
}

test('any address and port reads back from how it is written', () => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6());
  fc.assert(
    fc.property(host, fc.nat(65_535), (address, port) => {
      assert.deepEqual(parseEndpoint(formatEndpoint({ host: address, port })), { host: address, port });
    }),
  );
});

test('any text is an endpoint or E_LISTEN_ADDRESS', () => {
  const piece = fc.oneof(
    fc.constantFrom('[', ']', ':', '.', '1', '::', '53', 'a'),
    fc.string({ maxLength: 3 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      try {
        const { port } = parseEndpoint(pieces.join(''));
        assert.ok(Number.isInteger(port) && port >= 0 && port <= 65_535);
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'E_LISTEN_ADDRESS');
      }
    }),
    { numRuns: 1_000 },
  );
});

const pid = 4_711;
const variables = (fds: string | undefined, forPid = String(pid)): NodeJS.ProcessEnv => ({
  LISTEN_PID: forPid,
  LISTEN_FDNAMES: 'udp',
  OTHER: 'stays',
  ...(fds === undefined ? {} : { LISTEN_FDS: fds }),
});

for (const [what, env] of [
  ['no variables at all', { OTHER: 'stays' }],
  ['no count', variables(undefined)],
  ['a count of 0', variables('0')],
  ['the pid of another process', variables('1', '4712')],
  ['no pid', { LISTEN_FDS: '1', OTHER: 'stays' }],
  ['a pid that only begins like this one', variables('1', `${pid}0`)],
  ['a bad count for another process', variables('x', '4712')],
] as const) {
  test(`with ${what} nothing is inherited, and the variables are gone`, () => {
    const copy: NodeJS.ProcessEnv = { ...env };
    assert.deepEqual(takeInherited(copy, pid), []);
    assert.deepEqual(copy, { OTHER: 'stays' });
  });
}

for (const count of ['', 'x', '-1', '1.5', '1e1', '0x1', ' 1', '65', '999', '1000000000000', 'NaN']) {
  test(`LISTEN_FDS=${JSON.stringify(count)} is refused`, () => {
    assert.throws(() => takeInherited(variables(count), pid), { name: 'LaresError', code: 'E_LISTEN_FDS' });
  });
}

test('the variables are gone after a refusal as well', () => {
  const env = variables('x');
  assert.throws(() => takeInherited(env, pid));
  assert.deepEqual(env, { OTHER: 'stays' });
});

const ignore: Receive = () => undefined;

test('a bound socket receives, and a port in use is E_LISTEN_BIND with the address', async (t) => {
  const texts: string[] = [];
  const first = await bindUdp({ host: '127.0.0.1', port: 0 }, (datagram) => texts.push(datagram.toString()));
  t.after(() => first.close());
  const { port } = first.address();
  await assert.rejects(bindUdp({ host: '127.0.0.1', port }, ignore), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'E_LISTEN_BIND');
    assert.match(error.message, new RegExp(`^cannot listen on 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`));
    return true;
  });
  await send(t, port, 'hello');
  await until('datagram', () => texts.includes('hello'));
});

test('an address that this host does not have is E_LISTEN_BIND', async () => {
  await assert.rejects(bindUdp({ host: '192.0.2.1', port: 0 }, ignore), { code: 'E_LISTEN_BIND' });
});

test('adoption of a regular file is E_LISTEN_KIND', async (t) => {
  const file = path.join(scratch(t), 'file');
  writeFileSync(file, '');
  const fd = openSync(file, 'r');
  t.after(() => closeSync(fd));
  await assert.rejects(adoptUdp({ name: 'udp', fd }, ignore), { name: 'LaresError', code: 'E_LISTEN_KIND' });
});

/** A descriptor of a bound UDP socket that nobody reads: what the service manager passes. */
async function passed(t: TestContext, host = '127.0.0.1'): Promise<{ fd: number; port: number }> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.bind(0, host);
  await once(socket, 'listening');
  const fd = duplicate(fdOf(socket));
  t.after(() => closeSync(fd));
  const { port } = socket.address();
  socket.close();
  return { fd, port };
}

/** Reads a passed descriptor, as the next daemon would. */
function bindFd(fd: number): Socket {
  const socket = createSocket('udp4');
  socket.bind({ fd: duplicate(fd) });
  return socket;
}

function fdOf(socket: object): number {
  return (Reflect.get(socket, '_handle') as { fd: number }).fd;
}

async function send(t: TestContext, port: number, text: string, host = '127.0.0.1'): Promise<void> {
  const socket: Socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  t.after(() => socket.close());
  await new Promise<void>((resolve, reject) => {
    socket.send(text, port, host, (error) => (error === null ? resolve() : reject(error)));
  });
}

/** The example daemon with `fds` passed under `names`. */
function activated(
  t: TestContext,
  fds: number[],
  names: string,
  settings = '',
  args: string[] = [],
): Example {
  const folder = scratch(t);
  const conf = path.join(folder, 'example.conf');
  writeFileSync(conf, `[Example]\nGreeting=hello\n${settings}`);
  return new Example(t, {
    args: ['--conf', conf, '--state', path.join(folder, 'state'), ...args],
    env: { LISTEN_FDS: String(fds.length), LISTEN_FDNAMES: names },
    fds,
  });
}

for (const host of ['127.0.0.1', '::1']) {
  test(`a passed UDP socket on ${host} is adopted, and --listen does not count`, async (t) => {
    const { fd, port } = await passed(t, host);
    const daemon = activated(t, [fd], 'udp', '', ['--listen', '127.0.0.1:0']);
    const { MESSAGE } = await daemon.record(/^ready: /);
    assert.ok(MESSAGE.includes(`listening on ${formatEndpoint({ host, port })};`), MESSAGE);
    await send(t, port, 'word', host);
    await daemon.record(/^received word,/);
    assert.equal(await daemon.end('SIGTERM'), 0);
  });
}

test('the datagram that woke the daemon is received, however long the start takes', async (t) => {
  const { fd, port } = await passed(t);
  await send(t, port, 'early');
  const daemon = activated(t, [fd], 'udp', 'SlowStart=50ms\n');
  await daemon.ready();
  await send(t, port, 'late');
  await daemon.record(/^received late,/);
  assert.ok(
    daemon.messages.some((text) => text.startsWith('received early,')),
    daemon.messages.join('\n'),
  );
  assert.equal(await daemon.end('SIGTERM'), 0);
});

test('a datagram that comes while the daemon stops stays in the socket for the next one', async (t) => {
  const { fd, port } = await passed(t);
  const daemon = activated(t, [fd], 'udp', 'SlowStop=300ms\n');
  await daemon.ready();
  daemon.process.kill('SIGTERM');
  await daemon.record(/^undo the second step$/);
  await send(t, port, 'between');
  assert.equal(await daemon.end(), 0);
  assert.ok(!daemon.messages.some((text) => text.startsWith('received between')));
  const next = bindFd(fd);
  t.after(() => next.close());
  const [datagram] = (await once(next, 'message')) as [Buffer];
  assert.equal(datagram.toString(), 'between');
});

test('sockets are told by name, not by order; several of one name are all adopted', async (t) => {
  const [one, two, three] = [await passed(t), await passed(t, '::1'), await passed(t)];
  const daemon = activated(t, [one.fd, two.fd, three.fd], 'other:udp:udp');
  const { MESSAGE } = await daemon.record(/^ready: /);
  assert.ok(MESSAGE.includes(`listening on [::1]:${two.port}, 127.0.0.1:${three.port};`), MESSAGE);
  const { MESSAGE: warning, PRIORITY } = await daemon.record(/^closing passed socket/);
  assert.match(warning, /'other' \(fd 3\).*knows only 'udp'/);
  assert.equal(PRIORITY, 4);
  const open = `/proc/${daemon.process.pid ?? 0}/fd`;
  const held = readdirSync(open).map((fd) => readlinkSync(path.join(open, fd)));
  const isHeld = [one, two, three].map(({ fd }) => held.includes(readlinkSync(`/proc/self/fd/${fd}`)));
  assert.deepEqual(isHeld, [false, true, true]);
  assert.equal(await daemon.end('SIGTERM'), 0);
});

test('a socket without a name is closed with a warning, and the daemon binds its own', async (t) => {
  const { fd, port } = await passed(t);
  const daemon = activated(t, [fd], '', '', ['--listen', '127.0.0.1:0']);
  assert.notEqual(await daemon.ready(), port);
  await daemon.record(/^closing passed socket/);
  assert.equal(await daemon.end('SIGTERM'), 0);
});

test('a TCP socket under the right name ends the daemon with E_LISTEN_KIND', async (t) => {
  const server = createServer();
  t.after(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const daemon = activated(t, [fdOf(server)], 'udp');
  assert.equal(await daemon.end(), 1);
  assert.equal(
    daemon.messages.at(-1),
    "failed: E_LISTEN_KIND: passed socket 'udp' (fd 3) is inet/stream, not UDP; see ListenDatagram= of its unit",
  );
});

test('a program that the daemon starts sees no LISTEN_ variable and no passed socket', async (t) => {
  const sockets = [await passed(t), await passed(t)];
  const daemon = activated(
    t,
    sockets.map(({ fd }) => fd),
    'udp:other',
    'Child=yes\n',
  );
  const { MESSAGE } = await daemon.record(/^child: /);
  assert.match(MESSAGE, /\bPATH=/);
  assert.doesNotMatch(MESSAGE, /LISTEN_/);
  for (const { fd } of sockets) assert.ok(!MESSAGE.includes(readlinkSync(`/proc/self/fd/${fd}`)), MESSAGE);
  await daemon.ready();
  assert.equal(await daemon.end('SIGTERM'), 0);
});

test('taken descriptors have their names in order and are closed on exec, those passed on are not', async (t) => {
  const sockets = [await passed(t), await passed(t), await passed(t)];
  const library = path.join(import.meta.dirname, '../../lib');
  // The runtime closes low descriptors on exec by itself: open them again first.
  const script = `import { passOnInherited, takeInherited } from '${library}/listen.ts';
    import { bind } from '${library}/sys/libc.ts';
    const fcntl = bind('int fcntl(int fd, int command, int argument)');
    for (const fd of [3, 4, 5]) fcntl(fd, 2, 0);
    const env = { LISTEN_PID: String(process.pid), LISTEN_FDS: '3', LISTEN_FDNAMES: 'one:two' };
    const given = { ...env };
    const flags = () => [3, 4, 5].map((fd) => fcntl(fd, 1, 0));
    const taken = takeInherited(env, process.pid);
    const closed = flags();
    passOnInherited(given, process.pid);
    console.log(JSON.stringify({ taken, env, given: Object.keys(given), closed, passed: flags() }));`;
  const { stdout } = spawnSync(process.execPath, ['--no-warnings', '--input-type=module', '-e', script], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit', ...sockets.map(({ fd }) => fd)],
  });
  assert.deepEqual(JSON.parse(stdout), {
    taken: [
      { name: 'one', fd: 3 },
      { name: 'two', fd: 4 },
      { name: 'unknown', fd: 5 },
    ],
    env: {},
    given: ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES'],
    closed: [1, 1, 1],
    passed: [0, 0, 0],
  });
});
