// The control socket and its client: what a method is given, what an asker is told, and what happens to those who do
// not keep to the framing.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { ask, type Methods, type Parameters, serveControl } from '../../lib/control.ts';
import { bind } from '../../lib/sys/libc.ts';
import { scratch } from '../support/scratch.ts';

const socket = bind('int socket(int domain, int type, int protocol)');
const bindTo = bind('int bind(int fd, const uint8_t *address, uint32_t length)');
const listen = bind('int listen(int fd, int backlog)');
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2_000_000;

/** A listening descriptor, as the service manager passes one. */
function listening(file: string): number {
  const fd = Number(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const address = Buffer.from(`\u0001\0${file}\0`);
  assert.equal(Number(bindTo(fd, address, address.length)), 0);
  assert.equal(Number(listen(fd, 8)), 0);
  return fd;
}

interface Served {
  file: string;
  /** How many requests were heard. */
  heard: () => number;
  close: () => void;
}

async function served(t: TestContext, methods: Methods): Promise<Served> {
  const file = path.join(scratch(t), 'control');
  let requests = 0;
  const close = await serveControl(
    listening(file),
    () => methods,
    () => (requests += 1),
  );
  t.after(close);
  return { file, heard: () => requests, close };
}

/** What comes back for bytes as they are, until the other side hangs up or has answered `answers` times. */
async function raw(file: string, bytes: string, answers: number): Promise<unknown[]> {
  const peer = createConnection(file);
  // A connection that is cut off may end with a reset.
  const closed = new Promise((resolve) => peer.on('error', () => undefined).once('close', resolve));
  let text = '';
  peer.setEncoding('utf8').on('data', (chunk) => {
    text += String(chunk);
    if (text.split('\0').length > answers) peer.destroy();
  });
  peer.write(bytes);
  await closed;
  return text
    .split('\0')
    .filter((one) => one !== '')
    .map((one): unknown => JSON.parse(one));
}

test('parameters reach the method as they were sent, and what it returns comes back', async (t) => {
  const { file, heard } = await served(t, { Echo: (parameters) => ({ got: parameters }) });
  const parameters = { by: 'peer', since: 5.5, list: [1, null, { a: 'ä\u2028' }], none: null };
  assert.deepEqual(await ask(file, 'Echo', parameters), { got: parameters });
  assert.equal(heard(), 1);
});

test('without parameters a method gets an empty object', async (t) => {
  const seen: Parameters[] = [];
  const { file } = await served(t, { Take: (parameters) => ({ count: seen.push(parameters) }) });
  assert.deepEqual(await ask(file, 'Take'), { count: 1 });
  const requests = [
    '{"method":"Take"}',
    '{"method":"Take","parameters":null}',
    '{"method":"Take","parameters":5}',
  ];
  assert.deepEqual(await raw(file, requests.map((one) => `${one}\0`).join(''), 3), [
    { parameters: { count: 2 } },
    { parameters: { count: 3 } },
    { parameters: { count: 4 } },
  ]);
  assert.deepEqual(seen, [{}, {}, {}, {}]);
});

test('a method may take its time, and answers keep the order of the questions', async (t) => {
  const waiting: (() => void)[] = [];
  const { file } = await served(t, {
    Slow: async () => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return { slow: true };
    },
    Quick: () => {
      for (const go of waiting) go();
      return { quick: true };
    },
  });
  const first = raw(file, '{"method":"Slow"}\0{"method":"Quick"}\0', 2);
  // On another connection: the first is stuck behind its first question.
  while (waiting.length === 0) await new Promise(setImmediate);
  assert.deepEqual(await ask(file, 'Quick'), { quick: true });
  assert.deepEqual(await first, [{ parameters: { slow: true } }, { parameters: { quick: true } }]);
});

test('an unknown method is an error that names it, also where every object has one of that name', async (t) => {
  const { file } = await served(t, { Known: () => ({}) });
  for (const method of ['Nonsense', 'toString', '__proto__', 'constructor', '', 'known']) {
    await assert.rejects(ask(file, method), {
      name: 'LaresError',
      code: 'E_CONTROL',
      message: `cannot ask ${file}: MethodNotFound ${JSON.stringify({ method })}`,
    });
  }
});

test('a method that fails is an error with its reason, and the next question is answered', async (t) => {
  const { file } = await served(t, {
    Throws: () => {
      throw new Error('no disk', { cause: new Error('EIO') });
    },
    Rejects: () => Promise.reject(new Error('no net')),
    Works: () => ({ fine: 1 }),
  });
  await assert.rejects(ask(file, 'Throws'), {
    code: 'E_CONTROL',
    message: /: Failed \{"message":"no disk: EIO"\}$/,
  });
  await assert.rejects(ask(file, 'Rejects'), {
    code: 'E_CONTROL',
    message: /: Failed \{"message":"no net"\}$/,
  });
  assert.deepEqual(await ask(file, 'Works'), { fine: 1 });
});

test('what is no request is answered as such', async (t) => {
  const { file, heard } = await served(t, { Known: () => ({}) });
  const requests = ['', 'x', '5', 'null', '[]', '{}', '{"method":5}', '{"method":"Known"', '"Known"'];
  assert.deepEqual(
    await raw(file, requests.map((one) => `${one}\0`).join(''), requests.length),
    requests.map(() => ({ error: 'InvalidRequest', parameters: {} })),
  );
  assert.equal(heard(), requests.length);
});

test('a question that comes in pieces is one', async (t) => {
  const { file } = await served(t, { Echo: (parameters) => parameters });
  const bytes = Buffer.from(`${JSON.stringify({ method: 'Echo', parameters: { a: 'äöü€😀' } })}\0`);
  const peer = createConnection(file);
  t.after(() => peer.destroy());
  await once(peer, 'connect');
  for (const byte of bytes) {
    peer.write(Buffer.from([byte]));
    await new Promise(setImmediate);
  }
  const [reply] = (await once(peer, 'data')) as [Buffer];
  assert.equal(reply.toString(), '{"parameters":{"a":"äöü€😀"}}\0');
});

test('a question that is too long is not looked at, and loses its connection', async (t) => {
  const { file, heard } = await served(t, { Known: () => ({}) });
  assert.deepEqual(await raw(file, `${'x'.repeat(300_000)}\0`, 1), []);
  assert.equal(heard(), 0);
  assert.deepEqual(await ask(file, 'Known'), {});
});

test('one that asks on and on without waiting for answers loses its connection', async (t) => {
  const gate = Promise.withResolvers<object>();
  const { file, heard } = await served(t, { Wait: () => gate.promise, Known: () => ({}) });
  const answers = raw(file, '{"method":"Wait"}\0'.repeat(40), 40);
  while (heard() < 17) await new Promise(setImmediate);
  gate.resolve({});
  assert.deepEqual(await answers, []);
  assert.deepEqual(await ask(file, 'Known'), {});
});

test('an answer of some megabytes arrives whole', async (t) => {
  const text = 'ä'.repeat(3_000_000);
  const { file } = await served(t, { Large: () => ({ text }) });
  assert.equal((await ask(file, 'Large'))['text'], text);
});

test('where nobody listens the error says what to look at', async (t) => {
  const folder = scratch(t);
  await assert.rejects(ask(path.join(folder, 'absent'), 'Status'), {
    code: 'E_CONTROL',
    message: /socket unit started/,
  });
  const { file, close } = await served(t, {});
  close();
  await assert.rejects(ask(file, 'Status'), { code: 'E_CONTROL', message: /socket unit started/ });
});

for (const [what, reply, message] of [
  ['hangs up', '', /hung up without an answer$/],
  ['talks something else', 'HTTP/1.1 400\0', /the answer is no JSON object$/],
  ['answers without parameters', '{}\0', /the answer is no JSON object$/],
  ['answers with an error alone', '{"error":"X","parameters":{}}\0', /: X \{\}$/],
] as const) {
  test(`one that ${what} is E_CONTROL`, async (t) => {
    const file = path.join(scratch(t), 'odd');
    const server = createServer((peer) => peer.end(reply));
    t.after(() => server.close());
    server.listen(file);
    await once(server, 'listening');
    await assert.rejects(ask(file, 'Status'), { code: 'E_CONTROL', message });
  });
}
