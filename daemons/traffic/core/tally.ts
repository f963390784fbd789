// Sums that wait to become durable: of each series (a peer in one class, family and protocol) all that was seen, and
// how much of it in which interval, hour and day. Bounded by the series, which are bounded by MaxPeers=. Pure.
import { eachBucket } from './buckets.ts';
import type { Attribution, Volume } from './peers.ts';

/** What all peers that have no row of their own are called. */
export const other = 'other';

/** Sums of one series: rxBytes, txBytes, rxPackets, txPackets. */
export type Sums = [number, number, number, number];

export interface Pending {
  series: Series;
  total: Sums;
  firstMs: number;
  lastMs: number;
  /** By start, seconds, for each level. */
  buckets: Map<number, Sums>[];
}

export interface Series {
  className: string;
  peer: string;
  family: 4 | 6;
  protocol: number;
}

/** Widths of the levels, milliseconds: interval, hour, day. The day is UTC's. */
export const levelsOf = (intervalMs: number): [number, number, number] => [intervalMs, 3_600_000, 86_400_000];

const keys = new WeakMap<Series, string>();

/** Made once for each object, for the same ones come again and again. */
export function keyOfSeries(series: Series): string {
  let key = keys.get(series);
  if (key === undefined) {
    const { className, peer, family, protocol } = series;
    key = `${className}\t${family}\t${protocol}\t${peer}`;
    keys.set(series, key);
  }
  return key;
}

export class Tally {
  readonly #pending = new Map<string, Pending>();
  readonly #widths: number[];

  constructor(intervalMs: number) {
    this.#widths = levelsOf(intervalMs);
  }

  get pending(): Iterable<Pending> {
    return this.#pending.values();
  }

  get size(): number {
    return this.#pending.size;
  }

  clear(): void {
    this.#pending.clear();
  }

  /** Adds what was seen between two instants. */
  add(key: string, series: Attribution | Series, volume: Volume, fromMs: number, toMs: number): void {
    let pending = this.#pending.get(key);
    if (pending === undefined) {
      const { className, peer, family, protocol } = series;
      pending = {
        series: { className, peer, family, protocol },
        total: [0, 0, 0, 0],
        firstMs: fromMs,
        lastMs: toMs,
        buckets: this.#widths.map(() => new Map<number, Sums>()),
      };
      this.#pending.set(key, pending);
    }
    pending.firstMs = Math.min(pending.firstMs, fromMs);
    pending.lastMs = Math.max(pending.lastMs, toMs);
    const amounts: Sums = [volume.rxBytes, volume.txBytes, volume.rxPackets, volume.txPackets];
    addTo(pending.total, amounts);
    for (let level = 0; level < this.#widths.length; level += 1) {
      const buckets = pending.buckets[level];
      if (buckets !== undefined) spread(buckets, amounts, fromMs, toMs, this.#widths[level] ?? 0);
    }
  }
}

function spread(
  buckets: Map<number, Sums>,
  amounts: Sums,
  fromMs: number,
  toMs: number,
  widthMs: number,
): void {
  // Most flows are short.
  const lastMs = Math.floor(toMs / widthMs) * widthMs;
  if (fromMs >= lastMs) {
    addTo(bucketOf(buckets, lastMs / 1_000), amounts);
    return;
  }
  const given: Sums = [0, 0, 0, 0];
  eachBucket(fromMs, toMs, widthMs, (startMs, part) => {
    const sums = bucketOf(buckets, startMs / 1_000);
    for (let index = 0; index < 4; index += 1) {
      const until = part === 1 ? (amounts[index] ?? 0) : Math.floor((amounts[index] ?? 0) * part);
      sums[index] = (sums[index] ?? 0) + until - (given[index] ?? 0);
      given[index] = until;
    }
  });
}

function bucketOf(buckets: Map<number, Sums>, start: number): Sums {
  let sums = buckets.get(start);
  if (sums === undefined) buckets.set(start, (sums = [0, 0, 0, 0]));
  return sums;
}

function addTo(sums: Sums, amounts: Sums): void {
  for (let index = 0; index < 4; index += 1) sums[index] = (sums[index] ?? 0) + (amounts[index] ?? 0);
}
