// Configuration as one table of keys: it parses the files, renders the effective values, and writes the commented
// sample. Nothing here reads a file that it was not given a folder for, and nothing logs: problems are returned, each
// with its file:line, and the caller says them. Lookup follows systemd: of the main files the one in the highest
// folder wins; drop-ins of all folders merge, sorted by name, a higher folder hiding a lower one's file of the same
// name.
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { errnoOf, explain } from './errors.ts';
import { parseIni } from './ini.ts';

/** One key: `parse` throws an Error whose message says what would be right. `fallback` is text, as in the sample. */
export interface Key<T> {
  section: string;
  key: string;
  fallback: string;
  parse: (text: string) => T;
  help: string;
  required?: boolean;
}

export type Table = Record<string, Key<unknown>>;
export type Values<T extends Table> = { [K in keyof T]: T[K] extends Key<infer V> ? V : never };

/** `place` is `file:line`, or the file alone. */
export interface Problem {
  place: string;
  message: string;
}

export interface Loaded<T extends Table> {
  values: Values<T>;
  texts: Record<keyof T, string>;
  problems: Problem[];
  missing: string[];
  files: string[];
}

/** Lowest first. */
export const configFolders = ['/usr/lib/lares', '/usr/local/lib/lares', '/run/lares', '/etc/lares'];

const fileBytes = 1_048_576;

/** The files that make up the configuration of `noun`, in the order in which they are applied. */
export function configFiles(noun: string, folders = configFolders): string[] {
  const main = folders.map((folder) => path.join(folder, `${noun}.conf`)).findLast(exists);
  const dropIns = new Map<string, string>();
  for (const folder of folders) {
    const dropInFolder = path.join(folder, `${noun}.conf.d`);
    for (const name of list(dropInFolder)) {
      if (name.endsWith('.conf') && !name.startsWith('.')) dropIns.set(name, path.join(dropInFolder, name));
    }
  }
  const sorted = [...dropIns].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, file]) => file);
  return main === undefined ? sorted : [main, ...sorted];
}

/** Reads `files` in order over the defaults. A bad value or unknown key is a problem, and the key's default stands. */
export function loadConfig<T extends Table>(table: T, files: string[]): Loaded<T> {
  const problems: Problem[] = [];
  const bySection = new Map<string, [keyof T, Key<unknown>]>();
  for (const [field, key] of Object.entries(table)) bySection.set(`${key.section}.${key.key}`, [field, key]);
  const sections = new Set(Object.values(table).map((key) => key.section));
  const values: Partial<Record<keyof T, unknown>> = {};
  const texts: Partial<Record<keyof T, string>> = {};
  for (const [field, key] of Object.entries(table)) reset(field, key);

  for (const file of files) {
    const text = readBounded(file, problems);
    const { entries, problems: lines } = parseIni(text);
    for (const { line, message } of lines) problems.push({ place: `${file}:${line}`, message });
    for (const { section, key: name, value, line } of entries) {
      const place = `${file}:${line}`;
      const found = bySection.get(`${section}.${name}`);
      if (found === undefined) {
        const message = sections.has(section)
          ? `unknown key ${name}= in [${section}], ignored`
          : `unknown section [${section}], ${name}= ignored`;
        problems.push({ place, message });
        continue;
      }
      const [field, key] = found;
      // As in systemd an empty assignment goes back to the default.
      if (value === '') reset(field, key);
      else {
        try {
          values[field] = key.parse(value);
          texts[field] = value;
        } catch (error) {
          reset(field, key);
          problems.push({
            place,
            message: `${name}=${value}: ${explain(error)}; using the default, ${name}=${key.fallback}`,
          });
        }
      }
    }
  }
  const missing = Object.entries(table)
    .filter(([field, key]) => key.required === true && texts[field] === '')
    .map(([, key]) => `${key.key}= in [${key.section}]`);
  return { values: values as Values<T>, texts: texts as Record<keyof T, string>, problems, missing, files };

  function reset(field: keyof T, key: Key<unknown>): void {
    values[field] = key.parse(key.fallback);
    texts[field] = key.fallback;
  }
}

/** The effective configuration as a file that `loadConfig` reads back to the same values. */
export function renderConfig(table: Table, texts: Record<string, string>): string {
  return render(table, (field, key) => `${key.key}=${texts[field] ?? key.fallback}\n`);
}

/** The commented sample: every key with its help and its default. */
export function renderSample(table: Table, noun: string): string {
  const head = `# /etc/lares/${noun}.conf: all defaults, commented out.\n\n`;
  return head + render(table, (_, key) => `${wrapComment(key.help)}#${key.key}=${key.fallback}\n`, '\n');
}

function render(table: Table, one: (field: string, key: Key<unknown>) => string, between = ''): string {
  const sections = Map.groupBy(Object.entries(table), ([, key]) => key.section);
  return [...sections]
    .map(([section, keys]) => `[${section}]\n${keys.map(([field, key]) => one(field, key)).join(between)}`)
    .join('\n');
}

function wrapComment(text: string): string {
  return text.replace(/(\S{97,}|.{1,96})(?:\s+|$)/g, '# $1\n');
}

function readBounded(file: string, problems: Problem[]): string {
  try {
    const found = statSync(file);
    // A drop-in that is a link to /dev/null hides one of a lower folder.
    if (realpathSync(file) === '/dev/null') return '';
    if (found.isFile() && found.size <= fileBytes) return readFileSync(file, 'utf8');
    const why = found.isFile() ? `larger than ${fileBytes} bytes` : 'not a regular file';
    problems.push({ place: file, message: `${why}, ignored` });
  } catch (error) {
    problems.push({ place: file, message: `cannot be read, ignored: ${explain(error)}` });
  }
  return '';
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

function exists(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false }) !== undefined;
}
