// Replacing one file with nothing lost: the steps of zonefile.ts, each a function. The new file carries
// what the old one carried (mode, owner, group, access lists, other attributes) or is not put in place at all. The
// name of the temporary file says which state of the old file was read, so that after a crash its content can be
// judged.
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsync,
  futimesSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writevSync,
} from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { wallMs } from '../../lib/clock.ts';
import { errnoOf, explain, LaresError } from '../../lib/errors.ts';
import { isOpenForWriting } from '../../lib/sys/fd.ts';
import { exchange } from '../../lib/sys/rename.ts';
import { getXattr, listXattrs, setXattr } from '../../lib/sys/xattr.ts';
import {
  asFound,
  busy,
  type Found,
  type Identity,
  identify,
  identityOf,
  sameContent,
  sameState,
} from './reading.ts';

const syncFd = promisify(fsync);
const sticky = 0o1000;
// Set-id bits have no business on a zone.
const permissions = 0o777;

export interface Replaced {
  /** The new file, now in place. */
  written: Identity;
  /** Where the file that was displaced lies, if it is not the `expected` one: an edit to be merged. */
  displaced?: string;
}

/**
 * Puts `pieces` in the place of `target`, which was read in state `expected`; attributes come from `like`. Only the
 * wait for the disk is off the loop: everything else is a few system calls. The caller makes the folder durable.
 * @throws LaresError E_DDNS_ZONE_WRITE, E_DDNS_OWNER, E_DDNS_XATTR, E_DDNS_UNSAFE, E_DDNS_ZONE_BUSY; nothing has
 *   changed then.
 */
export async function replace(
  target: string,
  like: Found,
  expected: Identity,
  pieces: Buffer[],
): Promise<Replaced> {
  const temporary = temporaryName(target, expected);
  try {
    if (process.geteuid?.() === 0) refuseMovable(path.dirname(target), false);
    await writeLike(temporary, like, pieces, expected);
    if (!swap(temporary, target)) return { written: renameOver(temporary, target, expected) };
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') rmSync(temporary, { force: true });
    throw asWriteError(target, error);
  }
  const written = identify(target);
  if (!sameContent(identify(temporary), expected)) return { written, displaced: temporary };
  unlinkSync(temporary);
  return { written };
}

/**
 * As root, a name that somebody else can change in the middle of a rewrite would be a way to replace any file of the
 * system. So every folder on the way has to be root's and writable for root alone; one above the last may be sticky.
 */
function refuseMovable(folder: string, stickySaves: boolean): void {
  const { uid, mode } = statSync(folder);
  const open = (mode & 0o022) !== 0 && !(stickySaves && (mode & sticky) !== 0);
  if (uid !== 0 || open) {
    const who = uid === 0 ? 'others' : `uid ${uid}`;
    throw new LaresError(
      'E_DDNS_UNSAFE',
      `runs as root, but ${who} can move what lies in ${folder}: run the receiver as the user that owns the zone`,
    );
  }
  const parent = path.dirname(folder);
  if (parent !== folder) refuseMovable(parent, true);
}

async function writeLike(
  temporary: string,
  like: Found,
  pieces: Buffer[],
  expected: Identity,
): Promise<void> {
  const fd = openSync(temporary, 'wx', 0o600);
  try {
    copyAttributes(like, fd);
    writeAll(fd, pieces);
    // tinydns serves the modification time in seconds as the zone's serial number: it has to grow.
    const serial = Number(expected.mtimeNs / 1_000_000_000n) + 1;
    if (wallMs() / 1_000 < serial) futimesSync(fd, serial, serial);
    await syncFd(fd);
  } finally {
    closeSync(fd);
  }
}

// A short write is how a disk says that it is nearly full; the next one then fails.
function writeAll(fd: number, pieces: Buffer[]): void {
  for (let rest = pieces; rest.length > 0; ) {
    let written = writevSync(fd, rest);
    const whole = rest.findIndex((piece) => {
      if (written < piece.length) return true;
      written -= piece.length;
      return false;
    });
    rest = whole === -1 ? [] : [rest[whole]?.subarray(written) ?? Buffer.alloc(0), ...rest.slice(whole + 1)];
  }
}

function copyAttributes({ file, identity }: Found, to: number): void {
  const from = openSync(file, asFound);
  try {
    const [old, made] = [fstatSync(from), fstatSync(to)];
    // Only the very file that was read lends its attributes, whatever lies under its name by now.
    if (!sameContent(identityOf(fstatSync(from, { bigint: true })), identity) || isOpenForWriting(from))
      throw busy(file);
    if (old.uid !== made.uid || old.gid !== made.gid) copyOwner(file, old, to);
    fchmodSync(to, old.mode & permissions);
    for (const name of listXattrs(from)) copyXattr(from, to, name, file);
  } finally {
    closeSync(from);
  }
}

function copyOwner(like: string, { uid, gid }: { uid: number; gid: number }, to: number): void {
  try {
    fchownSync(to, uid, gid);
  } catch (cause) {
    throw new LaresError(
      'E_DDNS_OWNER',
      `${like} belongs to uid ${uid}, gid ${gid}, which a rewrite could not keep: ` +
        'chown it to user and group of the daemon',
      { cause },
    );
  }
}

function copyXattr(from: number, to: number, name: string, like: string): void {
  try {
    setXattr(to, name, getXattr(from, name));
  } catch (cause) {
    // Labels of a security module: it sets them itself on a new file, by its own policy.
    if (name.startsWith('security.')) return;
    throw new LaresError(
      'E_DDNS_XATTR',
      `${like} has the attribute ${name}, which a rewrite could not keep`,
      { cause },
    );
  }
}

/** False where the file system cannot exchange names (NFS, some of FUSE). */
function swap(temporary: string, target: string): boolean {
  try {
    exchange(temporary, target);
    return true;
  } catch (error) {
    if (['EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes(errnoOf(error))) return false;
    throw error;
  }
}

function renameOver(temporary: string, target: string, expected: Identity): Identity {
  if (!sameState(identify(target), expected)) throw busy(target);
  renameSync(temporary, target);
  return identify(target);
}

/** Failed system calls as E_DDNS_ZONE_WRITE; what is an error of ours already, or a bug, stays as it is. */
export function asWriteError(target: string, error: unknown): unknown {
  if (error instanceof LaresError || errnoOf(error) === '') return error;
  const folder = path.dirname(target);
  const advice = ['EACCES', 'EPERM', 'EROFS'].includes(errnoOf(error))
    ? ` (the folder must be writable: lares ddns setup ${target})`
    : '';
  return new LaresError(
    'E_DDNS_ZONE_WRITE',
    `cannot write a new zone in ${folder}: ${explain(error)}${advice}`,
    { cause: error },
  );
}

export async function syncFolder(folder: string): Promise<void> {
  const fd = openSync(folder, 'r');
  try {
    await syncFd(fd);
  } finally {
    closeSync(fd);
  }
}

function temporaryName(target: string, { ino, mtimeNs, size }: Identity): string {
  return path.join(path.dirname(target), `.${path.basename(target)}.lares-${ino}-${mtimeNs}-${size}`);
}

/**
 * Clears what an interrupted rewrite left beside `target`. The old file, or a new one that was never put in place, is
 * removed; anything else may be somebody's edit and is kept under a visible name, which `kept` is told.
 */
export function recover(target: string, kept: (file: string) => void): void {
  const folder = path.dirname(target);
  const pattern = new RegExp(`^\\.${RegExp.escape(path.basename(target))}\\.lares-(\\d+)-(\\d+)-(\\d+)$`);
  for (const name of readdirSync(folder)) {
    const match = pattern.exec(name);
    if (match === null) continue;
    const [ino = 0n, mtimeNs = 0n, size = 0n] = match.slice(1).map(BigInt);
    const { dev } = identify(folder);
    const read: Identity = { dev, ino, mtimeNs, size, ctimeNs: 0n };
    const file = path.join(folder, name);
    if (sameContent(identify(file), read) || sameContent(identify(target), read)) rmSync(file);
    else {
      const saved = `${target}.saved-${mtimeNs}`;
      renameSync(file, saved);
      kept(saved);
    }
  }
}
