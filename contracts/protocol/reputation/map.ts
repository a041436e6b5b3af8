/** A: the restart probability α = A / 2^16 of EigenTrust (arXiv 2606.17368 eq. 11), about 0.15. */
export const ALPHA = 9830n;
/** S: all scores of a topic together, dust included. */
export const SCORE_SUM = 1n << 62n;
/** What rounding may leave in seat 0: S >> 28. The contract refuses more as an edge fault. */
export const MAX_DUST = SCORE_SUM >> 28n;
/** Row sums saturate here, in the ledger. */
export const MAX_ROW_SUM = 1n << 24n;
/** Priors saturate here. */
export const MAX_PRIOR = (1n << 48n) - 1n;

/** The largest shift that an honest λ needs: λ ≥ α·S / Σp̃ > 2^59 / 2^80, and multiplier < 2^63. */
export const MAX_SHIFT = 84;

const ALPHA_BITS = 16n;

/** λ = multiplier / 2^shift, the share of the prior that makes the scores sum to S; the same for all rows of a topic. */
export interface Lambda {
  /** uint64, below 2^63. */
  readonly multiplier: bigint;
  /** At most MAX_SHIFT. */
  readonly shift: number;
}

/** One in-edge of a row, with what the client's leaf says. */
export interface InEdge {
  /** w_ij at the close of the epoch. */
  readonly weight: bigint;
  /** t_i. */
  readonly score: bigint;
  /** W_i; 0 gives nothing on. */
  readonly rowSum: bigint;
}

/**
 * The exact integer map of IReputationEpochs, one row of it:
 * F_j = ((65536 - A)·Σ_i w_ij·⌊t_i / W_i⌋ >> 16) + (multiplier·prior_j >> shift).
 */
export function rowValue(inEdges: Iterable<InEdge>, lambda: Lambda, prior: bigint): bigint {
  let passedOn = 0n;
  for (const { weight, score, rowSum } of inEdges) {
    if (rowSum > 0n) passedOn += weight * (score / rowSum);
  }
  return (
    ((((1n << ALPHA_BITS) - ALPHA) * passedOn) >> ALPHA_BITS) + ((lambda.multiplier * prior) >> BigInt(lambda.shift))
  );
}

/** p̃ of an agent without reputation elsewhere whose stake at the close of the epoch was this, in the token's smallest unit. */
export function priorOf(stakeWei: bigint): bigint {
  return stakeWei < MAX_PRIOR ? stakeWei : MAX_PRIOR;
}
