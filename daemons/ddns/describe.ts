// A zone in one line, for people.
import { plural } from '../../lib/table.ts';
import type { Zone } from './core/zone.ts';

/** `2 address lines in 1 block for 1 key`. */
export function describeZone({ blocks, keys }: Zone): string {
  const records = blocks.reduce((sum, block) => sum + block.records.length, 0);
  return `${plural(records, 'address line')} in ${plural(blocks.length, 'block')} for ${plural(keys.size, 'key')}`;
}
