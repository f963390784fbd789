// Whoever counts traffic, the daemon or a peer: started in the server's namespace, asked what it has written down,
// stopped and started again.
import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Owner } from '../support/scratch.ts';
import type { Amount, Lab } from './traffic-lab.ts';

export interface Counting {
  /** CPU time so far of the process that runs. */
  cpuMicros: () => number;
  /** Grows with what it has written down. */
  progress: () => number;
  /** What it has written down, by source of the flows. */
  sums: () => Map<string, Amount>;
  restart: () => Promise<void>;
  stop: () => Promise<void>;
}

export interface Peer {
  name: string;
  /** Why it cannot be measured here. */
  lacks: () => string | undefined;
  /** Ends after the measurement at the latest. */
  start: (t: Owner, lab: Lab) => Promise<Counting>;
}

const stepMs = 100;
const calmMs = 3_000;
const limitMs = 120_000;

/** Waits until it writes nothing any more. */
export async function settled({ progress }: Counting): Promise<void> {
  const end = performance.now() + limitMs;
  let last = progress();
  for (let calm = 0; calm < calmMs; calm += stepMs) {
    await sleep(stepMs);
    const now = progress();
    if (now !== last) calm = 0;
    last = now;
    if (performance.now() > end) throw new Error(`it still writes after ${limitMs / 1_000} s`);
  }
}

export function totalOf(sums: Map<string, Amount>): Amount {
  const total = { packets: 0, bytes: 0 };
  for (const { packets, bytes } of sums.values()) {
    total.packets += packets;
    total.bytes += bytes;
  }
  return total;
}

export function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
