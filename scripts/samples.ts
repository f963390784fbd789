// Writes units/conf/NOUN.conf, the commented sample of every daemon, and the keys of docs/man/NOUN.conf.5.md from its
// table of keys. A test compares them.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { renderSample, type Table } from '../lib/config.ts';
import { withKeys } from './keys.ts';

const root = path.join(import.meta.dirname, '..');
const nouns = readdirSync(path.join(root, 'daemons'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== 'lares')
  .map(({ name }) => name);

mkdirSync(path.join(root, 'units/conf'), { recursive: true });
for (const noun of nouns) {
  const { config } = (await import(`../daemons/${noun}/config.ts`)) as { config: Table };
  writeFileSync(path.join(root, 'units/conf', `${noun}.conf`), renderSample(config, noun));
  const page = path.join(root, 'docs/man', `${noun}.conf.5.md`);
  writeFileSync(page, withKeys(readFileSync(page, 'utf8'), config));
}
