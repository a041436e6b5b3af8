/** How scores are computed, used, and acted upon. Each field that the paper does not have is a switch with an ablation. */
export interface Method {
  /** Whose reputation: none, one graph of all topics, each topic alone, or topics coupled by bridges. */
  readonly kind: "random" | "public" | "independent" | "mg";
  readonly alpha: number;
  /** Share of choices that are exploration, and the exponent of the roulette over scores otherwise. */
  readonly explore: number;
  readonly roulette: number;
  /** Prior: floor/n + η·stake/n + (1-η)·Σ ω·t·n_h/n, all of it × exp(-β·Var/100), halved where Var exceeds 20. */
  readonly floor: number;
  readonly stakeShare: number;
  readonly beta: number;
  readonly isGated: boolean;
  /** Distinct raters that make a bridge. */
  readonly bridgeRaters: number;
  /** Largest bridged mass, in uniform shares 1/n; Infinity = none. */
  readonly bridgeCap: number;
  /** Largest share of a row that one ratee gets; the rest goes to the prior. 1 = off. */
  readonly edgeCap: number;
  /** score = t·r^negative with r = (P + 1.9)/(P + 4N + 2), P and N weighted by raters' last scores; 0 = off. */
  readonly negative: number;
  /** How many good services of one pair count in P. */
  readonly praiseCap: number;
  /** What freezes an identity on proofs of bad service: nothing, a count, or a sequential test. */
  readonly slashing:
    | { readonly rule: "none" }
    | { readonly rule: "count"; readonly proofs: number }
    | {
        readonly rule: "sequential";
        readonly start: number;
        readonly freezeAt: number;
        readonly p0: number;
        readonly p1: number;
      };
  /** Share of bad services that leave a proof, and of honest failures among them. */
  readonly coverage: number;
  readonly honestCoverage: number;
  /** Burned with each frozen identity, in values of a query. */
  readonly burn: number;
}

/** Calibration of the paper's own method; see the README for what it reproduces. */
export const paperMethod: Method = {
  kind: "mg",
  alpha: 0.11792230995294328,
  explore: 0.21185960265574977,
  roulette: 1.8424374997150152,
  floor: 0.34742050214748205,
  stakeShare: 0.6,
  beta: 4.442086798371747,
  isGated: true,
  bridgeRaters: 3,
  bridgeCap: Infinity,
  edgeCap: 1,
  negative: 0,
  praiseCap: 3,
  slashing: { rule: "count", proofs: 2 },
  coverage: 1,
  honestCoverage: 0,
  burn: 6.45,
};

/** What the ablation supports: see the README. */
export const ourMethod: Method = {
  ...paperMethod,
  alpha: 0.8,
  explore: 0.05,
  roulette: 2.5,
  beta: 0,
  isGated: false,
  bridgeCap: 0.5,
  edgeCap: 0.05,
  negative: 8,
  praiseCap: 1,
  slashing: { rule: "sequential", start: 1.5, freezeAt: 3, p0: 0.03, p1: 0.5 },
  // 5.7 % of honest services fail; a fifth of those leave a proof: 1.1 % of services.
  honestCoverage: 0.2,
};
