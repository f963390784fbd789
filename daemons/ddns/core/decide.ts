// The order of checks, cheapest first, as one straight list: length, known key, clock window, high-water mark,
// signature budget, signature, address policy. What reaches the signature is only ever a fresh packet for a known
// key, within the budget; everything before it costs a table look-up.

import type { Network } from '../../../lib/networks.ts';
import { type Address, familyOf, mayPublish, parseAddress, prefixOf } from './address.ts';
import type { SignatureBudget } from './bucket.ts';
import { verifySignature } from './keys.ts';
import { judgeClock, judgeMark, type Mark, type Window } from './marks.ts';
import { packetBytes, readKeyId, readPacket } from './wire.ts';
import type { Zone } from './zone.ts';

export const refusals = [
  'length',
  'unknown-key',
  'not-a-time',
  'future',
  'stale',
  'replayed',
  'locked',
  'rate',
  'signature',
  'address',
] as const;
export type Refusal = (typeof refusals)[number];

/** `verified` packets move the key's mark, even where the address may not be published. */
export type Decision =
  | { kind: 'refused'; reason: Refusal; keyId?: string }
  | { kind: 'verified'; keyId: string; stamp: number; address: Address; publish: boolean };

/** What is known of a key from its earlier packets. */
export interface Known {
  mark: Mark;
  /** Prefix of the last good packet a family. */
  prefixes: string[];
}

export interface Rules {
  window: Window;
  opened: Network[];
}

export interface Tables {
  zone: Zone;
  known: (keyId: string) => Known | undefined;
  budget: SignatureBudget;
}

/**
 * Judges one datagram from `source`, an address as `plainSource` gives it. `nowMs` is the wall clock, `monotonicMs`
 * feeds the budget.
 */
export function decide(
  datagram: Buffer,
  source: string,
  rules: Rules,
  tables: Tables,
  nowMs: number,
  monotonicMs: number,
): Decision {
  if (datagram.length !== packetBytes) return { kind: 'refused', reason: 'length' };
  const keyId = readKeyId(datagram);
  const key = tables.zone.keys.get(keyId);
  // An id that the zone does not name is the sender's text: it goes nowhere.
  if (key === undefined) return { kind: 'refused', reason: 'unknown-key' };

  const { stamp, signed, signature } = readPacket(datagram);
  const clock = judgeClock(stamp, nowMs, rules.window);
  if (clock !== 'fresh') return { kind: 'refused', reason: clock, keyId };
  const known = tables.known(keyId);
  const floor = known === undefined ? floorOf(tables.zone, key.blocks, nowMs, rules.window) : 0;
  const mark = judgeMark(stamp, familyOf(source), nowMs, known?.mark, floor);
  if (mark !== 'fresh') {
    // Taken while a clock was wrong: nothing the client can send is newer until real time has caught up.
    const locked = known !== undefined && judgeClock(known.mark.stamp, nowMs, rules.window) === 'future';
    return { kind: 'refused', reason: locked ? 'locked' : mark, keyId };
  }

  const prefix = prefixOf(source);
  if (!tables.budget.take(prefix, known?.prefixes.includes(prefix) ?? false, monotonicMs))
    return { kind: 'refused', reason: 'rate', keyId };
  if (!verifySignature(key.object, signed, signature)) {
    return { kind: 'refused', reason: 'signature', keyId };
  }
  const address = parseAddress(source);
  if (address === undefined) return { kind: 'refused', reason: 'address', keyId };
  return { kind: 'verified', keyId, stamp, address, publish: mayPublish(address, rules.opened) };
}

// The stamps in the zone guard keys that have no mark (a new or lost database). One from beyond the clock window cannot
// have come from an accepted packet and would lock the block for ever, so it does not count.
function floorOf(zone: Zone, blocks: number[], nowMs: number, window: Window): number {
  const latest = (nowMs + window.maxClockSkewMs) / 1_000;
  return Math.max(
    0,
    ...blocks.map((index) => zone.blocks[index]?.stamp ?? 0).filter((stamp) => stamp <= latest),
  );
}
