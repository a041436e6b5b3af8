import {
  adoptLaw,
  ALPHA,
  createPosterior,
  isBeyondEvidence,
  observeOutcome,
  relativeScoreOf,
  SCORE_SUM,
  type Posterior,
} from "#protocol";
import { LAW_UNIT, type Outcome } from "./scenario.ts";

/** Sweeps of the power iteration: 0.85^40 < 0.2 %, below one rung of any clause. */
const SWEEPS = 40;
/** 1 - α. */
const PASSED_ON = 1 - Number(ALPHA) / 65_536;
/** Confidence at which a law is adopted: learning.ts. */
const ERROR_CHANCE = 0.05;
/** A score committed for epoch e − 1 is final, and visible, two epochs later. */
const EPOCHS_UNTIL_FINAL = 2;

/**
 * What receipts say of everybody: local trust and scores by the ledger's and MG-EigenTrust's rules, posteriors of outcomes
 * by learning.ts. Agents are numbered from 1, as seats are.
 */
export class Standing {
  readonly #stakes: number[] = [0];
  readonly #posteriors: Posterior[] = [createPosterior(3)];
  /** By provider: what its evidence says, until there is more of it. */
  readonly #laws: (readonly bigint[] | undefined)[] = [undefined];
  /** By provider: local trust by client, satisfied less unsatisfied. */
  readonly #pairs: Map<number, number>[] = [new Map<number, number>()];
  /** By epoch of their computation, relative scores by agent. */
  readonly #history: (readonly bigint[])[] = [];
  readonly #versions: number[] = [0];
  #isChanged = true;

  /** @returns the number of the new agent */
  admit(stakeWei: bigint): number {
    this.#stakes.push(Number(stakeWei));
    this.#posteriors.push(createPosterior(3));
    this.#laws.push(undefined);
    this.#pairs.push(new Map());
    this.#versions.push(0);
    this.#isChanged = true;
    return this.#stakes.length - 1;
  }

  get count(): number {
    return this.#stakes.length - 1;
  }

  /** One record of the ledger, as the deal's or the tab's machine made it. */
  record(client: number, provider: number, trust: { readonly satisfied: number; readonly unsatisfied: number }): void {
    const row = this.#pairs[provider] as Map<number, number>;
    row.set(client, (row.get(client) ?? 0) + trust.satisfied - trust.unsatisfied);
    this.#isChanged = true;
  }

  /** One receipt with an outcome that somebody saw. */
  observe(provider: number, outcome: Outcome, priceWei: bigint, fullPriceWei: bigint): void {
    const posterior = this.#posteriors[provider] as Posterior;
    this.#laws[provider] = undefined;
    this.#posteriors[provider] = observeOutcome(posterior, outcome, priceWei, fullPriceWei);
    this.#versions[provider] = (this.#versions[provider] as number) + 1;
  }

  posteriorOf(agent: number): Posterior {
    return this.#posteriors[agent] as Posterior;
  }

  /** The law that a leader reckons with for a deal at a price; `learning.ts` says when that is the worst. */
  adoptedLaw(provider: number, priceWei: bigint, priceFactor: bigint): readonly bigint[] {
    const posterior = this.posteriorOf(provider);
    const adopt = () => adoptLaw(posterior, priceWei, LAW_UNIT, { errorChance: ERROR_CHANCE, priceFactor });
    if (isBeyondEvidence(posterior, priceWei, priceFactor)) return adopt();
    // Up to there the law is the same at every price.
    return (this.#laws[provider] ??= adopt());
  }

  /** Changes with everything that is known of an agent. */
  versionOf(agent: number): number {
    return (this.#versions[agent] as number) + this.#history.length * 1_000_000;
  }

  closeEpoch(): void {
    const last = this.#history.at(-1);
    this.#history.push(last !== undefined && !this.#isChanged ? last : this.#scores());
    this.#isChanged = false;
  }

  /** Score in 1/2^16 of the uniform share, of the last final epoch; 0 for who has none. */
  relativeScore(agent: number): bigint {
    return this.#history[this.#history.length - EPOCHS_UNTIL_FINAL]?.[agent] ?? 0n;
  }

  /** MG-EigenTrust by sweeps x ← (1-α)·Cᵀx + λ·p̃, λ such that the scores sum to 1; a row without trust gives to the prior. */
  #scores(): readonly bigint[] {
    const priorSum = this.#stakes.reduce((sum, stake) => sum + stake, 0);
    if (priorSum === 0) return this.#stakes.map(() => 0n);
    const edges = this.#edges();
    const stakes = Float64Array.from(this.#stakes);
    let scores = stakes.map((stake) => stake / priorSum);
    let next = new Float64Array(scores.length);
    for (let sweep = 0; sweep < SWEEPS; sweep++) {
      spread(edges, scores, next);
      let given = 0;
      for (let seat = 0; seat < next.length; seat++) given += next[seat] as number;
      const lambda = (1 - given) / priorSum;
      for (let seat = 0; seat < next.length; seat++)
        next[seat] = (next[seat] as number) + lambda * (stakes[seat] as number);
      [scores, next] = [next, scores];
    }
    const unit = SCORE_SUM >> 53n;
    return Array.from(scores, (score) => relativeScoreOf(BigInt(Math.floor(score * 2 ** 53)) * unit, scores.length));
  }

  /** Pairs with local trust above 0, as the ledger keeps them, in columns: the sweeps over them were a sixth of a market's time. */
  #edges(): Edges {
    const [clients, weights]: [number[], number[]] = [[], []];
    const rowSums = new Float64Array(this.#stakes.length);
    const ends = new Int32Array(this.#stakes.length);
    for (let provider = 0; provider < ends.length; provider++) {
      this.#pairs[provider]?.forEach((weight, client) => {
        if (weight <= 0) return;
        clients.push(client);
        weights.push(weight);
        rowSums[client] = (rowSums[client] as number) + weight;
      });
      ends[provider] = weights.length;
    }
    return { clients: Int32Array.from(clients), weights: Float64Array.from(weights), rowSums, ends };
  }
}

/** One row a provider after the other, each up to its end. */
interface Edges {
  readonly clients: Int32Array;
  readonly weights: Float64Array;
  readonly rowSums: Float64Array;
  readonly ends: Int32Array;
}

/** next = (1-α)·Cᵀ·scores, the terms of each sum in the order of their records: the same sums to the last bit in every run. */
function spread({ clients, weights, rowSums, ends }: Edges, scores: Float64Array, next: Float64Array): void {
  let edge = 0;
  for (let provider = 0; provider < ends.length; provider++) {
    const end = ends[provider] as number;
    let sum = 0;
    for (; edge < end; edge++) {
      const client = clients[edge] as number;
      sum += (PASSED_ON * (scores[client] as number) * (weights[edge] as number)) / (rowSums[client] as number);
    }
    next[provider] = sum;
  }
}
