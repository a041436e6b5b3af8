import { Command } from "commander";
import { runAction } from "../cli/action.ts";
import { addNodeOptions, askNode, type NodeOptions } from "../cli/node-api.ts";
import { parseInteger, parseShare, parseUint } from "../cli/options.ts";

interface FindOptions extends NodeOptions {
  readonly topic?: string;
  readonly minScore?: number;
  readonly maxPrice?: bigint;
  readonly maxAge?: number;
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
  return addNodeOptions(new Command("find"))
    .description("ask a running node who can do something")
    .argument("<query>", "what is wanted, in words")
    .option("--topic <name>", "only agents of this topic")
    .option(
      "--min-score <score>",
      "only agents with at least this score, 0 to 1, where 1 is the best found",
      parseShare,
    )
    .option("--max-price <amount>", "only agents at or below this list price, in the token's smallest unit", parseUint)
    .option(
      "--max-age <seconds>",
      "only agents that have shown themselves alive so recently; 0 asks them all",
      parseInteger(0),
    )
    .option("--limit <count>", "at most so many", parseInteger(1), 10)
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
  const { topic, minScore, maxPrice, maxAge, limit } = options;
  const parameters = Object.entries({
    query,
    topic,
    minScore: minScore?.toString(),
    maxPriceWei: maxPrice?.toString(),
    maxAgeMs: maxAge === undefined ? undefined : String(1000 * maxAge),
    limit: String(limit),
  });
  const search = new URLSearchParams(parameters.filter((entry): entry is [string, string] => entry[1] !== undefined));
  return (await askNode<{ found: FoundAgent[] }>(`/find?${search}`, options, signal)).found;
}
