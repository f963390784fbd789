// Up to where carbon has everything, on the disk.
import { readFileSync } from 'node:fs';
import { writeFileAtomic } from '../../lib/atomic.ts';
import { errnoOf } from '../../lib/errors.ts';

export interface Cursor {
  /** Of another ledger the revisions mean nothing. */
  ledger: number;
  revision: number;
  /** Places that carbon had earlier, the older one some minutes: what it took since may have died in its memory. */
  earlier: number;
  later: number;
  /** When these were moved, Unix milliseconds. */
  movedMs: number;
  /** Up to here everything had been sent, Unix seconds. */
  sentUntil: number;
}

export const noCursor: Cursor = { ledger: 0, revision: 0, earlier: 0, later: 0, movedMs: 0, sentUntil: 0 };

/** One that is not there, or is no cursor, begins anew: what is sent twice does no harm. */
export function readCursor(file: string): Cursor {
  try {
    const found = JSON.parse(readFileSync(file, 'utf8')) as Partial<Record<keyof Cursor, unknown>>;
    const isWhole = Object.keys(noCursor).every((key) => Number.isSafeInteger(found[key as keyof Cursor]));
    return isWhole ? (found as Cursor) : noCursor;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || error instanceof SyntaxError) return noCursor;
    throw error;
  }
}

export function writeCursor(file: string, cursor: Cursor): void {
  writeFileAtomic(file, `${JSON.stringify(cursor)}\n`, 0o600);
}
