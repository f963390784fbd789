// Compiles the addon of sd-notify, notify.node, against the headers of the runtime that runs this, and has that runtime
// load it: built for another one it would only fail in the daemon. Needed to install, to package and to test; never to
// run in a terminal.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
const source = path.join(root, 'node_modules/sd-notify/notify.cc');
const headers = path.join(path.dirname(process.execPath), '../include/node');
// Where the sources look for it (lib/sys/notify.ts), and where npm would have put it.
const built = path.join(root, 'node_modules/sd-notify/build/Release/notify.node');

const needs = 'notify.node is compiled with g++ and libsystemd-dev: apt-get install g++ libsystemd-dev';
const flags = '-shared -fPIC -O2 -s -std=gnu++20 -fno-exceptions -fno-rtti -fvisibility=hidden -w'.split(' ');

function compile(to: string): void {
  const compiler = process.env['CXX'] ?? 'g++';
  const { error, status } = spawnSync(compiler, [...flags, `-I${headers}`, source, '-lsystemd', '-o', to], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (error !== undefined || status !== 0) throw new Error(needs, { cause: error });
  const load =
    'const addon = { exports: {} }; process.dlopen(addon, process.argv[1]); addon.exports.sendState("")';
  const check = spawnSync(process.execPath, ['-e', load, to], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (check.status !== 0)
    throw new Error('the pinned runtime cannot load the notify.node that was built for it');
}

try {
  if (!existsSync(path.join(headers, 'node.h'))) throw new Error(`no headers of the runtime in ${headers}`);
  mkdirSync(path.dirname(built), { recursive: true });
  compile(`${built}.new`);
  renameSync(`${built}.new`, built);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
