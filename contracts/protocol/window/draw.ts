import { encodeAbiParameters, hexToBigInt, keccak256, type Hex } from "viem";

// As contracts/network/WindowValidators.sol draws: who believes neither node nor indexer draws again from the chain's state.

/** Validators of one topic and epoch, at most: seven bear two that lie. */
export const MAX_VALIDATORS = 7;
/** Places of candidates in one topic. */
export const MAX_CANDIDATES = 64;

/** One place of `candidatesOf`, in its order; weight 0 = free. */
export interface Candidate {
  readonly agentId: number;
  readonly weight: number;
}

const SEED_PARAMETERS = [{ type: "bytes32" }, { type: "uint64" }, { type: "uint256" }] as const;
const POINT_PARAMETERS = [{ type: "bytes32" }, { type: "uint256" }] as const;

/** @param prevrandao of the seed block's header @param epoch for which is drawn */
export function drawSeedOf(prevrandao: Hex, topic: bigint, epoch: number): Hex {
  return keccak256(encodeAbiParameters(SEED_PARAMETERS, [prevrandao, topic, BigInt(epoch)]));
}

/** Each seat takes one of those who are left, in proportion to their weights. @returns agents by seat */
export function drawValidators(candidates: readonly Candidate[], seed: Hex): number[] {
  const left = candidates.filter(({ weight }) => weight > 0);
  let total = left.reduce((sum, { weight }) => sum + BigInt(weight), 0n);
  const drawn: number[] = [];
  while (drawn.length < MAX_VALIDATORS && left.length > 0) {
    let point = hexToBigInt(keccak256(encodeAbiParameters(POINT_PARAMETERS, [seed, BigInt(drawn.length)]))) % total;
    const place = left.findIndex(({ weight }) => {
      if (point < BigInt(weight)) return true;
      point -= BigInt(weight);
      return false;
    });
    for (const { agentId, weight } of left.splice(place, 1)) {
      drawn.push(agentId);
      total -= BigInt(weight);
    }
  }
  return drawn;
}

/** Signatures that make a batch header its window's: two thirds, rounded up. */
export const quorumOf = (validators: number): number => Math.ceil((2 * validators) / 3);
