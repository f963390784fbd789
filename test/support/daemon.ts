// A daemon as a real process: started from its sources, its records read as JSON, stopped or killed by pid.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { until } from './wait.ts';

export interface LogRecord {
  PRIORITY: number;
  MESSAGE: string;
  MESSAGE_ID: string;
  LARES_KEY_ID?: string;
  LARES_SOURCE?: string;
  LARES_REASON?: string;
  LARES_NAME?: string;
}

export const root = path.join(import.meta.dirname, '../..');
const flags = ['--disable-warning=ExperimentalWarning', '--v8-pool-size=1', '--max-semi-space-size=1'];

export interface Start {
  noun?: string;
  args: string[];
  env?: Record<string, string>;
  /** Descriptors from 3 on. */
  fds?: number[];
  /** Words before the command, such as `ip netns exec NAME` or `strace …`. */
  wrapper?: string[];
  uid?: number;
  gid?: number;
}

export class Daemon {
  readonly process: ChildProcess;
  readonly records: LogRecord[] = [];
  stderr = '';

  constructor({ noun = 'ddns', args, env = {}, fds = [], wrapper = [], uid, gid }: Start) {
    const own = [process.execPath, ...flags, path.join(root, 'daemons', noun, 'main.ts'), '--json', ...args];
    // Only the shell knows the pid that LISTEN_PID must name.
    const activated = fds.length === 0 ? own : ['/bin/sh', '-c', 'LISTEN_PID=$$ exec "$@"', 'sh', ...own];
    const [program = '', ...rest] = [...wrapper, ...activated];
    const { PATH = '' } = process.env;
    this.process = spawn(program, rest, {
      stdio: ['ignore', 'pipe', 'pipe', ...fds],
      env: { PATH, ...env },
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    });
    const { stdout, stderr } = this.process;
    if (stdout === null || stderr === null) throw new Error('no pipes');
    createInterface({ input: stdout }).on('line', (line) => this.records.push(JSON.parse(line) as LogRecord));
    stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
  }

  /** Starts a daemon that ends with the test at the latest. */
  static start(t: TestContext, start: Start): Daemon {
    const daemon = new Daemon(start);
    t.after(() => daemon.kill());
    return daemon;
  }

  /** The first record from `since` on whose text matches. */
  record(pattern: RegExp, since = 0): Promise<LogRecord> {
    return until(
      `record ${pattern}`,
      () => this.records.slice(since).find(({ MESSAGE }) => pattern.test(MESSAGE)),
      () => this.text,
    );
  }

  get text(): string {
    return this.records.map(({ MESSAGE }) => MESSAGE).join('\n') + this.stderr;
  }

  /** Waits until it serves. Returns the first port it listens on. */
  async ready(): Promise<number> {
    const { MESSAGE } = await this.record(/^ready: /);
    return Number(/:(\d+)[,;]/.exec(MESSAGE)?.[1]);
  }

  /** SIGTERM, and the exit code. */
  async stop(): Promise<number | null> {
    this.process.kill('SIGTERM');
    return this.exit();
  }

  async exit(): Promise<number | null> {
    if (this.process.exitCode === null && this.process.signalCode === null) await once(this.process, 'exit');
    return this.process.exitCode;
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill('SIGKILL');
    await this.exit();
  }
}
