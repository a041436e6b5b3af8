import { askInterface } from "../cli/node-api.ts";
import type { ReadyAgent } from "./child.ts";

/** What a node says of one of its tasks. */
export interface TaskReport {
  readonly state: "searching" | "negotiating" | "settling" | "settled" | "refunded" | "cancelled" | "failed";
  readonly reason?: string;
  readonly providerAgentId?: string;
  readonly dealId?: string;
  readonly priceWei?: string;
  readonly rating?: number;
}

export interface NodeStatus {
  readonly agentId: string;
  readonly peers: readonly string[];
  readonly declarations: number;
}

/** Between two looks at a task; its steps take as long as blocks do. */
const POLL_MS = 200;

/** Speaks to the local interface of one agent's node. */
export class NodeClient {
  readonly #agent: ReadyAgent;
  readonly #token: string;

  constructor(agent: ReadyAgent, token: string) {
    this.#agent = agent;
    this.#token = token;
  }

  /** @throws SuretyError as askInterface */
  ask<T>(path: string, signal: AbortSignal, body?: unknown): Promise<T> {
    return askInterface({ url: this.#agent.apiUrl, token: this.#token }, path, signal, body);
  }

  status(signal: AbortSignal): Promise<NodeStatus> {
    return this.ask("/status", signal);
  }

  /** Polls until `isDone` of a path's answer. @throws the signal's reason, NODE_UNREACHABLE */
  async until<T>(path: string, isDone: (answer: T) => boolean, signal: AbortSignal): Promise<T> {
    for (;;) {
      const answer = await this.ask<T>(path, signal);
      if (isDone(answer)) return answer;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      signal.throwIfAborted();
    }
  }
}
