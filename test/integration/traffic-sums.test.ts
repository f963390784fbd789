// Goal: the sums are those of the kernel's own counters, to the byte, whatever the traffic is made of and however it is
// marked or translated, and flows that live are counted while they do.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Accounting } from '../support/accounting.ts';
import { clientAddresses6, lacksTracking, program, serverAddress } from '../support/netns.ts';
import { until } from '../support/wait.ts';

const skip = lacksTracking(['busybox']);
const client = '8.64.0.7';
const otherClient = '8.64.0.8';
const client6 = clientAddresses6[0] ?? '';

/** Answers each connection with twice what it has got. */
const tcpServer = `
const { createServer } = require('node:net');
createServer({ allowHalfOpen: true }, (socket) => {
  let bytes = 0;
  socket.on('data', (chunk) => (bytes += chunk.length)).on('end', () => socket.end(Buffer.alloc(2 * bytes)));
}).listen(7000, '::', () => console.log('listening'));`;

const tcpClient = `
const { connect } = require('node:net');
const [host, localAddress, bytes] = process.argv.slice(1);
const socket = connect({ host, port: 7000, localAddress });
socket.end(Buffer.alloc(Number(bytes)));
let back = 0;
socket.on('data', (chunk) => (back += chunk.length)).on('close', () => console.log(back));`;

test('IPv4 and IPv6, TCP, UDP and ICMP: every peer has its bytes, and the sum is that of nft', {
  skip,
}, async (t) => {
  const accounting = new Accounting(t, { settings: ['[Accounting]', 'Interval=1s'] });
  await accounting.start();
  const [first, ...rest] = [...accounting.network.server, process.execPath, '-e', tcpServer];
  const server = spawn(first, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => server.kill());
  await once(server.stdout, 'data');

  await accounting.send({
    sources: [client, otherClient],
    firstPort: 30_000,
    ports: 500,
    packets: 3,
    payload: 100,
    perSecond: 0,
  });
  for (const [host, local] of [
    [serverAddress.v4, client],
    [serverAddress.v6, client6],
  ] as const)
    assert.equal(
      accounting.inClients([process.execPath, '-e', tcpClient, host, local, '300000']),
      '600000\n',
    );
  const ping = program('busybox');
  accounting.inClients([
    ping,
    'ping',
    '-q',
    '-c',
    '3',
    '-i',
    '0.1',
    '-s',
    '500',
    '-I',
    client,
    serverAddress.v4,
  ]);
  accounting.inClients([
    ping,
    'ping6',
    '-q',
    '-c',
    '2',
    '-i',
    '0.1',
    '-s',
    '700',
    '-I',
    client6,
    serverAddress.v6,
  ]);
  await accounting.agrees();

  const byPeer = new Map((await accounting.peers()).map((row) => [row.peer, row]));
  assert.deepEqual([...byPeer.keys()].sort(), [client6, client, otherClient].sort());
  const udpOnly = byPeer.get(otherClient);
  assert.deepEqual([udpOnly?.txBytes, udpOnly?.txPackets, udpOnly?.rxBytes], [1_500 * 128, 1_500, 0]);
  // More than what went to and fro: headers, acknowledgements.
  assert.ok((byPeer.get(client6)?.txBytes ?? 0) > 300_000 && (byPeer.get(client6)?.rxBytes ?? 0) > 600_000);
  const echoes = 3 * 528;
  const volume = byPeer.get(client);
  assert.ok((volume?.txBytes ?? 0) > 300_000 + 1_500 * 128 + echoes);

  // Ends change nothing: each flow was counted while it lived.
  accounting.flush();
  await accounting.agrees();
  assert.equal((await accounting.status()).flows, 0);
  assert.equal(await accounting.daemon?.stop(), 0);
});

test('a flow that lives on is counted while it lives, interval by interval', { skip }, async (t) => {
  const accounting = new Accounting(t, { settings: ['[Accounting]', 'Interval=1s'] });
  await accounting.start();
  const stream = { sources: [client], firstPort: 30_000, ports: 1, packets: 10, payload: 972, perSecond: 0 };
  for (let round = 1; round <= 3; round += 1) {
    await accounting.send(stream);
    await until(
      'bytes of a living flow',
      async () => (await accounting.sums()).received.bytes === round * 10_000,
    );
    await sleep(1_000);
  }
  const { flows, lostTail } = await accounting.status();
  assert.deepEqual([flows, lostTail.flows], [1, 0]);
  accounting.flush();
  await accounting.agrees();
});

test('a mark that comes after the first packets selects the whole flow', { skip }, async (t) => {
  const accounting = new Accounting(t, {
    settings: ['[Accounting]', 'Interval=1s', '[Class vpn]', 'Mark=0x10/0x10'],
    rules: `chain marking {
      type filter hook prerouting priority 0;
      udp dport 30000-30009 ct original packets > 2 ct mark set ct mark or 0x110
    }`,
  });
  await accounting.start();
  const flows = (firstPort: number, packets: number) =>
    accounting.send({ sources: [client], firstPort, ports: 10, packets, payload: 100, perSecond: 0 });
  await flows(30_000, 2);
  await flows(40_000, 50);
  assert.deepEqual(await accounting.peers(), []);
  await flows(30_000, 5);
  await until('marked flows', async () => (await accounting.sums()).received.packets === 70);
  const [row] = await accounting.peers();
  assert.deepEqual([row?.peer, row?.txBytes], [client, 70 * 128]);
  accounting.flush();
  await sleep(200);
  assert.equal((await accounting.sums()).received.bytes, 70 * 128);
});

test('after translation the peer is where the packets really go', { skip }, async (t) => {
  const accounting = new Accounting(t, {
    settings: ['[Accounting]', 'Interval=1s'],
    rules: `chain translate {
      type nat hook output priority -100;
      ip daddr 8.99.0.1 dnat ip to 8.64.255.254
    }`,
  });
  await accounting.start();
  const sender = `
    const socket = require('node:dgram').createSocket('udp4');
    socket.send(Buffer.alloc(100), 9000, '8.99.0.1', () => socket.close());`;
  accounting.inServer([process.execPath, '-e', sender]);
  await until('a peer', async () => (await accounting.peers()).length > 0);
  const [row] = await accounting.peers();
  assert.deepEqual([row?.peer, row?.rxBytes, row?.txBytes], ['8.64.255.254', 128, 0]);
});

test('the same ends in two zones are two flows', { skip }, async (t) => {
  const accounting = new Accounting(t, {
    settings: ['[Accounting]', 'Interval=1s'],
    rules: `chain zones {
      type filter hook prerouting priority -300;
      ip length 128 ct zone set 5
    }`,
  });
  await accounting.start();
  const flows = (payload: number) =>
    accounting.send({ sources: [client], firstPort: 30_000, ports: 10, packets: 2, payload, perSecond: 0 });
  await flows(100);
  await flows(200);
  await accounting.agrees();
  assert.equal((await accounting.status()).flows, 20);
  accounting.flush();
  await accounting.agrees();
});

test('flows that were born before counting was on are named as uncounted', { skip }, async (t) => {
  const accounting = new Accounting(t, { settings: ['[Accounting]', 'Interval=1s'] });
  accounting.set('acct', 0);
  const flows = () =>
    accounting.send({
      sources: [client],
      firstPort: 30_000,
      ports: 7,
      packets: 1,
      payload: 100,
      perSecond: 0,
    });
  await flows();
  accounting.set('acct', 1);
  const daemon = await accounting.start();
  await daemon.record(/7 flows without counters/);
  assert.equal((await accounting.status()).uncounted, 7);
  accounting.flush();
  await until('their end', async () => {
    await accounting.sums();
    return (await accounting.status()).uncounted === 0;
  });
});
