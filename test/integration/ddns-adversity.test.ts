// The receiver when things around it go wrong, beyond the faults of the old server: a bad policy, a moved zone, a
// full disk.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
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
