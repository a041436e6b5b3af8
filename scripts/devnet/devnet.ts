import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import hre from "hardhat";
import { createPublicClient, http, zeroHash, type PublicClient } from "viem";
import { SuretyError, topicIdOf, type Deployment } from "#protocol";
import { createIndexer, type Indexer } from "../../indexer/index.ts";
import type { FinalizedTopic } from "../audit/score.ts";
import { BatchSender } from "../cli/batch.ts";
import { couplingsOf } from "../couplings.ts";
import { deploySurety } from "../deploy.ts";
import type { Scenario, ScenarioTask, TaskOutcome } from "../scenarios/scenario.ts";
import { agentAccount } from "./accounts.ts";
import { buildContracts, startLocalChain } from "./chain.ts";
import { commitAgent } from "./commit.ts";
import { NodeFleet } from "./fleet.ts";
import { awaitFinalized } from "./finalized.ts";
import { provisionAgents, type LocalAgent } from "./provision.ts";
import { auditAgents, countIndexed } from "./review.ts";

/** Seconds of an epoch on the local network: long enough to compute and challenge, short enough to watch. */
const PARAMETERS = { epochLengthSeconds: 10n, unbondingDelaySeconds: 60n, publisherBondWei: 100_000_000n };
const POLL_INTERVAL_MS = 250;

export interface DevnetOptions {
  readonly dir: string;
  readonly scenario: Scenario;
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}

/** What the scenario came to. */
export interface DevnetSummary {
  readonly scenario: string;
  readonly agents: number;
  readonly processes: number;
  readonly outcomes: readonly TaskOutcome[];
  readonly figures: Record<string, unknown>;
  readonly finalized: readonly { topic: string; epoch: number; root: string; leafCount: number }[];
  readonly indexed: { readonly deals: number; readonly agents: number };
  /** Whether the audit of every agent, offline from one block hash, holds. */
  readonly audited: { readonly agents: number; readonly isOk: boolean };
  readonly seconds: number;
  /** Every task that could be done was, an epoch is finalized, and every audit holds. */
  readonly isOk: boolean;
}

/** A local network that runs. */
export interface Devnet {
  readonly rpcUrl: string;
  readonly graphqlUrl: string;
  /** Pages for people, which verify in the browser what they show. */
  readonly explorerUrl: string;
  /** An agent that MCP and A2A clients may use, with the token of the file client.token beside the endpoints. */
  readonly clientUrl: string;
  readonly summary: DevnetSummary;
  /** Stops every process, the indexer and the chain. */
  stop(): Promise<void>;
}

/** Chain and contracts of a local network. */
interface Ground {
  readonly rpcUrl: string;
  readonly client: PublicClient;
  readonly deployment: Deployment;
}

/** Starts chain, contracts, indexer and nodes, and runs a scenario on them. Whatever fails, nothing is left behind. */
export async function startDevnet(options: DevnetOptions): Promise<Devnet> {
  const { dir, scenario, signal, progress } = options;
  const startedAt = performance.now();
  const secondsSoFar = () => (performance.now() - startedAt) / 1000;
  const say = (line: string) => progress(`${secondsSoFar().toFixed(1).padStart(6)} s  ${line}`);
  await using stack = new AsyncDisposableStack();
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  const ground = await startGround(options, stack, say);
  const agents = await provision(options, ground, say);
  const indexer = await startIndexer(options, ground, stack);
  const { graphqlUrl } = indexer;
  say(`GraphQL at ${graphqlUrl}`);

  const fleet = new NodeFleet({ dir, rpcUrl: ground.rpcUrl, graphqlUrl, scenario, agents, signal });
  stack.defer(() => fleet.stop());
  say(`starting ${agents.size} agents`);
  await fleet.start();
  writeEndpoints(dir, {
    rpcUrl: ground.rpcUrl,
    graphqlUrl,
    nodeUrl: fleet.firstUrl,
    nodeToken: fleet.token,
    clientUrl: fleet.clientUrl,
    clientToken: fleet.clientToken,
  });
  say(`every agent has heard of all ${await fleet.awaitOffers()} offers`);

  const { outcomes, finalized } = await runRounds(options, ground, fleet, say);
  await indexer.reached({ number: Number(await ground.client.getBlockNumber()) }, signal);
  const audited = await auditAgents(ground.client, ground.deployment, agents, dir);
  say(`audited ${audited.agents} agents offline, each from one block hash`);
  const summary: DevnetSummary = {
    ...{ scenario: scenario.name, agents: agents.size, processes: fleet.processCount },
    ...{ outcomes, figures: scenario.summarize(outcomes) },
    finalized: finalized.map(({ topic, epoch, root, leafCount }) => {
      const name = scenario.topics.find((known) => topicIdOf(known) === topic) ?? topic.toString();
      return { topic: name, epoch, root, leafCount };
    }),
    ...{ indexed: await countIndexed(graphqlUrl), audited, seconds: Math.round(secondsSoFar()) },
    isOk: audited.isOk && outcomes.every(({ state }) => state !== "failed"),
  };
  signal.throwIfAborted();
  const running = stack.move();
  return {
    ...{ rpcUrl: ground.rpcUrl, graphqlUrl, explorerUrl: indexer.url, clientUrl: fleet.clientUrl, summary },
    stop: () => running.disposeAsync(),
  };
}

type Say = (line: string) => void;

async function startGround(
  { dir, signal, scenario }: DevnetOptions,
  stack: AsyncDisposableStack,
  say: Say,
): Promise<Ground> {
  say("compiling the contracts");
  await buildContracts();
  signal.throwIfAborted();
  const { rpcUrl, stop } = await startLocalChain();
  stack.defer(stop);
  say(`chain at ${rpcUrl}; deploying`);
  const connection = await hre.network.create({ network: "localhost", override: { url: rpcUrl } });
  try {
    const { couplings } = scenario;
    const parameters = couplings === undefined ? PARAMETERS : { ...PARAMETERS, couplings: couplingsOf(couplings) };
    const deployment = await deploySurety({ connection, deploymentDir: dir, signal, parameters });
    return { rpcUrl, deployment, client: createPublicClient({ transport: http(rpcUrl), cacheTime: 0 }) };
  } finally {
    await connection.close();
  }
}

async function provision(
  { dir, scenario, signal }: DevnetOptions,
  { client, deployment, rpcUrl }: Ground,
  say: Say,
): Promise<Map<string, LocalAgent>> {
  say(`registering ${scenario.agents.length} agents with their commitments, log signers and stakes`);
  const commitments = await Promise.all(scenario.agents.map((agent) => commitAgent(dir, agent, signal)));
  const endowments = scenario.agents.map(({ tokens, stake, joins = [] }, index) => ({
    ...{ account: agentAccount(index), uri: "", tokens, stake, commitment: commitments[index] ?? zeroHash },
    joins: joins.map(topicIdOf),
  }));
  const { timestamp } = await client.getBlock();
  const sender = new BatchSender(rpcUrl, deployment.chainId);
  const agents = await provisionAgents(sender, deployment, endowments, { now: Number(timestamp), signal });
  return new Map(agents.map((agent, index) => [scenario.agents[index]?.name ?? "", agent]));
}

async function startIndexer(
  { dir, scenario }: DevnetOptions,
  { client, deployment, rpcUrl }: Ground,
  stack: AsyncDisposableStack,
): Promise<Indexer> {
  const explorer = { rpcUrl, topics: scenario.topics };
  const indexer = createIndexer({
    ...{ client, deployment, explorer, store: { folder: dir }, pollIntervalMs: POLL_INTERVAL_MS },
  });
  stack.defer(() => indexer.stop());
  await indexer.start();
  return indexer;
}

/** Rounds of tasks, with a finalized epoch between them and one after the last round if there was none before. */
async function runRounds(
  { dir, scenario, signal }: DevnetOptions,
  ground: Ground,
  fleet: NodeFleet,
  say: Say,
): Promise<{ outcomes: TaskOutcome[]; finalized: readonly FinalizedTopic[] }> {
  const outcomes: TaskOutcome[] = [];
  let finalized: readonly FinalizedTopic[] = [];
  const finalize = async () => {
    const topics = movedTopics(outcomes, dir);
    say("closing the running epoch; waiting until it is committed, watched and finalized");
    finalized = await awaitFinalized(ground, topics, signal);
    say(`epoch ${finalized[0]?.epoch} is finalized for ${finalized.length} topics`);
  };
  for (const [index, tasks] of scenario.rounds.entries()) {
    if (index > 0) await finalize();
    say(`round ${index + 1} of ${scenario.rounds.length}: ${tasks.length} tasks`);
    let ended = 0;
    const onOutcome = (outcome: TaskOutcome) =>
      say(`${(++ended).toString().padStart(3)}/${tasks.length} ${describe(outcome)}`);
    const onAskedAgain = ({ by, spec }: ScenarioTask, reason: string) =>
      say(`        ${by}: ${spec.title} — ${reason}; asked again, with twice the time`);
    outcomes.push(...(await fleet.run(tasks, { onOutcome, onAskedAgain })));
  }
  if (finalized.length === 0) await finalize();
  return { outcomes, finalized };
}

/** Topics in which a deal moved local trust. @throws SuretyError DEVNET_NO_DEALS */
function movedTopics(outcomes: readonly TaskOutcome[], dir: string): bigint[] {
  const moving = outcomes.filter(({ state, rating = 0 }) => state === "refunded" || rating !== 0);
  const topics = new Set(moving.map(({ task }) => topicIdOf(task.spec.topic)));
  if (topics.size > 0) return [...topics];
  throw new SuretyError("DEVNET_NO_DEALS", "No task became a deal that moved local trust.", {
    values: { dir },
    next: `Read the nodes' logs, ${join(dir, "node-*.log")}.`,
  });
}

/** For the other commands, as long as the network runs; the token opens the nodes' interfaces. */
function writeEndpoints(dir: string, endpoints: Record<string, string>): void {
  writeFileSync(join(dir, "endpoints.json"), `${JSON.stringify(endpoints, null, 2)}\n`, { mode: 0o600 });
}

function describe({ task, state, provider, priceWei, rating, reason }: TaskOutcome): string {
  const what = `${task.by}: ${task.spec.title}`;
  if (state === "failed") return `${what} — failed: ${reason}`;
  const price = `${Number(priceWei) / 1_000_000} tUSD`;
  return `${what} — ${state} with ${provider} for ${price}${rating ? `, rated ${rating}` : ""}`;
}
