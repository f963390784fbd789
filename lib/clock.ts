// The only places where time enters: everything else takes an instant as an argument. Wall time is for what leaves
// the machine or outlives the process, monotonic time for durations.

/** Wall clock, milliseconds since the Unix epoch. */
export function wallMs(): number {
  return Date.now();
}

/** Monotonic clock, milliseconds with fractions, from an arbitrary origin. */
export function monotonicMs(): number {
  return performance.now();
}

export interface Clock {
  wallMs: () => number;
  monotonicMs: () => number;
}

export const systemClock: Clock = { wallMs, monotonicMs };
