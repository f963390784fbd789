// Writing a small file so that readers see the old or the new one and a power cut leaves one of them: temporary file in
// the same folder, fsync, rename, fsync of the folder. For settings and keys; a zone has more to keep (daemons/ddns).
import { randomUUID } from 'node:crypto';
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Replaces or creates `file` with `mode`, whatever the umask. */
export function writeFileAtomic(file: string, data: string | Buffer, mode: number): void {
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${randomUUID()}.tmp`);
  const made = openSync(temporary, 'wx', 0o600);
  try {
    withFd(made, (fd) => {
      writeFileSync(fd, data);
      fchmodSync(fd, mode);
      fsyncSync(fd);
    });
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncFolder(path.dirname(file));
}

/** Makes renames and removals in `folder` durable. */
export function syncFolder(folder: string): void {
  withFd(openSync(folder, 'r'), fsyncSync);
}

function withFd(fd: number, use: (fd: number) => void): void {
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}
