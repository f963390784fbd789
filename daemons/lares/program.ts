// Where the programs of the suite lie, and with which V8 flags a daemon runs: as bundles beside this one in an
// installed or staged tree, as sources in a checkout.
import path from 'node:path';

/** No JIT (it needs memory that is writable and executable), small heap, few threads, no inspector on SIGUSR1. */
export const leanFlags = [
  '--jitless',
  '--v8-pool-size=1',
  '--max-semi-space-size=1',
  '--disable-sigusr1',
  '--disable-warning=ExperimentalWarning',
];

/** For what handles a hundred thousand events at a time: compiled code, and room for their short-lived objects. */
export const fastFlags = [
  '--v8-pool-size=1',
  '--max-semi-space-size=8',
  '--disable-sigusr1',
  '--disable-warning=ExperimentalWarning',
];

/** V8's flags for a daemon; its unit has the same. */
export function flagsOf(noun: string): string[] {
  return noun === 'traffic' ? fastFlags : leanFlags;
}

/** argv that runs the daemon `noun`, with the runtime that runs this. */
export function daemonArgv(noun: string): [string, ...string[]] {
  const here = import.meta.filename;
  const inSources = here.endsWith('.ts');
  const main = inSources
    ? path.join(import.meta.dirname, '..', noun, 'main.ts')
    : path.join(import.meta.dirname, `${noun}.mjs`);
  // Sources go through Node's type stripping, which is WebAssembly and so needs the JIT.
  const flags = flagsOf(noun).filter((flag) => !inSources || flag !== '--jitless');
  return [process.execPath, ...flags, main];
}

/** How a person calls `lares` from here: by name if it is installed, else by its path. */
export function commandName(): string {
  const installed = path.join(import.meta.dirname, '../../bin/lares');
  const onPath = (process.env['PATH'] ?? '').split(':').includes(path.dirname(installed));
  return import.meta.filename.endsWith('.ts') || onPath ? 'lares' : path.relative(process.cwd(), installed);
}
