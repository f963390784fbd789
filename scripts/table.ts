// The install table (units/manifest.json): every file that is installed, where from, where to. `make install`,
// `make uninstall`, `make deb` and the tests read it through this file; what is not in it is not installed.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

export const root = path.join(import.meta.dirname, '..');

interface Entry {
  from: string;
  /** A name of `folders`. */
  to: string;
  /** The name below that folder, if it is another one than before. */
  as?: string;
  /** Octal, 0644 if it is left out. */
  mode?: string;
  /** Names paths below /usr, which another prefix changes. */
  rewrite?: boolean;
  gzip?: boolean;
}

interface Manifest {
  folders: Record<string, string>;
  files: Entry[];
}

export interface Item {
  /** Below the checkout. */
  from: string;
  /** Absolute; below DESTDIR where there is one. */
  target: string;
  mode: number;
  read: () => Buffer;
}

export interface Places {
  /** /usr, /usr/local; no slash at the end. */
  prefix: string;
  /** Folders that are not where the prefix puts them, by their names in the table: unitdir, docdir, … */
  folders?: Readonly<Record<string, string>>;
}

/** The table, computed for a prefix. @throws Error where the table or a folder makes no sense */
export function installTable({ prefix, folders = {} }: Places): Item[] {
  const manifest = JSON.parse(readFileSync(path.join(root, 'units/manifest.json'), 'utf8')) as Manifest;
  const folderOf = (name: string): string => {
    const below = manifest.folders[name];
    if (below === undefined) throw new Error(`units/manifest.json: there is no folder '${name}'`);
    // bin/lares finds its library beside it, so these follow the prefix.
    const follows = ['bindir', 'libdir', 'nativedir'].includes(name);
    const folder = (follows ? undefined : folders[name]) ?? path.join(prefix, below);
    // Units and the launcher cannot hold every character, and nobody needs them to.
    if (!/^(\/[\w.+-]+)+$/.test(folder)) throw new Error(`${name}=${folder}: not an absolute, plain path`);
    return folder;
  };
  const libdir = folderOf('libdir');
  return manifest.files.map(({ from, to, as, mode = '0644', rewrite = false, gzip = false }) => ({
    from,
    target: path.join(folderOf(to), (as ?? path.basename(from)) + (gzip ? '.gz' : '')),
    mode: Number.parseInt(mode, 8),
    read: () => {
      let bytes: Buffer = readFileSync(path.join(root, from));
      if (rewrite) bytes = Buffer.from(bytes.toString('utf8').replaceAll('/usr/lib/lares/', `${libdir}/`));
      return gzip ? gzipSync(bytes, { level: 9 }) : bytes;
    },
  }));
}

/** Folders that belong to the suite alone, the deepest first: an uninstallation removes them when they are empty. */
export function ownFolders(items: Item[], prefix: string): string[] {
  const own = new Set<string>();
  for (const { target } of items) {
    let folder = path.dirname(target);
    while (/^(?!\.\.)(.*\/)?lares(\/|$)/.test(path.relative(prefix, folder))) {
      own.add(folder);
      folder = path.dirname(folder);
    }
  }
  return [...own].sort((a, b) => b.length - a.length);
}
