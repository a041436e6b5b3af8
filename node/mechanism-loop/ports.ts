// The three parts of the loop that may be exchanged (arXiv 2606.17368 eq. 20–25). Each has an implementation by solver and search in
// this folder, and one over a chat endpoint in endpoint/. What any of them returns is a proposal: evaluate.ts and archive.ts decide.
import type { Attack } from "./attack.ts";
import type { Blame, LossEntry } from "./losses.ts";
import type { Proposal, Rules } from "./clauses.ts";
import type { Evaluator } from "./evaluate.ts";
import type { MarketOutcome } from "./market.ts";
import type { MarketScenario } from "./scenario.ts";

/** An attack and what it does under the rules at hand. */
export interface FoundAttack {
  readonly attack: Attack;
  readonly outcome: MarketOutcome;
}

/** Fast loop: the strongest attack on a mechanism, φ*(M) = argmax L(M, φ). */
export interface StrategyExplorer {
  explore(input: Exploration, signal: AbortSignal): Promise<FoundAttack>;
}

export interface Exploration {
  readonly evaluator: Evaluator;
  readonly rules: Rules;
  /** Attacks known to hurt some rules: where a search starts, besides by lot. */
  readonly known: readonly Attack[];
  readonly seed: number;
}

/** Names the clauses that let an attack through, most harmful first. */
export interface Attributor {
  attribute(input: Found, signal: AbortSignal): Promise<readonly Attribution[]>;
}

export interface Found extends FoundAttack {
  readonly evaluator: Evaluator;
  readonly rules: Rules;
}

/** One semantic gradient: a clause, where it would have to go, and the evidence of a run. */
export interface Attribution extends Blame {
  readonly steps: readonly LossEntry["step"][];
  /** Booked at those steps in the run. */
  readonly bookedWei: bigint;
  /** By how much the loss fell when the clause alone moved so far, in the same run; undefined = not tried. */
  readonly gainWei: bigint | undefined;
  readonly evidence: string;
}

/** Slow loop: edits that may answer an attack. */
export interface MechanismGenerator {
  propose(input: Attributed, signal: AbortSignal): Promise<readonly Proposal[]>;
}

export interface Attributed extends Found {
  readonly attributions: readonly Attribution[];
  readonly seed: number;
  readonly scenario: MarketScenario;
  /** 1, and one more for each iteration before in which nothing passed: how widely to search. */
  readonly effort: number;
}
