// Runs a program of the admin's beside the loop: a hook, or what is told of an alert. Never a shell, never without a
// time limit, and whatever it prints has a bound.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { errnoOf, explain } from './errors.ts';
import { splitWords } from './ini.ts';

export interface Outcome {
  ok: boolean;
  /** `exit status 1`, `killed by SIGKILL`, `cannot start: ENOENT`. */
  outcome: string;
}

export interface ProgramRun {
  argv: string[];
  folder: string;
  environment: Record<string, string>;
  /** What it gets on standard input; nothing by default. */
  input?: string;
  /** What it prints, line by line; long lines are cut, and so is the end of long outputs. */
  output: (line: string) => void;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

const limitMs = 30_000;
const killMs = 2_000;
// What the program leaves behind may hold its pipes open for ever; its last words come within this time.
const lastWordsMs = 200;
const lineChars = 1_024;
const outputLines = 100;

/** Runs the program once; always resolves, as soon as the program itself has ended. */
export function runProgram(run: ProgramRun): Promise<Outcome> {
  const cannotStart = (error: unknown): Outcome => ({
    ok: false,
    outcome: `cannot start ${run.argv[0] ?? ''}: ${explain(error)}`,
  });
  return new Promise((resolve) => {
    let child: Child;
    try {
      const [program = '', ...rest] = run.argv;
      // A group of its own, so that a time-out ends what the program started too.
      child = spawn(program, rest, {
        stdio: ['pipe', 'pipe', 'pipe'],
        cwd: run.folder,
        env: run.environment,
        detached: true,
      });
    } catch (error) {
      // Some errno values are thrown, others come as an event.
      resolve(cannotStart(error));
      return;
    }
    // One that does not read closes its end first.
    child.stdin.on('error', () => undefined).end(run.input ?? '');
    let timedOut = false;
    const timers = [
      setTimeout(() => {
        timedOut = true;
        killGroup(child, 'SIGTERM');
      }, limitMs),
      setTimeout(() => killGroup(child, 'SIGKILL'), limitMs + killMs),
    ];
    const done = (result: Outcome): void => {
      timers.forEach(clearTimeout);
      for (const stream of [child.stdout, child.stderr]) stream.destroy();
      resolve(result);
    };
    child.once('error', (error) => done(cannotStart(error)));
    child.once('exit', (code, signal) => {
      const ended = signal === null ? `exit status ${code ?? ''}` : `killed by ${signal}`;
      const result = {
        ok: code === 0 && !timedOut,
        outcome: timedOut ? `no end within ${limitMs / 1_000} s` : ended,
      };
      timers.push(setTimeout(() => done(result), lastWordsMs));
      child.once('close', () => done(result));
    });
    const say = sayBounded(run.output);
    for (const stream of [child.stdout, child.stderr]) readLines(stream, say);
  });
}

function sayBounded(output: (line: string) => void): (line: string) => void {
  let lines = 0;
  return (line) => {
    lines += 1;
    if (lines <= outputLines) output(line);
  };
}

/** Lines, cut to `lineChars`; what lies beyond is read and forgotten. */
function readLines(stream: Readable, say: (line: string) => void): void {
  let line = '';
  stream.setEncoding('utf8').on('data', (text: string) => {
    const [first = '', ...more] = text.split('\n');
    line = (line + first).slice(0, lineChars);
    for (const next of more) {
      say(line);
      line = next.slice(0, lineChars);
    }
  });
  stream.once('end', () => {
    if (line !== '') say(line);
  });
}

function killGroup(child: Child, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error;
  }
}

/** argv of a command line in a configuration: quotes group words, no shell, an absolute path. @throws Error */
export function parseCommandLine(text: string): string[] {
  const words = splitWords(text);
  if (words === undefined) throw new Error('a quote is not closed');
  if (words[0]?.startsWith('/') === false) throw new Error('the program needs its absolute path');
  return words;
}
