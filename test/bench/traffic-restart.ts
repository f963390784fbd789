// The figure of traffic that is about restarts: whoever counts is stopped in order and started again, three times,
// while flows begin and end; then all that came is compared with what was booked, source by source.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Owner } from '../support/scratch.ts';
import { startAccountant } from './accountant.ts';
import { type Counting, settled } from './counting.ts';
import type { Figure } from './figure.ts';
import { besideOf, valuesOf } from './traffic.ts';
import { clients, Lab } from './traffic-lab.ts';

const flowsPerSecond = 5_000;
const seconds = 10;
const sources = 250;
const packets = 2;
const restarts = 3;
const shortSeconds = 1;
const sweepMs = 100;

interface Outcome {
  missing: number;
  twice: number;
  bytes: number;
}

async function restarted(lab: Lab, counting: Counting): Promise<Outcome> {
  const sending = lab.send({
    sources: clients(sources),
    firstPort: 1_024,
    ports: (flowsPerSecond * seconds) / sources,
    packets,
    payload: 100,
    perSecond: flowsPerSecond * packets,
  });
  const done = new AbortController();
  const restarting = (async () => {
    for (let turn = 0; turn < restarts; turn += 1) {
      await sleep((seconds * 1_000) / (restarts + 1));
      await counting.restart();
    }
  })();
  // Flows end as evenly as they begin, and while nobody reads, too.
  const ending = (async () => {
    while (!done.signal.aborted) {
      await lab.sweep();
      await sleep(sweepMs);
    }
  })();
  await Promise.all([sending, restarting]);
  done.abort();
  await ending;
  await lab.quiet();
  await settled(counting);
  await counting.stop();
  const sums = counting.sums();
  const outcome: Outcome = { missing: 0, twice: 0, bytes: lab.seen().bytes };
  for (const [source, { bytes }] of lab.sent) {
    const difference = bytes - (sums.get(source)?.bytes ?? 0);
    if (difference > 0) outcome.missing += difference;
    else outcome.twice -= difference;
  }
  return outcome;
}

export async function gracefulRestart(t: Owner): Promise<Figure[]> {
  const lab = Lab.make(t, shortSeconds);
  const own = await restarted(lab, await startAccountant(t, lab, '[Accounting]\nInterval=2s\n'));
  const all = await besideOf(async (owner, peer) => {
    const place = Lab.make(owner, shortSeconds);
    return restarted(place, await peer.start(owner, place));
  });
  const name = `${restarts} restarts under 5,000 flows/s`;
  return [
    {
      name: `${name}: missing`,
      value: own.missing,
      unit: 'bytes',
      atMost: 0,
      note: `of ${own.bytes.toLocaleString('en')} bytes from ${sources} sources, each compared`,
      beside: valuesOf(all, ({ missing }) => missing),
    },
    {
      name: `${name}: counted twice`,
      value: own.twice,
      unit: 'bytes',
      atMost: 0,
      note: 'the socket stays open between the runs, as the service manager keeps it',
      beside: valuesOf(all, ({ twice }) => twice),
    },
  ];
}
