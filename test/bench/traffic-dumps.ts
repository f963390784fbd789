// The figures of traffic that are about looking at living flows: all of 100,000, or the marked ones among them.
import type { Owner } from '../support/scratch.ts';
import { type Accountant, startAccountant, statusOf } from './accountant.ts';
import { type Figure, median, shown } from './figure.ts';
import { conntrack, listingSeconds } from './peers/conntrack.ts';
import { flows, longSeconds, many } from './traffic.ts';
import { Lab, mark, markedPorts } from './traffic-lab.ts';

const runs = 5;
const limitMs = 30_000;

interface Looks {
  times: number[];
  /** Of each, with all that it leads to. */
  cpuMs: number;
}

async function looksAt(accountant: Accountant, count: number): Promise<Looks> {
  const times: number[] = [];
  let lastAt = 0;
  let cpu = 0;
  while (times.length < runs) {
    const { lastDump } = await statusOf(
      accountant,
      'dump',
      limitMs,
      ({ lastDump: { at, flows: seen } }) => at > lastAt && seen === count,
    );
    lastAt = lastDump.at;
    if (times.length === 0) cpu = accountant.cpuMicros();
    times.push(lastDump.tookMs);
  }
  return { times, cpuMs: (accountant.cpuMicros() - cpu) / 1_000 / (times.length - 1) };
}

function listings(lab: Lab, options: string[] = []): number {
  return median(Array.from({ length: runs }, () => listingSeconds(lab, options)));
}

function spread({ times, cpuMs }: Looks): string {
  const [best, worst] = [Math.min(...times), Math.max(...times)];
  const cpu = `CPU ${shown(cpuMs, 'ms')} each, booking included`;
  return `median of ${times.length}, ${shown(best, 'ms')} to ${shown(worst, 'ms')}; ${cpu}`;
}

export async function dumps(t: Owner): Promise<Figure> {
  const lab = Lab.make(t, longSeconds);
  const accountant = await startAccountant(t, lab, '[Accounting]\nInterval=2s\n');
  await lab.send({ ...many, packets: 2 });
  const looks = await looksAt(accountant, flows);
  await accountant.stop();
  return {
    name: 'a look at 100,000 living flows',
    value: median(looks.times) / 1_000,
    unit: 's',
    atMost: 0.5,
    note: `${spread(looks)}; conntrack -L, to nowhere`,
    beside: { [conntrack.name]: listings(lab) },
  };
}

export async function markedDumps(t: Owner): Promise<Figure> {
  const lab = Lab.make(t, longSeconds);
  const settings = `[Accounting]\nInterval=1s\n[Class vpn]\nMark=${mark}\n`;
  const accountant = await startAccountant(t, lab, settings);
  await lab.send({ ...many, packets: 2 });
  await lab.send({ ...many, ...markedPorts, sources: many.sources.slice(0, 1), packets: 2 });
  const looks = await looksAt(accountant, markedPorts.ports);
  await accountant.stop();
  return {
    name: 'a look at 100 marked flows of 100,100',
    value: median(looks.times),
    unit: 'ms',
    atMost: 80,
    note: `${spread(looks)}; conntrack -L -m ${mark}`,
    beside: { [conntrack.name]: listings(lab, ['-m', mark]) * 1_000 },
  };
}
