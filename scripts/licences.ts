// Writes dist/doc/copyright: the licence of the suite, and those of everything that is installed with it (the runtime,
// the addons, what the bundles hold), which want to be passed on with copies.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
const out = path.resolve(process.argv[2] ?? path.join(root, 'dist/doc/copyright'));

interface Lock {
  packages: Record<string, { version?: string; dev?: boolean; optional?: boolean }>;
}

const { packages } = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')) as Lock;
const shipped = Object.entries(packages).filter(
  ([folder, { dev, optional }]) =>
    folder !== '' && dev !== true && !(optional === true && !existsSync(path.join(root, folder))),
);

function licenceIn(folder: string): string {
  const name = readdirSync(path.join(root, folder)).find((file) => /^(licen[cs]e|copying)\b/i.test(file));
  // The addon of koffi is a package of its own, under the licence of the package that it belongs to.
  if (name === undefined && folder.startsWith('node_modules/@koromix/'))
    return licenceIn('node_modules/koffi');
  if (name === undefined) throw new Error(`${folder} has no licence`);
  return readFileSync(path.join(root, folder, name), 'utf8').trim();
}

const parts = shipped.map(([folder, { version = '' }]) => {
  const title = `${folder.replace(/^.*node_modules\//, '')} ${version}`;
  return `${title}\n${'-'.repeat(title.length)}\n\n${licenceIn(folder)}\n`;
});
const own = readFileSync(path.join(root, 'LICENSE'), 'utf8').trim();
mkdirSync(path.dirname(out), { recursive: true });
writeFileSync(
  out,
  [`Lares\n-----\n\n${own}\n`, 'Installed with it, each under its own licence:\n', ...parts].join('\n\n'),
);
