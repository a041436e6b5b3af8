import type { Hex } from "viem";
import type { GraphProgress } from "../negotiation/task-graph.ts";
import type { TaskRequest } from "../task-request.ts";

/** One subtask of a graph: what it needs first, and the task that it becomes. */
export interface SubtaskRequest {
  readonly name: string;
  readonly needs: readonly string[];
  /**
   * Its `spec.input` may hold `{ "$deliverable": NAME, "path": [field, …] }` anywhere: the deliverable of a subtask that it
   * needs, or a part of it, in that place.
   */
  readonly task: TaskRequest;
  /** What its delivery adds to the joint reward's worth; only ratios count. Default: 1 where nobody needs it, else 0. */
  readonly worth?: bigint;
}

/** A task that its client has decomposed. */
export interface GraphRequest {
  readonly subtasks: readonly SubtaskRequest[];
  /** Calls for one subtask, the first one included. */
  readonly maxAttempts: number;
  /** Divided among those without whom it would not have been done, in one deal; 0 = none. In the token's smallest unit. */
  readonly rewardWei: bigint;
}

/** One provider's part of the joint reward. */
export interface RewardShare {
  readonly agentId: bigint;
  readonly account: Hex;
  readonly millionths: number;
}

export type GraphState = "running" | "rewarding" | "complete" | "incomplete";

export interface Graph {
  readonly id: string;
  readonly request: GraphRequest;
  readonly state: GraphState;
  readonly progress: GraphProgress;
  /** Once every subtask is done: who gets which part of the joint reward. */
  readonly shares: readonly RewardShare[];
  /** Root of the shares, as the reward's deal carries it. */
  readonly splitsRoot: Hex | undefined;
  /** The task by which the reward is settled. */
  readonly rewardTaskId: string | undefined;
  /** How the reward's task ended. */
  readonly rewardState: string | undefined;
}
