import {
  adoptLaw,
  ALPHA,
  createPosterior,
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

interface Pair {
  satisfied: number;
  unsatisfied: number;
}

/**
 * What receipts say of everybody: local trust and scores by the ledger's and MG-EigenTrust's rules, posteriors of outcomes
 * by learning.ts. Agents are numbered from 1, as seats are.
 */
export class Standing {
  readonly #stakes: number[] = [0];
  readonly #posteriors: Posterior[] = [createPosterior(3)];
  /** By provider: pairs by client. */
  readonly #pairs: Map<number, Pair>[] = [new Map<number, Pair>()];
  /** By epoch of their computation, relative scores by agent. */
  readonly #history: (readonly bigint[])[] = [];
  readonly #versions: number[] = [0];
  #isChanged = true;

  /** @returns the number of the new agent */
  admit(stakeWei: bigint): number {
    this.#stakes.push(Number(stakeWei));
    this.#posteriors.push(createPosterior(3));
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
    const row = this.#pairs[provider] as Map<number, Pair>;
    const pair = row.get(client) ?? { satisfied: 0, unsatisfied: 0 };
    row.set(client, {
      satisfied: pair.satisfied + trust.satisfied,
      unsatisfied: pair.unsatisfied + trust.unsatisfied,
    });
    this.#isChanged = true;
  }

  /** One receipt with an outcome that somebody saw. */
  observe(provider: number, outcome: Outcome, priceWei: bigint, fullPriceWei: bigint): void {
    const posterior = this.#posteriors[provider] as Posterior;
    this.#posteriors[provider] = observeOutcome(posterior, outcome, priceWei, fullPriceWei);
    this.#versions[provider] = (this.#versions[provider] as number) + 1;
  }

  posteriorOf(agent: number): Posterior {
    return this.#posteriors[agent] as Posterior;
  }

  /** The law that a leader reckons with for a deal at a price; `learning.ts` says when that is the worst. */
  adoptedLaw(provider: number, priceWei: bigint, priceFactor: bigint): readonly bigint[] {
    return adoptLaw(this.posteriorOf(provider), priceWei, LAW_UNIT, { errorChance: ERROR_CHANCE, priceFactor });
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
    const { clients, providers, weights, rowSums } = this.#edges();
    let scores = Float64Array.from(this.#stakes, (stake) => stake / priorSum);
    let next = new Float64Array(scores.length);
    for (let sweep = 0; sweep < SWEEPS; sweep++) {
      next.fill(0);
      for (let edge = 0; edge < weights.length; edge++) {
        const client = clients[edge] as number;
        const gift = (PASSED_ON * (scores[client] as number) * (weights[edge] as number)) / (rowSums[client] as number);
        const provider = providers[edge] as number;
        next[provider] = (next[provider] as number) + gift;
      }
      let given = 0;
      for (const score of next) given += score;
      const lambda = (1 - given) / priorSum;
      for (let seat = 0; seat < next.length; seat++)
        next[seat] = (next[seat] as number) + lambda * (this.#stakes[seat] as number);
      [scores, next] = [next, scores];
    }
    const unit = SCORE_SUM >> 53n;
    return Array.from(scores, (score) => relativeScoreOf(BigInt(Math.floor(score * 2 ** 53)) * unit, scores.length));
  }

  /** Pairs with local trust above 0, as the ledger keeps them, in columns: the sweeps over them were a sixth of a market's time. */
  #edges() {
    const [clients, providers, weights]: [number[], number[], number[]] = [[], [], []];
    const rowSums = new Float64Array(this.#stakes.length);
    for (const [provider, row] of this.#pairs.entries()) {
      for (const [client, { satisfied, unsatisfied }] of row) {
        const weight = satisfied - unsatisfied;
        if (weight <= 0) continue;
        clients.push(client);
        providers.push(provider);
        weights.push(weight);
        rowSums[client] = (rowSums[client] as number) + weight;
      }
    }
    return { clients, providers, weights, rowSums };
  }
}
