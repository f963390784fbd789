// The command line of `lares`, declared: the suite's own commands, and below each daemon's noun its verbs. Builds the
// tree and runs nothing, so that completion and tests can walk it.
import { Command } from 'commander';
import type { Io } from '../../lib/command.ts';
import { LaresError } from '../../lib/errors.ts';
import { passOnInherited } from '../../lib/listen.ts';
import { version } from '../../lib/version.ts';
import { daemons } from './daemons.ts';
import { doctor } from './doctor.ts';
import { daemonArgv } from './program.ts';
import { status } from './status.ts';
import { up } from './up.ts';

// 32 bytes as base64 of either kind, less two letters that an option may have taken from the front.
const keyLike = /[\w+/-]{41,}=?/g;

export async function createProgram(io: Io, environment: NodeJS.ProcessEnv): Promise<Command> {
  const program = new Command('lares')
    .description('Small daemons that keep a Linux host.')
    .version(`lares ${version}`, '--version')
    .enablePositionalOptions()
    .showHelpAfterError('(--help says more)')
    // A key in the wrong place would else stand in the message that complains of it. Before any verb, which inherit it.
    .configureOutput({ outputError: (text, write) => write(text.replaceAll(keyLike, '…')) })
    .exitOverride((error) => {
      // Usage errors end with 2 everywhere; help and version are no errors.
      throw Object.assign(error, { exitCode: error.exitCode === 0 ? 0 : 2 });
    });

  program
    .command('run')
    .description('run one daemon in this terminal, without systemd')
    .argument('<noun>', Object.keys(daemons).join(', '))
    .argument(
      '[flags...]',
      'flags of the daemon, such as --conf FILE, --state DIR, --listen ADDR; --help lists them',
    )
    .allowUnknownOption()
    .passThroughOptions()
    .helpOption(false)
    .action((noun: string, flags: string[]) => run(noun, flags, environment));

  program
    .command('up')
    .description('run the whole suite in this terminal, on scratch state')
    .option('--state <dir>', 'scratch state', 'var')
    .option('--json', 'log JSON lines')
    .action(async ({ state, json = false }: { state: string; json?: boolean }) =>
      io.exit(await up(state, json, io)),
    );

  program
    .command('status')
    .description('show how each daemon is: awake, asleep, failed, off')
    .option('--json', 'print JSON')
    .action(async ({ json = false }: { json?: boolean }) => status(json, io));

  program
    .command('doctor')
    .description('look at what the daemons need on this machine')
    .option('--json', 'print JSON')
    .action(async ({ json = false }: { json?: boolean }) => io.exit(await doctor(json, io)));

  for (const load of Object.values(daemons)) {
    const { noun, summary, register } = await load();
    register(program.command(noun).description(summary), io);
  }
  return program;
}

function run(noun: string, flags: string[], environment: NodeJS.ProcessEnv): void {
  if (!Object.hasOwn(daemons, noun))
    throw new LaresError(
      'E_USAGE',
      `there is no daemon '${noun}'; there is ${Object.keys(daemons).join(', ')}`,
    );
  const [file, ...args] = [...daemonArgv(noun), ...flags];
  // The daemon takes this process's place: signals, job control and passed sockets reach it directly.
  passOnInherited(environment, process.pid);
  process.execve?.(file, [file, ...args], environment);
}
