/** A token bucket per key: `perSecond` on average, `burst` at once. */
export interface BudgetLimits {
  readonly perSecond: number;
  readonly burst: number;
  /** Keys remembered; the one used longest ago is forgotten, which only gives a stranger a fresh bucket. */
  readonly maxKeys: number;
}

interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
}

export interface Budget {
  /** Whether `take` would succeed. */
  has(key: string, nowMs: number): boolean;
  /** Takes one token, or `amount`; false, and nothing taken, when there are not so many. */
  take(key: string, nowMs: number, amount?: number): boolean;
}

/** Deterministic: time comes with each call. Changed in place, because a copy of 10,000 buckets would cost more than what it limits. */
export function createBudget({ perSecond, burst, maxKeys }: BudgetLimits): Budget {
  const buckets = new Map<string, Bucket>();
  const tokensOf = (key: string, nowMs: number): number => {
    const bucket = buckets.get(key);
    if (bucket === undefined) return burst;
    const elapsedMs = Math.max(0, nowMs - bucket.atMs);
    return Math.min(burst, bucket.tokens + (elapsedMs * perSecond) / 1000);
  };
  return {
    has: (key, nowMs) => tokensOf(key, nowMs) >= 1,
    take(key, nowMs, amount = 1) {
      const tokens = tokensOf(key, nowMs);
      if (tokens < amount) return false;
      buckets.delete(key);
      buckets.set(key, { tokens: tokens - amount, atMs: nowMs });
      const oldest = buckets.keys().next();
      if (buckets.size > maxKeys && !oldest.done) buckets.delete(oldest.value);
      return true;
    },
  };
}
