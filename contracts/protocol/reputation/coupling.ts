import type { Hex } from "viem";
import { SuretyError } from "../errors.ts";
import { ALPHA, MAX_PRIOR, SCORE_SUM, type Lambda } from "./map.ts";

/** A score in topic `from` counts omega / 2^16 in topic `to`. */
export interface TopicLink {
  readonly to: bigint;
  readonly from: bigint;
  readonly omega: number;
}

/** How reputation in one topic counts in another (arXiv 2606.17368 eq. 12); fixed when ReputationEpochs is deployed. */
export interface Couplings {
  /** In-neighbours that an agent's row has to list in a topic for its score there to count elsewhere. */
  readonly minClients: number;
  /** Of what a stake counts, reputation elsewhere adds at most this, in 2^-16. */
  readonly maxShare: number;
  /** Ascending by `to`, then `from`. */
  readonly links: readonly TopicLink[];
}

/** 1 as a share, of ω and of the cap. */
export const SHARE_ONE = 65_536;
/** Links that lead to one topic, at most. */
export const MAX_SOURCES = 8;
/** Every topic stands alone. */
export const noCouplings: Couplings = { minClients: 0, maxShare: 0, links: [] };

/** What the contract pinned of a topic: its base is what priors of an epoch read. */
export interface BaseRoot extends Lambda {
  readonly root: Hex;
  readonly leafCount: number;
}

/** One source topic's leaf, as `challengePrior` takes it. */
export interface SourceLeaf {
  readonly leaf: bigint;
  readonly proof: readonly Hex[];
}

/**
 * Between two histories of the same deals and stakes, scores differ by at most this factor more in an epoch than in those that it
 * read, in 2^-16, rounded up: 2c / (1 + c) for a cap of c (docs/reputation-argument.md).
 */
export function settlingFactor(maxShare: number): number {
  return Math.ceil((2 * maxShare * SHARE_ONE) / (SHARE_ONE + maxShare));
}

/** @throws SuretyError COUPLING_UNSTABLE with the factor, or COUPLING_LINK, where the contract's constructor refuses */
export function requireCouplings({ minClients, maxShare, links }: Couplings): void {
  const factor = settlingFactor(maxShare);
  if (!isShare(maxShare) || factor >= SHARE_ONE) {
    const shown = (factor / SHARE_ONE).toFixed(4);
    throw new SuretyError("COUPLING_UNSTABLE", `Coupled epochs need not settle: 2c/(1+c) = ${shown}, not below 1.`, {
      values: { maxShare: maxShare / SHARE_ONE, factor: factor / SHARE_ONE },
      next: "Let reputation elsewhere add less than the stake itself: one half settles by a third each epoch.",
    });
  }
  if (!isShare(minClients)) throw badLink({ minClients });
  links.forEach((link, k) => {
    const [before, sources] = [links[k - 1], links.slice(0, k + 1).filter(({ to }) => to === link.to)];
    const isAscending =
      before === undefined || before.to < link.to || (before.to === link.to && before.from < link.from);
    const total = sources.reduce((sum, { omega }) => sum + omega, 0);
    const isWhole = isShare(link.omega) && link.omega > 0 && total <= SHARE_ONE && sources.length <= MAX_SOURCES;
    if (isAscending && isWhole && link.to > 0n && link.from > 0n && link.to !== link.from) return;
    throw badLink({ ...link });
  });
}

const isShare = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= 0xffffffff;

function badLink(values: Record<string, unknown>): SuretyError {
  return new SuretyError("COUPLING_LINK", "The contract would refuse one of the links between topics.", {
    values,
    next: "Name each pair of two topics once, at most 8 into one topic, with similarities above 0 that sum to 1 at most.",
  });
}

/** T = ⌊α·S / λ⌋: what all sources of a topic may bring, at most the sum of the priors under this λ. */
export function budgetOf({ multiplier, shift }: Lambda): bigint {
  return ((ALPHA * (SCORE_SUM >> 16n)) << BigInt(shift)) / multiplier;
}

/** What a score in a source brings, in 2^-16 of the stake token's smallest unit: ω·(t·T >> 62). */
export function bridgedBy(score: bigint, omega: number, budget: bigint): bigint {
  return BigInt(omega) * ((score * budget) / SCORE_SUM);
}

/** Stake and what reputation elsewhere adds: min(stake + min(stake·maxShare >> 16, bridged >> 16), 2^48 - 1). */
export function coupledPriorOf(stakeWei: bigint, bridged: bigint, maxShare: number): bigint {
  const most = (stakeWei * BigInt(maxShare)) >> 16n;
  const earned = bridged >> 16n;
  const prior = stakeWei + (earned < most ? earned : most);
  return prior < MAX_PRIOR ? prior : MAX_PRIOR;
}
