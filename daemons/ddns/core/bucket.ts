// How many signatures are checked a second, and for whom: one bucket a source prefix (few clients share one), and one
// for all that a reserved half of belongs to packets from the prefix their key was last good from. No bucket a key:
// key ids are public and sources can be forged, so a stranger could empty it and lock the owner out.

interface Bucket {
  tokens: number;
  filledMs: number;
}

// Prefixes remembered; the least recently used goes first. A forgotten prefix starts full, the global buckets hold.
const prefixCount = 4_096;
// One prefix may take this part of the whole rate: whoever forges a few clients' prefixes must not empty the reserve.
const prefixShare = 0.1;
const burstSeconds = 2;

export class SignatureBudget {
  readonly #rate: number;
  readonly #prefixes = new Map<string, Bucket>();
  readonly #open: Bucket;
  readonly #reserved: Bucket;

  /** `rate`: signatures a second over all sources. */
  constructor(rate: number, nowMs: number) {
    this.#rate = rate;
    this.#open = { tokens: (rate / 2) * burstSeconds, filledMs: nowMs };
    this.#reserved = { tokens: (rate / 2) * burstSeconds, filledMs: nowMs };
  }

  /** Takes one check for a packet from `prefix`; `known` if its key was last good from there. */
  take(prefix: string, known: boolean, nowMs: number): boolean {
    const own = this.#bucketOf(prefix, nowMs);
    const perSecond = Math.max(1, this.#rate * prefixShare);
    if (!fill(own, perSecond, nowMs)) return false;
    const pools = known ? [this.#reserved, this.#open] : [this.#open];
    const pool = pools.find((bucket) => fill(bucket, this.#rate / 2, nowMs));
    if (pool === undefined) return false;
    own.tokens -= 1;
    pool.tokens -= 1;
    return true;
  }

  #bucketOf(prefix: string, nowMs: number): Bucket {
    const found = this.#prefixes.get(prefix) ?? {
      tokens: Math.max(1, this.#rate * prefixShare) * burstSeconds,
      filledMs: nowMs,
    };
    this.#prefixes.delete(prefix);
    this.#prefixes.set(prefix, found);
    if (this.#prefixes.size > prefixCount) this.#prefixes.delete(this.#prefixes.keys().next().value ?? '');
    return found;
  }
}

/** Refills by the time gone by and says whether a token is there. */
function fill(bucket: Bucket, perSecond: number, nowMs: number): boolean {
  const seconds = Math.max(0, nowMs - bucket.filledMs) / 1_000;
  bucket.tokens = Math.min(perSecond * burstSeconds, bucket.tokens + seconds * perSecond);
  bucket.filledMs = nowMs;
  return bucket.tokens >= 1;
}
