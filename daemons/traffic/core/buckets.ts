// Spreads an amount over the intervals in which it was seen: whole numbers whose sum is the amount, to the last byte.
// Pure.

/** At most this many buckets for one amount: what came over a longer time is spread over the last of them. */
export const mostBuckets = 360;

/**
 * Calls `visit` with the start of each bucket of `widthMs` that [fromMs, toMs] touches, and the part of the whole that
 * has come by its end, from 0 to 1, rising to exactly 1.
 */
export function eachBucket(
  fromMs: number,
  toMs: number,
  widthMs: number,
  visit: (startMs: number, part: number) => void,
): void {
  const last = Math.floor(toMs / widthMs) * widthMs;
  const beginMs = Math.max(fromMs, last - (mostBuckets - 1) * widthMs);
  const spanMs = toMs - beginMs;
  for (let start = Math.floor(beginMs / widthMs) * widthMs; start < last; start += widthMs)
    visit(start, (start + widthMs - beginMs) / spanMs);
  visit(last, 1);
}
