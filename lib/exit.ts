// How a daemon ends: its exit codes, and which error becomes which. Units carry RestartPreventExitStatus=2 4 6, since
// starting again mends none of these.
import { errnoOf, explain, LaresError } from './errors.ts';

export const exitCodes = { ok: 0, runtime: 1, usage: 2, permission: 4, notConfigured: 6 } as const;

/** What an error that ends the process becomes as its exit code. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof LaresError) {
    if (error.code === 'E_LISTEN_ADDRESS') return exitCodes.usage;
    if (error.code === 'E_NOT_CONFIGURED') return exitCodes.notConfigured;
  }
  const denied = chain(error).some((link) => ['EACCES', 'EPERM', 'EROFS'].includes(errnoOf(link)));
  return denied ? exitCodes.permission : exitCodes.runtime;
}

/** The errno name at the bottom of an error; '' if there is none. */
export function rootErrno(error: unknown): string {
  return (
    chain(error)
      .map(errnoOf)
      .findLast((code) => /^E[A-Z0-9]+$/.test(code)) ?? ''
  );
}

/** Whether the world has caused it, not a mistake in here. */
export function isWorldly(error: unknown): boolean {
  // Node's own ERR_* say that it was called wrongly.
  return error instanceof LaresError || /^(E[A-Z0-9]+|SQLITE_\w+)$/.test(errnoOf(error));
}

/** For the record that says why the process ends: a bug with its stack. */
export function describe(error: unknown): string {
  if (error instanceof LaresError) return `${error.code}: ${explain(error)}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function chain(error: unknown): unknown[] {
  return error instanceof Error ? [error, ...chain(error.cause)] : [];
}
