// Writes dist/man/*.N, the man pages as roff, from docs/man/*.md. `man.ts FOLDER` writes elsewhere. The package
// compresses and places them (`gzip -9n`, /usr/share/man/manN).
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { version } from '../lib/version.ts';
import { renderPage } from './roff.ts';

const root = path.join(import.meta.dirname, '..');
const sources = path.join(root, 'docs/man');
const out = path.resolve(process.argv[2] ?? path.join(root, 'dist/man'));

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
for (const file of readdirSync(sources).filter((name) => /^\S+\.\d\.md$/.test(name))) {
  const source = readFileSync(path.join(sources, file), 'utf8');
  try {
    const { name, section, roff } = renderPage(source, { version, manual: 'Lares' });
    if (`${name}.${section}.md` !== file) throw new Error(`its first line calls it ${name}(${section})`);
    writeFileSync(path.join(out, `${name}.${section}`), roff);
  } catch (cause) {
    throw new Error(`docs/man/${file}`, { cause });
  }
}
