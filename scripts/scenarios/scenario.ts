import type { Specification } from "../../node/application.ts";
import type { Role } from "../../node/config.ts";
import type { NamedCouplings } from "../couplings.ts";

/** One agent of a scenario. */
export interface ScenarioAgent {
  readonly name: string;
  /** Agents with the same number share a process. */
  readonly process: number;
  /** Module of scripts/scenarios/applications and its options. */
  readonly application: { readonly module: string; readonly options: unknown };
  readonly roles: readonly Role[];
  /** In the token's smallest unit. */
  readonly tokens: bigint;
  readonly stake: bigint;
  /** Topics in which it takes a seat before it has dealt there: what its reputation elsewhere counts shows from then on. */
  readonly joins?: readonly string[];
}

/** One task that an agent has others do. */
export interface ScenarioTask {
  /** Name of the agent that wants it done. */
  readonly by: string;
  readonly spec: Specification;
  /** What the discovery index is asked for. */
  readonly query: string;
  readonly reservePriceWei: bigint;
  /** Weight of quality in the award, in the token's smallest unit. */
  readonly valuePerQuality: bigint;
  /** How long bids count at most; the bidding ends early when everybody has answered. Default: the node's. */
  readonly biddingMs?: number;
  /** Seconds from the call until the delivery is due. */
  readonly submitWithinS: number;
  readonly maxInvited: number;
  /** Rules of the call as a stored mechanism document; default: the node's. */
  readonly mechanism?: unknown;
  /** Least score of an invited agent, a fraction of the best one found; 0 invites agents without a score. */
  readonly minScore: number;
}

/** How a task ended. */
export interface TaskOutcome {
  readonly task: ScenarioTask;
  /** settled: the deal completed; refunded, cancelled: it was opened and gave its money back; failed: never opened. */
  readonly state: "settled" | "refunded" | "cancelled" | "failed";
  readonly reason: string | undefined;
  readonly provider: string | undefined;
  readonly dealId: string | undefined;
  readonly priceWei: bigint | undefined;
  readonly rating: number | undefined;
}

export interface Scenario {
  readonly name: string;
  readonly agents: readonly ScenarioAgent[];
  /** Rounds of tasks: the next one starts when an epoch over the one before is finalized. */
  readonly rounds: readonly (readonly ScenarioTask[])[];
  readonly topics: readonly string[];
  /** How reputation in one of them counts in another; none: not at all. */
  readonly couplings?: NamedCouplings;
  /** Figures of this scenario, by name. */
  summarize(outcomes: readonly TaskOutcome[]): Record<string, unknown>;
}
