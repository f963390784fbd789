// Whether a packet's time is news: the clock window, and each key's high-water mark. A mark moves with every verified
// packet, whether or not an address changed, so that no captured packet is ever good a second time.
import type { Family } from './address.ts';

export interface Mark {
  /** The newest accepted stamp, Unix seconds. */
  stamp: number;
  /** Families that have used this stamp. */
  families: Family[];
  /** Wall clock at which the stamp was first accepted, milliseconds. */
  acceptedMs: number;
}

export interface Window {
  maxClockSkewMs: number;
  /** Infinity: no lower bound, for clients without a clock. */
  maxAgeMs: number;
}

export type StampVerdict = 'fresh' | 'not-a-time' | 'future' | 'stale' | 'replayed';

// Both families of one round carry one stamp. The second may follow this long after the first; later it would be a
// captured packet sent over the other family.
export const otherFamilyMs = 5_000;

// Older than any clock that clients start from, and large enough to be written without an exponent.
const earliestSeconds = 1;

/** Looks at the clock alone. */
export function judgeClock(stamp: number, nowMs: number, window: Window): StampVerdict {
  // Written so that NaN fails.
  if (!(stamp >= earliestSeconds && stamp <= Number.MAX_SAFE_INTEGER))
    return Number.isFinite(stamp) && stamp < earliestSeconds ? 'stale' : 'not-a-time';
  const aheadMs = stamp * 1_000 - nowMs;
  if (aheadMs > window.maxClockSkewMs) return 'future';
  if (-aheadMs > window.maxAgeMs) return 'stale';
  return 'fresh';
}

/** Looks at what was accepted before: the key's mark, or, for a key without one, the stamp in the zone. */
export function judgeMark(
  stamp: number,
  family: Family,
  nowMs: number,
  mark: Mark | undefined,
  zoneStamp: number,
): StampVerdict {
  if (mark === undefined) return stamp > zoneStamp ? 'fresh' : 'replayed';
  if (stamp > mark.stamp) return 'fresh';
  const second =
    stamp === mark.stamp &&
    !mark.families.includes(family) &&
    Math.abs(nowMs - mark.acceptedMs) <= otherFamilyMs;
  return second ? 'fresh' : 'replayed';
}

/** The mark after a verified packet. */
export function advance(mark: Mark | undefined, stamp: number, family: Family, nowMs: number): Mark {
  if (mark?.stamp === stamp) return { ...mark, families: [...mark.families, family] };
  return { stamp, families: [family], acceptedMs: nowMs };
}
