// A real systemd, booted in a container over a throw-away copy of this machine's own root: what a test of units talks
// to. It has a network of its own, and is gone with its test, also when that fails or is killed.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { folderOf, launcher, leaderOf, nameOf, removeLeftovers, removeMachine } from './machine-parts.ts';
import type { Owner } from './scratch.ts';
import { until } from './wait.ts';

/** A command that takes longer hangs. */
const commandMs = 60_000;
const bootMs = 30_000;
const powerOffMs = 20_000;
/** SIGRTMIN+4, as glibc counts: its SIGRTMIN is 34. */
const powerOff = 38;

export interface Result {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A record of the journal, field by field; what is no text arrives as Latin-1. */
export type JournalRecord = Readonly<Record<string, string>>;

export interface JournalQuery {
  unit?: string;
  /** FIELD=VALUE, all of which must match. */
  match?: string[];
  /** Only what came after this record (its `__CURSOR`). */
  after?: string;
}

export interface Datagram {
  bytes: Uint8Array;
  /** The address it comes from; every one of 127.0.0.0/8 is the machine's own. */
  from?: string;
  /** How long to wait before it. */
  pauseMs?: number;
}

/** Reads lines of JSON on standard input and sends them, in order. It runs in the network of the machine. */
const sender = `
const { createSocket } = require('node:dgram');
const { setTimeout: sleep } = require('node:timers/promises');
(async () => {
  const { port, datagrams } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
  const sockets = new Map();
  for (const { hex, from, pauseMs } of datagrams) {
    if (pauseMs > 0) await sleep(pauseMs);
    const family = from.includes(':') ? 'udp6' : 'udp4';
    if (!sockets.has(from)) {
      const socket = createSocket(family);
      await new Promise((done) => socket.bind(0, from, done));
      sockets.set(from, socket);
    }
    const to = family === 'udp6' ? '::1' : '127.0.0.1';
    await new Promise((done, fail) =>
      sockets.get(from).send(Buffer.from(hex, 'hex'), port, to, (error) => (error ? fail(error) : done())));
  }
  for (const socket of sockets.values()) socket.close();
})();`;

/** Nothing that asks, and no escape sequences. */
const quiet = { SYSTEMD_COLORS: '0', SYSTEMD_PAGER: '', DEBIAN_FRONTEND: 'noninteractive' };

let count = 0;

export class Machine {
  readonly name: string;
  /** How the boot ended: `running`, or `degraded` with units failed. */
  state = 'starting';
  /** The machine's PID 1, as it is called outside. */
  leader = 0;
  #launcher: ChildProcess | undefined;
  #console = '';
  #stopped: Promise<void> | undefined;

  private constructor(name: string) {
    this.name = name;
  }

  /** Boots one, with `files` (absolute path → text) in place before. It is stopped after the owner's test. */
  static async boot(owner: Owner, files: Readonly<Record<string, string>> = {}): Promise<Machine> {
    await removeLeftovers();
    count += 1;
    const machine = new Machine(nameOf(count));
    owner.after(() => machine.stop());
    await machine.#boot(files);
    return machine;
  }

  async #boot(files: Readonly<Record<string, string>>): Promise<void> {
    const { argv, env } = launcher(this.name, ['--boot']);
    for (const [file, text] of Object.entries(files)) {
      const place = path.join(folderOf(this.name), 'files', file);
      mkdirSync(path.dirname(place), { recursive: true });
      writeFileSync(place, text);
    }
    const [program = '', ...args] = argv;
    // A session of its own: Ctrl-C reaches the tests, and the kernel ends the machine with them.
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    this.#launcher = child;
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (this.#console += text));
    const end = performance.now() + bootMs;
    for (;;) {
      this.leader = leaderOf(this.name);
      if (this.leader !== 0 && existsSync(this.path('/run/systemd/private'))) break;
      if (child.exitCode !== null || child.signalCode !== null || performance.now() > end)
        throw new Error(`the machine did not boot:\n${this.#console}`);
      await sleep(10);
    }
    this.state = (await this.run('systemctl', 'is-system-running', '--wait')).stdout.trim();
  }

  /** Names of failed units. */
  async failed(): Promise<string[]> {
    const { stdout } = await this.run('systemctl', 'list-units', '--failed', '--plain', '--no-legend');
    return stdout
      .split('\n')
      .flatMap((line) => line.split(' ')[0] ?? [])
      .filter((name) => name !== '');
  }

  /** Where a file of the machine is to be found from outside. It follows no absolute links. */
  path(file: string): string {
    return `/proc/${this.leader}/root${file}`;
  }

  /** Runs a command inside, to its end. */
  run(...argv: string[]): Promise<Result> {
    return this.#enter('-a', argv);
  }

  async #enter(spaces: string, argv: string[], input = ''): Promise<Result> {
    const child = spawn('nsenter', ['-t', String(this.leader), spaces, '--', ...argv], {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', HOME: '/root', ...quiet },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: commandMs,
      killSignal: 'SIGKILL',
    });
    const result: Result = { code: null, stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (result.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (result.stderr += text));
    // A command that reads nothing closes its end first.
    child.stdin.on('error', () => undefined).end(input);
    await once(child, 'close');
    return { ...result, code: child.exitCode };
  }

  /** The same, for commands that must succeed. @returns what it printed. @throws Error with what it complained of */
  async must(...argv: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...argv);
    if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}:\n${stderr}${stdout}`);
    return stdout;
  }

  systemctl(...args: string[]): Promise<string> {
    return this.must('systemctl', ...args);
  }

  /** One property of a unit, as `systemctl show` prints it. */
  async show(unit: string, property: string): Promise<string> {
    return (await this.systemctl('show', '--value', `--property=${property}`, unit)).trimEnd();
  }

  read(file: string): string {
    return readFileSync(this.path(file), 'utf8');
  }

  write(file: string, text: string, mode = 0o644): void {
    const place = this.path(file);
    mkdirSync(path.dirname(place), { recursive: true });
    writeFileSync(place, text, { mode });
  }

  /** Units and drop-ins below /etc/systemd/system, known to the manager afterwards. */
  async writeUnits(units: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, text] of Object.entries(units)) this.write(`/etc/systemd/system/${name}`, text);
    await this.systemctl('daemon-reload');
  }

  /** Installs a package that lies outside. @returns what dpkg said */
  async install(deb: string): Promise<string> {
    const place = `/var/cache/${path.basename(deb)}`;
    cpSync(deb, this.path(place));
    const said = await this.must('dpkg', '--force-confnew', '-i', place);
    rmSync(this.path(place));
    return said;
  }

  /** Copies a tree from outside over the machine's root. */
  async installTree(tree: string): Promise<void> {
    cpSync(tree, this.path('/'), { recursive: true, verbatimSymlinks: true });
    await this.systemctl('daemon-reload');
  }

  /** Records of the journal, the oldest first, all that was logged before the call among them. */
  async journal({ unit, match = [], after }: JournalQuery = {}): Promise<JournalRecord[]> {
    await this.must('journalctl', '--sync');
    const out = await this.must(
      'journalctl',
      ...['--output=json', '--all', '--quiet', '--no-pager'],
      ...(unit === undefined ? [] : [`--unit=${unit}`]),
      ...(after === undefined ? [] : [`--after-cursor=${after}`]),
      ...match,
    );
    return out
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => flatten(JSON.parse(line) as Record<string, unknown>));
  }

  /** Sends datagrams from inside to a port of the machine, in order. */
  async send(port: number, datagrams: (Uint8Array | Datagram)[]): Promise<void> {
    const plain = datagrams.map((one) => {
      const { bytes, from = '127.0.0.1', pauseMs = 0 } = one instanceof Uint8Array ? { bytes: one } : one;
      return { hex: Buffer.from(bytes).toString('hex'), from, pauseMs };
    });
    const argv = [process.execPath, '-e', sender];
    const { code, stderr } = await this.#enter('-n', argv, JSON.stringify({ port, datagrams: plain }));
    if (code !== 0) throw new Error(`could not send: ${stderr}`);
  }

  /** Polls until `look` finds something; a failure shows the end of the journal. */
  async until<T>(
    what: string,
    look: () => Promise<T | undefined | false> | T | undefined | false,
  ): Promise<T> {
    try {
      return await until(what, look);
    } catch (error) {
      const { stdout } = await this.run('journalctl', '--no-pager', '--lines=40', '--output=short-precise');
      throw new Error(`${String(error)}\n${stdout}`, { cause: error });
    }
  }

  /** Waits until a unit's property has a value. */
  untilShows(unit: string, property: string, wanted: string): Promise<true> {
    return this.until(`${unit} with ${property}=${wanted}`, async () =>
      (await this.show(unit, property)) === wanted ? true : undefined,
    );
  }

  /** Shuts it down, by force if it must be, and removes what it stood on. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const child = this.#launcher;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      if (this.leader !== 0) process.kill(this.leader, powerOff);
      await Promise.race([gone, sleep(powerOffMs, undefined, { ref: false })]);
    }
    await removeMachine(this.name);
  }
}

function flatten(fields: Record<string, unknown>): JournalRecord {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, textOf(value)]));
}

/** journalctl writes bytes that are no text as a list of numbers, and a repeated field as a list of values. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return '';
  if (value.every((one) => typeof one === 'number')) return Buffer.from(value).toString('latin1');
  return value.map(textOf).join('\n');
}
