// Fills dist/ with the staged tree: bin/lares, lib/lares with the runtime, one bundle a program, the native addons and
// what runs the hook. Everything is written beside its name and renamed, so that a build never pulls a file from under
// a running daemon.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  globSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { bundle } from './bundle.ts';
import { addons } from './native.ts';

const root = path.join(import.meta.dirname, '..');
const out = path.resolve(process.argv[2] ?? 'dist');
const lib = path.join(out, 'lib/lares');
const nouns = readdirSync(path.join(root, 'daemons'), { withFileTypes: true }).filter((entry) =>
  entry.isDirectory(),
);

const launcher = `#!/bin/sh
here=$(readlink -f -- "$0") || exit 1
lib=\${here%/bin/lares}/lib/lares
exec "$lib/node" --disable-warning=ExperimentalWarning "$lib/lares.mjs" "$@"
`;

mkdirSync(path.join(lib, 'native'), { recursive: true });
mkdirSync(path.join(out, 'bin'), { recursive: true });
// A daemon's further programs, such as a thread's, lie beside its bundle as NOUN-PROGRAM.
const entries = Object.fromEntries([
  ...nouns.map(({ name }) => [name, path.join(root, 'daemons', name, 'main.ts')]),
  ...globSync('daemons/*/programs/*.ts', { cwd: root }).map((file) => {
    const [, noun = '', , program = ''] = file.split(path.sep);
    return [`${noun}-${path.basename(program, '.ts')}`, path.join(root, file)];
  }),
]) as Record<string, string>;
for (const { path: file, contents } of await bundle(entries, lib))
  place(file, (to) => writeFileSync(to, contents));
for (const [name, from] of Object.entries(addons(root)))
  place(path.join(lib, 'native', name), (to) => stripped(from, to));
place(path.join(lib, 'node'), (to) => stripped(process.execPath, to));
place(path.join(lib, 'ddns-publish'), (to) => {
  copyFileSync(path.join(root, 'daemons/ddns/publish.sh'), to);
  chmodSync(to, 0o755);
});
place(path.join(out, 'bin/lares'), (to) => {
  writeFileSync(to, launcher);
  chmodSync(to, 0o755);
});
process.stdout.write(
  `built ${path.relative(process.cwd(), out) || '.'}: ${nouns.map(({ name }) => name).join(', ')}\n`,
);

function place(file: string, make: (temporary: string) => void): void {
  const temporary = `${file}.new`;
  rmSync(temporary, { force: true });
  make(temporary);
  renameSync(temporary, file);
}

/** A copy without debugging symbols (18 MB of the runtime); whole where binutils are not installed. */
function stripped(from: string, to: string): void {
  copyFileSync(from, to);
  const { error, status } = spawnSync('strip', [to], { stdio: 'ignore' });
  if (error !== undefined || status !== 0) copyFileSync(from, to);
}
