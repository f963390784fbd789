// `make install`, `make uninstall`: writes or removes exactly what the install table names. Each file is written beside
// its name and renamed, for a running daemon has the old one mapped. Starts, stops and enables nothing.
import { existsSync, mkdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Item, installTable, ownFolders, root } from './table.ts';

/** @throws Error when a source is missing, before anything is written */
export function install(items: Item[], destdir: string): void {
  const missing = items.filter(({ from }) => !existsSync(path.join(root, from))).map(({ from }) => from);
  if (missing.length > 0) throw new Error(`not built, or not there: ${missing.join(', ')}`);
  for (const { target, mode, read } of items) {
    const file = path.join(destdir, target);
    // Folders are for everybody to read, whatever the umask of the person who installs.
    mkdirSync(path.dirname(file), { recursive: true });
    const temporary = `${file}.new`;
    rmSync(temporary, { force: true });
    writeFileSync(temporary, read(), { mode });
    renameSync(temporary, file);
  }
}

export function uninstall(items: Item[], prefix: string, destdir: string): void {
  for (const { target } of items) rmSync(path.join(destdir, target), { force: true });
  for (const folder of ownFolders(items, prefix)) {
    try {
      rmdirSync(path.join(destdir, folder));
    } catch (error) {
      // Not empty: somebody else's files. Not there: nothing to do.
      const code = error instanceof Error && 'code' in error ? error.code : '';
      if (code !== 'ENOTEMPTY' && code !== 'ENOENT') throw error;
    }
  }
}

/** Folders named in the environment as make passes them on: UNITDIR=, MAN8DIR=, … */
function namedFolders(env: NodeJS.ProcessEnv): Record<string, string> {
  const named = Object.entries(env).filter(([name]) => /^[A-Z0-9]+DIR$/.test(name) && name !== 'DESTDIR');
  return Object.fromEntries(
    named.flatMap(([name, value = '']) => (value === '' ? [] : [[name.toLowerCase(), value]])),
  );
}

function main(action: string | undefined): void {
  process.umask(0o022);
  const { DESTDIR: destdir = '', PREFIX: prefix = '/usr' } = process.env;
  const items = installTable({ prefix, folders: namedFolders(process.env) });
  if (action === 'install') install(items, destdir);
  else if (action === 'uninstall') uninstall(items, prefix, destdir);
  else throw new Error('install.ts install|uninstall');
  if (destdir === '') process.stdout.write(hints(action, items));
}

function hints(action: 'install' | 'uninstall', items: Item[]): string {
  const named = (name: string): string =>
    items.map(({ target }) => target).find((target) => target.endsWith(name)) ?? name;
  return action === 'install'
    ? `Nothing is enabled yet. Next:
    systemd-sysusers ${named('sysusers.d/lares.conf')}
    systemctl daemon-reload
    journalctl --update-catalog
    lares doctor
`
    : `Configuration and state stay: /etc/lares, /var/lib/lares. Then:
    systemctl daemon-reload
    journalctl --update-catalog
`;
}

if (import.meta.main) {
  try {
    main(process.argv[2]);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
