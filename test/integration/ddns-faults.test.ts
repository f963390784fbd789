// The faults of the 2014 server, each as a test of this one: S1 to S11 as the specification numbers them, and the rest
// of its list. Real processes, sockets and files; no root needed.
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Daemon } from '../support/daemon.ts';
import { type Bench, Client, receiverOn, send, unreadSocket } from '../support/ddns.ts';
import { until } from '../support/wait.ts';

const dual = `+name.example:192.0.2.1:300
:name.example:28:${'\\000'.repeat(16)}:300
`;
const zoneFor = (client: Client, stamp = '0', lines = dual): string =>
  `+static:192.0.2.200\n\n# dynamic: ${stamp} ${client.publicText}\n${lines}`;
const read = (bench: Bench): string => readFileSync(bench.zone, 'latin1');
const now = (): number => Date.now() / 1_000;
const addressIs = (bench: Bench, address: string): Promise<true> =>
  until(
    `${address} in the zone`,
    () => read(bench).includes(`+name.example:${address}:`) || undefined,
    () => read(bench),
  ).then(() => true);

async function begin(
  t: TestContext,
  client: Client,
  settings = '',
  zone = zoneFor(client),
): Promise<{ bench: Bench; daemon: Daemon; port: number }> {
  const bench = receiverOn(t, zone, settings);
  const daemon = bench.start();
  return { bench, daemon, port: await daemon.ready() };
}

test('S1: any number of updates in one run, of any printed widths, leave the comment whole', async (t) => {
  const client = new Client();
  const { bench, port } = await begin(t, client);
  const base = Math.floor(now()) - 100;
  const stamps = [base, base + 1.5, base + 2.123456, base + 3, base + 4.25, base + 5];
  for (const [index, stamp] of stamps.entries()) {
    await send(port, client.packet(stamp), `127.0.0.${index + 10}`);
    await addressIs(bench, `127.0.0.${index + 10}`);
    assert.equal(
      read(bench),
      zoneFor(client, String(stamp), dual.replace('192.0.2.1', `127.0.0.${index + 10}`)),
    );
  }
});

test('S2: a captured keep-alive cannot be replayed from elsewhere, not even after a restart', async (t) => {
  const client = new Client();
  const { bench, daemon, port } = await begin(t, client);
  await send(port, client.packet());
  await addressIs(bench, '127.0.0.1');
  const before = read(bench);
  const keepAlive = client.packet();
  await send(port, keepAlive);
  await send(port, keepAlive, '127.6.6.6');
  await daemon.record(/^refused: replayed from 127\.6\.6\.6/);
  assert.equal(read(bench), before, 'a keep-alive leaves the zone alone');
  await daemon.stop();
  const again = bench.start();
  await send(await again.ready(), keepAlive, '127.6.6.6');
  await again.record(/^refused: replayed from 127\.6\.6\.6/);
  assert.equal(read(bench), before);
});

test('S3: the stamp is stored without loss, so the last packet is not accepted again after a restart', async (t) => {
  const client = new Client();
  const { bench, daemon, port } = await begin(t, client);
  const stamp = Math.floor(now()) + 0.123_456_7;
  const packet = client.packet(stamp);
  await send(port, packet);
  await addressIs(bench, '127.0.0.1');
  const written = /# dynamic: (\S+) /.exec(read(bench))?.[1];
  assert.equal(Number(written), packet.readDoubleBE(28));
  await daemon.stop();
  // Even with the state lost, the stamp in the zone holds.
  rmSync(path.join(bench.folder, 'state'), { recursive: true });
  const again = bench.start();
  await send(await again.ready(), packet, '127.6.6.6');
  await again.record(/^refused: replayed from 127\.6\.6\.6/);
  assert.match(again.text, /no high-water marks/);
});

test('S4: both families of a round are taken, each once, and no captured packet over the other later', async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client));
  const daemon = bench.start({ args: ['--listen', '127.0.0.1:0', '--listen', '[::1]:0'] });
  await daemon.ready();
  const ports = /127\.0\.0\.1:(\d+), \[::1\]:(\d+)/.exec(daemon.text);
  const [, four, six] = (ports ?? []).map(Number);
  const packet = client.packet();
  await send(four ?? 0, packet);
  await send(six ?? 0, packet, '::1');
  await addressIs(bench, '127.0.0.1');
  await until('the IPv6 address', () => read(bench).includes(`:name.example:28:${'\\000'.repeat(15)}\\001:`));
  await send(four ?? 0, packet);
  await send(six ?? 0, packet, '::1');
  await until(
    'two refusals',
    () => daemon.records.filter(({ LARES_REASON }) => LARES_REASON === 'replayed').length === 2,
  );
  // A packet of one family alone, sent over the other once the moment is over.
  const single = client.packet();
  await send(four ?? 0, single);
  await sleep(5_500);
  const since = daemon.records.length;
  await send(six ?? 0, single, '::1');
  await daemon.record(/^refused: replayed from ::1/, since);
});

test('S5: a stamp far ahead, infinite, or no number at all is refused and locks nothing', async (t) => {
  const client = new Client();
  const { bench, daemon, port } = await begin(t, client);
  for (const stamp of [Number.POSITIVE_INFINITY, Number.NaN, 1e18, 1e300, now() + 3_600, -1])
    await send(port, client.packet(stamp));
  await until(
    'six refusals',
    () => daemon.records.filter(({ LARES_REASON }) => LARES_REASON !== undefined).length === 6,
  );
  await send(port, client.packet());
  await addressIs(bench, '127.0.0.1');
});

test('S5: a block that the old server has locked with such a stamp is open again', async (t) => {
  const client = new Client();
  const { bench, port } = await begin(t, client, '', zoneFor(client, '1000000000000000000.00'));
  await send(port, client.packet());
  await addressIs(bench, '127.0.0.1');
});

test('S6: edits by an admin within moments of rewrites are kept, by rename and in place', async (t) => {
  const client = new Client();
  const { bench, daemon, port } = await begin(t, client);
  const edits: string[] = [];
  for (let n = 0; n < 12; n += 1) {
    await send(port, client.packet(), `127.0.1.${n + 1}`);
    // At another moment of the rewrite each time.
    await sleep(n * 3);
    const line = `+edit-${n}.example:192.0.2.${n}`;
    if (n % 2 === 0) writeFileSync(bench.zone, `${line}\n${read(bench)}`);
    else {
      writeFileSync(`${bench.zone}.new`, `${line}\n${read(bench)}`);
      renameSync(`${bench.zone}.new`, bench.zone);
    }
    edits.push(line);
    await sleep(150);
  }
  await addressIs(bench, '127.0.1.12');
  await sleep(300);
  const text = read(bench);
  for (const line of edits) assert.ok(text.includes(line), `${line} was lost:\n${text}`);
  assert.equal(daemon.process.exitCode, null);
});

test('S7: readers see the old or the new file, and nothing is left beside it', async (t) => {
  const client = new Client();
  const filler = Array.from({ length: 5_000 }, (_, n) => `+host-${n}.example:192.0.2.${n % 250}\n`).join('');
  const { bench, daemon, port } = await begin(
    t,
    client,
    '',
    `${zoneFor(client)}\n${filler}+last.example:192.0.2.99\n`,
  );
  const seen = new Set<string>();
  for (let n = 0; n < 4; n += 1) {
    await send(port, client.packet(), `127.0.3.${n + 1}`);
    await until('an update', () => {
      const text = read(bench);
      assert.ok(
        text.endsWith('\n+last.example:192.0.2.99\n') && text.startsWith('+static:'),
        'a partial file was read',
      );
      seen.add(/\+name\.example:([^:]+)/.exec(text)?.[1] ?? '');
      return text.includes(`127.0.3.${n + 1}:`);
    });
  }
  assert.equal(seen.size, 5);
  await daemon.stop();
  assert.deepEqual(readdirSync(path.dirname(bench.zone)), ['data']);
});

test('S8: a symlink stays a symlink, its target keeps its mode', async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client));
  const target = path.join(bench.folder, 'real-zone');
  renameSync(bench.zone, target);
  chmodSync(target, 0o640);
  symlinkSync(target, bench.zone);
  const daemon = bench.start();
  await send(await daemon.ready(), client.packet());
  await addressIs(bench, '127.0.0.1');
  assert.ok(lstatSync(bench.zone).isSymbolicLink());
  assert.equal(statSync(target).mode & 0o7777, 0o640);
});

test('S9: a key removed while its packet is on the way is refused, and the daemon lives', async (t) => {
  const client = new Client();
  const { bench, daemon, port } = await begin(t, client);
  const packets = Array.from({ length: 50 }, (_, n) => client.packet(now() + n / 1_000));
  const sending = send(port, packets);
  writeFileSync(bench.zone, '+static:192.0.2.200\n');
  await sending;
  await daemon.record(/for 0 keys/);
  await send(port, client.packet(now() + 1));
  await daemon.record(/^refused: unknown-key/);
  assert.equal(await daemon.stop(), 0);
});

test('S10: a slow hook delays no packet, runs one at a time, and the runs are grouped', async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client));
  const hook = path.join(bench.folder, 'hook');
  writeFileSync(
    hook,
    `#!/bin/sh\nmkdir running || echo overlap >>log\necho start >>log\ncat >>log\nsleep 2.5\nrmdir running\n`,
  );
  chmodSync(hook, 0o755);
  writeFileSync(bench.conf, `${readFileSync(bench.conf, 'utf8')}Hook=${hook}\n`);
  const daemon = bench.start();
  const port = await daemon.ready();
  const log = path.join(path.dirname(bench.zone), 'log');
  await send(port, client.packet(), '127.0.4.1');
  await until('the hook', () => existsSync(log));
  for (const last of [2, 3]) {
    await send(port, client.packet(), `127.0.4.${last}`);
    await addressIs(bench, `127.0.4.${last}`);
    assert.equal(
      readFileSync(log, 'utf8').match(/start/g)?.length,
      1,
      'the zone changes while the first hook still runs',
    );
  }
  await until('the second run', () => readFileSync(log, 'utf8').match(/start/g)?.length === 2);
  await until('its input', () => readFileSync(log, 'utf8').includes('127.0.4.3'));
  const text = readFileSync(log, 'utf8');
  assert.ok(!text.includes('overlap'));
  assert.match(text, /"from":"127\.0\.4\.1","to":"127\.0\.4\.3"/);
  assert.equal(await daemon.stop(), 0);
});

test('S11: a passed socket is the normal way to run', async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client));
  const { port, fd } = await unreadSocket(t);
  // What arrives before the daemon runs waits in the socket.
  const daemon = bench.start({ args: [], fds: [fd], env: { LISTEN_FDS: '1', LISTEN_FDNAMES: 'udp' } });
  await send(port, client.packet());
  assert.equal(await daemon.ready(), port);
  await addressIs(bench, '127.0.0.1');
  assert.equal(await daemon.stop(), 0);
  // The socket lives on in its owner: nothing sent while no daemon runs is lost.
  await send(port, client.packet(), '127.0.0.9');
  bench.start({ args: [], fds: [fd], env: { LISTEN_FDS: '1', LISTEN_FDNAMES: 'udp' } });
  await addressIs(bench, '127.0.0.9');
});

test('a key that is added to the zone is good at once, without a restart', async (t) => {
  const client = new Client();
  const late = new Client();
  const { bench, daemon, port } = await begin(t, client);
  writeFileSync(bench.zone, `${read(bench)}\n# dynamic: 0 ${late.publicText}\n+late.example:192.0.2.7\n`);
  await daemon.record(/for 2 keys/);
  await send(port, late.packet());
  await until('the late name', () => read(bench).includes('+late.example:127.0.0.1\n'));
});

test('a bad block is named with its line and harms no other; an unreadable zone is waited for', async (t) => {
  const client = new Client();
  const { bench, daemon, port } = await begin(t, client);
  writeFileSync(bench.zone, `# dynamic: 0 nonsense\n+other.example:192.0.2.7\n\n${read(bench)}`);
  await daemon.record(/data:1: key 'nonsense': not a key/);
  await send(port, client.packet());
  await addressIs(bench, '127.0.0.1');
  renameSync(bench.zone, `${bench.zone}.away`);
  await daemon.record(/cannot read zone .*; the zone last read stays in force/);
  await send(port, client.packet(), '127.0.0.2');
  await daemon.record(/1 update waiting/);
  renameSync(`${bench.zone}.away`, bench.zone);
  await addressIs(bench, '127.0.0.2');
});

test('every update and every refusal is one record with its fields', async (t) => {
  const client = new Client();
  const { daemon, port } = await begin(t, client);
  await send(port, client.packet());
  const updated = await daemon.record(/^updated /);
  assert.equal(updated.MESSAGE, 'updated name.example A 192.0.2.1 -> 127.0.0.1');
  assert.deepEqual(
    [updated.LARES_NAME, updated.LARES_SOURCE, updated.LARES_KEY_ID],
    ['name.example', '127.0.0.1', client.key.keyId],
  );
  await send(port, Buffer.from('junk'), '127.0.0.8');
  const refused = await daemon.record(/^refused: /);
  assert.equal(refused.MESSAGE, 'refused: length from 127.0.0.8');
  assert.deepEqual(
    [refused.LARES_REASON, refused.LARES_SOURCE, refused.LARES_KEY_ID],
    ['length', '127.0.0.8', undefined],
  );
  assert.match(updated.MESSAGE_ID, /^[0-9a-f]{32}$/);
  assert.notEqual(updated.MESSAGE_ID, refused.MESSAGE_ID);
});

test('what a flood of refusals has kept back is said at the stop', async (t) => {
  const { daemon, port } = await begin(t, new Client());
  await send(
    port,
    Array.from({ length: 25 }, () => Buffer.from('junk')),
  );
  await until(
    'ten records',
    () => daemon.records.filter(({ LARES_REASON }) => LARES_REASON === 'length').length === 10,
  );
  await send(port, Buffer.alloc(100));
  await daemon.record(/^refused: unknown-key/);
  await daemon.stop();
  await daemon.record(/^refused: length, 15 more within 10 s/);
});

test('a failing hook is run again until it succeeds, also across a restart', async (t) => {
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client), 'Hook=/bin/sh -c "cat >>log; test -e good"\n');
  const daemon = bench.start();
  await send(await daemon.ready(), client.packet());
  await daemon.record(/^hook failed, to be run again: exit status 1/);
  await daemon.kill();
  const again = bench.start();
  await again.record(/^hook failed/);
  writeFileSync(path.join(path.dirname(bench.zone), 'good'), '');
  await again.record(/^published 1 change/);
  const log = readFileSync(path.join(path.dirname(bench.zone), 'log'), 'utf8');
  assert.match(
    log,
    /^\{"keyId":"[\w-]{28}","name":"name\.example","type":"A","from":"192\.0\.2\.1","to":"127\.0\.0\.1"\}$/m,
  );
});

test('UpdateTimestamps=yes moves the stamp with every packet, and publishes nothing for it', async (t) => {
  const client = new Client();
  const { bench, daemon, port } = await begin(
    t,
    client,
    'UpdateTimestamps=yes\nHook=/bin/sh -c "echo run >>log"\n',
  );
  await send(port, client.packet());
  await addressIs(bench, '127.0.0.1');
  await daemon.record(/^published/);
  const stamp = now();
  await send(port, client.packet(stamp));
  await until('the new stamp', () => read(bench).includes(`# dynamic: ${stamp} `));
  await daemon.stop();
  assert.equal(readFileSync(path.join(path.dirname(bench.zone), 'log'), 'utf8'), 'run\n');
});

test('a folder that may not be written is said, with what to do, and the update waits for it', async (t) => {
  if (process.getuid?.() !== 0) {
    t.skip('needs root, to run the receiver as another user');
    return;
  }
  const client = new Client();
  const bench = receiverOn(t, zoneFor(client));
  chmodSync(bench.folder, 0o755);
  mkdirSync(path.join(bench.folder, 'state'), { mode: 0o777 });
  chmodSync(path.join(bench.folder, 'state'), 0o777);
  const daemon = bench.start({ uid: 65_534, gid: 65_534 });
  await send(await daemon.ready(), client.packet());
  const { MESSAGE } = await daemon.record(/cannot write a new zone/);
  assert.match(MESSAGE, new RegExp(`in ${path.dirname(bench.zone)}: EACCES.*lares ddns setup ${bench.zone}`));
  chmodSync(path.dirname(bench.zone), 0o777);
  await daemon.record(/belongs to uid 0/);
  assert.ok(read(bench).includes('192.0.2.1'), 'a rewrite that could not keep the owner does not happen');
});
