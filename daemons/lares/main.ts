// lares: the command of the suite. Finds the verbs of every daemon, and runs daemons in the foreground; nothing else.
import { Command } from 'commander';
import type { Io } from '../../lib/command.ts';
import { errnoOf, explain, LaresError } from '../../lib/errors.ts';
import { passOnInherited } from '../../lib/listen.ts';
import { version } from '../../lib/version.ts';
import { daemons } from './daemons.ts';
import { doctor } from './doctor.ts';
import { daemonArgv } from './program.ts';
import { up } from './up.ts';

const io: Io = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  stdout: process.stdout,
  exit: (code) => void (process.exitCode = code),
};

// 32 bytes as base64 of either kind, less two letters that an option may have taken from the front.
const keyLike = /[\w+/-]{41,}=?/g;

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
  .action(run);

program
  .command('up')
  .description('run the whole suite in this terminal, on scratch state')
  .option('--state <dir>', 'scratch state', 'var')
  .option('--json', 'log JSON lines')
  .action(async ({ state, json = false }: { state: string; json?: boolean }) =>
    io.exit(await up(state, json, io)),
  );

program
  .command('doctor')
  .description('look at what the daemons need on this machine')
  .option('--json', 'print JSON')
  .action(async ({ json = false }: { json?: boolean }) => io.exit(await doctor(json, io)));

function run(noun: string, flags: string[]): void {
  if (!Object.hasOwn(daemons, noun))
    throw new LaresError(
      'E_USAGE',
      `there is no daemon '${noun}'; there is ${Object.keys(daemons).join(', ')}`,
    );
  const [file, ...args] = [...daemonArgv(noun), ...flags];
  // The daemon takes this process's place: signals, job control and passed sockets reach it directly.
  passOnInherited(process.env, process.pid);
  process.execve?.(file, [file, ...args], process.env);
}

try {
  for (const load of Object.values(daemons)) {
    const { noun, summary, register } = await load();
    register(program.command(noun).description(summary), io);
  }
  await program.parseAsync();
} catch (error) {
  const isCommander = errnoOf(error).startsWith('commander.');
  if (!isCommander)
    io.err(
      `lares: ${error instanceof LaresError ? explain(error) : String(error instanceof Error ? error.stack : error)}\n`,
    );
  process.exitCode = isCommander
    ? (error as { exitCode: number }).exitCode
    : error instanceof LaresError && error.code === 'E_USAGE'
      ? 2
      : 1;
}
