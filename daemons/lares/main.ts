// lares: the command of the suite. Runs what commandline.ts declares, and turns errors into exit codes; nothing else.
import type { Io } from '../../lib/command.ts';
import { errnoOf, explain, LaresError } from '../../lib/errors.ts';
import { createProgram } from './commandline.ts';

const io: Io = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  stdout: process.stdout,
  exit: (code) => void (process.exitCode = code),
};

try {
  await (await createProgram(io, process.env)).parseAsync();
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
