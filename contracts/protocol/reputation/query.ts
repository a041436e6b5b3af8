import { SuretyError } from "../errors.ts";

/** Which score `verifyScore` is asked for. */
export interface ScoreQuery {
  /** uint64 */
  readonly topic: bigint;
  /** uint32 */
  readonly epoch: number;
  /** Position of the leaf = the agent's seat, uint32. */
  readonly index: number;
}

/** One word, because calldata is what a marketplace pays for: topic | epoch << 64 | index << 96. */
export function packScoreQuery(query: ScoreQuery): bigint {
  const { topic, epoch, index } = query;
  if (topic < 0n || topic >> 64n !== 0n || !isUint32(epoch) || !isUint32(index)) {
    throw new SuretyError("QUERY_RANGE", "A field of the score query does not fit its width.", {
      values: { ...query },
      next: "Give a topic of 64 bits, an epoch and a seat of 32 bits.",
    });
  }
  return topic | (BigInt(epoch) << 64n) | (BigInt(index) << 96n);
}

export function unpackScoreQuery(query: bigint): ScoreQuery {
  return {
    topic: query & 0xffffffffffffffffn,
    epoch: Number((query >> 64n) & 0xffffffffn),
    index: Number((query >> 96n) & 0xffffffffn),
  };
}

function isUint32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffffffff;
}
