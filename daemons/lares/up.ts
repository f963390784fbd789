// `lares up`: the whole suite in the foreground, each daemon as a process of its own on scratch state, their records in
// one coloured stream. Ctrl-C stops them all, each in its own time; a daemon that ends by itself is named, the others
// go on.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Io } from '../../lib/command.ts';
import { dressed } from '../../lib/journal.ts';
import { daemons } from './daemons.ts';
import { commandName, daemonArgv } from './program.ts';

/** Resolves once all have ended, to the exit code: 0, or 1 if one failed. */
export async function up(folder: string, json: boolean, io: Io): Promise<number> {
  const running: { noun: string; child: ChildProcess }[] = [];
  const hints: string[] = [];
  for (const [noun, load] of Object.entries(daemons)) {
    const own = path.resolve(folder, noun);
    mkdirSync(own, { recursive: true });
    const demo = (await load()).demo(own);
    if (demo.lacking !== undefined) {
      io.err(`${noun} is left out: ${demo.lacking}\n`);
      continue;
    }
    const [program, ...flags] = [
      ...daemonArgv(noun),
      ...demo.flags,
      '--state',
      path.join(own, 'state'),
      '--json',
    ];
    // A group of its own: Ctrl-C reaches this process alone, which passes it on in order.
    running.push({
      noun,
      child: spawn(program, flags, { stdio: ['ignore', 'pipe', 'inherit'], detached: true }),
    });
    hints.push(...demo.hints.map((hint) => hint.replace(/^lares\b/, commandName())));
  }
  if (!json) io.err(greeting(folder, running, hints));
  const stop = (): void => running.forEach(({ child }) => child.kill('SIGTERM'));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  const codes = await Promise.all(running.map(({ noun, child }) => follow(noun, child, json, io)));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, stop);
  return codes.some((code) => code !== 0) ? 1 : 0;
}

function greeting(folder: string, running: { noun: string }[], hints: string[]): string {
  const nouns = running.map(({ noun }) => noun).join(', ');
  const typed = hints.map((hint) => `    ${hint}\n`).join('');
  return `Running ${nouns} on scratch state in ${folder}; Ctrl-C stops. In another terminal:\n${typed}\n`;
}

function follow(noun: string, child: ChildProcess, json: boolean, io: Io): Promise<number> {
  return new Promise((resolve, reject) => {
    if (child.stdout !== null) {
      const dress = json ? 'json' : io.stdout.isTTY ? 'terminal' : 'pipe';
      createInterface({ input: child.stdout }).on('line', (line) => io.out(dressed(dress, `${line}\n`)));
    }
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code !== 0) io.err(`lares-${noun} ended: ${signal ?? `exit status ${code ?? ''}`}\n`);
      resolve(code ?? 1);
    });
  });
}
