// Processes for the benchmark peers: find a program, run a client, start a server in the foreground and
// stop it by its pid, lend a temporary folder, find a free port, and read how much CPU time a process has
// used.
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { accessSync, closeSync, constants, openSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const microsPerTick = 10_000;
const startMillis = 15_000;
const stopMillis = 5_000;
const clientMillis = 60_000;
// Of what a failed client or server wrote: a client repeats itself for every update.
const shownChars = 4000;

/** Debian keeps servers in sbin, which the PATH of an ordinary user leaves out. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** User and system CPU time of a process with all its threads, in microseconds. */
export function peerCpuMicros(pid: number): number {
  return schedstatMicros(pid) ?? statMicros(pid);
}

/** Exact to the nanosecond, but not every kernel has it, and a thread that ended is no longer in the sum. */
function schedstatMicros(pid: number): number | undefined {
  try {
    const nanos = readdirSync(`/proc/${pid}/task`).map((task) =>
      Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ', 1)[0]),
    );
    return nanos.reduce((sum, each) => sum + each, 0) / 1000;
  } catch {
    return undefined;
  }
}

/** Whole ticks of 10 ms, cut off for user and system time apart: a difference may be 20 ms off. */
function statMicros(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field, the program's name, may hold blanks and parentheses: count from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const micros = (Number(fields[11]) + Number(fields[12])) * microsPerTick;
  if (!Number.isFinite(micros)) throw new Error(`cannot read the CPU time of process ${pid}: ${stat}`);
  return micros;
}

/** Lends a fresh temporary folder, removed afterwards whatever happens. */
export async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'lares-peer-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A port that is free for TCP and for UDP, as a name server wants both. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 20; tries++) {
    const tcp = createServer().listen(0, '127.0.0.1');
    await once(tcp, 'listening');
    const address = tcp.address();
    const port = address === null || typeof address === 'string' ? 0 : address.port;
    const udp = createSocket('udp4');
    try {
      udp.bind(port, '127.0.0.1');
      await once(udp, 'listening');
      return port;
    } catch {
      // Taken for UDP by somebody else: try the next.
    } finally {
      udp.close();
      tcp.close();
      await once(tcp, 'close');
    }
  }
  throw new Error('found no port of 127.0.0.1 that is free for both TCP and UDP');
}

/** Runs a client to its end; its output, or an error that holds what it wrote. */
export async function run(program: string, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(program, args, { stdio: 'pipe', timeout: clientMillis, killSignal: 'SIGKILL' });
  const out: string[] = [];
  const err: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => out.push(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => err.push(text));
  // A client that gives up early closes its input; its exit status tells why.
  child.stdin.on('error', () => undefined).end(input);
  await once(child, 'close');
  if (child.exitCode === 0) return out.join('');
  const how =
    child.exitCode === null
      ? `was killed by ${child.signalCode ?? 'a signal'}`
      : `exited with ${child.exitCode}`;
  throw new Error(
    `${program} ${args.join(' ')} ${how}: ${(err.join('') + out.join('')).slice(0, shownChars)}`.trim(),
  );
}

/** Starts a server that writes to `logFile`, lends it once `answers` holds, and stops it whatever happens. */
export async function withServer<T>(
  program: string,
  args: readonly string[],
  logFile: string,
  answers: () => Promise<boolean>,
  use: (pid: number) => Promise<T>,
): Promise<T> {
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(program, args, { stdio: ['ignore', log, log] });
  closeSync(log);
  try {
    await once(child, 'spawn');
    const { pid } = child;
    if (pid === undefined) throw new Error(`${program} has no pid`);
    await untilAnswering(child, answers);
    return await use(pid);
  } catch (error) {
    const written = await readFile(logFile, 'utf8').catch(() => '');
    throw new Error(`${program} ${args.join(' ')}: ${String(error)}\n${written.slice(-shownChars)}`.trim(), {
      cause: error,
    });
  } finally {
    await stop(child);
  }
}

async function untilAnswering(child: ChildProcess, answers: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + startMillis;
  while (!(await answers())) {
    if (hasEnded(child)) throw new Error('the server ended before it answered');
    if (performance.now() > deadline) throw new Error(`the server did not answer within ${startMillis} ms`);
    await sleep(50);
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || hasEnded(child)) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const patience = setTimeout(() => child.kill('SIGKILL'), stopMillis);
  await ended;
  clearTimeout(patience);
}
