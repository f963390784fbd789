// Reading one file that others write: whole, in one state of it, and whether somebody is at it right now. Looks only.
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { LaresError } from '../../lib/errors.ts';
import { isOpenForWriting } from '../../lib/sys/fd.ts';
import { zoneBytes } from './core/zone.ts';

/** What tells one state of a file from another; `ctimeNs` moves with a rename as well. */
export interface Identity {
  dev: bigint;
  ino: bigint;
  mtimeNs: bigint;
  ctimeNs: bigint;
  size: bigint;
}

export function identify(file: string): Identity {
  return identityOf(statSync(file, { bigint: true }));
}

export function identityOf({ dev, ino, mtimeNs, ctimeNs, size }: BigIntStats): Identity {
  return { dev, ino, mtimeNs, ctimeNs, size };
}

export function sameState(a: Identity, b: Identity | undefined): boolean {
  return b !== undefined && sameContent(a, b) && a.ctimeNs === b.ctimeNs;
}

export function sameContent(a: Identity, b: Identity): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.mtimeNs === b.mtimeNs && a.size === b.size;
}

const readRounds = 5;
// A FIFO in the place of the file must not hold the daemon up, and a link must not lead it elsewhere.
export const asFound = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;

/** The whole file, in one state of it. */
export function readWhole(file: string): { bytes: Buffer; identity: Identity } {
  const fd = openSync(file, asFound);
  try {
    for (let round = 0; round < readRounds; round += 1) {
      const before = fstatSync(fd, { bigint: true });
      const { mtimeNs, size } = before;
      if (!before.isFile()) throw unreadable(file, 'not a regular file');
      if (size > zoneBytes) throw unreadable(file, `larger than ${zoneBytes} bytes`);
      const bytes = Buffer.alloc(Number(size));
      const length = readSync(fd, bytes, 0, bytes.length, 0);
      const after = fstatSync(fd, { bigint: true });
      if (length === bytes.length && after.mtimeNs === mtimeNs && after.size === size) {
        return { bytes, identity: identityOf(before) };
      }
    }
    throw unreadable(file, 'changes while it is read');
  } finally {
    closeSync(fd);
  }
}

export function unreadable(file: string, why: string, cause?: unknown): LaresError {
  return new LaresError('E_DDNS_ZONE_READ', `cannot read zone ${file}: ${why}`, { cause });
}

/** A file, and the state in which it was read. */
export interface Found {
  file: string;
  identity: Identity;
}

/** Whether somebody is writing into `file` at this moment. */
export function isBeingWritten(file: string): boolean {
  const fd = openSync(file, asFound);
  try {
    return isOpenForWriting(fd);
  } finally {
    closeSync(fd);
  }
}

export function busy(file: string): LaresError {
  return new LaresError('E_DDNS_ZONE_BUSY', `${file} is being saved by somebody else; it is tried again`);
}
