// `make deb`: dist/lares_VERSION_ARCH.deb from what the install table names, and nothing else. The same sources give
// the same bytes: every time in it is that of the last commit, or SOURCE_DATE_EPOCH. Another compression, such as for a
// release: DEB_COMPRESSION='-Zzstd -z10'.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { version } from '../lib/version.ts';
import { install } from './install.ts';
import { type Item, installTable, root } from './table.ts';

const scripts = path.join(import.meta.dirname, 'debian');
const architectures: Record<string, string> = { x64: 'amd64', arm64: 'arm64' };

function run(program: string, args: string[], env: NodeJS.ProcessEnv = process.env): string {
  const { error, status, stdout, stderr } = spawnSync(program, args, { cwd: root, encoding: 'utf8', env });
  if (error !== undefined || status !== 0)
    throw new Error(`${program} ${args[0] ?? ''}: ${error?.message ?? stderr.trim()}`);
  return stdout.trim();
}

/** Builds the package. @returns its path */
export function buildDeb(folder: string, env: NodeJS.ProcessEnv): string {
  const architecture = run('dpkg', ['--print-architecture']);
  if (architectures[process.arch] !== architecture)
    throw new Error(`the runtime is for ${process.arch}, this system for ${architecture}`);
  const epoch = env['SOURCE_DATE_EPOCH'] ?? run('git', ['log', '-1', '--format=%ct']);
  const deb = path.join(folder, `lares_${version}_${architecture}.deb`);
  mkdirSync(folder, { recursive: true });
  const stage = mkdtempSync(path.join(folder, '.deb-'));
  // dpkg-deb takes the mode of / from it.
  chmodSync(stage, 0o755);
  try {
    const items = installTable({ prefix: '/usr' });
    install(items, stage);
    const control = path.join(stage, 'DEBIAN');
    cpSync(scripts, control, { recursive: true });
    writeFileSync(path.join(control, 'md5sums'), checksums(items));
    writeFileSync(path.join(control, 'control'), controlFile(architecture, installedKib(items), env));
    touch(stage, Number(epoch));
    const compression = (env['DEB_COMPRESSION'] ?? '-Zzstd -z3').split(' ');
    run('dpkg-deb', ['--root-owner-group', ...compression, '--build', stage, `${deb}.new`], {
      ...env,
      SOURCE_DATE_EPOCH: epoch,
    });
    run('mv', ['-f', `${deb}.new`, deb]);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
  return deb;
}

function controlFile(architecture: string, kib: number, env: NodeJS.ProcessEnv): string {
  const name = env['DEBFULLNAME'] ?? 'The Lares developers';
  const address = env['DEBEMAIL'] ?? 'lares@localhost';
  // libc6: better_sqlite3.node, on Debian 12 and Ubuntu 22.04 or later. The rest: the runtime, and notify.node.
  return `Package: lares
Version: ${version}
Architecture: ${architecture}
Maintainer: ${name} <${address}>
Installed-Size: ${kib}
Depends: libc6 (>= 2.34), libgcc-s1, libstdc++6, libsystemd0
Recommends: systemd
Suggests: acl, tinydns
Section: admin
Priority: optional
Description: small daemons that keep a Linux host
 Each has one duty, starts when something happens, explains itself in the
 journal, and goes away when idle. Nothing is enabled by installing them.
 .
 ddns is a receiver of dynamic DNS, and its client: signed UDP packets keep
 the addresses in a zone of tinydns.
 .
 traffic counts bytes and packets per peer from connection tracking.
`;
}

function checksums(items: Item[]): string {
  const line = ({ target, read }: Item): string =>
    `${createHash('md5').update(read()).digest('hex')}  ${target.slice(1)}\n`;
  return items
    .map(line)
    .sort((a, b) => (a.slice(34) < b.slice(34) ? -1 : 1))
    .join('');
}

/** As dpkg counts: each file in whole KiB, and one for each folder. */
function installedKib(items: Item[]): number {
  const folders = new Set(items.map(({ target }) => path.dirname(target)));
  return items.reduce((sum, { read }) => sum + Math.ceil(read().length / 1_024), folders.size);
}

function touch(folder: string, seconds: number): void {
  for (const name of readdirSync(folder)) {
    const file = path.join(folder, name);
    if (statSync(file).isDirectory()) touch(file, seconds);
    lutimesSync(file, seconds, seconds);
  }
  lutimesSync(folder, seconds, seconds);
}

if (import.meta.main) {
  process.umask(0o022);
  try {
    const deb = buildDeb(path.resolve(process.argv[2] ?? path.join(root, 'dist')), process.env);
    const mib = (statSync(deb).size / (1 << 20)).toFixed(1);
    process.stdout.write(`${path.relative(process.cwd(), deb)}: ${mib} MiB\n`);
  } catch (error) {
    process.stderr.write(`make deb: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
