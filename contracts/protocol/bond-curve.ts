import { encodeAbiParameters, type Hex } from "viem";
import { SuretyError } from "./errors.ts";

/** A topic's curve, as IBondCurve governs it (arXiv 2606.17368 eq. 16-17). Shares and factors are in 1/2^16. */
export interface Curve {
  /** λ: the share of a bond that a proven fault costs; 0 = the topic has no curve and needs no bond. */
  readonly slashShare: number;
  /** How many times the floor an agent without score puts up. */
  readonly factorAtZero: number;
  /** The relative score at which half of what exceeds the floor has gone. */
  readonly halfScore: bigint;
}

const ONE = 1n << 16n;
/** MAX_GAIN of BondCurve.sol. */
export const MAX_GAIN = 1n << 160n;

/**
 * A score as a multiple of the topic's uniform share, in 1/2^16.
 * @param score share of 2^62, from the provider's leaf
 * @param leafCount seats of the finalized epoch, dust included
 */
export function relativeScoreOf(score: bigint, leafCount: number): bigint {
  return (score * BigInt(leafCount)) >> 46n;
}

/**
 * q_min, exactly as BondCurve.sol computes it.
 * @param gainWei price + the client's declared exposure
 * @throws SuretyError BOND_GAIN_TOO_MUCH where the contract reverts
 */
export function providerBondFor(curve: Curve, gainWei: bigint, relativeScore: bigint): bigint {
  if (curve.slashShare === 0) return 0n;
  if (gainWei < 0n || gainWei > MAX_GAIN) {
    throw new SuretyError("BOND_GAIN_TOO_MUCH", "No bond is priced for this gain.", {
      values: { gainWei, max: MAX_GAIN },
      next: "Give a price and an exposure that together stay below 2^160.",
    });
  }
  const floor = ceilDiv(gainWei * ONE, BigInt(curve.slashShare));
  const extra = ceilDiv((BigInt(curve.factorAtZero) - ONE) * curve.halfScore, curve.halfScore + relativeScore);
  return ceilDiv(floor * (ONE + extra), ONE);
}

/** What `requiredProviderBond` takes as proof of the provider's score. */
export function encodeScoreProof(seat: number, leaf: bigint, proof: readonly Hex[]): Hex {
  return encodeAbiParameters([{ type: "uint32" }, { type: "uint256" }, { type: "bytes32[]" }], [seat, leaf, proof]);
}

function ceilDiv(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor;
}
