// The figures of ddns: what a packet costs that is refused, what an address change costs, how long until tinydns
// answers.
import { spawn } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, send, unreadSocket } from '../support/ddns.ts';
import type { Owner } from '../support/scratch.ts';
import { scratch } from '../support/scratch.ts';
import { type Recipe, Traffic } from '../support/traffic.ts';
import { type Figure, Skip } from './figure.ts';
import { findProgram } from './peers/process.ts';
import { launch, type Running, start, writeZone } from './receiver.ts';

const floodMs = 4_000;
const unpacedChanges = 500;
const pacedChanges = 8;
const warmUps = 3;
const groupedClients = 1_000;
const latencyRuns = 9;
const repeats = 5;
const limitMs = 20_000;
const tinydnsAddress = '127.53.0.1';

/** CPU time of the receiver for each packet of a flood that it can just not keep up with. */
export async function flooded(
  t: Owner,
  name: string,
  reason: string,
  recipeFor: (running: Running) => Promise<Recipe>,
): Promise<Figure> {
  const running = await start({ folder: scratch(t) });
  const recipe = await recipeFor(running);
  const traffic = new Traffic(t);
  const sources = Array.from({ length: 64 }, (_, index) => `127.${10 + index}.0.1`);
  await traffic.flood({ to: { host: '127.0.0.1', port: running.port }, sources, recipe, least: 10_000 });
  await sleep(500);
  const before = running.cpuMicros();
  await sleep(floodMs);
  const cpu = running.cpuMicros() - before;
  const rss = running.rssMiB();
  const sent = await traffic.stopFlood();
  const counts = await running.stop();
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const refused = counts.get(reason) ?? 0;
  if (refused < total * 0.5)
    throw new Error(`${name}: only ${refused} of ${total} packets were refused as ${reason}`);
  // The flood ran longer than the measurement; its rate is even.
  const share = floodMs / (floodMs + 500);
  return {
    name,
    value: cpu / (total * share),
    unit: 'µs',
    note: `${total} of ${sent} packets taken, ${rss.toFixed(0)} MiB RSS`,
  };
}

export const junk = (t: Owner): Promise<Figure> =>
  flooded(t, 'junk, unknown key', 'unknown-key', () => Promise.resolve({ kind: 'unknown-key' }));

export const replayed = (t: Owner): Promise<Figure> =>
  flooded(t, 'replayed packet', 'replayed', async ({ client, port, zone }) => {
    const packet = client.packet();
    await send(port, packet);
    await changed(zone, '127.0.0.1');
    return { kind: 'replay', packet: packet.toString('base64') };
  });

export const badSignatures = (t: Owner): Promise<Figure> =>
  flooded(t, 'bad signature flood, known key', 'rate', ({ client }) =>
    Promise.resolve({ kind: 'bad-signature', keyId: client.key.keyId }),
  );

/** CPU time for one durable change of one address in a zone of 20,000 lines, back to back or at its pace in service. */
export async function addressChange(t: Owner, unpaced: boolean): Promise<Figure> {
  const running = await start({ folder: scratch(t), fillers: 20_000, unpaced });
  const changes = unpaced ? unpacedChanges : pacedChanges;
  const change = async (n: number): Promise<void> => {
    await send(running.port, running.client.packet(), `127.0.${n >> 8}.${n & 255}`);
    await changed(running.zone, `127.0.${n >> 8}.${n & 255}`);
    if (!unpaced) await sleep(1_050);
  };
  for (let n = 1; n <= warmUps; n += 1) await change(n);
  const before = running.cpuMicros();
  for (let n = 1; n <= changes; n += 1) await change(warmUps + n);
  const cpu = running.cpuMicros() - before;
  await running.stop();
  const name = unpaced ? 'address change, 20,000 lines, durable' : 'the same, one a second, the machine idle';
  return { name, value: cpu / changes, unit: 'µs', note: `mean of ${changes}, one rewrite each` };
}

/** The same where many clients change within a second, and share the rewrites. */
export async function groupedChange(t: Owner): Promise<Figure> {
  const clients = Array.from({ length: groupedClients }, () => new Client());
  const running = await start({
    folder: scratch(t),
    fillers: 20_000,
    clients,
    settings: 'SignatureRate=100000\n',
  });
  const traffic = new Traffic(t);
  const before = running.cpuMicros();
  let waiting = clients.map((client, index) => ({
    client,
    from: `127.${1 + (index >> 8)}.${index & 255}.1`,
  }));
  // A full socket buffer drops packets; clients repeat theirs.
  for (let round = 0; waiting.length > 0; round += 1) {
    if (round === repeats) throw new Error(`${waiting.length} updates never came through`);
    await traffic.send(
      { host: '127.0.0.1', port: running.port },
      waiting.map(({ client, from }) => ({ packet: client.packet(), from })),
    );
    await sleep(2_500);
    const text = readFileSync(running.zone, 'latin1');
    waiting = waiting.filter(({ from }) => !text.includes(`:${from}:`));
  }
  const cpu = running.cpuMicros() - before;
  await running.stop();
  return {
    name: 'the same, 1,000 clients at once',
    value: cpu / clients.length,
    unit: 'µs',
    note: 'grouped',
  };
}

/** Packet to answer from tinydns, the hook included: the receiver awake, or started by the packet. */
export async function answerTime(t: Owner, cold: boolean): Promise<Figure> {
  const name = `packet to answer from tinydns, ${cold ? 'woken from cold' : 'warm'}`;
  const program = findProgram('tinydns');
  const hook = findProgram('tinydns-data');
  if (program === undefined || hook === undefined) throw new Skip(`${name}: tinydns is not installed`);
  if (process.getuid?.() !== 0) throw new Skip(`${name}: tinydns on port 53 needs root`);
  const folder = scratch(t);
  const setting = { folder, settings: `Hook=${hook}\n` };
  const { conf, zone, clients } = writeZone(setting);
  const [client = new Client()] = clients;
  const server = spawn(program, [], {
    env: { ROOT: path.dirname(zone), IP: tinydnsAddress, UID: '0', GID: '0' },
    stdio: 'ignore',
  });
  t.after(() => server.kill());
  await once(spawn(hook, { cwd: path.dirname(zone) }), 'exit');
  const resolver = new Resolver({ timeout: 1_000, tries: 1 });
  resolver.setServers([tinydnsAddress]);
  await answered(resolver, '192.0.2.1');
  const times: number[] = [];
  const { port, fd } = await unreadSocket(t);
  let daemon = cold ? undefined : launch({ ...setting, conf, fds: [fd] });
  if (daemon !== undefined) await once(daemon.stdout ?? daemon, 'data');
  for (let run = 0; run < latencyRuns; run += 1) {
    const address = `127.0.2.${run + 1}`;
    const begin = performance.now();
    await send(port, client.packet(), address);
    if (cold) daemon = launch({ ...setting, conf, fds: [fd] });
    await answered(resolver, address);
    times.push(performance.now() - begin);
    daemon?.stdout?.resume();
    // Beyond the pace of one rewrite a second, which is not what is measured.
    await sleep(1_100);
    if (cold && daemon !== undefined) await ended(daemon);
  }
  if (!cold && daemon !== undefined) await ended(daemon);
  times.sort((a, b) => a - b);
  return {
    name,
    value: times[Math.floor(times.length / 2)] ?? Number.NaN,
    unit: 'ms',
    note: `median of ${times.length}, worst ${times.at(-1)?.toFixed(0) ?? ''} ms`,
  };
}

async function ended(daemon: ReturnType<typeof launch>): Promise<void> {
  daemon.kill('SIGTERM');
  await once(daemon, 'exit');
}

async function answered(resolver: Resolver, address: string): Promise<void> {
  await soon(`answer ${address} from tinydns`, async () => {
    // Until the first answer tinydns may not be there at all.
    const found = await resolver.resolve4('host-0.example').catch((): string[] => []);
    return found.includes(address);
  });
}

// The client's block stands at the top; reading more of the file would disturb what is measured.
async function changed(zone: string, address: string): Promise<void> {
  const head = Buffer.alloc(1_024);
  await soon(`${address} in the zone`, () => {
    const fd = openSync(zone, 'r');
    const length = readSync(fd, head);
    closeSync(fd);
    return head.toString('latin1', 0, length).includes(`:${address}:`);
  });
}

// Looks as often as a millisecond's figure needs; test/support/wait.ts is for tests.
async function soon(what: string, look: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await look())) {
    if (performance.now() > end) throw new Error(`no ${what} within ${limitMs} ms`);
    await sleep(1);
  }
}
