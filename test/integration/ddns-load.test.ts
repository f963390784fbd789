// Floods over loopback from a process of their own, and clients that have to be heard all the same. A flood goes on
// until they were, so nothing here depends on how fast the machine is. What the socket drops, clients send again, as
// real ones do. One receiver goes through all of it: what one flood leaves behind must not harm in the next.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readStatus } from '../../daemons/ddns/store.ts';
import type { Daemon } from '../support/daemon.ts';
import { type Bench, Client, receiverOn, send } from '../support/ddns.ts';
import { type Recipe, Traffic } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const floodPackets = 60_000;
const growthKiB = 30 * 1_024;
const repeatMs = 50;
// Of the refusals of one reason in one window of ten seconds.
const recordsPerWindow = 10;
const windowMs = 10_000;

let goodPackets = 0;

/** A client with a /24 of loopback of its own. */
class Home {
  readonly client = new Client();
  readonly name: string;
  readonly net: string;
  readonly block: string;
  #host = 0;

  constructor(index: number) {
    this.name = `home${index}.example.net`;
    this.net = `127.100.${index}.`;
    this.block = `# dynamic: 0 ${this.client.publicText}\n+${this.name}:192.0.2.1:300\n`;
  }

  /** Moves to another address and sends until the zone says so; the last packet that was sent. */
  async move(bench: Bench, port: number): Promise<Buffer> {
    this.#host += 1;
    const address = `${this.net}${this.#host}`;
    let packet: Buffer = Buffer.alloc(0);
    let sentMs = -Infinity;
    await until(`${this.name} at ${address}`, async () => {
      if (readFileSync(bench.zone, 'latin1').includes(`+${this.name}:${address}:`)) return true;
      if (performance.now() < sentMs + repeatMs) return false;
      sentMs = performance.now();
      packet = this.client.packet();
      goodPackets += 1;
      await send(port, packet, address);
      return false;
    });
    return packet;
  }
}

interface Load {
  bench: Bench;
  daemon: Daemon;
  port: number;
  /** Packets that were not good, by all floods. */
  sent: number;
}

/** Two floods of one kind; the `heard` must get through in both, and memory must not grow from one to the other. */
async function flood(
  t: TestContext,
  load: Load,
  recipe: Recipe,
  sources: string[],
  heard: Home[],
): Promise<void> {
  const { bench, daemon, port } = load;
  const sizesKiB: number[] = [];
  for (const round of ['warm-up', 'again']) {
    const traffic = new Traffic(t);
    const started = performance.now();
    await traffic.flood({ to: { host: '127.0.0.1', port }, sources, recipe, least: floodPackets });
    await Promise.all(heard.map((home) => home.move(bench, port)));
    await Promise.all(heard.map((home) => home.move(bench, port)));
    const sent = await traffic.stopFlood();
    const seconds = (performance.now() - started) / 1_000;
    const kib = residentKiB(daemon);
    sizesKiB.push(kib);
    load.sent += sent;
    const speed = `${Math.round(sent / seconds)} packets/s for ${seconds.toFixed(1)} s`;
    t.diagnostic(`${round}: ${speed}, ${2 * heard.length} changes applied, ${Math.round(kib / 1_024)} MiB`);
  }
  const [warm = Number.NaN, after = Number.NaN] = sizesKiB;
  assert.ok(after - warm < growthKiB, `${after - warm} KiB more than after the warm-up`);
  const zone = readFileSync(bench.zone, 'latin1');
  const strangers = sources.filter((source) => zone.includes(`:${source}:`));
  assert.deepEqual(strangers, [], 'a source of the flood came into the zone');
}

function residentKiB({ process: { pid } }: Daemon): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid ?? 0}/status`, 'utf8'))?.[1]);
}

/** Addresses in as many /24s. */
function scattered(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `127.${66 + (index >> 8)}.${index & 255}.9`);
}

const reasons = ['length', 'unknown-key', 'replayed', 'rate', 'signature'];

test('floods', async (t) => {
  const homes = Array.from({ length: 6 }, (_, index) => new Home(index));
  const [victim, ...others] = homes;
  assert.ok(victim);
  const bench = receiverOn(t, homes.map(({ block }) => block).join('\n'));
  const daemon = bench.start();
  const port = await daemon.ready();
  const readyMs = performance.now();
  // From here on each has a prefix that its last good packet came from.
  const [captured] = await Promise.all(homes.map((home) => home.move(bench, port)));
  assert.ok(captured);
  const load = { bench, daemon, port, sent: 0 };

  await t.test('of junk hold up nobody', (t) => flood(t, load, { kind: 'junk' }, ['127.66.0.9'], others));
  await t.test('for unknown keys hold up nobody', (t) =>
    flood(t, load, { kind: 'unknown-key' }, scattered(64), others),
  );
  await t.test('of replays hold up nobody, not even the client they were taken from', (t) =>
    flood(t, load, { kind: 'replay', packet: captured.toString('base64') }, scattered(64), homes),
  );
  await t.test(
    'of bad signatures from many places hold up nobody whose last good packet came from where it is',
    (t) => flood(t, load, { kind: 'bad-signature', keyId: victim.client.key.keyId }, scattered(512), homes),
  );
  // Sources forged to be its neighbours' may hold up the victim, but nobody else: the prefix is all that tells them
  // apart.
  await t.test('of bad signatures from the place of one client hold up no other', (t) => {
    const neighbours = Array.from({ length: 50 }, (_, index) => `${victim.net}${index + 200}`);
    return flood(t, load, { kind: 'bad-signature', keyId: victim.client.key.keyId }, neighbours, others);
  });

  await t.test('leave ten records of each reason in a window, and one line with the rest', async (t) => {
    const traffic = new Traffic(t);
    for (const reason of reasons) {
      const summary = new RegExp(`^refused: ${reason}, \\d+ more within`);
      await until(
        `summary of ${reason}`,
        async () => {
          if (daemon.records.some(({ MESSAGE }) => summary.test(MESSAGE))) return true;
          // Whatever comes first in the next window has the last one summed up.
          await traffic.send({ host: '127.0.0.1', port }, [
            { from: '127.66.0.9', packet: Buffer.from('junk') },
          ]);
          load.sent += 1;
          await sleep(repeatMs);
          return false;
        },
        () => daemon.text,
      );
    }
    const windows = Math.ceil((performance.now() - readyMs) / windowMs) + 1;
    for (const reason of reasons) {
      const said = daemon.records.filter(
        ({ LARES_REASON, MESSAGE }) => LARES_REASON === reason && / from /.test(MESSAGE),
      );
      assert.ok(
        said.length > 0 && said.length <= windows * recordsPerWindow,
        `${said.length} records of ${reason}`,
      );
    }
  });

  await t.test('are counted in the state, reason by reason', async () => {
    assert.equal(await daemon.stop(), 0);
    const { refusals = [] } = readStatus(path.join(bench.folder, 'state')) ?? {};
    t.diagnostic(
      `${load.sent} sent, ${refusals.map(({ reason, count }) => `${reason} ${count}`).join(', ')}`,
    );
    for (const reason of reasons) {
      const said = daemon.records.filter(({ LARES_REASON }) => LARES_REASON === reason);
      const least = said.reduce(
        (sum, { MESSAGE }) => sum + Number(/, (\d+) more/.exec(MESSAGE)?.[1] ?? 1),
        0,
      );
      const count = refusals.find((each) => each.reason === reason)?.count ?? 0;
      assert.ok(count >= least, `${reason}: ${count} counted, at least ${least} said`);
    }
    const total = refusals.reduce((sum, { count }) => sum + count, 0);
    // Good packets that come late, after the next one was sent, are refused as replays.
    assert.ok(
      total > floodPackets && total <= load.sent + goodPackets,
      `${total} counted of ${load.sent} sent`,
    );
  });
});
