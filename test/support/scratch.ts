// Scratch folders that vanish with their test.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** What cleans up afterwards: a test, or a benchmark. */
export interface Owner {
  after: (undo: () => unknown) => void;
}

/** A fresh folder, removed after the test. */
export function scratch(t: Owner): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'lares-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}
