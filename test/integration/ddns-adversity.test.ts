// The receiver when things around it go wrong, beyond the faults of the old server: a bad policy, a moved zone, a
// full disk.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  chownSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readStatus } from '../../daemons/ddns/store.ts';
import { root } from '../support/daemon.ts';
import { type Bench, Client, receiverOn, send } from '../support/ddns.ts';
import { lares } from '../support/lares.ts';
import { until } from '../support/wait.ts';

const zoneFor = (client: Client): string =>
  `# dynamic: 0 ${client.publicText}\n+name.example:192.0.2.1:300\n`;
const read = ({ zone }: Bench): string => readFileSync(zone, 'latin1');

test('a bad word in AllowAddresses opens nothing at all, and --check says so', async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client));
  writeFileSync(bench.conf, `[Receiver]\nZone=${bench.zone}\nAllowAddresses=127.0.0.0/8 192.168.0.0/33\n`);
  const check = await lares(['run', 'ddns', '--conf', bench.conf, '--check']);
  assert.equal(check.code, 6);
  assert.match(check.out, /ddns\.conf:3: AllowAddresses=.*'192\.168\.0\.0\/33' is no network/);
  const daemon = bench.start();
  const port = await daemon.ready();
  await daemon.record(/ddns\.conf:3: AllowAddresses=.*using the default/);
  await send(port, client.packet());
  await daemon.record(/^refused: address from 127\.0\.0\.1/);
  assert.ok(read(bench).includes('192.0.2.1'));
});

test('a reload takes up another zone, and the one before is left alone', async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client));
  const daemon = bench.start();
  const port = await daemon.ready();
  const other = path.join(path.dirname(bench.zone), 'other');
  writeFileSync(other, zoneFor(client));
  writeFileSync(bench.conf, readFileSync(bench.conf, 'utf8').replace(bench.zone, other));
  daemon.process.kill('SIGHUP');
  await daemon.record(/^reloaded: /);
  await send(port, client.packet());
  await until('the update', () => readFileSync(other, 'latin1').includes('+name.example:127.0.0.1:'));
  assert.ok(read(bench).includes('192.0.2.1'));
});

test('as root it does not rewrite a zone that somebody else could move from under it', async (t) => {
  if (process.getuid?.() !== 0) {
    t.skip('needs root, which it is about');
    return;
  }
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client));
  chownSync(path.dirname(bench.zone), 65_534, 65_534);
  const daemon = bench.start();
  await send(await daemon.ready(), client.packet());
  await daemon.record(
    /runs as root, but uid 65534 can move what lies in .*root: run the receiver as the user/,
  );
  assert.equal(read(bench), zoneFor(client));
  chownSync(path.dirname(bench.zone), 0, 0);
  await until('the update', () => read(bench).includes('+name.example:127.0.0.1:'));
});

/** Whether it worked; root in a container may be denied it. */
function mountSmall(folder: string): boolean {
  mkdirSync(folder, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k,mode=700', 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

for (const place of ['state', 'root'] as const) {
  test(`a full disk under ${place} holds updates back until there is room again`, async (t) => {
    const client = new Client();
    const bench = receiverOn(t, zoneFor(client));
    const folder = path.join(bench.folder, place);
    if (!mountSmall(folder)) {
      t.skip('needs root, for a small file system');
      return;
    }
    try {
      if (place === 'root') writeFileSync(bench.zone, zoneFor(client));
      const daemon = bench.start();
      const port = await daemon.ready();
      const filler = path.join(folder, 'filler');
      assert.throws(() => writeFileSync(filler, Buffer.alloc(600_000)), { code: 'ENOSPC' });
      await send(port, client.packet());
      await daemon.record(
        place === 'state' ? /^cannot write the state, retrying: .*full/ : /ENOSPC.*1 update waiting/,
      );
      assert.equal(read(bench), zoneFor(client), 'the zone is as it was, whole');
      rmSync(filler);
      await until('the update', () => read(bench).includes('+name.example:127.0.0.1:'));
      assert.equal(await daemon.stop(), 0);
    } finally {
      execFileSync('umount', ['-l', folder]);
    }
  });
}

test('nothing reaches the zone that is not durable: no replay after a crash on a full disk', async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client));
  const state = path.join(bench.folder, 'state');
  if (!mountSmall(state)) {
    t.skip('needs root, for a small file system');
    return;
  }
  try {
    const daemon = bench.start();
    const port = await daemon.ready();
    await send(port, client.packet(), '127.0.0.2');
    await until('the first update', () => read(bench).includes(':127.0.0.2:'));
    // Due within the pace of a second; then the disk fills, and a packet comes that cannot be stored.
    await send(port, client.packet(), '127.0.0.3');
    await until('its commit', () => peerOf(state) === '127.0.0.3');
    assert.throws(() => writeFileSync(path.join(state, 'filler'), Buffer.alloc(600_000)), { code: 'ENOSPC' });
    const captured = client.packet();
    await send(port, captured, '127.0.0.4');
    await daemon.record(/^cannot write the state/);
    await sleep(1_500);
    assert.ok(!read(bench).includes(':127.0.0.4:'), 'an update that is not stored has been written');
    await daemon.kill();
    rmSync(path.join(state, 'filler'));
    const again = bench.start();
    await again.ready();
    await until('the stored update', () => read(bench).includes(':127.0.0.3:'));
  } finally {
    execFileSync('umount', ['-l', state]);
  }
});

function peerOf(state: string): string | undefined {
  return readStatus(state)?.peers[0]?.address.text;
}

test('a log on a full disk, and one that nobody reads, do not stop it', async (t) => {
  const client = new Client();
  const bench = receiverOn(
    t,
    zoneFor(client),
    'Hook=/bin/sh -c "seq 1 100 | sed s/$/0000000000000000000000000000000/"\n',
  );
  const args = ['--conf', bench.conf, '--state', path.join(bench.folder, 'state'), '--listen', '127.0.0.1:0'];
  const main = path.join(root, 'daemons/ddns/main.ts');
  const port = await freePort();
  args[args.length - 1] = `127.0.0.1:${port}`;
  for (const [index, redirect] of ['2>/dev/full', '2>"$FIFO"'].entries()) {
    const fifo = path.join(bench.folder, `fifo-${index}`);
    execFileSync('mkfifo', [fifo]);
    // A reader that holds the pipe open and never reads.
    const reader = openSync(fifo, constants.O_RDWR);
    const child = spawn('/bin/sh', ['-c', `exec "$@" ${redirect}`, 'sh', process.execPath, main, ...args], {
      stdio: 'ignore',
      env: { ...process.env, FIFO: fifo },
    });
    t.after(() => child.kill('SIGKILL'));
    for (let n = 1; n <= 3; n += 1) {
      const from = `127.0.${index + 5}.${n}`;
      await until(`an update from ${from}`, async () => {
        await send(port, [client.packet(), ...Array.from({ length: 300 }, () => Buffer.from('junk'))], from);
        await sleep(200);
        return read(bench).includes(`:${from}:`);
      });
    }
    child.kill('SIGTERM');
    assert.deepEqual(await once(child, 'exit'), [0, null], redirect);
    closeSync(reader);
  }
});

async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(resolve));
  return port;
}

test('two daemons on one state folder: the second one refuses', async (t) => {
  const bench = receiverOn(t, zoneFor(new Client()));
  await bench.start().ready();
  const second = bench.start();
  assert.equal(await second.exit(), 1);
  assert.match(second.text, /E_STATE_BUSY: another process of this daemon uses /);
});

test('an update whose block is bad at the moment waits until it is mended', async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client));
  const daemon = bench.start();
  const port = await daemon.ready();
  await send(port, client.packet(), '127.0.0.2');
  await until('the first update', () => read(bench).includes(':127.0.0.2:'));
  await send(port, client.packet(), '127.0.0.3');
  const good = read(bench);
  writeFileSync(bench.zone, good.replace(':127.0.0.2:', ':127.0.0:'));
  await daemon.record(/'127\.0\.0' is no IPv4 address/);
  await sleep(1_500);
  writeFileSync(bench.zone, good);
  await until('the second update', () => read(bench).includes(':127.0.0.3:'));
});

test('an edit by hand outlives a restart while the hook fails', async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client), 'Hook=/bin/false\n');
  const daemon = bench.start();
  await send(await daemon.ready(), client.packet());
  await daemon.record(/^hook failed/);
  writeFileSync(bench.zone, read(bench).replace(':127.0.0.1:', ':198.51.100.9:'));
  await daemon.record(/^zone read/, daemon.records.length);
  await daemon.stop();
  const again = bench.start();
  await again.ready();
  await sleep(1_500);
  assert.ok(read(bench).includes(':198.51.100.9:'));
});

test('a reload to a zone that cannot be read is refused, and the old one serves on', async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client));
  const daemon = bench.start();
  const port = await daemon.ready();
  writeFileSync(bench.conf, readFileSync(bench.conf, 'utf8').replace(bench.zone, `${bench.zone}.missing`));
  daemon.process.kill('SIGHUP');
  await daemon.record(/^not reloaded: cannot read zone .*missing.*; the old configuration stays in force/);
  await send(port, client.packet());
  await until('the update', () => read(bench).includes('+name.example:127.0.0.1:'));
});

test('a reload runs a mended hook at once', async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client), 'Hook=/bin/false\n');
  const daemon = bench.start();
  await send(await daemon.ready(), client.packet());
  await daemon.record(/^hook failed/);
  await sleep(4_000);
  writeFileSync(bench.conf, readFileSync(bench.conf, 'utf8').replace('/bin/false', '/bin/true'));
  daemon.process.kill('SIGHUP');
  await daemon.record(/^published 1 change/);
});

test('MaxClockSkew=0 is the strictest window, not an open one', async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client), 'MaxClockSkew=0\n');
  const daemon = bench.start();
  await send(await daemon.ready(), client.packet(Date.now() / 1_000 - 3_600));
  await daemon.record(/^refused: stale/);
});

test('a key that a wrong clock has locked is named so, and forget opens it again', async (t) => {
  // One id in 64 starts with a dash, one in 4,096 as the short option of the help does.
  let client = new Client();
  while (!client.key.keyId.startsWith('-h')) client = new Client();
  const bench = receiverOn(t, zoneFor(client), 'MaxClockSkew=7d\n');
  const daemon = bench.start();
  const port = await daemon.ready();
  await send(port, client.packet(Date.now() / 1_000 + 3 * 86_400), '127.0.0.2');
  await until('the update', () => read(bench).includes(':127.0.0.2:'));
  const state = path.join(bench.folder, 'state');
  const forget = (): ReturnType<typeof lares> =>
    lares(['ddns', 'forget', client.key.keyId, '--state', state]);
  const busy = await forget();
  assert.equal(busy.code, 1);
  assert.match(busy.err, /another process of this daemon uses/);
  await daemon.stop();

  writeFileSync(bench.conf, readFileSync(bench.conf, 'utf8').replace('7d', '10min'));
  const second = bench.start();
  await send(await second.ready(), client.packet(), '127.0.0.3');
  const { LARES_REASON } = await second.record(/^refused: locked from 127\.0\.0\.3/);
  assert.equal(LARES_REASON, 'locked');
  await second.stop();

  assert.deepEqual(await forget(), { code: 0, out: `forgot the mark of ${client.key.keyId}\n`, err: '' });
  assert.match((await forget()).err, /no mark of key '.*' in .*: nothing to forget/);
  const third = bench.start();
  await send(await third.ready(), client.packet(), '127.0.0.3');
  await until('the update', () => read(bench).includes(':127.0.0.3:'));
});

test('status says which configuration it could not read', async (t) => {
  const conf = path.join(receiverOn(t, '').folder, 'absent.conf');
  const { code, err } = await lares(['ddns', 'status', '--state', path.dirname(conf), '--conf', conf]);
  assert.equal(code, 1);
  assert.match(err, /absent\.conf: cannot be read.*ENOENT.*; no Zone= configured/);
});
