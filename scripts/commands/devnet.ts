import { join, resolve } from "node:path";
import { Command } from "commander";
import { runAction, type Outcome, type Terminal } from "../cli/action.ts";
import { dataDirOption, jsonOption } from "../cli/options.ts";
import { startDevnet, type Devnet, type DevnetSummary } from "../devnet/devnet.ts";
import { builtinScenario } from "../scenarios/builtin.ts";
import { marketScenario } from "../scenarios/market-scenario.ts";

interface DevnetCommandOptions {
  readonly scenario: string;
  readonly once: boolean;
  readonly dataDir: string;
  readonly json: boolean;
}

export function devnetCommand(): Command {
  return new Command("devnet")
    .description("a whole local network: chain, contracts, agents, deals, a finalized epoch, GraphQL, an offline audit")
    .option("--scenario <name>", "builtin, or the folder of a Magentic market", "builtin")
    .option("--once", "end when the scenario has ended, instead of staying up until Ctrl-C", false)
    .addOption(dataDirOption())
    .addOption(jsonOption())
    .action((options: DevnetCommandOptions) => runAction(options.json, (terminal) => run(options, terminal)));
}

async function run(options: DevnetCommandOptions, { progress, signal, isJson }: Terminal): Promise<Outcome> {
  const scenario = options.scenario === "builtin" ? builtinScenario : marketScenario(options.scenario);
  const dir = resolve(join(options.dataDir, "devnet"));
  const devnet = await startDevnet({ dir, scenario, signal, progress });
  try {
    const lines = linesOf(devnet.summary);
    if (!options.once) {
      if (!isJson) for (const line of [...lines, ...endpointsOf(devnet, options.dataDir)]) progress(line);
      await untilAborted(signal);
    }
    return { result: devnet.summary, lines: options.once ? lines : ["stopped"], isFailed: !devnet.summary.isOk };
  } finally {
    await devnet.stop();
  }
}

function linesOf(summary: DevnetSummary): string[] {
  const { scenario, agents, processes, outcomes, figures, finalized, indexed, audited, seconds } = summary;
  const settled = outcomes.filter(({ state }) => state === "settled").length;
  const refunded = outcomes.filter(({ state }) => state === "refunded").length;
  const facts = [
    ["deals", `${settled} of ${outcomes.length} tasks settled, ${refunded} refunded`],
    ...Object.entries(figures).map(([name, value]) => [wordsOf(name), String(value)] as const),
    ...finalized.map(
      (f) => ["finalized", `${f.topic}: epoch ${f.epoch}, ${f.leafCount} leaves, root ${f.root}`] as const,
    ),
    ["indexed", `${indexed.deals} deals, ${indexed.agents} agents`],
    ["audited", `${audited.agents} agents offline: ${audited.isOk ? "everything holds" : "DOES NOT HOLD"}`],
  ] as const;
  const width = Math.max(...facts.map(([label]) => label.length));
  return [
    "",
    `${scenario}: ${agents} agents in ${processes} processes, ${seconds} s`,
    ...facts.map(([label, text]) => `  ${label.padEnd(width)}  ${text}`),
  ];
}

/** badDeliveries as "bad deliveries". */
const wordsOf = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

function endpointsOf({ rpcUrl, graphqlUrl, explorerUrl, clientUrl }: Devnet, dataDir: string): string[] {
  const dir = dataDir === ".surety" ? "" : ` --data-dir ${dataDir}`;
  return [
    "",
    `  chain       ${rpcUrl}`,
    `  explorer    ${explorerUrl}`,
    `  GraphQL     ${graphqlUrl}`,
    `  MCP         ${clientUrl}/mcp   A2A  ${clientUrl}/.well-known/agent-card.json`,
    `              with the token in ${join(dataDir, "devnet", "client.token")}; or \`npx surety mcp${dir}\` over stdio`,
    `  try         npx surety find "statistics of a series"${dir}`,
    `              npx surety verify agent 1 --network devnet${dir}`,
    "  Ctrl-C stops everything.",
  ];
}

function untilAborted(signal: AbortSignal): Promise<unknown> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve_) => signal.addEventListener("abort", resolve_, { once: true }));
}
