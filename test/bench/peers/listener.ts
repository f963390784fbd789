// What the peers that count traffic have in common: a process in the server's namespace that writes a line for each
// flow it hears of, and a look at those lines.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Owner } from '../../support/scratch.ts';
import { type Counting, sizeOf } from '../counting.ts';
import type { Amount } from '../traffic-lab.ts';
import { peerCpuMicros } from './process.ts';

const readyLimitMs = 10_000;

export interface Listener {
  argv: string[];
  /** Where its lines are. */
  file: string;
  /** Whether they are its standard output. */
  isPrinted: boolean;
  /** Source, packets and bytes in a line, as named groups. */
  line: RegExp;
  /** Whether it hears by now. */
  isReady: (starts: number) => boolean;
}

export async function listen(t: Owner, listener: Listener): Promise<Counting> {
  const { argv, file, isPrinted, line, isReady } = listener;
  let child: ChildProcess | undefined;
  let starts = 0;
  const start = async (): Promise<void> => {
    const out = isPrinted ? openSync(file, 'a', 0o600) : undefined;
    child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['ignore', out ?? 'ignore', 'ignore'] });
    if (out !== undefined) closeSync(out);
    await once(child, 'spawn');
    starts += 1;
    const end = performance.now() + readyLimitMs;
    while (!isReady(starts)) {
      if (child.exitCode !== null || performance.now() > end)
        throw new Error(`${argv.join(' ')} does not listen`);
      await sleep(20);
    }
  };
  const stop = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const patience = setTimeout(() => child?.kill('SIGKILL'), 20_000);
    await ended;
    clearTimeout(patience);
  };
  await start();
  t.after(stop);
  return {
    cpuMicros: () => peerCpuMicros(child?.pid ?? 0),
    progress: () => sizeOf(file),
    sums: () => sumsOf(readFileSync(file, 'latin1'), line),
    restart: async () => {
      await stop();
      await start();
    },
    stop,
  };
}

function sumsOf(text: string, line: RegExp): Map<string, Amount> {
  const sums = new Map<string, Amount>();
  for (const { groups = {} } of text.matchAll(new RegExp(line, 'gm'))) {
    const { source = '', packets, bytes } = groups;
    const one = sums.get(source) ?? { packets: 0, bytes: 0 };
    one.packets += Number(packets);
    one.bytes += Number(bytes);
    sums.set(source, one);
  }
  return sums;
}
