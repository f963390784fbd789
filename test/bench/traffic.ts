// The figures of traffic: what is booked of a burst of flows that end at once, what is said of what was not, what is
// booked of a flow that lives, and what it costs. nft's counter says what was to be booked.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Owner } from '../support/scratch.ts';
import { startAccountant, statusOf } from './accountant.ts';
import { type Counting, type Peer, settled, totalOf } from './counting.ts';
import { type Figure, median, Owned, Skip, shown } from './figure.ts';
import { conntrack } from './peers/conntrack.ts';
import { tunedUlogd, ulogd } from './peers/ulogd.ts';
import { clients, Lab } from './traffic-lab.ts';

export const peers: Peer[] = [ulogd, tunedUlogd, conntrack];
export const flows = 100_000;
/** Two sources, 50,000 ports each. */
export const many = { sources: clients(2), firstPort: 1_024, ports: flows / 2, payload: 100, perSecond: 0 };
/** Longer than any measurement: no flow ends by itself. */
export const longSeconds = 600;
/** Flows are not looked at within the measurement: events alone. */
const never = '[Accounting]\nInterval=1h\n';
/** Of each flow. */
const packets = 2;
const bursts = 3;
/** The sender is gone by then, and the machine at rest. */
const restMs = 1_000;
const tailLimitMs = 60_000;
const aliveMs = 12_000;

/** What each peer gives, each measured alone, in a lab of its own. */
export async function besideOf<T>(
  measure: (t: Owner, peer: Peer) => Promise<T>,
): Promise<Record<string, T | string>> {
  const all: Record<string, T | string> = {};
  for (const peer of peers) all[peer.name] = peer.lacks() ?? (await alone((t) => measure(t, peer)));
  return all;
}

/** Leaves nothing behind for the next. */
async function alone<T>(measure: (t: Owner) => Promise<T>): Promise<T> {
  const owned = new Owned();
  try {
    return await measure(owned);
  } finally {
    await owned.finish();
  }
}

/** One value of each. */
export function valuesOf<T>(
  all: Record<string, T | string>,
  value: (one: T) => number,
): Figure['beside'] & object {
  const entries = Object.entries(all);
  return Object.fromEntries(entries.map(([name, one]) => [name, typeof one === 'string' ? one : value(one)]));
}

interface Burst {
  percent: number;
  microsPerEvent: number;
}

/** CPU time is from the flush until nothing comes any more, for each event that was written. */
async function flushed(lab: Lab, counting: Counting): Promise<Burst> {
  await lab.send({ ...many, packets });
  await sleep(restMs);
  const before = counting.cpuMicros();
  await lab.flush();
  await settled(counting);
  const micros = counting.cpuMicros() - before;
  // Only at its end a peer writes what lies in a buffer of its own.
  await counting.stop();
  const booked = totalOf(counting.sums());
  return {
    percent: (booked.bytes / lab.seen().bytes) * 100,
    microsPerEvent: micros / (booked.packets / packets),
  };
}

/** The daemon's, with what it holds in memory before, at most, and after. */
async function ownBurst(
  t: Owner,
): Promise<Burst & { before: number; peak: number; after: number; drops: number }> {
  const lab = Lab.make(t, longSeconds);
  const accountant = await startAccountant(t, lab, never);
  const before = accountant.memoryMiB('VmRSS');
  let last = { peak: 0, after: 0, drops: 0 };
  const found = await flushed(lab, {
    ...accountant,
    stop: async () => {
      const [after, peak] = [accountant.memoryMiB('VmRSS'), accountant.memoryMiB('VmHWM')];
      last = { after, peak, drops: (await accountant.status()).drops };
      await accountant.stop();
    },
  });
  return { ...found, ...last, before };
}

export async function burst(): Promise<Figure[]> {
  const own: Awaited<ReturnType<typeof ownBurst>>[] = [];
  for (let run = 0; run < bursts; run += 1) own.push(await alone(ownBurst));
  const all = await besideOf(async (owner, peer) => {
    const lab = Lab.make(owner, longSeconds);
    return flushed(lab, await peer.start(owner, lab));
  });
  const middle = (field: keyof (typeof own)[0]): number => median(own.map((one) => one[field]));
  const worst = (field: keyof (typeof own)[0], pick: (...all: number[]) => number): number =>
    pick(...own.map((one) => one[field]));
  const name = '100,000 flows end at once';
  return [
    {
      name: `${name}: bytes booked`,
      value: worst('percent', Math.min),
      unit: '%',
      atLeast: 100,
      note: `buffer of 32 MiB; the worst of ${bursts}; ${worst('drops', Math.max)} events dropped at most`,
      beside: valuesOf(all, ({ percent }) => percent),
    },
    {
      name: `${name}: CPU an event`,
      value: middle('microsPerEvent'),
      unit: 'µs',
      atMost: 6,
      note:
        `of those written, from the flush on; median of ${bursts}, ` +
        `${shown(worst('microsPerEvent', Math.min), 'µs')} to ${shown(worst('microsPerEvent', Math.max), 'µs')}`,
      beside: valuesOf(all, ({ microsPerEvent }) => microsPerEvent),
    },
    {
      name: `${name}: memory afterwards`,
      value: middle('after'),
      unit: 'MiB',
      note: `RSS; ${shown(middle('before'), 'MiB')} before, ${shown(middle('peak'), 'MiB')} at most`,
    },
  ];
}

/** A buffer that is much too small: what was seen while flows lived stays booked, and the rest is owned up to. */
export async function defaultBuffer(t: Owner): Promise<Figure[]> {
  const name = 'the same, default buffer';
  const lab = Lab.make(t, longSeconds);
  const accountant = await startAccountant(t, lab, '[Accounting]\nInterval=10s\n', 0);
  // Right after a look there is time until the next.
  const { lastDump: first } = await accountant.status();
  await statusOf(accountant, 'dump', tailLimitMs, ({ lastDump }) => lastDump.at > first.at);
  await lab.send({ ...many, packets });
  const sent = Date.now();
  const bySight = lab.seen().bytes;
  const { lastDump: sight } = await statusOf(
    accountant,
    'dump of all flows',
    tailLimitMs,
    ({ lastDump }) => lastDump.flows === flows && lastDump.at > sent,
  );
  // One more packet each, that no dump sees.
  await lab.send({ ...many, packets: 1 });
  const { lastDump } = await accountant.status();
  await lab.flush();
  if (lastDump.at !== sight.at) throw new Skip(`${name}: too slow, another look came between`);
  await settled(accountant);
  const seen = lab.seen();
  const booked = totalOf(accountant.sums());
  const missing = { flows: seen.packets - booked.packets, bytes: seen.bytes - booked.bytes };
  const { drops, lostTail } = await statusOf(
    accountant,
    'lost tail',
    tailLimitMs,
    ({ lostTail: stated }) => stated.flows >= missing.flows,
  );
  return [
    {
      name: `${name}: booked of what was seen`,
      value: Math.min(100, (booked.bytes / bySight) * 100),
      unit: '%',
      atLeast: 100,
      note: `by the last look; ${shown((booked.bytes / seen.bytes) * 100, '%')} of all, ${drops} events dropped`,
    },
    {
      name: `${name}: flows stated of those cut short`,
      value: missing.flows === 0 ? 100 : (lostTail.flows / missing.flows) * 100,
      unit: '%',
      atLeast: 100,
      note:
        `${missing.flows} without their last packet, ${missing.bytes.toLocaleString('en')} bytes; ` +
        `as lost_tail: ${lostTail.flows} flows, an estimated ${lostTail.bytes.toLocaleString('en')} bytes`,
    },
  ];
}

/** All who count hear of the same flow. */
export async function liveFlow(t: Owner): Promise<Figure> {
  const lab = Lab.make(t, longSeconds);
  const accountant = await startAccountant(t, lab, '[Accounting]\nInterval=2s\n');
  const others = new Map<string, Counting | string>();
  for (const peer of peers) others.set(peer.name, peer.lacks() ?? (await peer.start(t, lab)));
  const perSecond = 100;
  await lab.send({
    sources: clients(1),
    firstPort: 5_000,
    ports: 1,
    packets: (perSecond * aliveMs) / 1_000,
    payload: 1_000,
    perSecond,
  });
  // Within one interval, and what a dump and a commit take.
  await sleep(2_300);
  const { bytes } = lab.seen();
  const percent = (counting: Counting): number => (totalOf(counting.sums()).bytes / bytes) * 100;
  const beside = [...others].map(
    ([name, one]) => [name, typeof one === 'string' ? one : percent(one)] as const,
  );
  return {
    name: 'a flow of 12 s that lives on: bytes booked',
    value: percent(accountant),
    unit: '%',
    atLeast: 100,
    note: `of ${bytes.toLocaleString('en')} bytes, one interval (2 s) after the last`,
    beside: Object.fromEntries(beside),
  };
}
