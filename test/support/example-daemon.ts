// A tiny daemon for the tests of lib/daemon.ts, and the class that runs it as a real process. Its configuration says
// how it starts and stops; datagrams tell it what to do: `throw`, `reject` and `fail` break it, the rest is logged.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Key } from '../../lib/config.ts';
import { runDaemon } from '../../lib/daemon.ts';
import { LaresError } from '../../lib/errors.ts';
import { parseSpan } from '../../lib/span.ts';
import type { LogRecord } from './daemon.ts';
import { until } from './wait.ts';

const section = 'Example';
const note = { id: '3a3c2f0c7e0f4d6f8f0b1f6f4f0a9d11', level: 'notice' } as const;
const span = (key: string, help: string) => ({ section, key, fallback: '0', parse: parseSpan, help });
const text = (key: string, fallback: string, help: string) => ({
  section,
  key,
  fallback,
  parse: String,
  help,
});

export const exampleConfig = {
  greeting: { ...text('Greeting', '', 'What it says; there is no default.'), required: true },
  period: { ...span('Period', 'A span that a reload can change.'), fallback: '10min' },
  idleMs: { ...span('IdleExit', 'How long without input until it leaves.'), fallback: '10min' },
  startMs: span('SlowStart', 'How long the start takes.'),
  stopMs: span('SlowStop', 'How long one step of the stop takes.'),
  database: text('Database', 'no', 'yes opens a database in the state folder.'),
  child: text('Child', 'no', 'yes runs a program that tells its variables and descriptors.'),
} as const satisfies Record<string, Key<unknown>>;

/** What a program started by this process sees: PATH and LISTEN_* variables, and the sockets among its descriptors. */
function seenByChild(): string {
  const script =
    'env | grep -e ^PATH= -e ^LISTEN_; for fd in /proc/self/fd/*; do readlink $fd; done | grep ^socket:';
  const { stdout } = spawnSync('/bin/sh', ['-c', script], { encoding: 'utf8' });
  return stdout.trim().replaceAll('\n', ' ');
}

if (import.meta.main) {
  runDaemon({
    name: 'example',
    summary: 'an example that does nothing',
    config: exampleConfig,
    listen: { kind: 'udp', name: 'udp', fallback: '[::1]:0' },
    idleExitMs: ({ idleMs }) => idleMs,
    switches: { quiet: 'says no greeting' },
    start: async ({ config, stateFolder, log, onStop, fail }) => {
      const say = (words: string): void => log.say(note, words);
      let { greeting, period } = config;
      let [isBusy, isStuck] = [false, false];
      say('starting');
      onStop(() => say('undo the first step'));
      onStop(async () => {
        say('undo the second step');
        await sleep(config.stopMs);
        say('undone the second step');
      });
      if (config.database === 'yes') {
        const { openDatabase } = await import('../../lib/sqlite.ts');
        openDatabase(path.join(stateFolder, 'state.db'), []).close();
      }
      if (config.child === 'yes') say(`child: ${seenByChild()}`);
      const tick = setInterval(() => undefined, 60_000);
      onStop(() => {
        clearInterval(tick);
        say('undo the third step');
      });
      await sleep(config.startMs);
      return {
        receive: (datagram) => {
          const word = datagram.toString();
          if (word === 'busy') isBusy = true;
          if (word === 'done') isBusy = false;
          if (word === 'stuck') isStuck = true;
          if (word === 'throw') throw new Error('thrown in a callback');
          if (word === 'reject') void Promise.reject(new Error('rejected in a callback'));
          else if (word === 'fail') fail(new LaresError('E_EXAMPLE', 'given to fail'));
          else say(`received ${word}, said ${greeting}`);
        },
        status: () => `${greeting}, ${period}`,
        idle: () => !isBusy,
        check: () => (isStuck ? new Promise(() => undefined) : undefined),
        report: () => ({ greeting }),
        reload: (next) => {
          ({ greeting, period } = next);
        },
      };
    },
  });
}

// Compiled code of this test process's daemons, so that each after the first starts faster.
const cache = path.join(tmpdir(), `lares-test-compiled-${process.pid}`);
if (!import.meta.main) process.on('exit', () => rmSync(cache, { recursive: true, force: true }));

interface Start {
  args: string[];
  env?: Record<string, string>;
  /** Descriptors from 3 on; `env` then says LISTEN_FDS and LISTEN_FDNAMES. */
  fds?: number[];
  /** Log as the service manager sees it instead of as JSON. */
  plain?: boolean;
  uid?: number;
}

export class Example {
  readonly process: ChildProcess;
  readonly records: LogRecord[] = [];
  stdout = '';
  stderr = '';
  readonly #closed: Promise<unknown>;

  constructor(t: TestContext, { args, env = {}, fds = [], plain = false, uid }: Start) {
    const program = [process.execPath, '--disable-warning=ExperimentalWarning', import.meta.filename];
    // Only the shell knows the pid that LISTEN_PID must name.
    const shell = fds.length === 0 ? [] : ['/bin/sh', '-c', 'LISTEN_PID=$$ exec "$@"', 'sh'];
    const [command = '', ...rest] = [...shell, ...program, ...(plain ? [] : ['--json']), ...args];
    const { PATH = '' } = process.env;
    this.process = spawn(command, rest, {
      stdio: ['ignore', 'pipe', 'pipe', ...fds],
      env: { PATH, NODE_COMPILE_CACHE: cache, ...env },
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    this.#closed = once(this.process, 'close');
    const { stdout, stderr } = this.process;
    if (stdout === null || stderr === null) throw new Error('no pipes');
    createInterface({ input: stdout }).on('line', (line) => {
      this.stdout += `${line}\n`;
      if (line.startsWith('{')) this.records.push(JSON.parse(line) as LogRecord);
    });
    stderr.setEncoding('utf8').on('data', (part: string) => (this.stderr += part));
    t.after(async () => {
      this.process.kill('SIGKILL');
      await this.#closed;
    });
  }

  get #hasEnded(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }

  get messages(): string[] {
    return this.records.map(({ MESSAGE }) => MESSAGE);
  }

  record(pattern: RegExp): Promise<LogRecord> {
    return until(
      `record ${pattern}`,
      () => this.records.find(({ MESSAGE }) => pattern.test(MESSAGE)),
      () => this.stdout + this.stderr,
    );
  }

  /** The first port it listens on, once it serves. */
  async ready(): Promise<number> {
    const { MESSAGE } = await this.record(/^ready: /);
    return Number(/:(\d+)[,;]/.exec(MESSAGE)?.[1]);
  }

  /** `ready` once it serves, or how it ended before. */
  async outcome(): Promise<number | NodeJS.Signals | 'ready' | null> {
    const isReady = (): boolean => this.messages.some((text) => text.startsWith('ready: '));
    await until('start or end', () => isReady() || this.#hasEnded);
    return isReady() ? 'ready' : this.end();
  }

  /** The exit code (or the signal that killed it), once all its output is here. */
  async end(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals | null> {
    if (signal !== undefined) this.process.kill(signal);
    await until(
      'end',
      () => this.#hasEnded,
      () => this.stdout + this.stderr,
    );
    await this.#closed;
    return this.process.exitCode ?? this.process.signalCode;
  }
}
