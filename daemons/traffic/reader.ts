// The accountant's end of the reader: starts the thread, hands on its batches in order, knows when the socket was last
// empty, and ends it so that nothing that was read is lost.
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../lib/clock.ts';
import { LaresError } from '../../lib/errors.ts';
import { type FromReader, slot, slots, type ToReader } from './exchange.ts';

const here = import.meta.filename;
const program = here.endsWith('.ts')
  ? path.join(import.meta.dirname, 'programs/reader.ts')
  : path.join(import.meta.dirname, 'traffic-reader.mjs');

export type Batch = Exclude<FromReader, string>;

export class Reader {
  readonly #worker: Worker;
  readonly #state: Int32Array;
  readonly #clock: Clock;
  readonly #ended: Promise<void>;
  #emptyCount = 0;
  #turns = 0;
  /** When all that had come was dealt with, wall clock, milliseconds. */
  emptyMs = 0;

  constructor(fd: number, clock: Clock, take: (batch: Batch) => void, fail: (error: unknown) => void) {
    const shared = new SharedArrayBuffer(4 * slots);
    this.#state = new Int32Array(shared);
    this.#clock = clock;
    this.#worker = new Worker(program, { workerData: { fd, shared } satisfies ToReader });
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#ended = promise;
    this.#worker.on('message', (message: FromReader) => {
      if (message === 'end') {
        resolve(undefined);
        return;
      }
      take(message);
      Atomics.add(this.#state, slot.done, 1);
      Atomics.notify(this.#state, slot.done);
    });
    this.#worker.once('error', (error) => {
      resolve(undefined);
      fail(error);
    });
    // One that ends before it was told to is a bug, and said to be one.
    this.#worker.once('exit', () => {
      resolve(undefined);
      if (!this.#isStopping) fail(new Error('the reader of events has ended'));
    });
  }

  get #isStopping(): boolean {
    return Atomics.load(this.#state, slot.stop) !== 0;
  }

  /** Notices whether the socket was found empty, with nothing under way. To be called now and then. */
  look(): void {
    const posted = Atomics.load(this.#state, slot.posted);
    const empty = Atomics.load(this.#state, slot.empty);
    if (empty !== this.#emptyCount && posted === Atomics.load(this.#state, slot.done))
      this.emptyMs = this.#clock.wallMs();
    this.#emptyCount = empty;
  }

  /** @throws LaresError E_TRAFFIC_READER where the thread has stood still since the last call */
  check(): void {
    const turns = Atomics.load(this.#state, slot.turns);
    const stands = turns === this.#turns;
    this.#turns = turns;
    if (stands) throw new LaresError('E_TRAFFIC_READER', 'the thread that reads events stands still');
  }

  /** Stops reading; resolves when all that was read has been handed on. */
  async stop(): Promise<void> {
    Atomics.store(this.#state, slot.stop, 1);
    Atomics.notify(this.#state, slot.stop);
    Atomics.notify(this.#state, slot.done);
    await this.#ended;
    await this.#worker.terminate();
  }
}
