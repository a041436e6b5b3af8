import { SuretyError } from "#protocol";
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

  async ask<T>(path: string, signal: AbortSignal, body?: unknown): Promise<T> {
    const response = await fetch(`${this.#agent.apiUrl}${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${this.#token}` },
      signal,
      ...(body === undefined ? {} : { body: JSON.stringify(body, bigintsAsText) }),
    }).catch((cause: unknown) => {
      signal.throwIfAborted();
      throw new SuretyError("NODE_UNREACHABLE", `The node of ${this.#agent.name} does not answer.`, {
        values: { url: this.#agent.apiUrl },
        next: "Read the node's log in the data directory.",
        cause,
        isRetryable: true,
      });
    });
    const answer = (await response.json()) as T & { error?: { code: string; message: string; next?: string } };
    if (response.ok) return answer;
    const { code = "NODE_REFUSED", message = `status ${response.status}`, next } = answer.error ?? {};
    throw new SuretyError(code, `The node of ${this.#agent.name} refused: ${message}`, {
      values: { path, status: response.status },
      next: next ?? "Read the node's log in the data directory.",
    });
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

const bigintsAsText = (_: string, value: unknown): unknown => (typeof value === "bigint" ? value.toString() : value);
