// What `make bench` prints: figures with their bounds and what peers have beside them, in one section a noun.
import type { Owner } from '../support/scratch.ts';

export type Unit = 'µs' | 'ms' | 's' | 'MiB' | 'of 10' | '%' | 'bytes' | 'events';

export interface Figure {
  name: string;
  value: number;
  unit: Unit;
  note: string;
  /** From the specification; a figure without one is there to be known. */
  atMost?: number;
  atLeast?: number;
  /** By peer: the same figure of it, or words where there is none. */
  beside?: Record<string, number | string>;
}

export interface Section {
  noun: string;
  /** Peers, in the order of their columns, with what a script may want to know of them. */
  peers: { name: string; title: string; details?: object }[];
  rows: ((t: Owner) => Promise<Figure | Figure[]>)[];
}

/** A figure that this machine cannot give. */
export class Skip extends Error {}

/** What a measurement leaves behind is undone after it, newest first. */
export class Owned implements Owner {
  readonly #undo: (() => unknown)[] = [];

  after(undo: () => unknown): void {
    this.#undo.push(undo);
  }

  async finish(): Promise<void> {
    for (let step = this.#undo.pop(); step !== undefined; step = this.#undo.pop()) await step();
  }
}

export function isWithin({ value, atMost = Infinity, atLeast = -Infinity }: Figure): boolean {
  return value <= atMost && value >= atLeast;
}

export function boundOf({ atMost, atLeast, unit }: Figure): string {
  if (atMost !== undefined) return `≤ ${atMost} ${unit}`;
  return atLeast === undefined ? '' : `≥ ${atLeast} ${unit}`;
}

export function shown(value: number, unit: Unit): string {
  if (unit === 'bytes' || unit === 'events') return `${Math.round(value).toLocaleString('en')} ${unit}`;
  // Cut off: what is not whole must not look so.
  if (unit === '%') return `${(Math.floor(value * 10) / 10).toFixed(1)} %`;
  if (unit === 's') return `${value.toFixed(2)} s`;
  return `${value.toFixed(value < 100 ? 1 : 0)} ${unit}`;
}

export function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
