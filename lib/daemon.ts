// runDaemon: what every daemon does the same way, so that a main only declares. This file alone reads the environment,
// logs for lib, and ends the process; everything below it gets those as arguments. No force-exit timer: a daemon that
// does not end has a leak to be found.
import { readFileSync } from 'node:fs';
import { systemClock } from './clock.ts';
import { configFiles, type Loaded, loadConfig, renderConfig, type Table } from './config.ts';
import { explain } from './errors.ts';
import { describe, exitCodeOf, exitCodes, rootErrno } from './exit.ts';
import { type Flags, helpFor, readFlags } from './flags.ts';
import { dressFor, openLog } from './journal.ts';
import { takeInherited } from './listen.ts';
import { commonMessages as say } from './messages.ts';
import { supervisorOf } from './notify.ts';
import { type Around, Service } from './service.ts';
import { onSignals } from './signals.ts';
import type { DaemonSpec } from './spec.ts';
import { openFolder } from './state.ts';
import { errnoNumber } from './sys/datagram.ts';
import { version } from './version.ts';

export type { Context, DaemonSpec, Running } from './spec.ts';

/** Runs the daemon until it is told to stop. Declared once a process, by its main. */
export function runDaemon<T extends Table>(spec: DaemonSpec<T>): void {
  const flags = flagsOf(spec);
  if (flags === undefined) return;
  const load = (): Loaded<T> =>
    loadConfig(
      spec.config,
      flags.conf === undefined ? configFiles(spec.configOf ?? spec.name) : [flags.conf],
    );
  if (flags.action === 'run') void serve(spec, flags, load);
  else answer(spec, flags.action, load);
}

function flagsOf<T extends Table>({ name, switches = {}, listen }: DaemonSpec<T>): Flags | undefined {
  try {
    return readFlags(process.argv.slice(2), Object.keys(switches), listen?.kind === 'udp');
  } catch (error) {
    process.stderr.write(`lares-${name}: ${explain(error)}\nTry --help.\n`);
    process.exitCode = exitCodes.usage;
    return undefined;
  }
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
        print(helpFor({ ...spec, listens: spec.listen?.kind === 'udp' }));
        return;
      case 'check':
        process.exitCode = checkConfig(load(), print);
        return;
      case 'show-config': {
        const { files, texts, named } = load();
        print(files.map((file) => `# ${file}\n`).join('') + renderConfig(spec.config, texts, named));
      }
    }
  } catch (error) {
    process.stderr.write(`lares-${spec.name}: ${explain(error)}\n`);
    process.exitCode = exitCodeOf(error);
  }
}

function checkConfig(loaded: Loaded<Table>, print: (text: string) => void): number {
  for (const { place, message } of loaded.problems) print(`${place}: ${message}\n`);
  for (const name of loaded.missing) print(`missing: ${name} must be set\n`);
  if (loaded.problems.length + loaded.missing.length > 0) return exitCodes.notConfigured;
  print('configuration OK\n');
  return exitCodes.ok;
}

async function serve<T extends Table>(
  spec: DaemonSpec<T>,
  flags: Flags,
  load: () => Loaded<T>,
): Promise<void> {
  // Threads of Node are called MainThread; ps and systemctl show this instead.
  process.title = `lares-${spec.name}`;
  const dress = flags.json ? 'json' : dressFor(2, process.env['JOURNAL_STREAM']);
  const log = openLog(spec.name, dress, flags.json ? 1 : 2);
  const { switches } = flags;
  let stateFolder: string | undefined;
  let supervisor: Around<T>['supervisor'] | undefined;
  const fail = (error: unknown): void => {
    const code = exitCodeOf(error);
    log.say(say.failed, `failed: ${describe(error)}`);
    supervisor?.failed(`failed: ${explain(error)}`, code, errnoNumber(rootErrno(error)));
    process.exit(code);
  };
  process.on('uncaughtException', fail);

  try {
    supervisor = supervisorOf(process.env);
    const service = new Service(spec, {
      load,
      log,
      clock: systemClock,
      supervisor,
      passed: takeInherited(process.env, process.pid),
      endpoints:
        flags.listen.length > 0 || spec.listen?.kind !== 'udp' ? flags.listen : [spec.listen.fallback],
      context: () => {
        // Once: a second look would find the folder held by this very process.
        stateFolder ??= openFolder(flags.state ?? stateDirectory() ?? `/var/lib/lares/${spec.name}`);
        const environment = childEnvironment();
        return { stateFolder, log, clock: systemClock, environment, switches, bootId, fail };
      },
      fail,
    });
    const started = Promise.withResolvers<undefined>();
    const turns = onSignals(started.promise, {
      reload: () => service.reload(),
      stop: async (why) => {
        await service.stop();
        log.say(say.stopped, `stopped (${why})`);
      },
      fail,
    });
    try {
      await service.start(() => turns);
    } catch (error) {
      await service.stop();
      throw error;
    }
    started.resolve(undefined);
  } catch (error) {
    fail(error);
  }
}

function stateDirectory(): string | undefined {
  return process.env['STATE_DIRECTORY']?.split(':')[0];
}

/** From the unit (%b) where the sandbox hides the kernel's file. */
function bootId(): string {
  return (
    process.env['BOOT_ID'] ??
    readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim().replaceAll('-', '')
  );
}

function childEnvironment(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8' };
}
