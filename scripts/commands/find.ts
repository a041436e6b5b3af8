import { Command } from "commander";
import { SuretyError } from "#protocol";
import { runAction } from "../cli/action.ts";
import { readEndpoints } from "../cli/network.ts";
import {
  addNetworkOptions,
  jsonOption,
  parseInteger,
  parseShare,
  parseUint,
  type CommonOptions,
} from "../cli/options.ts";

interface FindOptions extends CommonOptions {
  readonly nodeUrl?: string;
  readonly nodeToken?: string;
  readonly topic?: string;
  readonly minScore?: number;
  readonly maxPrice?: bigint;
  readonly limit: number;
}

/** One agent that was found, as the node's local interface gives it. */
export interface FoundAgent {
  readonly agentId: string;
  readonly name: string;
  readonly topics: readonly string[];
  readonly priceWei: string;
  readonly score: string;
  readonly match: number;
  readonly peerId: string;
  readonly isBound: boolean;
  readonly headerDigest: string;
}

export function findCommand(): Command {
  return addNetworkOptions(new Command("find"), "devnet")
    .description("ask a running node who can do something")
    .argument("<query>", "what is wanted, in words")
    .option("--node-url <url>", "local interface of the node; default: the running network's")
    .option("--node-token <token>", "its token; default: the running network's, or $SURETY_NODE_TOKEN")
    .option("--topic <name>", "only agents of this topic")
    .option(
      "--min-score <score>",
      "only agents with at least this score, 0 to 1, where 1 is the best found",
      parseShare,
    )
    .option("--max-price <amount>", "only agents at or below this list price, in the token's smallest unit", parseUint)
    .option("--limit <count>", "at most so many", parseInteger(1), 10)
    .addOption(jsonOption())
    .action((query: string, options: FindOptions) =>
      runAction(options.json, async ({ signal }) => {
        const found = await ask(query, options, signal);
        return {
          result: { found },
          lines:
            found.length === 0
              ? ["nobody; try other words, or no --topic"]
              : found.map(
                  (agent) =>
                    `agent ${agent.agentId.padStart(4)}  ${agent.name}  ${agent.topics.join(", ")}  price ${agent.priceWei}  ` +
                    `score ${agent.score}  match ${agent.match.toFixed(2)}${agent.isBound ? "" : "  unbound"}`,
                ),
        };
      }),
    );
}

async function ask(query: string, options: FindOptions, signal: AbortSignal): Promise<FoundAgent[]> {
  const endpoints = readEndpoints(options);
  const nodeUrl = options.nodeUrl ?? endpoints.nodeUrl;
  const token = options.nodeToken ?? process.env["SURETY_NODE_TOKEN"] ?? endpoints.nodeToken;
  if (nodeUrl === undefined || token === undefined) {
    throw new SuretyError("USAGE_NODE_UNKNOWN", "No running node is known.", {
      next: "Start `surety devnet`, or pass --node-url and --node-token of your node.",
    });
  }
  const { topic, minScore, maxPrice, limit } = options;
  const parameters = Object.entries({
    query,
    topic,
    minScore: minScore?.toString(),
    maxPriceWei: maxPrice?.toString(),
    limit: String(limit),
  });
  const search = new URLSearchParams(parameters.filter((entry): entry is [string, string] => entry[1] !== undefined));
  const response = await fetch(`${nodeUrl}/find?${search}`, {
    headers: { authorization: `Bearer ${token}` },
    signal,
  }).catch((cause: unknown) => {
    throw new SuretyError("NODE_UNREACHABLE", `No node answers at ${nodeUrl}.`, {
      values: { nodeUrl },
      next: "Start the node, or name another with --node-url.",
      cause,
      isRetryable: true,
    });
  });
  const answer = (await response.json()) as {
    found?: FoundAgent[];
    error?: { code: string; message: string; next?: string };
  };
  if (answer.found !== undefined) return answer.found;
  throw new SuretyError(answer.error?.code ?? "NODE_REFUSED", answer.error?.message ?? `status ${response.status}`, {
    values: { nodeUrl, status: response.status },
    next: answer.error?.next ?? "Check --node-token and the other options, then ask again.",
  });
}
