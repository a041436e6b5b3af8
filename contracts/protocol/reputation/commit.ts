import type { Hex } from "viem";
import type { Lambda } from "./map.ts";

/** TopicRoot of contracts/libraries/Types.sol: one topic of a committed epoch. */
export interface TopicRoot extends Lambda {
  /** uint64 */
  readonly topic: bigint;
  readonly root: Hex;
}

/** Topics of one candidate, at most (MAX_TOPICS of ReputationEpochs). */
export const MAX_TOPICS = 32;
/** Leaves that one answer to a request carries. */
export const CHUNK_LEAVES = 256;
/** Height of a chunk's subtree. */
export const CHUNK_DEPTH = 8;

/** Epochs are time buckets: epoch e covers [genesis + (e - 1)·length, genesis + e·length) by block time. */
export interface EpochClock {
  /** Unix seconds. */
  readonly genesis: number;
  readonly epochLengthSeconds: number;
}

/** The epoch that runs at a block's time, from 1; 0 before genesis. */
export function epochAt(clock: EpochClock, timestamp: number): number {
  return Math.floor((timestamp - clock.genesis) / clock.epochLengthSeconds) + 1;
}

/** First second of an epoch. */
export function startOfEpoch(clock: EpochClock, epoch: number): number {
  return clock.genesis + (epoch - 1) * clock.epochLengthSeconds;
}

/** What may be done for a closed epoch, each until this second, exclusive; finalizing from the last one on. */
export interface EpochWindows {
  readonly commitUntil: number;
  readonly requestUntil: number;
  readonly challengeUntil: number;
}

/** Thirds round down, as on chain. */
export function windowsOf(clock: EpochClock, epoch: number): EpochWindows {
  const start = startOfEpoch(clock, epoch + 1);
  const length = clock.epochLengthSeconds;
  return {
    commitUntil: start + Math.floor(length / 3),
    requestUntil: start + Math.floor((2 * length) / 3),
    challengeUntil: start + length,
  };
}
