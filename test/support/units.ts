// The units of the suite as texts, and what their keys say.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** Unit → its text, lines that go on joined. */
export function unitsOf(root: string): Map<string, string> {
  const folder = path.join(root, 'units/system');
  return new Map(
    readdirSync(folder).map((name) => [
      name,
      readFileSync(path.join(folder, name), 'utf8').replaceAll(/\\\n\s*/g, ''),
    ]),
  );
}

/** Every value that a key is given, in order. */
export function valuesOf(unit: string, key: string): string[] {
  return [...unit.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value = '']) => value);
}
