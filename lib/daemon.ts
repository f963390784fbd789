// runDaemon: what every daemon does the same way, so that a main only declares. Flags, configuration, passed sockets,
// state folder, log, reload, stop, exit codes. This file alone reads the environment, logs for lib, and ends the
// process; everything below it gets those as arguments. No force-exit timer: a daemon that does not end has a leak to
// be found.
import type { Socket } from 'node:dgram';
import { closeSync, openSync } from 'node:fs';
import { isatty } from 'node:tty';
import { type Clock, systemClock } from './clock.ts';
import { configFiles, type Loaded, loadConfig, renderConfig, type Table, type Values } from './config.ts';
import { errnoOf, explain, LaresError } from './errors.ts';
import { type Flags, helpFor, readFlags } from './flags.ts';
import { openLog } from './journal.ts';
import {
  adoptUdp,
  bindUdp,
  closeInherited,
  formatEndpoint,
  parseEndpoint,
  type Receive,
  takeInherited,
} from './listen.ts';
import { type Log, commonMessages as say } from './messages.ts';
import { openFolder } from './state.ts';
import { version } from './version.ts';

/** Exit codes of daemons; units carry RestartPreventExitStatus=2 4 6. */
export const exitCodes = { ok: 0, runtime: 1, usage: 2, permission: 4, notConfigured: 6 } as const;

export interface Context<T extends Table> {
  config: Values<T>;
  /** Exists, belongs to this daemon alone. */
  stateFolder: string;
  log: Log;
  clock: Clock;
  /** The environment that a program started by the daemon gets. */
  environment: Record<string, string>;
  /** Registers what undoes a step; called in reverse order at the stop. */
  onStop: (undo: () => void | Promise<void>) => void;
  /** For errors in callbacks that nobody awaits: logged once, ends the process with 1. */
  fail: (error: unknown) => void;
}

export interface Running<T extends Table> {
  /** Takes one datagram. Called only after `start` has resolved, and no more once the stop has begun. */
  receive: Receive;
  /** One line for a person: what the daemon is doing. */
  status: () => string;
  reload: (config: Values<T>) => void | Promise<void>;
}

export interface DaemonSpec<T extends Table> {
  name: string;
  summary: string;
  config: T;
  /** The UDP socket: its FileDescriptorName=, and where to listen when none is passed. */
  listen: { name: string; fallback: string };
  start: (context: Context<T>) => Promise<Running<T>>;
}

/** Runs the daemon until it is told to stop. Declared once a process, by its main. */
export function runDaemon<T extends Table>(spec: DaemonSpec<T>): void {
  const flags = flagsOf(spec.name);
  if (flags === undefined) return;
  const load = (): Loaded<T> =>
    loadConfig(spec.config, flags.conf === undefined ? configFiles(spec.name) : [flags.conf]);
  if (flags.action === 'run') void serve(spec, flags, load);
  else answer(spec, flags.action, load);
}

function answer<T extends Table>(
  spec: DaemonSpec<T>,
  action: Exclude<Flags['action'], 'run'>,
  load: () => Loaded<T>,
): void {
  const print = (text: string): boolean => process.stdout.write(text);
  try {
    switch (action) {
      case 'version':
        print(`lares-${spec.name} ${version}\n`);
        return;
      case 'help':
        print(helpFor(spec));
        return;
      case 'check':
        process.exitCode = checkConfig(load(), print);
        return;
      case 'show-config': {
        const { files, texts } = load();
        print(files.map((file) => `# ${file}\n`).join('') + renderConfig(spec.config, texts));
      }
    }
  } catch (error) {
    process.stderr.write(`lares-${spec.name}: ${explain(error)}\n`);
    process.exitCode = exitCodeOf(error);
  }
}

async function serve<T extends Table>(
  spec: DaemonSpec<T>,
  flags: Flags,
  load: () => Loaded<T>,
): Promise<void> {
  const dress = flags.json ? 'json' : isatty(2) ? 'terminal' : 'pipe';
  const log = openLog(spec.name, dress, flags.json ? 1 : 2);
  const undo: (() => void | Promise<void>)[] = [];
  const fail = (error: unknown): void => {
    const ours = error instanceof LaresError;
    log.say(say.failed, `failed: ${ours ? `${error.code}: ${explain(error)}` : describeBug(error)}`);
    process.exit(exitCodeOf(error));
  };
  process.on('uncaughtException', fail);

  try {
    const loaded = load();
    report(loaded, log);
    if (loaded.missing.length > 0) {
      const keys = loaded.missing.join(', ');
      log.say(say.failed, `not configured: ${keys} must be set in /etc/lares/${spec.name}.conf`);
      process.exitCode = exitCodes.notConfigured;
      return;
    }
    const open = openers(spec, flags, log);
    const context: Context<T> = {
      config: loaded.values,
      stateFolder: openFolder(
        flags.state ?? process.env['STATE_DIRECTORY']?.split(':')[0] ?? `/var/lib/lares/${spec.name}`,
      ),
      log,
      clock: systemClock,
      environment: { PATH: process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8' },
      onStop: (step) => undo.push(step),
      fail,
    };
    // From here on a signal waits its turn behind the start. One that fails ends the process.
    const started = Promise.withResolvers<Running<T>>();
    onSignals(log, started.promise, {
      reload: async () => reload(await started.promise, load, log),
      stop: () => unwind(undo),
      fail,
    });
    started.resolve(await start(spec, context, open, undo));
  } catch (error) {
    await unwind(undo).catch(fail);
    fail(error);
  }
}

type Opener = (receive: Receive) => Promise<Socket>;

async function start<T extends Table>(
  spec: DaemonSpec<T>,
  context: Context<T>,
  open: Opener[],
  undo: (() => void | Promise<void>)[],
): Promise<Running<T>> {
  const running = await spec.start(context);
  // Input is opened last and closed first: what still waits in a passed socket then is the next process's.
  const sockets: Socket[] = [];
  undo.push(() => sockets.forEach((socket) => socket.close()));
  for (const one of open) {
    const socket = await one((datagram, from) => running.receive(datagram, from));
    socket.on('error', context.fail);
    sockets.push(socket);
  }
  const where = sockets
    .map((socket) => socket.address())
    .map(({ address, port }) => formatEndpoint({ host: address, port }));
  context.log.say(say.ready, `ready: listening on ${where.join(', ')}; ${running.status()}`);
  return running;
}

/** A configuration that cannot be in force changes nothing; only bugs end the daemon. */
async function reload<T extends Table>(running: Running<T>, load: () => Loaded<T>, log: Log): Promise<void> {
  try {
    const next = load();
    report(next, log);
    if (next.missing.length > 0) throw new LaresError('E_CONFIG', `${next.missing.join(', ')} missing`);
    await running.reload(next.values);
    log.say(say.reloaded, `reloaded: ${running.status()}`);
  } catch (error) {
    if (errnoOf(error) === '') throw error;
    log.say(say.notReloaded, `not reloaded: ${explain(error)}; the old configuration stays in force`);
  }
}

function openers<T extends Table>(spec: DaemonSpec<T>, flags: Flags, log: Log): Opener[] {
  const inherited = takeInherited(process.env, process.pid);
  const wanted = inherited.filter(({ name }) => name === spec.listen.name);
  for (const stranger of inherited.filter(({ name }) => name !== spec.listen.name)) {
    const { name, fd } = stranger;
    log.say(
      say.unknownFd,
      `closing passed socket '${name}' (fd ${fd}): this daemon knows only '${spec.listen.name}'`,
    );
    closeInherited(stranger);
  }
  if (wanted.length > 0) return wanted.map((one) => (receive) => adoptUdp(one, receive));
  const endpoints = flags.listen.length > 0 ? flags.listen : [spec.listen.fallback];
  return endpoints.map(parseEndpoint).map((endpoint) => (receive) => bindUdp(endpoint, receive));
}

// One at a time, behind the start; after a stop has begun nothing else starts.
function onSignals(
  log: Log,
  started: Promise<unknown>,
  act: { reload: () => Promise<void>; stop: () => Promise<void>; fail: (error: unknown) => void },
): void {
  let turn: Promise<void> = started.then(() => undefined);
  let stopping = false;
  const hasTerminal = isatty(0);
  const stop = (name: string): void => {
    if (stopping) return;
    stopping = true;
    turn = turn
      .then(act.stop)
      .then(() => log.say(say.stopped, `stopped (${name})`))
      .catch(act.fail);
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  process.on('SIGHUP', () => {
    // A closed terminal hangs up too; then there is nobody to serve in the foreground any more.
    if (hasTerminal && terminalIsGone()) stop('SIGHUP');
    else if (!stopping) turn = turn.then(act.reload).catch(act.fail);
  });
}

function terminalIsGone(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return false;
  } catch {
    return true;
  }
}

async function unwind(undo: (() => void | Promise<void>)[]): Promise<void> {
  for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
}

function report(loaded: Loaded<Table>, log: Log): void {
  for (const { place, message } of loaded.problems) log.say(say.configProblem, `${place}: ${message}`);
}

function checkConfig(loaded: Loaded<Table>, print: (text: string) => void): number {
  for (const { place, message } of loaded.problems) print(`${place}: ${message}\n`);
  for (const name of loaded.missing) print(`missing: ${name} must be set\n`);
  if (loaded.problems.length + loaded.missing.length > 0) return exitCodes.notConfigured;
  print('configuration OK\n');
  return exitCodes.ok;
}

/** What an error that ends the process becomes as its exit code. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof LaresError && error.code === 'E_LISTEN_ADDRESS') return exitCodes.usage;
  const denied = chain(error).some((link) => ['EACCES', 'EPERM', 'EROFS'].includes(errnoOf(link)));
  return denied ? exitCodes.permission : exitCodes.runtime;
}

function describeBug(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function chain(error: unknown): unknown[] {
  return error instanceof Error ? [error, ...chain(error.cause)] : [];
}

function flagsOf(name: string): Flags | undefined {
  try {
    return readFlags(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`lares-${name}: ${explain(error)}\nTry --help.\n`);
    process.exitCode = exitCodes.usage;
    return undefined;
  }
}
