// What the reader's thread and the accountant share.

export interface ToReader {
  fd: number;
  /** Int32 cells, see `slot`. */
  shared: SharedArrayBuffer;
}

export type FromReader =
  | {
      /** Datagrams, one after the other. */
      bytes: Uint8Array;
      lengths: Uint32Array;
      /** Datagrams that were left out: too large, or not from the kernel. */
      odd: number;
    }
  | 'end';

/**
 * Cells: whether to stop; batches handed over, and batches dealt with; how often the socket was found empty; turns of
 * the loop, as a sign of life.
 */
export const slot = { stop: 0, posted: 1, done: 2, empty: 3, turns: 4 } as const;
export const slots = 5;

export const batchEvents = 2_048;
/** So much may be read and not yet counted; a crash would lose it. */
export const batchesAhead = 2;
/** So much where the kernel's own buffer runs full, which would lose it for certain: some 40 MB. */
export const batchesAheadAtMost = 64;
