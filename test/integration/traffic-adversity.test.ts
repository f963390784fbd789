// Goal: nothing from outside ends the accounting or makes a wrong sum of it: strangers' messages, missing rights, a
// damaged ledger, a bad configuration, a crowd of peers.
import assert from 'node:assert/strict';
import { chmodSync, chownSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { bind, check } from '../../lib/sys/libc.ts';
import { openNetfilter } from '../../lib/sys/netlink.ts';
import { Accounting, inNamespace } from '../support/accounting.ts';
import { lacksTracking } from '../support/netns.ts';
import { until } from '../support/wait.ts';

const skip = lacksTracking();
const nobody = 65_534;
const stream = {
  sources: ['8.64.0.7'],
  firstPort: 30_000,
  ports: 100,
  packets: 2,
  payload: 100,
  perSecond: 0,
};

const getsockname = bind('int getsockname(int fd, _Out_ uint8_t *address, _Inout_ uint8_t *length)');
const sendto = bind(
  'int64_t sendto(int fd, const uint8_t *bytes, size_t size, int flags, const uint8_t *address, uint32_t length)',
);

/** struct sockaddr_nl of a socket. */
function addressOf(fd: number): Buffer {
  const address = Buffer.alloc(12);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(address.length);
  check(getsockname(fd, address, length), 'getsockname');
  // Without its groups: to it alone.
  address.writeUInt32LE(0, 8);
  return address;
}

test('messages that are not from the kernel are left out, and no end is made of them', {
  skip,
}, async (t) => {
  const accounting = new Accounting(t, { settings: ['[Accounting]', 'Interval=1h'] });
  const daemon = await accounting.start();
  const to = addressOf(accounting.fds[0]);
  const stranger = inNamespace(accounting.network.server.at(-1) ?? '', () => openNetfilter(0));
  for (const bytes of [Buffer.from('rubbish'), Buffer.alloc(20_000, 0xff), Buffer.alloc(16)])
    check(sendto(stranger, bytes, bytes.length, 0, to, to.length), 'sendto');
  await daemon.record(/left out: not from the kernel/);
  await accounting.send(stream);
  accounting.flush();
  await accounting.agrees();
  assert.equal(await daemon.stop(), 0);
});

test('without the capability ends are counted all the same, and it says what it lacks', {
  skip,
}, async (t) => {
  const accounting = new Accounting(t, { settings: ['[Accounting]', 'Interval=1s'] });
  for (const file of [accounting.folder, accounting.state]) chownSync(file, nobody, nobody);
  chmodSync(accounting.control, 0o666);
  const daemon = await accounting.start({ uid: nobody });
  await daemon.record(/refuses to list its flows: it needs CAP_NET_ADMIN.*counted when they end/);
  assert.match((await accounting.status()).dumpTrouble ?? '', /CAP_NET_ADMIN/);
  await accounting.send(stream);
  assert.deepEqual(await accounting.peers(), []);
  accounting.flush();
  await accounting.agrees();
  // Once, not every second.
  await sleep(2_500);
  assert.equal(daemon.records.filter(({ MESSAGE }) => MESSAGE.includes('counted when they end')).length, 1);
  assert.equal(await daemon.stop(), 0);
});

test('a damaged ledger is moved aside, and counting begins anew', { skip }, async (t) => {
  const accounting = new Accounting(t, { settings: ['[Accounting]', 'Interval=1h'] });
  writeFileSync(path.join(accounting.state, 'traffic.db'), 'SQLite format 3\0 but not really');
  const daemon = await accounting.start();
  await daemon.record(/the ledger is damaged and was moved to/);
  assert.ok(readdirSync(accounting.state).some((name) => name.startsWith('traffic.db.damaged-')));
  await accounting.send(stream);
  accounting.flush();
  await accounting.agrees();
});

test('more peers than have a row of their own: the rest is in other, to the byte', { skip }, async (t) => {
  const accounting = new Accounting(t, { settings: ['[Accounting]', 'Interval=1h', 'MaxPeers=5'] });
  await accounting.start();
  const sources = Array.from({ length: 30 }, (_, index) => `8.64.1.${index + 1}`);
  await accounting.send({ ...stream, sources, ports: 10 });
  await accounting.agrees();
  const peers = await accounting.peers();
  assert.equal(peers.length, 6);
  const rest = peers.find(({ peer }) => peer === 'other');
  assert.equal(rest?.txBytes, 25 * 10 * 2 * 128);
  accounting.flush();
  await accounting.agrees();
  // Over a restart as well.
  await accounting.restart();
  await accounting.send({ ...stream, sources: sources.slice(20), ports: 10 });
  accounting.flush();
  await accounting.agrees();
  assert.equal((await accounting.peers()).length, 6);
});

test('a configuration with a mistake changes nothing when it is read again', { skip }, async (t) => {
  const accounting = new Accounting(t, {
    settings: ['[Accounting]', 'Interval=1h', '[Class web]', 'Port=30000-30009'],
  });
  const daemon = await accounting.start();
  accounting.configure(['[Accounting]', 'Interval=1h', '[Class web]', 'Port=none']);
  daemon.process.kill('SIGHUP');
  await daemon.record(/Port=none.*\[Class web\] is left out/);
  await daemon.record(/not reloaded: .*without mistakes/);
  await accounting.send(stream);
  accounting.flush();
  await until('the chosen flows', async () => (await accounting.sums()).received.packets === 20);
  accounting.configure(['[Accounting]', 'Interval=1h', 'GroupPrefix4=16', '[Class rest]']);
  daemon.process.kill('SIGHUP');
  await daemon.record(/^reloaded: /);
  await accounting.send(stream);
  accounting.flush();
  await until('all flows', async () => (await accounting.sums()).received.packets === 220);
  assert.deepEqual((await accounting.peers()).map(({ peer }) => peer).sort(), ['8.64.0.0/16', '8.64.0.7']);
});

test('a state folder that cannot be written keeps no event from being counted later', { skip }, async (t) => {
  const accounting = new Accounting(t, { settings: ['[Accounting]', 'Interval=1h'] });
  // As the database: SQLite cannot open a folder.
  const wrong = path.join(accounting.state, 'traffic.db');
  accounting.inServer(['mkdir', wrong]);
  const daemon = await accounting.start();
  await daemon.record(/cannot work: .*what comes waits in its socket/);
  await accounting.send(stream);
  accounting.flush();
  accounting.inServer(['rmdir', wrong]);
  daemon.process.kill('SIGHUP');
  await daemon.record(/works again/);
  await accounting.agrees();
  assert.ok(existsSync(wrong));
});
