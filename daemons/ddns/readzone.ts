// A zone read once, for commands and for the doctor; the daemon keeps its own in zonefile.ts.
import { realpathSync } from 'node:fs';
import { errnoOf, explain, LaresError } from '../../lib/errors.ts';
import { parseZone, type Zone } from './core/zone.ts';
import { readWhole, unreadable } from './reading.ts';

/** The zone, and the file that its name leads to. @throws LaresError E_DDNS_ZONE_READ */
export function readZone(file: string): { zone: Zone; target: string } {
  try {
    const target = realpathSync(file);
    return { zone: parseZone(readWhole(target).bytes), target };
  } catch (error) {
    throw error instanceof LaresError || errnoOf(error) === ''
      ? error
      : unreadable(file, explain(error), error);
  }
}
