// The receiver before Debian's tinydns: packets from many addresses over a network of its own, the zone, the hook, and
// what a resolver gets to hear. Nothing is imitated, so what holds here holds on a name server.
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAddress } from '../../daemons/ddns/core/address.ts';
import { formatField } from '../../daemons/ddns/core/zone.ts';
import { type Bench, Client, receiverOn } from '../support/ddns.ts';
import {
  clientAddresses6,
  clientPrefix,
  lacks,
  lacksNetwork,
  type Network,
  networkOf,
  program,
  serverAddress,
} from '../support/netns.ts';
import { ask, serialOf, serve } from '../support/tinydns.ts';
import { type Target, Traffic } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const skip = lacks(['tinydns', 'tinydns-data', 'dig'], true) || lacksNetwork();
const ttlSeconds = 300;
const clientCount = 1_000;
// A loop that rewrote the file for each packet would come to the number of packets, not to a few.
const mostRewrites = 60;
const mostAheadSeconds = 2;

const head = `.example.net:${serverAddress.v4}:ns.example.net:${ttlSeconds}
.64.8.in-addr.arpa:${serverAddress.v4}:ns.example.net:${ttlSeconds}
+fixed.example.net:8.8.4.4:${ttlSeconds}
`;

interface Scene {
  network: Network;
  bench: Bench;
  folder: string;
  traffic: Traffic;
  to: { v4: Target; v6: Target };
  stop: () => Promise<number | null>;
}

/** A receiver with tinydns-data as its hook, tinydns on what that makes, and clients beyond a cable. */
async function stage(t: TestContext, zone: string): Promise<Scene> {
  const network = networkOf(t);
  const bench = receiverOn(t, zone, `Hook=${program('tinydns-data')}\n`);
  const daemon = bench.start({ wrapper: network.server });
  const port = await daemon.ready();
  const folder = path.dirname(bench.zone);
  serve(t, network, folder);
  return {
    network,
    bench,
    folder,
    traffic: new Traffic(t, network.clients),
    to: { v4: { host: serverAddress.v4, port }, v6: { host: serverAddress.v6, port } },
    stop: () => daemon.stop(),
  };
}

function octal(address: string): string {
  const parsed = parseAddress(address);
  assert.ok(parsed);
  return formatField(':', parsed);
}

test('a packet changes what tinydns answers: A, AAAA, and the PTR of an = line', { skip }, async (t) => {
  const client = new Client();
  const zone = `${head}
# dynamic: 0 ${client.publicText}
+home.example.net:192.0.2.1:${ttlSeconds}
=host.example.net:192.0.2.2:${ttlSeconds}
:home.example.net:28:${octal('2001:db8::1')}:${ttlSeconds}
'home.example.net:words in the block:${ttlSeconds}
-gone.example.net:192.0.2.3:${ttlSeconds}

+after.example.net:8.8.4.5:${ttlSeconds}
`;
  const { network, bench, traffic, to, stop } = await stage(t, zone);
  const others = ['fixed.example.net A', 'after.example.net A', 'home.example.net TXT'];
  const othersSay = [
    'fixed.example.net. A 8.8.4.4',
    'after.example.net. A 8.8.4.5',
    'home.example.net. TXT "words in the block"',
  ];
  let serial = 0;
  const rounds = [
    { v4: `${clientPrefix}1.7`, reverse: '7.1.64.8.in-addr.arpa', v6: clientAddresses6[0] ?? '' },
    { v4: `${clientPrefix}2.99`, reverse: '99.2.64.8.in-addr.arpa', v6: clientAddresses6[1] ?? '' },
  ];
  for (const { v4, reverse, v6 } of rounds) {
    const packet = client.packet();
    await traffic.send(to.v4, [{ from: v4, packet }]);
    await traffic.send(to.v6, [{ from: v6, packet }]);
    const questions = ['home.example.net A', 'host.example.net A', 'home.example.net AAAA', `${reverse} PTR`];
    const wanted = [
      `home.example.net. A ${v4}`,
      `host.example.net. A ${v4}`,
      `home.example.net. AAAA ${v6}`,
      `${reverse}. PTR host.example.net.`,
    ];
    let answers: string[] = [];
    await until(
      `answers ${wanted.join(', ')}`,
      async () => {
        answers = await ask(network, ...questions);
        return answers.join('\n') === wanted.join('\n');
      },
      () => answers.join('\n'),
    );
    assert.deepEqual(await ask(network, ...others), othersSay);
    const before = serial;
    serial = await serialOf(network, 'example.net');
    assert.ok(serial > before, `serial number ${serial} after ${before}`);
    assert.equal(serial, Math.floor(statSync(bench.zone).mtimeMs / 1_000));
    const stamp = packet.readDoubleBE(28);
    const text = zone
      .replace('# dynamic: 0', `# dynamic: ${stamp}`)
      .replace('192.0.2.1', v4)
      .replace('192.0.2.2', v4)
      .replace(octal('2001:db8::1'), octal(v6));
    assert.equal(readFileSync(bench.zone, 'latin1'), text);
  }
  assert.deepEqual(await ask(network, `${rounds[0]?.reverse ?? ''} PTR`, 'gone.example.net A'), []);
  assert.equal(await stop(), 0);
});

interface Home {
  client: Client;
  name: string;
  address: string;
}

/** Sends for all that the zone does not say yet, again and again, as clients do. */
async function untilAllSaid(scene: Scene, homes: Home[]): Promise<number> {
  let sent = 0;
  for (let quietly = false; ; quietly = true) {
    const zone = readFileSync(scene.bench.zone, 'latin1');
    const missing = homes.filter(({ name, address }) => !zone.includes(`+${name}:${address}:`));
    if (missing.length === 0) return sent;
    // A pause as long as the pause between rewrites, or most repeats would be for packets that were taken already.
    if (quietly) await sleep(1_000);
    assert.ok(
      sent < homes.length * 20,
      `${missing.length} clients were not heard, ${missing[0]?.name ?? ''} first`,
    );
    await scene.traffic.send(
      scene.to.v4,
      missing.map(({ client, address }) => ({ from: address, packet: client.packet() })),
    );
    sent += missing.length;
  }
}

test('a thousand clients in bursts: each name gets its own address, in few rewrites', { skip }, async (t) => {
  const clients = Array.from({ length: clientCount }, () => new Client());
  const homesAt = (host: number): Home[] =>
    clients.map((client, index) => ({
      client,
      name: `home${index}.example.net`,
      address: `${clientPrefix}${Math.floor(index / 4)}.${(index % 4) + host}`,
    }));
  const blocks = clients.map(
    ({ publicText }, index) =>
      `# dynamic: 0 ${publicText}\n+home${index}.example.net:192.0.2.1:${ttlSeconds}\n`,
  );
  const marker = '# the last line.';
  const scene = await stage(t, `${head}\n${blocks.join('\n')}\n${marker}\n`);
  const reader = new Traffic(t);
  await reader.watch({ file: scene.bench.zone, marker, line: '^(|#.*[=.]|[.+].*:300)$' });

  for (const homes of [homesAt(1), homesAt(101)]) {
    const started = performance.now();
    const sent = await untilAllSaid(scene, homes);
    const ms = Math.round(performance.now() - started);
    const serial = Math.floor(statSync(scene.bench.zone).mtimeMs / 1_000);
    await until(
      'the last serial number',
      async () => (await serialOf(scene.network, 'example.net')) === serial,
    );
    const answers = await ask(scene.network, ...homes.map(({ name }) => `${name} A`));
    assert.deepEqual(
      answers,
      homes.map(({ name, address }) => `${name}. A ${address}`),
    );
    t.diagnostic(`${clientCount} clients applied with ${sent} packets in ${ms} ms`);
  }
  const { reads, versions, aheadSeconds, broken } = await reader.stopWatching();
  t.diagnostic(`${versions - 1} rewrites seen in ${reads} reads, serial ${aheadSeconds} s ahead at most`);
  assert.deepEqual(broken, []);
  assert.ok(versions > 2, 'the reader saw no rewrite');
  assert.ok(versions <= mostRewrites, `${versions} rewrites for ${2 * clientCount} changes`);
  assert.ok(aheadSeconds <= mostAheadSeconds, `the serial number was ${aheadSeconds} s ahead of the clock`);
  assert.equal(await scene.stop(), 0);
});
