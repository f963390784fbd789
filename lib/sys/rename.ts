// renameat2(2) with RENAME_EXCHANGE: two names swap their files in one step, so that a writer can look at what it
// displaced and nothing is ever lost.
import { bind, check } from './libc.ts';

const AT_FDCWD = -100;
const RENAME_EXCHANGE = 2;

const renameat2 = bind(
  'int renameat2(int olddirfd, const char *oldpath, int newdirfd, const char *newpath, unsigned int flags)',
);

/** Swaps two existing names. @throws Error with an errno code; EINVAL where the file system cannot. */
export function exchange(a: string, b: string): void {
  check(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE), 'renameat2', `${a}' <-> '${b}`);
}
