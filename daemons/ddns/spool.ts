// Changes on their way to the hook: JSON lines in STATE/publish/changes, on the disk before the store forgets them.
// publish.sh takes them from there, in this process or in a unit of its own, and only this file is written here.
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { syncFolder, writeFileAtomic } from '../../lib/atomic.ts';
import { errnoOf } from '../../lib/errors.ts';
import type { Change } from './core/rewrite.ts';

/** The program that empties the spool: beside the bundle in an installed tree. */
export const publishProgram = import.meta.filename.endsWith('.ts')
  ? path.join(import.meta.dirname, 'publish.sh')
  : path.join(import.meta.dirname, 'ddns-publish');

export class Spool {
  readonly folder: string;
  readonly #file: string;

  constructor(stateFolder: string) {
    this.folder = path.join(stateFolder, 'publish');
    this.#file = path.join(this.folder, 'changes');
  }

  /** Durable when it returns. Of several changes of a record one remains: from what the hook knows to what holds. */
  add(changes: Change[]): void {
    if (changes.length === 0) return;
    const all = new Map<string, Change>();
    for (const change of [...readLines(this.#file), ...changes]) {
      const key = recordOf(change);
      all.set(key, { ...change, from: all.get(key)?.from ?? change.from });
    }
    if (mkdirSync(this.folder, { recursive: true, mode: 0o700 }) !== undefined)
      syncFolder(path.dirname(this.folder));
    writeFileAtomic(this.#file, [...all.values()].map(lineOf).join(''), 0o600);
  }

  /** How many records the hook has yet to hear of. */
  get size(): number {
    const files = ['running', 'taken', 'changes'].map((name) => path.join(this.folder, name));
    return new Set(files.flatMap(readLines).map(recordOf)).size;
  }
}

function recordOf({ name, type }: Change): string {
  return `${name} ${type}`;
}

// publish.sh knows the order of the fields.
function lineOf({ keyId, name, type, from, to }: Change): string {
  return `${JSON.stringify({ keyId, name, type, from, to })}\n`;
}

/** What is no change of ours (a torn file of another program) says nothing that could be told. */
function readLines(file: string): Change[] {
  try {
    return readFileSync(file, 'utf8').split('\n').flatMap(changeOf);
  } catch (error) {
    // Taken by publish.sh a moment ago.
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

function changeOf(line: string): Change[] {
  try {
    const change = JSON.parse(line) as Change | null;
    return typeof change?.name === 'string' && typeof change.to === 'string' ? [change] : [];
  } catch {
    return [];
  }
}
