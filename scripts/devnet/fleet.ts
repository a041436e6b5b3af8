import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { SuretyError } from "#protocol";
import { withPatience } from "../scenarios/patience.ts";
import type { Scenario, ScenarioAgent, ScenarioTask, TaskOutcome } from "../scenarios/scenario.ts";
import { bindingPath } from "./commit.ts";
import { spawnNode, type NodeProcess, type ReadyAgent } from "./child.ts";
import { NodeClient, type NodeStatus, type TaskReport } from "./node-client.ts";
import type { LocalAgent } from "./provision.ts";

export interface FleetOptions {
  /** Holds deployment.json; configurations, keys, stores and logs of the nodes go here. */
  readonly dir: string;
  readonly rpcUrl: string;
  readonly graphqlUrl: string;
  readonly scenario: Scenario;
  readonly agents: ReadonlyMap<string, LocalAgent>;
  readonly signal: AbortSignal;
}

/** What a client of the local network may spend: a task, and a day, in the test token's smallest unit. */
const CLIENT_SPENDING = { maxPriceWei: "10000000", budgetWei: "100000000" };

/** Hearing of each other takes seconds; after this the network is broken, not slow. */
const CONVERGENCE_LIMIT_MS = 120_000;

/** A machine that does other work besides is several times slower than the times of a scenario allow for. */
const MAX_ASKED_AGAIN = 2;

/** Who wants to see how tasks go. */
export interface TaskWatch {
  onAskedAgain(task: ScenarioTask, reason: string): void;
  onOutcome(outcome: TaskOutcome): void;
}

/** The node processes of a local network. */
export class NodeFleet {
  /** Bearer token of every node's local interface. */
  readonly token = randomBytes(32).toString("hex");
  /** Token of the client that may have the first buyer's agent work for it. */
  readonly clientToken = randomBytes(32).toString("hex");
  readonly #options: FleetOptions;
  readonly #nodes: NodeProcess[] = [];
  readonly #agents = new Map<string, ReadyAgent>();

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  get #names(): ReadonlyMap<string, string> {
    return new Map([...this.#options.agents].map(([name, { agentId }]) => [agentId.toString(), name]));
  }

  get processCount(): number {
    return this.#nodes.length;
  }

  /** Local interface of the first agent, for people who ask the network something. */
  get firstUrl(): string {
    const [first] = this.#agents.values();
    if (first === undefined) throw new Error("the network has no node yet");
    return first.apiUrl;
  }

  /** Local interface of the first agent that buys: what MCP and A2A clients use. */
  get clientUrl(): string {
    const buyer = this.#agents.get(this.#firstBuyer());
    return buyer?.apiUrl ?? this.firstUrl;
  }

  /** Starts every process and waits until each agent has heard of all offers. If one fails, all are stopped. */
  async start(): Promise<void> {
    const { scenario } = this.#options;
    const [first, ...others] = Map.groupBy(scenario.agents, ({ process }) => process);
    if (first === undefined) throw new Error("the scenario has no agents");
    await this.#spawn([first], []);
    // The others dial the first one; from then on they hear of each other, and dial whom they deal with.
    await this.#spawn(
      others,
      [...this.#agents.values()].slice(0, 1).flatMap(({ addresses }) => addresses),
    );
  }

  /** @returns the number of offers, once every agent has heard of all of them @throws SuretyError DEVNET_NOT_CONVERGED */
  async awaitOffers(): Promise<number> {
    const { scenario, signal } = this.#options;
    const buyers = new Set(scenario.rounds.flat().map(({ by }) => by));
    const offers = scenario.agents.filter(({ name }) => !buyers.has(name)).length;
    const hasAll = ({ declarations }: NodeStatus) => declarations >= offers;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(CONVERGENCE_LIMIT_MS)]);
    // One after the other: asking 40 agents five times a second kept two cores from the work that was waited for.
    for (const name of this.#agents.keys()) {
      await this.#clientOf(name)
        .until("/status", hasAll, limit)
        .catch((cause: unknown) => {
          signal.throwIfAborted();
          throw limit.aborted ? notConverged(name, offers, this.#options.dir, cause) : cause;
        });
    }
    return offers;
  }

  /**
   * Has tasks done side by side. One to which nobody came in time is asked again, with twice the time.
   * @param watch told of each that is asked again, and of each as it ends
   */
  async run(tasks: readonly ScenarioTask[], watch: TaskWatch): Promise<TaskOutcome[]> {
    return Promise.all(
      tasks.map(async (task) => {
        let report = await this.#ask(task);
        for (let again = 1; again <= MAX_ASKED_AGAIN && isUntimely(report); again++) {
          watch.onAskedAgain(task, report.reason ?? "");
          report = await this.#ask(withPatience(task, 2 ** again));
        }
        const outcome = outcomeOf(task, report, this.#names);
        watch.onOutcome(outcome);
        return outcome;
      }),
    );
  }

  /** Has one task done, and waits for its end. */
  async #ask({ by, ...request }: ScenarioTask): Promise<TaskReport> {
    const { signal } = this.#options;
    const client = this.#clientOf(by);
    const { id } = await client.ask<{ id: string }>("/tasks", signal, request);
    const isDone = ({ state }: TaskReport) => !["searching", "negotiating", "settling"].includes(state);
    return client.until<TaskReport>(`/tasks/${id}`, isDone, signal);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.stop()));
  }

  /** All or none: a process that fails takes those with it that are still starting. */
  async #spawn(processes: readonly [number, ScenarioAgent[]][], bootstrap: readonly string[]): Promise<void> {
    const failing = new AbortController();
    const signal = AbortSignal.any([this.#options.signal, failing.signal]);
    const started = await Promise.allSettled(
      processes.map(async ([id, members]) => {
        const config = this.#writeConfig(id, members, bootstrap);
        const logPath = join(this.#options.dir, `node-${id}.log`);
        const node = await spawnNode(config, logPath, signal).catch((error: unknown) => {
          failing.abort(error);
          throw error;
        });
        this.#nodes.push(node);
        for (const agent of node.agents) this.#agents.set(agent.name, agent);
      }),
    );
    const failed = started.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  #firstBuyer(): string {
    return this.#options.scenario.rounds[0]?.[0]?.by ?? "";
  }

  #clientOf(name: string): NodeClient {
    const agent = this.#agents.get(name);
    if (agent === undefined) throw new Error(`the network has no agent ${name}`);
    return new NodeClient(agent, this.token);
  }

  /** @returns path of the configuration */
  #writeConfig(id: number, members: readonly ScenarioAgent[], bootstrap: readonly string[]): string {
    const { dir, rpcUrl, graphqlUrl, agents } = this.#options;
    const entries = members.map(({ name, application, roles }) => {
      const keyFile = join(dir, `${name}.key`);
      writeFileSync(keyFile, `${agents.get(name)?.key}\n`, { mode: 0o600 });
      const entry = { name, keyFile, application, roles, bootstrap, binding: bindingPath(dir, name) };
      if (name !== this.#firstBuyer()) return entry;
      const tokenFile = join(dir, "client.token");
      writeFileSync(tokenFile, `${this.clientToken}\n`, { mode: 0o600 });
      return { ...entry, clients: [{ name: "client", tokenFile, spending: CLIENT_SPENDING }] };
    });
    const config = {
      ...{ rpcUrl, graphqlUrl, deploymentFile: join(dir, "deployment.json"), dataDir: join(dir, `node-${id}`) },
      ...{ apiToken: this.token, agents: entries },
    };
    const path = join(dir, `node-${id}.json`);
    writeFileSync(path, JSON.stringify(config, null, 2), { mode: 0o600 });
    return path;
  }
}

/** Nobody bid, agreed or funded while it counted: no deal was opened, and more time may bring one. */
const isUntimely = ({ state, reason = "" }: TaskReport): boolean =>
  state === "failed" && ["NO_BIDS", "ALL_WINNERS_FAILED", "Expired"].includes(reason);

function notConverged(name: string, offers: number, dir: string, cause: unknown): SuretyError {
  return new SuretyError("DEVNET_NOT_CONVERGED", `${name} has not heard of all ${offers} offers.`, {
    values: { name, offers },
    next: `Read the nodes' logs, ${join(dir, "node-*.log")}.`,
    cause,
  });
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
