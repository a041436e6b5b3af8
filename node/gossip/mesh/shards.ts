import type { ShardSet } from "./port.ts";

export const SHARDS = 64;
export const ALL_SHARDS: ShardSet = (1n << 64n) - 1n;
export const NO_SHARDS: ShardSet = 0n;

/** Shard of a uint32 skill id. Ids are hashes, so their first six bits spread evenly. */
export const shardOf = (skillId: number): number => skillId >>> 26;

/** Shards of a header with these tags: those of its skills; shard 0 where it names none. */
export function shardsOf(skillIds: readonly number[]): ShardSet {
  const shards = skillIds.reduce((set, id) => (id === 0 ? set : set | (1n << BigInt(shardOf(id)))), NO_SHARDS);
  return shards === NO_SHARDS ? 1n : shards;
}

/** The lowest shard of a set; 0 for the empty one. */
export function firstShard(set: ShardSet): number {
  for (let shard = 0; shard < SHARDS; shard++) if ((set >> BigInt(shard)) & 1n) return shard;
  return 0;
}

/** Counts of all shards at once, each up to 63: bit i of slice j is bit j of the count of shard i. */
export interface Tally {
  add(set: ShardSet): void;
  /** Shards counted fewer than `limit` times, of all 64. @param limit 1…63 */
  below(limit: number): ShardSet;
}

const SLICES = 6;

/** A ripple-carry counter over bigints: 64 shards of a peer are counted with six operations. */
export function createTally(): Tally {
  const slices = new Array<bigint>(SLICES).fill(0n);
  return {
    add(set) {
      let carry = set;
      for (let j = 0; j < SLICES; j++) {
        const slice = slices[j] as bigint;
        slices[j] = slice ^ carry;
        carry &= slice;
      }
      // Saturates: beyond 63 every bound is exceeded anyway.
      if (carry !== 0n) for (let j = 0; j < SLICES; j++) slices[j] = (slices[j] as bigint) | carry;
    },
    below(limit) {
      let less = 0n;
      let equal = ALL_SHARDS;
      for (let j = SLICES - 1; j >= 0; j--) {
        const slice = slices[j] as bigint;
        if ((limit >> j) & 1) {
          less |= equal & ~slice;
          equal &= slice;
        } else equal &= ~slice;
      }
      return less & ALL_SHARDS;
    },
  };
}
