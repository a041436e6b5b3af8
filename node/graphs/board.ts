import type { Hex } from "viem";
import { contentHashOf, rootOfShares, SuretyError } from "#protocol";
import {
  checkGraph,
  createGraphProgress,
  isComplete,
  isFinished,
  reduceGraph,
  type GraphEffect,
  type GraphEvent,
  type GraphProgress,
} from "../negotiation/task-graph.ts";
import type { Settlement } from "../settlement/driver.ts";
import type { Store } from "../store/port.ts";
import { decodeRecord, encodeRecord } from "../store/records.ts";
import type { TaskRequest } from "../task-request.ts";
import type { Task, TaskBoard } from "../tasks.ts";
import { fillInput, referencesOf } from "./inputs.ts";
import type { Graph, GraphRequest, GraphState, RewardShare, SubtaskRequest } from "./port.ts";
import { attributeGraph, chainOf, rewardTaskOf } from "./reward.ts";

export interface GraphBoardOptions {
  readonly store: Store;
  readonly tasks: TaskBoard;
  readonly settlement: Pick<Settlement, "evidenceOf">;
  readonly createId: () => string;
  readonly onFault: (fault: unknown) => void;
}

/** Graphs that are followed at once; each is looked through when any task changes. */
const MAX_RUNNING = 64;

const migrations = [
  `CREATE TABLE graphs_graph (
    id TEXT PRIMARY KEY, request TEXT NOT NULL, state TEXT NOT NULL, progress TEXT NOT NULL, shares TEXT NOT NULL
  ) STRICT`,
  // attempt 0 of the empty name is the reward.
  `CREATE TABLE graphs_task (
    graph TEXT NOT NULL, name TEXT NOT NULL, attempt INTEGER NOT NULL, task TEXT NOT NULL UNIQUE,
    PRIMARY KEY (graph, name, attempt)
  ) WITHOUT ROWID, STRICT`,
];

interface Row {
  readonly id: string;
  readonly request: string;
  readonly state: GraphState;
  readonly progress: string;
  readonly shares: string;
}

/** Name of the reward among a graph's tasks: no subtask has an empty one. */
const REWARD = "";

/**
 * Graphs of tasks, each seen through from its first call to the joint reward. Every step is on disk before it is taken, and
 * follows from what the task board says: after a restart the same look at the same tasks takes up where it was.
 */
export class GraphBoard {
  readonly #options: GraphBoardOptions;
  #stopListening: (() => void) | undefined;
  #isLooking = false;
  #isDue = false;

  constructor(options: GraphBoardOptions) {
    this.#options = options;
    options.store.migrate("graphs", migrations);
  }

  start(): void {
    this.#stopListening = this.#options.tasks.onChange(() => this.#look());
    this.#look();
  }

  stop(): void {
    this.#stopListening?.();
    this.#stopListening = undefined;
  }

  /** @throws SuretyError GRAPH_INVALID, GRAPHS_BUSY */
  add(request: GraphRequest): Graph {
    const checked = checkGraph(request.subtasks);
    const fault = checked.kind === "accept" ? faultOfInputs(request) : `${checked.code}: ${checked.detail}`;
    if (fault !== undefined) {
      throw new SuretyError("GRAPH_INVALID", `This is no graph of tasks: ${fault}.`, {
        values: { fault },
        next: "Correct the names and needs of the subtasks.",
      });
    }
    if (this.#running().length >= MAX_RUNNING) {
      throw new SuretyError("GRAPHS_BUSY", `${MAX_RUNNING} graphs are under way already.`, {
        next: "Wait until some of them have ended.",
        isRetryable: true,
      });
    }
    const id = this.#options.createId();
    const shape = request.subtasks.map(({ name, needs }) => ({ name, needs }));
    const [progress] = reduceGraph(createGraphProgress(shape, request.maxAttempts), { kind: "start" });
    this.#options.store
      .prepare("INSERT INTO graphs_graph (id, request, state, progress, shares) VALUES (?, ?, 'running', ?, '[]')")
      .run(id, encodeRecord(request), encodeRecord(progress));
    this.#look();
    return this.get(id) as Graph;
  }

  get(id: string): Graph | undefined {
    const row = this.#options.store.prepare<Row>("SELECT * FROM graphs_graph WHERE id = ?").get(id);
    return row && this.#graphOf(row);
  }

  #running(): Graph[] {
    const sql = "SELECT * FROM graphs_graph WHERE state IN ('running', 'rewarding') ORDER BY rowid";
    return this.#options.store
      .prepare<Row>(sql)
      .all()
      .map((row) => this.#graphOf(row));
  }

  #graphOf({ id, request, state, progress, shares }: Row): Graph {
    const named = decodeRecord<RewardShare[]>(shares);
    const reward = this.#taskOf(id, REWARD, 0);
    return {
      ...{ id, state, shares: named },
      request: decodeRecord<GraphRequest>(request),
      progress: decodeRecord<GraphProgress>(progress),
      splitsRoot: named.length === 0 ? undefined : rootOfShares(named),
      rewardTaskId: reward?.id,
      rewardState: reward?.state,
    };
  }

  /** Looks through every running graph; a change that comes meanwhile, its own tasks' included, is looked at afterwards. */
  #look(): void {
    this.#isDue = true;
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      while (this.#isDue) {
        this.#isDue = false;
        for (const graph of this.#running()) this.#advance(graph);
      }
    } catch (fault) {
      this.#options.onFault(fault);
    } finally {
      this.#isLooking = false;
    }
  }

  #advance(graph: Graph): void {
    if (graph.state === "rewarding") return this.#awaitReward(graph);
    let { progress } = graph;
    for (const event of graph.request.subtasks.flatMap(({ name }) => this.#eventsOf(graph, name))) {
      [progress] = reduceGraph(progress, event);
    }
    if (progress !== graph.progress) this.#save(graph.id, "running", progress);
    const current = { ...graph, progress };
    for (const call of callsOf(current)) this.#call(current, call);
    if (isFinished(progress)) this.#finish(current);
  }

  /** What the task of a subtask's last call says that the graph does not know yet. */
  #eventsOf({ id, progress }: Graph, name: string): GraphEvent[] {
    const state = progress.states[name];
    if (state?.kind !== "calling" && state?.kind !== "working") return [];
    const task = this.#taskOf(id, name, state.attempts);
    if (task === undefined) return [];
    const { dealId, providerAgentId, reason } = task;
    if (dealId === undefined || providerAgentId === undefined) {
      return isOver(task) ? [{ kind: "unanswered", name, code: reason ?? task.state }] : [];
    }
    const awarded: GraphEvent = { kind: "awarded", name, providerAgentId, dealId };
    if (!isOver(task)) return [awarded];
    if (task.state !== "settled" || (task.rating ?? 0) < 0) return [awarded, { kind: "undelivered", name, dealId }];
    return [awarded, { kind: "delivered", name, dealId, deliverableHash: contentHashOf(this.#deliverableOf(dealId)) }];
  }

  #deliverableOf(dealId: Hex): Uint8Array {
    return this.#options.settlement.evidenceOf(dealId).deliverable;
  }

  /** Makes a call, unless it was made: the task and the note of it are one transaction. */
  #call(graph: Graph, { name, attempt, passedOver }: Extract<GraphEffect, { kind: "call" }>): void {
    if (this.#taskOf(graph.id, name, attempt) !== undefined) return;
    const subtask = graph.request.subtasks.find((candidate) => candidate.name === name) as SubtaskRequest;
    const { task } = subtask;
    const input = fillInput(task.spec.input, (need) => this.#deliverableOf(dealOf(graph.progress, need)));
    const excludedAgentIds = [...(task.excludedAgentIds ?? []), ...passedOver];
    const request = { ...task, spec: { ...task.spec, input }, excludedAgentIds };
    const code = this.#add(graph.id, name, attempt, request);
    if (code === undefined) return;
    const [progress] = reduceGraph(graph.progress, { kind: "unanswered", name, code });
    this.#save(graph.id, "running", progress);
    this.#isDue = true;
  }

  /** @returns why the task can never be added; one that cannot be added now is tried again with the next change */
  #add(graphId: string, name: string, attempt: number, request: TaskRequest): string | undefined {
    try {
      this.#options.tasks.add(request, (task) => {
        this.#options.store
          .prepare("INSERT INTO graphs_task (graph, name, attempt, task) VALUES (?, ?, ?, ?)")
          .run(graphId, name, attempt, task);
      });
      return undefined;
    } catch (fault) {
      if (!(fault instanceof SuretyError)) throw fault;
      return fault.isRetryable ? undefined : fault.code;
    }
  }

  #finish(graph: Graph): void {
    const { id, request, progress } = graph;
    if (!isComplete(progress)) return this.#save(id, "incomplete", progress);
    const shares = attributeGraph(request, (name) => {
      const { deal, provider } = this.#options.settlement.evidenceOf(dealOf(progress, name));
      return { agentId: deal.providerAgentId, account: provider.signer };
    });
    this.#save(id, request.rewardWei > 0n ? "rewarding" : "complete", progress, shares);
    this.#isDue = true;
  }

  #awaitReward({ id, request, progress, shares }: Graph): void {
    const task = this.#taskOf(id, REWARD, 0);
    if (task === undefined) {
      const code = this.#add(id, REWARD, 0, rewardTaskOf(id, request, progress, shares));
      if (code !== undefined) throw new Error(`the reward of graph ${id} was refused: ${code}`);
    } else if (isOver(task)) this.#save(id, "complete", progress, shares);
  }

  #taskOf(graphId: string, name: string, attempt: number): Task | undefined {
    const { store, tasks } = this.#options;
    const sql = "SELECT task FROM graphs_task WHERE graph = ? AND name = ? AND attempt = ?";
    const row = store.prepare<{ task: string }>(sql).get(graphId, name, attempt);
    return row && tasks.get(row.task);
  }

  #save(id: string, state: GraphState, progress: GraphProgress, shares: readonly RewardShare[] = []): void {
    this.#options.store
      .prepare("UPDATE graphs_graph SET state = ?, progress = ?, shares = ? WHERE id = ?")
      .run(state, encodeRecord(progress), encodeRecord(shares), id);
  }
}

/** Every call that the progress stands at, made or not. */
function callsOf({ progress }: Graph): Extract<GraphEffect, { kind: "call" }>[] {
  return Object.entries(progress.states).flatMap(([name, state]) =>
    state.kind === "calling"
      ? [{ kind: "call", name, attempt: state.attempts, inputs: [], passedOver: state.passedOver }]
      : [],
  );
}

function dealOf({ states }: GraphProgress, name: string): Hex {
  const state = states[name];
  if (state?.kind !== "done") throw new Error(`subtask ${name} is ${state?.kind}, not done`);
  return state.dealId;
}

const isOver = ({ state }: Task): boolean => !["searching", "negotiating", "settling"].includes(state);

function faultOfInputs({ subtasks, maxAttempts }: GraphRequest): string | undefined {
  if (maxAttempts < 1) return "a subtask is never called";
  for (const { name, task } of subtasks) {
    const unmet = referencesOf(task.spec.input).find(
      (need) => need === name || !chainOf(name, subtasks).includes(need),
    );
    if (unmet !== undefined) return `${name} reads the deliverable of ${unmet}, which it does not need`;
  }
  return undefined;
}
