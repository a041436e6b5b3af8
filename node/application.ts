import type { BargainRules, Call, Deal, Rules, Side, Tab } from "#protocol";
import type { EvidenceBundle } from "./settlement/evidence.ts";
import type { DealStep, Judgement, SplitTerms } from "./settlement/port.ts";
import type { PaidRequest } from "./x402/request.ts";

export type { Judgement, PaidRequest, SplitTerms };
export type StepOf<K extends DealStep["kind"]> = Extract<DealStep, { kind: K }>;

/** What a juror sees of a dispute. */
export interface DisputeCase {
  readonly deal: Deal;
  /** What the sides show, as far as it could be fetched; at most one bundle a side. */
  readonly evidence: readonly EvidenceBundle[];
}

/** What an agent offers, as it declares it in its log. */
export interface Capability {
  readonly topic: string;
  readonly name: string;
  readonly description: string;
  /** At most four. */
  readonly skills: readonly string[];
  /** List price in the token's smallest unit: the agent bids at or below it. */
  readonly priceWei: bigint;
}

/** What a task asks for, once its bytes were checked against the call. */
export interface Specification {
  readonly topic: string;
  readonly title: string;
  /** Any dag-cbor value. */
  readonly input: unknown;
}

/** What the agent would do it for: the least price it accepts, and the quality that it offers. */
export interface Quote {
  readonly priceWei: bigint;
  readonly quality: bigint;
}

/** What an agent's own program decides; everything else a node does by itself. */
export interface Application {
  readonly capabilities: readonly Capability[];
  /** @returns undefined to decline */
  quote(call: Call, rules: Rules, spec: Specification): Promise<Quote | undefined>;
  /**
   * What each package of bargaining rules is worth to this agent, and from which worth on it takes one; the node then
   * concedes as the other side does. Absent or undefined: it does not bargain.
   */
  value?(call: Call, rules: BargainRules, spec: Specification): Promise<Side | undefined>;
  /** Does the work. The bytes are stored and their hash goes on chain. A throw means that nothing is delivered. */
  perform(deal: Deal, spec: Specification, signal: AbortSignal): Promise<Uint8Array>;
  /**
   * Judges a delivery: a number rates it, -100..100, and pays; a Judgement may also offer a part of the price or dispute.
   * The signal aborts when the review is about to end; then it is paid and not rated.
   */
  assess(deal: Deal, spec: Specification, deliverable: Uint8Array, signal: AbortSignal): Promise<number | Judgement>;
  /** Whether to sign the other side's split. Absent or undefined: it waits for `surety deal split --accept`. */
  considerSplit?(deal: Deal, terms: SplitTerms, signal: AbortSignal): Promise<boolean | undefined>;
  /** Whether to pay the arbitrator's fee in a dispute over our delivery. Absent: yes, if something was delivered. */
  defend?(deal: Deal, costWei: bigint, signal: AbortSignal): Promise<boolean>;
  /** Whether to appeal a ruling (0 refused, 1 for the client, 2 for the provider) against us. Absent: no. */
  considerAppeal?(deal: Deal, ruling: number, costWei: bigint, signal: AbortSignal): Promise<boolean>;
  /** A juror's vote on somebody else's dispute: 0 refuses, 1 for the client, 2 for the provider. Absent: 0. */
  vote?(dispute: DisputeCase, signal: AbortSignal): Promise<0 | 1 | 2>;
  /** Does one small task on a tab, at the list price of its topic's capability. Absent: this agent takes no tabs. */
  answerTask?(tab: Tab, spec: Uint8Array, signal: AbortSignal): Promise<Uint8Array>;
  /** Rates an answer on a tab, -100..100; 0 rates nothing. Absent: 0. */
  rateAnswer?(tab: Tab, spec: Uint8Array, answer: Uint8Array): Promise<number>;
  /**
   * Answers a request over HTTP to one of the `shop`'s resources, once it is paid for by a deal or on a tab. Called again after
   * a kill before the answer was stored. Absent: this agent sells nothing over HTTP.
   */
  serve?(request: PaidRequest, signal: AbortSignal): Promise<Uint8Array>;
  /** Steps of this agent's deals, each told at least once: after a restart or a reorg perhaps again. */
  onFunded?(step: StepOf<"funded">): void | Promise<void>;
  onSubmitted?(step: StepOf<"submitted">): void | Promise<void>;
  onDisputed?(step: StepOf<"disputed">): void | Promise<void>;
  onSettled?(step: StepOf<"settled">): void | Promise<void>;
}

/** What an application's module exports: the agent's name and the options of its configuration make the application. */
export type CreateApplication = (context: { name: string; options: unknown }) => Application | Promise<Application>;

/** An agent that only buys, and never rates: it offers nothing of its own. */
export const clientOnly: Application = {
  capabilities: [],
  quote: () => Promise.resolve(undefined),
  perform: () => Promise.reject(new Error("this agent offers no work")),
  assess: () => Promise.resolve(0),
};
