// A daemon's state folder: made for it alone, and held by one process at a time. Never shared: what two processes write
// into one folder from what they remember undoes what the other wrote.
import { accessSync, closeSync, constants, mkdirSync, openSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { LaresError } from './errors.ts';
import { tryLock } from './sys/fd.ts';

/** Makes and holds `folder`; its real path. @throws LaresError E_STATE_BUSY, errors of mkdir(2) and access(2) */
export function openFolder(folder: string): string {
  // Other daemons, as other users, pass through the folder above.
  mkdirSync(path.dirname(path.resolve(folder)), { recursive: true, mode: 0o755 });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  accessSync(folder, constants.W_OK | constants.X_OK);
  holdFolder(folder);
  return realpathSync(folder);
}

/** Holds `folder` for as long as this process lives. @throws LaresError E_STATE_BUSY */
export function holdFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  if (tryLock(fd)) return;
  closeSync(fd);
  throw new LaresError(
    'E_STATE_BUSY',
    `another process of this daemon uses ${folder}: stop it, or name another folder with --state`,
  );
}
