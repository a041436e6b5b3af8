import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gql, request } from "graphql-request";
import hre from "hardhat";
import { createPublicClient, http, type PublicClient } from "viem";
import { SuretyError, topicIdOf, trustLedgerAbi, type Deployment } from "#protocol";
import { createIndexer, type Indexer } from "../../indexer/index.ts";
import { exportBundle } from "../audit/export.ts";
import { readBundle, writeBundle } from "../audit/bundle.ts";
import { runChecks } from "../audit/checks.ts";
import { readFinalizedTopic, type FinalizedTopic } from "../audit/score.ts";
import { verifyBundle } from "../audit/verify-bundle.ts";
import { BatchSender } from "../cli/batch.ts";
import { deploySurety } from "../deploy.ts";
import type { Scenario, ScenarioAgent, ScenarioTask, TaskOutcome } from "../scenarios/scenario.ts";
import { agentAccount } from "./accounts.ts";
import { buildContracts, startLocalChain } from "./chain.ts";
import { spawnNode, type NodeProcess, type ReadyAgent } from "./child.ts";
import { NodeClient, type NodeStatus, type TaskReport } from "./node-client.ts";
import { provisionAgents, type LocalAgent } from "./provision.ts";

/** Seconds of an epoch on the local network: long enough to compute and challenge, short enough to watch. */
const EPOCH_LENGTH_S = 10n;
const UNBONDING_DELAY_S = 60n;
const PUBLISHER_BOND_WEI = 100_000_000n;
/** Epochs to wait for a finalized one: committing may miss the window of an epoch on a busy machine. */
const MAX_EPOCHS_TO_WAIT = 6n;
const POLL_MS = 250;

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
  readonly deployment: Deployment;
  readonly summary: DevnetSummary;
  /** Stops every process, the indexer and the chain. */
  stop(): Promise<void>;
}

/** Starts chain, contracts, indexer and nodes, and runs a scenario on them. Whatever fails, nothing is left behind. */
export async function startDevnet(options: DevnetOptions): Promise<Devnet> {
  const devnet = new RunningDevnet(options);
  try {
    await devnet.start();
    return devnet;
  } catch (error) {
    await devnet.stop();
    throw error;
  }
}

class RunningDevnet implements Devnet {
  readonly #options: DevnetOptions;
  readonly #startedAt = performance.now();
  readonly #stops: (() => Promise<void>)[] = [];
  readonly #token = randomBytes(32).toString("hex");
  #nodes: NodeProcess[] = [];
  #chain: { rpcUrl: string; client: PublicClient; deployment: Deployment } | undefined;
  #indexer: Indexer | undefined;
  #summary: DevnetSummary | undefined;

  constructor(options: DevnetOptions) {
    this.#options = options;
  }

  get rpcUrl(): string {
    return this.#ready.rpcUrl;
  }
  get deployment(): Deployment {
    return this.#ready.deployment;
  }
  get graphqlUrl(): string {
    return started(this.#indexer).graphqlUrl;
  }
  get summary(): DevnetSummary {
    return started(this.#summary);
  }
  get #ready() {
    return started(this.#chain);
  }

  async start(): Promise<void> {
    const { dir, scenario, signal } = this.#options;
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir, { recursive: true });
    await this.#startChain();
    const agents = await this.#provision();
    await this.#startIndexer();
    await this.#startNodes(agents);
    const outcomes: TaskOutcome[] = [];
    let finalized: FinalizedTopic[] = [];
    for (const [index, tasks] of scenario.rounds.entries()) {
      if (index > 0) finalized = await this.#awaitFinalized(outcomes);
      this.#say(`round ${index + 1} of ${scenario.rounds.length}: ${tasks.length} tasks`);
      outcomes.push(...(await this.#runRound(tasks, agents)));
    }
    if (finalized.length === 0) finalized = await this.#awaitFinalized(outcomes);
    signal.throwIfAborted();
    this.#summary = await this.#summarize(agents, outcomes, finalized);
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.reverse()) await stop();
    this.#stops.length = 0;
  }

  #say(line: string): void {
    this.#options.progress(`${((performance.now() - this.#startedAt) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  }

  async #startChain(): Promise<void> {
    this.#say("compiling the contracts");
    await buildContracts();
    const chain = await startLocalChain();
    this.#stops.push(() => chain.stop());
    this.#say(`chain at ${chain.rpcUrl}; deploying`);
    const connection = await hre.network.create({ network: "localhost", override: { url: chain.rpcUrl } });
    try {
      const deployment = await deploySurety({
        connection,
        deploymentDir: this.#options.dir,
        signal: this.#options.signal,
        parameters: {
          epochLengthSeconds: EPOCH_LENGTH_S,
          unbondingDelaySeconds: UNBONDING_DELAY_S,
          publisherBondWei: PUBLISHER_BOND_WEI,
        },
      });
      const client = createPublicClient({ transport: http(chain.rpcUrl), cacheTime: 0 });
      this.#chain = { rpcUrl: chain.rpcUrl, client, deployment };
    } finally {
      await connection.close();
    }
  }

  async #provision(): Promise<Map<string, LocalAgent>> {
    const { scenario, signal } = this.#options;
    const { client, deployment, rpcUrl } = this.#ready;
    this.#say(`registering ${scenario.agents.length} agents with their log signers and stakes`);
    const endowments = scenario.agents.map(({ tokens, stake }, index) => ({
      account: agentAccount(index),
      uri: "",
      tokens,
      stake,
    }));
    const { timestamp } = await client.getBlock();
    const sender = new BatchSender(rpcUrl, deployment.chainId);
    const agents = await provisionAgents(sender, deployment, endowments, { now: Number(timestamp), signal });
    return new Map(scenario.agents.map(({ name }, index) => [name, agents[index] as LocalAgent]));
  }

  async #startIndexer(): Promise<void> {
    const { client, deployment, rpcUrl } = this.#ready;
    const indexer = createIndexer({
      client,
      deployment,
      store: { folder: this.#options.dir },
      pollIntervalMs: POLL_MS,
    });
    await indexer.start();
    this.#stops.push(() => indexer.stop());
    this.#indexer = indexer;
    this.#say(`GraphQL at ${indexer.graphqlUrl}`);
    const endpoints = { rpcUrl, graphqlUrl: indexer.graphqlUrl };
    writeFileSync(join(this.#options.dir, "endpoints.json"), `${JSON.stringify(endpoints, null, 2)}\n`);
  }

  async #startNodes(agents: ReadonlyMap<string, LocalAgent>): Promise<void> {
    const { scenario, signal } = this.#options;
    const processes = Map.groupBy(scenario.agents, ({ process }) => process);
    this.#say(`starting ${scenario.agents.length} agents in ${processes.size} processes`);
    this.#stops.push(async () => {
      await Promise.all(this.#nodes.map((node) => node.stop()));
    });
    const spawn = async ([id, members]: readonly [number, ScenarioAgent[]], bootstrap: readonly string[]) => {
      const config = this.#writeConfig(id, members, agents, bootstrap);
      this.#nodes.push(await spawnNode(config, join(this.#options.dir, `node-${id}.log`), signal));
    };
    const [first, ...others] = processes;
    if (first === undefined) throw new Error("the scenario has no agents");
    await spawn(first, []);
    // The others dial the first one; from then on they hear of each other, and dial whom they deal with.
    const bootstrap = this.#nodes.flatMap((node) => node.agents.slice(0, 1).flatMap((agent) => agent.addresses));
    await Promise.all(others.map((entry) => spawn(entry, bootstrap)));
    const ready = this.#nodes.flatMap((node) => node.agents);
    const offers = scenario.agents.filter(({ name }) => !scenario.rounds.flat().some(({ by }) => by === name)).length;
    await Promise.all(
      ready.map((agent) => this.#clientOf(agent).until<NodeStatus>("/status", (s) => s.declarations >= offers, signal)),
    );
    this.#say(`every agent has heard of all ${offers} offers`);
    const { apiUrl: nodeUrl } = started(ready[0]);
    const endpoints = {
      rpcUrl: this.rpcUrl,
      graphqlUrl: this.graphqlUrl,
      nodeUrl,
      nodeToken: this.#token,
    };
    writeFileSync(join(this.#options.dir, "endpoints.json"), `${JSON.stringify(endpoints, null, 2)}\n`, {
      mode: 0o600,
    });
  }

  #writeConfig(
    id: number,
    members: readonly ScenarioAgent[],
    agents: ReadonlyMap<string, LocalAgent>,
    bootstrap: readonly string[],
  ): string {
    const { dir } = this.#options;
    const path = join(dir, `node-${id}.json`);
    const entries = members.map(({ name, application, roles }) => {
      const keyFile = join(dir, `${name}.key`);
      writeFileSync(keyFile, `${agents.get(name)?.key}\n`, { mode: 0o600 });
      return { name, keyFile, application, roles, bootstrap };
    });
    const { rpcUrl } = this.#ready;
    const config = {
      ...{ rpcUrl, graphqlUrl: this.graphqlUrl, deploymentFile: join(dir, "deployment.json") },
      ...{ dataDir: join(dir, `node-${id}`), apiToken: this.#token, agents: entries },
    };
    writeFileSync(path, JSON.stringify(config, null, 2), { mode: 0o600 });
    return path;
  }

  #clientOf(agent: ReadyAgent): NodeClient {
    return new NodeClient(agent, this.#token);
  }

  async #runRound(tasks: readonly ScenarioTask[], agents: ReadonlyMap<string, LocalAgent>): Promise<TaskOutcome[]> {
    const { signal } = this.#options;
    const names = new Map([...agents].map(([name, { agentId }]) => [agentId.toString(), name]));
    const ready = new Map(this.#nodes.flatMap((node) => node.agents.map((agent) => [agent.name, agent] as const)));
    let ended = 0;
    return Promise.all(
      tasks.map(async (task) => {
        const agent = ready.get(task.by);
        if (agent === undefined) throw new Error(`the scenario has no agent ${task.by}`);
        const client = this.#clientOf(agent);
        const { by: _, ...request } = task;
        const { id } = await client.ask<{ id: string }>("/tasks", signal, request);
        const isDone = ({ state }: TaskReport) => !["searching", "negotiating", "settling"].includes(state);
        const report = await client.until<TaskReport>(`/tasks/${id}`, isDone, signal);
        const outcome = outcomeOf(task, report, names);
        this.#say(`${(++ended).toString().padStart(3)}/${tasks.length} ${describe(outcome)}`);
        return outcome;
      }),
    );
  }

  /** Waits until an epoch that closed after now is finalized for every topic in which a deal moved local trust. */
  async #awaitFinalized(outcomes: readonly TaskOutcome[]): Promise<FinalizedTopic[]> {
    const { client, deployment } = this.#ready;
    const { signal } = this.#options;
    const moving = outcomes.filter(({ state, rating = 0 }) => state === "refunded" || rating !== 0);
    const names = [...new Set(moving.map(({ task }) => task.spec.topic))];
    if (names.length === 0) throw noDeals(this.#options.dir);
    const genesis = await this.#clockGenesis();
    const epochAt = async () => ((await client.getBlock()).timestamp - genesis) / EPOCH_LENGTH_S + 1n;
    const first = await epochAt();
    this.#say(`waiting for epoch ${first} to close, be committed, watched and finalized`);
    const latest = async () => {
      const blockNumber = await client.getBlockNumber();
      const topics = names.map((topic) => readFinalizedTopic(client, deployment, topicIdOf(topic), blockNumber));
      return (await Promise.all(topics)).filter((topic) => topic !== undefined && BigInt(topic.epoch) >= first);
    };
    for (;;) {
      const topics = (await latest()) as FinalizedTopic[];
      if (topics.length === names.length) {
        this.#say(`epoch ${topics[0]?.epoch} is finalized for ${topics.length} topics`);
        return topics;
      }
      if ((await epochAt()) > first + MAX_EPOCHS_TO_WAIT) {
        throw new SuretyError("DEVNET_NOT_FINALIZED", `No epoch from ${first} on was finalized.`, {
          values: { first, dir: this.#options.dir },
          next: `Read the publisher's log, ${join(this.#options.dir, "node-0.log")}.`,
        });
      }
      await sleep(POLL_MS, undefined, { signal });
    }
  }

  async #clockGenesis(): Promise<bigint> {
    const { client, deployment } = this.#ready;
    return client.readContract({
      abi: trustLedgerAbi,
      address: deployment.contracts.trustLedger,
      functionName: "genesis",
    });
  }

  async #summarize(
    agents: ReadonlyMap<string, LocalAgent>,
    outcomes: readonly TaskOutcome[],
    finalized: readonly FinalizedTopic[],
  ): Promise<DevnetSummary> {
    const { scenario, signal } = this.#options;
    const indexer = started(this.#indexer);
    await indexer.reached({ number: Number(await this.#ready.client.getBlockNumber()) }, signal);
    const audited = await this.#audit(agents);
    return {
      scenario: scenario.name,
      agents: agents.size,
      processes: this.#nodes.length,
      outcomes,
      figures: scenario.summarize(outcomes),
      finalized: finalized.map(({ topic, epoch, root, leafCount }) => ({
        topic: scenario.topics.find((name) => topicIdOf(name) === topic) ?? topic.toString(),
        ...{ epoch, root, leafCount },
      })),
      indexed: await this.#countIndexed(),
      audited,
      isOk: audited.isOk && outcomes.every(({ state }) => state !== "failed"),
      seconds: Math.round((performance.now() - this.#startedAt) / 1000),
    };
  }

  /** Exports every agent's bundle and checks it offline against its block hash. */
  async #audit(agents: ReadonlyMap<string, LocalAgent>): Promise<DevnetSummary["audited"]> {
    const { client, deployment } = this.#ready;
    for (const [name, { agentId }] of agents) {
      const { bundle, blockHash } = await exportBundle(client, deployment, agentId);
      const text = writeBundle(bundle);
      writeFileSync(join(this.#options.dir, `${name}.bundle.json`), text);
      const read = readBundle(text);
      if (read.kind !== "accept") return { agents: agents.size, isOk: false };
      const verdict = await runChecks(name, verifyBundle(read.value, blockHash));
      if (!verdict.isOk) return { agents: agents.size, isOk: false };
    }
    this.#say(`audited ${agents.size} agents offline, each from one block hash`);
    return { agents: agents.size, isOk: true };
  }

  async #countIndexed(): Promise<DevnetSummary["indexed"]> {
    const query = gql`
      {
        deals(first: 1000) {
          id
        }
        agents(first: 1000) {
          id
        }
      }
    `;
    const { deals, agents } = await request<{ deals: unknown[]; agents: unknown[] }>(this.graphqlUrl, query);
    return { deals: deals.length, agents: agents.length };
  }
}

function noDeals(dir: string): SuretyError {
  return new SuretyError("DEVNET_NO_DEALS", "No task became a deal that moved local trust.", {
    values: { dir },
    next: `Read the nodes' logs, ${join(dir, "node-*.log")}.`,
  });
}

function started<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the local network is not started");
  return value;
}

function outcomeOf(task: ScenarioTask, report: TaskReport, names: ReadonlyMap<string, string>): TaskOutcome {
  const { state, reason, providerAgentId, dealId, priceWei, rating } = report;
  return {
    task,
    state: state as TaskOutcome["state"],
    ...{ reason, dealId, rating },
    provider: providerAgentId === undefined ? undefined : names.get(providerAgentId),
    priceWei: priceWei === undefined ? undefined : BigInt(priceWei),
  };
}

function describe({ task, state, provider, priceWei, rating, reason }: TaskOutcome): string {
  const what = `${task.by}: ${task.spec.title}`;
  if (state === "failed") return `${what} — failed: ${reason}`;
  const price = `${Number(priceWei) / 1_000_000} tUSD`;
  const rated = rating === undefined ? "" : `, rated ${rating}`;
  return `${what} — ${state} with ${provider} for ${price}${rated}`;
}
