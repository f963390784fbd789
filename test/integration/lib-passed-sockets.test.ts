// What runDaemon promises with sockets that it was passed, shown by a real process: it starts although it cannot work,
// answers on its control socket, and goes away when idle.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from '../../lib/control.ts';
import { LaresError } from '../../lib/errors.ts';
import { send, unreadSocket } from '../support/ddns.ts';
import { Example } from '../support/example-daemon.ts';
import { scratch } from '../support/scratch.ts';
import { until } from '../support/wait.ts';

const good = '[Example]\nGreeting=hello\n';

/** A listening socket to pass on; `leave` it once somebody has it, since this process would accept from it too. */
async function listening(file: string): Promise<{ fd: number; leave: () => void }> {
  const server = createServer();
  server.listen(`${file}.made`);
  await once(server, 'listening');
  // Node removes the name that it has made.
  renameSync(`${file}.made`, file);
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  return { fd, leave: () => server.close() };
}

interface Setup {
  conf: string;
  control: string;
  port: number;
  /** The first gets the control socket too. */
  start: () => Example;
}

async function setup(t: TestContext, text: string): Promise<Setup> {
  const folder = scratch(t);
  const conf = path.join(folder, 'example.conf');
  const control = path.join(folder, 'control');
  writeFileSync(conf, text);
  const { port, fd } = await unreadSocket(t);
  const { fd: controlFd, leave } = await listening(control);
  t.after(leave);
  const args = ['--conf', conf, '--state', path.join(folder, 'state')];
  let fds = [fd, controlFd];
  return {
    conf,
    control,
    port,
    start: () => {
      const env = { LISTEN_FDS: String(fds.length), LISTEN_FDNAMES: 'udp:control' };
      const daemon = new Example(t, { args, env, fds });
      leave();
      fds = [fd];
      return daemon;
    },
  };
}

test('without a required key it starts, drops and counts, and works as soon as a reload finds the key', async (t) => {
  const { conf, control, port, start } = await setup(t, '[Example]\n');
  await send(port, [Buffer.from('one'), Buffer.from('two')]);
  const daemon = start();
  await daemon.record(/^cannot work: Greeting= in \[Example\] must be set/);
  await daemon.ready();
  await until('two dropped datagrams', async () => (await ask(control, 'Status'))['dropped'] === 2);
  const { degraded, status } = await ask(control, 'Status');
  assert.equal(degraded, true);
  assert.match(String(status), /^cannot work: Greeting=.*; 2 datagrams dropped$/);
  writeFileSync(conf, good);
  daemon.process.kill('SIGHUP');
  await daemon.record(/^works again: hello/);
  await send(port, Buffer.from('three'));
  await daemon.record(/^received three, said hello$/);
  assert.equal((await ask(control, 'Status'))['greeting'], 'hello');
  assert.equal(await daemon.end('SIGTERM'), 0);
});

test('idle, it leaves, and what comes later waits in the socket for the next process', async (t) => {
  const { port, start } = await setup(t, `${good}IdleExit=1s\n`);
  const first = start();
  await first.ready();
  assert.equal(await first.end(), 0);
  assert.equal(first.messages.at(-1), 'stopped (idle)');
  await send(port, Buffer.from('waiting'));
  const second = start();
  await second.record(/^received waiting, said hello$/);
});

test('what waits in the socket counts before an idle time that the start has used up', async (t) => {
  const { port, start } = await setup(t, `${good}IdleExit=1s\nSlowStart=2s\n`);
  await send(port, Buffer.from('waiting'));
  const daemon = start();
  await daemon.record(/^received waiting, said hello$/);
  assert.equal(await daemon.end(), 0);
});

test('with something to do it stays', async (t) => {
  const { control, port, start } = await setup(t, `${good}IdleExit=1s\n`);
  const daemon = start();
  await daemon.ready();
  await send(port, Buffer.from('busy'));
  await daemon.record(/^received busy/);
  await sleep(2_500);
  assert.equal((await ask(control, 'Status'))['daemon'], 'example');
  await send(port, Buffer.from('done'));
  assert.equal(await daemon.end(), 0);
});

/** What the daemon answers to raw bytes, until it hangs up or has answered `objects` times. */
async function talk(file: string, bytes: Buffer | string, objects: number): Promise<string[]> {
  const socket = createConnection(file);
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => {
    text += part;
    if (text.split('\0').length > objects) socket.destroy();
  });
  socket.on('error', () => undefined);
  socket.write(bytes);
  await new Promise((resolve) => socket.once('close', resolve));
  return text.split('\0').slice(0, -1);
}

test('the control socket answers or hangs up, whatever it is sent', async (t) => {
  const { control, start } = await setup(t, good);
  const daemon = start();
  await daemon.ready();
  const status = '{"method":"Status"}\0';
  const [first, second] = await talk(control, status + status, 2);
  assert.equal(first, second);
  for (const [sent, error] of [
    ['{"method":"toString"}\0', '{"error":"MethodNotFound","parameters":{"method":"toString"}}'],
    ['{"method":5}\0', '{"error":"InvalidRequest","parameters":{}}'],
    ['null\0', '{"error":"InvalidRequest","parameters":{}}'],
    ['[[\0', '{"error":"InvalidRequest","parameters":{}}'],
    ['\0', '{"error":"InvalidRequest","parameters":{}}'],
  ] as const)
    assert.deepEqual(await talk(control, sent, 1), [error]);
  assert.deepEqual(await talk(control, Buffer.alloc(200_000, 0x20), 1), [], 'too long: it hangs up');
  assert.ok(
    (await talk(control, status.repeat(1_000), 1_000)).length < 1_000,
    'too many at once: it hangs up',
  );
  assert.equal((await ask(control, 'Status'))['greeting'], 'hello');
  await assert.rejects(ask(control, 'Nonsense'), (error) => {
    assert.ok(error instanceof LaresError && error.code === 'E_CONTROL');
    assert.match(error.message, /MethodNotFound/);
    return true;
  });
  await assert.rejects(
    ask(`${control}.absent`, 'Status'),
    /nobody listens there; is its socket unit started\? /,
  );
});
