// Configuration as one table of keys: it parses the files, renders the effective values, and writes the commented
// sample. Nothing here reads a file that it was not given a folder for, and nothing logs: problems are returned, each
// with its file:line, and the caller says them. Lookup follows systemd: of the main files the one in the highest
// folder wins; drop-ins of all folders merge, sorted by name, a higher folder hiding a lower one's file of the same
// name.
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { errnoOf, explain } from './errors.ts';
import { parseIni } from './ini.ts';

/**
 * One key. A section `Kind NAME` stands for any number of sections, `[Kind one]`, `[Kind two]`; these are policy: one
 * with an unknown key or a bad value is left out as a whole. `parse` throws an Error whose message says what would be
 * right. `fallback` is text, as in the sample.
 */
export interface Key<T> {
  section: string;
  key: string;
  fallback: string;
  parse: (text: string) => T;
  help: string;
  required?: boolean;
  /** Of sections with names: where there are any, one of them has to be without mistakes. */
  isPolicy?: boolean;
}

export type Table = Record<string, Key<unknown>>;
/** Of a key in sections with names: its value in each of them, in the order of the files. */
export type Values<T extends Table> = {
  [K in keyof T]: T[K] extends Key<infer V>
    ? T[K]['section'] extends `${string} NAME`
      ? ReadonlyMap<string, V>
      : V
    : never;
};

/** `place` is `file:line`, or the file alone. */
export interface Problem {
  place: string;
  message: string;
}

export interface Loaded<T extends Table> {
  values: Values<T>;
  texts: Record<keyof T, string>;
  /** Texts of sections with names: `Kind NAME` → name → key's field → text. */
  named: Map<string, Map<string, Record<string, string>>>;
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
  const bySection = new Map<string, [string, Key<unknown>]>();
  for (const [field, key] of Object.entries(table)) bySection.set(`${key.section}.${key.key}`, [field, key]);
  const sections = new Set(Object.values(table).map((key) => key.section));
  const values: Record<string, unknown> = {};
  const texts: Record<string, string> = {};
  const named: Loaded<T>['named'] = new Map();
  const disabled = new Set<Record<string, string>>();
  for (const [field, key] of Object.entries(table)) if (!isNamed(key)) reset(field, key);

  for (const file of files) {
    const text = readBounded(file, problems);
    const { entries, sections: headers, problems: lines } = parseIni(text);
    for (const { line, message } of lines) problems.push({ place: `${file}:${line}`, message });
    // One without a key is one with all defaults.
    for (const header of headers) {
      const { section, name } = split(header);
      if (name !== undefined) sectionOf(section, name);
    }
    for (const entry of entries) {
      const place = `${file}:${entry.line}`;
      const { section, name } = split(entry.section);
      const own = name === undefined ? undefined : sectionOf(section, name);
      const found =
        own === undefined && section.endsWith(' NAME') ? undefined : bySection.get(`${section}.${entry.key}`);
      const complain = (message: string, instead: string): void => {
        problems.push({
          place,
          message: `${message}${own === undefined ? instead : `; [${entry.section}] is left out`}`,
        });
        if (own !== undefined) disabled.add(own);
      };
      if (found === undefined) {
        if (sections.has(section)) complain(`unknown key ${entry.key}= in [${entry.section}]`, ', ignored');
        else complain(`unknown section [${entry.section}]`, `, ${entry.key}= ignored`);
        continue;
      }
      const [field, key] = found;
      try {
        // As in systemd an empty assignment goes back to the default.
        const value = entry.value === '' ? key.fallback : entry.value;
        const parsed = key.parse(value);
        if (own !== undefined) own[field] = value;
        else {
          values[field] = parsed;
          texts[field] = value;
        }
      } catch (error) {
        if (own === undefined) reset(field, key);
        complain(
          `${entry.key}=${entry.value}: ${explain(error)}`,
          `; using the default, ${entry.key}=${key.fallback}`,
        );
      }
    }
  }
  for (const one of named.values()) for (const [name, own] of one) if (disabled.has(own)) one.delete(name);
  // Without any of them all would be as if nobody had chosen: that is not what was meant.
  const policies = new Set(
    Object.values(table)
      .filter((key) => key.isPolicy === true)
      .map(({ section }) => section),
  );
  const emptied = [...named].flatMap(([section, one]) =>
    one.size === 0 && policies.has(section) ? [section] : [],
  );
  for (const [field, key] of Object.entries(table)) {
    if (!isNamed(key)) continue;
    const all = [...(named.get(key.section) ?? [])];
    values[field] = new Map(all.map(([name, own]) => [name, key.parse(own[field] ?? key.fallback)]));
  }
  const missing = [
    ...Object.entries(table)
      .filter(([field, key]) => key.required === true && texts[field] === '')
      .map(([, key]) => `${key.key}= in [${key.section}]`),
    ...emptied.map((section) => `a section [${section}] without mistakes`),
  ];
  return {
    values: values as Values<T>,
    texts: texts as Record<keyof T, string>,
    named,
    problems,
    missing,
    files,
  };

  /** `Kind NAME` and the name, of a section that has one. */
  function split(header: string): { section: string; name?: string } {
    const [, kind = '', name] = /^(\S+) +([\w.-]{1,64})$/.exec(header) ?? [];
    const section = `${kind} NAME`;
    return name === undefined || name === 'NAME' || !sections.has(section)
      ? { section: header }
      : { section, name };
  }

  function reset(field: string, key: Key<unknown>): void {
    values[field] = key.parse(key.fallback);
    texts[field] = key.fallback;
  }

  function sectionOf(section: string, name: string): Record<string, string> {
    const all = named.get(section) ?? new Map<string, Record<string, string>>();
    named.set(section, all);
    const own = all.get(name) ?? {};
    all.set(name, own);
    return own;
  }
}

const isNamed = ({ section }: Key<unknown>): boolean => section.endsWith(' NAME');

/** The effective configuration as a file that `loadConfig` reads back to the same values. */
export function renderConfig(
  table: Table,
  texts: Record<string, string>,
  named: Loaded<Table>['named'] = new Map(),
): string {
  const plain = Object.fromEntries(Object.entries(table).filter(([, key]) => !isNamed(key)));
  const parts = [render(plain, (field, key) => `${key.key}=${texts[field] ?? key.fallback}\n`)];
  for (const [section, all] of named)
    for (const [name, own] of all) {
      const keys = Object.entries(table).filter(([, key]) => key.section === section);
      const lines = keys.map(([field, key]) => `${key.key}=${own[field] ?? key.fallback}\n`);
      parts.push(`[${section.replace(/NAME$/, name)}]\n${lines.join('')}`);
    }
  return parts.join('\n');
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
