import { readFileSync } from "node:fs";
import { Command } from "commander";
import { SuretyError } from "#protocol";
import { runAction, type Outcome } from "../cli/action.ts";
import { addNodeOptions, askNode, type NodeOptions } from "../cli/node-api.ts";

/** A graph as the node answers; its amounts are decimal text. */
interface GraphReport {
  readonly id: string;
  readonly state: "running" | "rewarding" | "complete" | "incomplete";
  readonly progress: {
    readonly states: Readonly<Record<string, SubtaskReport>>;
    readonly failedDeals: readonly { readonly name: string; readonly dealId: string }[];
  };
  readonly shares: readonly { readonly agentId: string; readonly millionths: number }[];
  readonly splitsRoot?: string;
  readonly rewardState?: string;
}

interface SubtaskReport {
  readonly kind: string;
  readonly providerAgentId?: string;
  readonly dealId?: string;
  readonly code?: string;
  readonly by?: string;
}

/** Between two looks at a graph; its steps take as long as blocks do. */
const POLL_MS = 500;

export function taskCommand(): Command {
  const task = new Command("task").description("graphs of tasks, which a running node has others do");
  addNodeOptions(task.command("run"))
    .description("hand the node a graph of subtasks and follow it to its end; Ctrl-C leaves it with the node")
    .argument("<file>", "the graph: { subtasks: [{ name, needs, spec, query, … }], maxAttempts?, rewardWei? }")
    .action((file: string, options: NodeOptions) =>
      runAction(options.json, async ({ signal, progress }) => {
        const { id } = await askNode<GraphReport>("/graphs", options, signal, readGraphFile(file));
        progress(`graph ${id}`);
        return outcomeOf(await follow(id, options, signal, progress));
      }),
    );
  addNodeOptions(task.command("show"))
    .description("how a graph of tasks stands")
    .argument("<id>", "the graph's id")
    .action((id: string, options: NodeOptions) =>
      runAction(options.json, async ({ signal }) =>
        outcomeOf(await askNode<GraphReport>(`/graphs/${id}`, options, signal)),
      ),
    );
  return task;
}

/** @throws SuretyError USAGE_GRAPH */
function readGraphFile(file: string): Readonly<Record<string, unknown>> {
  try {
    const json: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as Record<string, unknown>;
    throw new Error("it is not an object");
  } catch (cause) {
    throw new SuretyError("USAGE_GRAPH", `${file} holds no graph of tasks.`, {
      values: { file },
      next: `Mend it: ${cause instanceof Error ? cause.message : String(cause)}.`,
      cause,
    });
  }
}

async function follow(id: string, options: NodeOptions, signal: AbortSignal, progress: (line: string) => void) {
  const told = new Map<string, string>();
  for (;;) {
    const graph = await askNode<GraphReport>(`/graphs/${id}`, options, signal);
    for (const [name, state] of Object.entries(graph.progress.states)) {
      const line = lineOf(name, state);
      if (told.get(name) !== line) progress(line);
      told.set(name, line);
    }
    if (graph.state === "complete" || graph.state === "incomplete") return graph;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    signal.throwIfAborted();
  }
}

function outcomeOf(graph: GraphReport): Outcome {
  const { id, state, progress, shares, splitsRoot, rewardState } = graph;
  return {
    result: graph,
    isFailed: state === "incomplete",
    lines: [
      ...Object.entries(progress.states).map(([name, subtask]) => lineOf(name, subtask)),
      ...progress.failedDeals.map(({ name, dealId }) => `  ${name} was called again after deal ${dealId}`),
      ...shares.map(({ agentId, millionths }) => `  agent ${agentId} has ${millionths / 10_000} % of the joint reward`),
      ...(splitsRoot === undefined ? [] : [`  shares ${splitsRoot}, reward ${rewardState ?? "none"}`]),
      `graph ${id}: ${state}`,
    ],
  };
}

function lineOf(name: string, { kind, providerAgentId, dealId, code, by }: SubtaskReport): string {
  const who = providerAgentId === undefined ? "" : ` by agent ${providerAgentId}, deal ${dealId}`;
  return `${name}: ${kind}${who}${code === undefined ? "" : ` (${code})`}${by === undefined ? "" : ` by ${by}`}`;
}
