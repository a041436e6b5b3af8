import type { Call, Deal, Mechanism } from "#protocol";

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
  quote(call: Call, mechanism: Mechanism, spec: Specification): Promise<Quote | undefined>;
  /** Does the work. The bytes are stored and their hash goes on chain. A throw means that nothing is delivered. */
  perform(deal: Deal, spec: Specification, signal: AbortSignal): Promise<Uint8Array>;
  /** Rates a delivery, -100..100; 0 rates nothing. */
  assess(deal: Deal, spec: Specification, deliverable: Uint8Array): Promise<number>;
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
