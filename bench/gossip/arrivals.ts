/** Delay of one message at those who should get it. */
export interface Spread {
  /** Who should have got it, and who did. */
  readonly expected: number;
  readonly reached: number;
  /** Milliseconds after publication; 0 where nobody was reached. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** When which message first came to which node: 4 bytes a node and published message. */
export class Arrivals {
  readonly #firstMs: (Float32Array | undefined)[] = [];
  readonly #publishedMs: number[] = [];
  readonly #nodeCount: number;

  constructor(nodeCount: number) {
    this.#nodeCount = nodeCount;
  }

  publish(message: number, author: number, nowMs: number): void {
    const firstMs = new Float32Array(this.#nodeCount).fill(NaN);
    firstMs[author] = 0;
    this.#firstMs[message] = firstMs;
    this.#publishedMs[message] = nowMs;
  }

  /** @returns whether it was the first time */
  note(message: number, node: number, nowMs: number): boolean {
    if (this.has(message, node)) return false;
    this.#firstMs[message]![node] = nowMs - this.#publishedMs[message]!;
    return true;
  }

  has(message: number, node: number): boolean {
    return !Number.isNaN(this.#firstMs[message]?.[node] ?? NaN);
  }

  /** @param isExpected whether the node should get the message; the dead should not */
  spreadOf(message: number, isExpected: (node: number) => boolean): Spread {
    const delays: number[] = [];
    let expected = 0;
    for (let node = 0; node < this.#nodeCount; node++) {
      if (!isExpected(node)) continue;
      expected++;
      if (this.has(message, node)) delays.push(this.#firstMs[message]![node]!);
    }
    const sorted = Float32Array.from(delays).sort();
    return {
      expected,
      reached: sorted.length,
      p50Ms: quantile(sorted, 0.5),
      p99Ms: quantile(sorted, 0.99),
      maxMs: sorted.at(-1) ?? 0,
    };
  }
}

/** @param sorted ascending @returns 0 for an empty list */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  return sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

/** Means over messages; reached and expected are summed, the maximum is the largest. */
export function averageSpreads(spreads: readonly Spread[]): Spread {
  const sum = (key: keyof Spread) => spreads.reduce((total, spread) => total + spread[key], 0);
  const count = Math.max(1, spreads.length);
  return {
    expected: sum("expected"),
    reached: sum("reached"),
    p50Ms: sum("p50Ms") / count,
    p99Ms: sum("p99Ms") / count,
    maxMs: spreads.reduce((largest, { maxMs }) => Math.max(largest, maxMs), 0),
  };
}
