// The `lares` command as a process of its own, run to its end.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { root } from './daemon.ts';

export const laresArgv = [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  path.join(root, 'daemons/lares/main.ts'),
];

export interface Outcome {
  code: number | null;
  out: string;
  err: string;
}

/** Runs `lares ARGS` behind the words of `wrapper`. */
export async function lares(args: string[], wrapper: string[] = []): Promise<Outcome> {
  const [program = '', ...rest] = [...wrapper, ...laresArgv, ...args];
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  const outcome: Outcome = { code: null, out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (outcome.out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (outcome.err += text));
  await once(child, 'close');
  return { ...outcome, code: child.exitCode };
}
