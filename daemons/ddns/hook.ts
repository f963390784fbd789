// The publish step in the foreground: runs the admin's program (tinydns-data) in the folder of the zone, beside the
// loop, one at a time. Changes that come while it runs wait for the next run; a failed run is repeated with growing
// pauses until it succeeds. Never a shell, never without a time limit.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface HookResult {
  ok: boolean;
  /** `exit status 1`, `killed by SIGKILL`, `cannot start: ENOENT`. */
  outcome: string;
}

export interface HookRun {
  argv: string[];
  folder: string;
  environment: Record<string, string>;
  /** One JSON object a line. */
  input: string;
  /** What it prints, line by line; long lines are cut. */
  output: (line: string) => void;
}

const hookMs = 30_000;
const killMs = 2_000;
const lineChars = 1_024;
const outputLines = 100;

/** Runs the program once; always resolves. */
export function runHook({ argv, folder, environment, input, output }: HookRun): Promise<HookResult> {
  const [program = '', ...rest] = argv;
  return new Promise((resolve) => {
    // A group of its own, so that a time-out ends what the program started too.
    const child = spawn(program, rest, {
      cwd: folder,
      env: environment,
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    let timedOut = false;
    const terminate = setTimeout(() => {
      timedOut = true;
      killGroup(child, 'SIGTERM');
    }, hookMs);
    const kill = setTimeout(() => killGroup(child, 'SIGKILL'), hookMs + killMs);
    let lines = 0;
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines += 1;
        if (lines <= outputLines) output(line.slice(0, lineChars));
      });
    }
    // A program that does not read its input closes the pipe early.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    const done = (result: HookResult): void => {
      clearTimeout(terminate);
      clearTimeout(kill);
      resolve(result);
    };
    child.once('error', (error) => done({ ok: false, outcome: `cannot start ${program}: ${error.message}` }));
    child.once('close', (code, signal) => {
      const outcome = timedOut
        ? `no end within ${hookMs / 1_000} s`
        : signal === null
          ? `exit status ${code ?? ''}`
          : `killed by ${signal}`;
      done({ ok: code === 0 && !timedOut, outcome });
    });
  });
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
