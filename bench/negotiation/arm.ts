import { setTimeout } from "node:timers/promises";
import { hexToBytes } from "viem";
import { contentHashOf } from "#protocol";
import type { Invitee } from "../../node/negotiation/port.ts";
import {
  createGraphProgress,
  reduceGraph,
  type GraphEffect,
  type GraphEvent,
} from "../../node/negotiation/task-graph.ts";
import type { Fleet } from "./fleet.ts";
import { DOOMED, perform, PERFORM_PROTOCOL, SKILLS, skillOf } from "./follower.ts";
import type { Party } from "./party.ts";
import { createRequest, createRules, RESERVE } from "./request.ts";

/** Eight clients keep below what one peer may send another in a minute (MAX_MESSAGES_PER_PEER_PER_MINUTE). */
export const CLIENTS = 8;
export const WORKERS = 16;
/** A skill that no worker has. */
export const NO_SKILL = SKILLS + 1;
/** From one start of a client's tasks to the next: a follower hears of a quarter of them. */
const PACE_MS = 250;
const MAX_ATTEMPTS = 6;
/** Who finds nobody able alive looks again, as a search in the index would: a dead worker is back in a second or two. */
const LOOK_AGAIN_MS = 100;
const MAX_LOOKS = 600;
/** Work takes milliseconds; a worker that is killed at it closes its connection at once. */
const WORK_TIMEOUT_MS = 60_000;
/** Whoever is dead is known by its connection; a loaded machine may take this long to open a bid. */
const REVEAL_WITHIN_MS = 30_000;
/** A worker can be killed while it starts, too; one that dies so often in a row has another fault. */
const MAX_REVIVALS = 20;
const REPORT_EVERY_MS = 10_000;
const NAME = "task";
type Call = Extract<GraphEffect, { kind: "call" }>;

/** `ours` calls all who are able; `central` assigns to the cheapest on its list, once. */
export type Method = "ours" | "central";

export interface Task {
  readonly skill: number;
  readonly reservePrice: bigint;
  /** Whoever works on it first is killed halfway. */
  readonly isDoomed: boolean;
}

/** What can be done at all: what an oracle, which knows skills and prices, would assign. */
export const isFeasible = ({ skill, reservePrice }: Task): boolean => skill !== NO_SKILL && reservePrice === RESERVE;

/** One way to assign tasks, over workers that are started again whenever they die. */
export class Arm {
  kills = 0;
  /** Why feasible tasks came to nothing. */
  readonly failures: string[] = [];
  readonly #fleet: Fleet;
  readonly #method: Method;
  readonly #rules = createRules(true, REVEAL_WITHIN_MS);
  readonly #workers = Array.from({ length: WORKERS }, (_, k) => CLIENTS + k);
  readonly #ending = Promise.withResolvers<undefined>();
  readonly #supervisors: readonly Promise<void>[];
  readonly #signal: AbortSignal;

  /** @param signal ends what is under way */
  constructor(fleet: Fleet, method: Method, signal: AbortSignal) {
    this.#fleet = fleet;
    this.#method = method;
    this.#signal = AbortSignal.any([signal, fleet.signal]);
    this.#supervisors = this.#workers.map((index) => this.#supervise(index));
    // Their faults are told by `settle`.
    for (const supervisor of this.#supervisors) supervisor.catch(() => undefined);
  }

  /** @returns milliseconds of each task; undefined where it was not done, or not before the signal aborted */
  async runAll(tasks: readonly Task[]): Promise<(number | undefined)[]> {
    const done: (number | undefined)[] = tasks.map(() => undefined);
    let [next, ended] = [0, 0];
    const report = setInterval(() => {
      console.error(`bench: ${ended} tasks of ${tasks.length} have ended, ${this.kills} workers were killed`);
    }, REPORT_EVERY_MS);
    const follow = async (client: Party) => {
      for (let k = next++; k < tasks.length && !this.#signal.aborted; k = next++) {
        const startMs = performance.now();
        const code = await this.run(client, tasks[k] as Task);
        if (code === undefined) done[k] = performance.now() - startMs;
        else if (isFeasible(tasks[k] as Task)) this.failures.push(code);
        ended++;
        await setTimeout(Math.max(0, PACE_MS - (performance.now() - startMs)), undefined, { signal: this.#signal });
      }
    };
    try {
      const all = await Promise.allSettled(this.#fleet.clients.map(follow));
      const fault = all.find((each) => each.status === "rejected");
      this.#fleet.signal.throwIfAborted();
      if (fault !== undefined && !this.#signal.aborted) throw fault.reason;
      return done;
    } finally {
      clearInterval(report);
    }
  }

  /** One task as a graph of one subtask: called, awarded, worked on, and called again. @returns why it was not done */
  async run(client: Party, task: Task): Promise<string | undefined> {
    const graph = createGraphProgress([{ name: NAME, needs: [] }], this.#method === "ours" ? MAX_ATTEMPTS : 1);
    let [progress, effects] = reduceGraph(graph, { kind: "start" });
    for (let call = effects[0]; call?.kind === "call"; call = effects[0]) {
      for (const event of await this.#attempt(client, task, call)) [progress, effects] = reduceGraph(progress, event);
    }
    const state = progress.states[NAME];
    return state?.kind === "failed" ? state.code : undefined;
  }

  /** Ends when every worker is alive. @throws when one cannot be started */
  async settle(): Promise<void> {
    this.#ending.resolve(undefined);
    await Promise.all(this.#supervisors);
  }

  async #attempt(client: Party, task: Task, { attempt, passedOver }: Call): Promise<GraphEvent[]> {
    const invitees = await this.#find(client, task, passedOver);
    if (invitees.length === 0) return [{ kind: "unanswered", name: NAME, code: "NOBODY_FOUND" }];
    const head = [task.isDoomed && attempt === 1 ? DOOMED : 0, task.skill];
    const request = createRequest(this.#rules, invitees, { head, reservePrice: task.reservePrice });
    const outcome = await client.negotiator.callForBids(request, this.#signal);
    if (outcome.kind === "failed") return [{ kind: "unanswered", name: NAME, code: outcome.code }];
    const { dealId, deal, peer } = outcome.agreement;
    const { providerAgentId } = deal;
    const awarded: GraphEvent = { kind: "awarded", name: NAME, providerAgentId, dealId };
    const answer = await client.transport.request(peer, PERFORM_PROTOCOL, hexToBytes(dealId), {
      signal: AbortSignal.any([this.#signal, AbortSignal.timeout(WORK_TIMEOUT_MS)]),
    });
    if (answer.kind !== "accept" || !Buffer.from(answer.value).equals(perform(request.spec)))
      return [awarded, { kind: "undelivered", name: NAME, dealId }];
    return [awarded, { kind: "delivered", name: NAME, dealId, deliverableHash: contentHashOf(answer.value) }];
  }

  /** Who has the skill and is connected, the cheapest first; for a skill that nobody has, some who will decline. */
  async #find(client: Party, { skill }: Task, passedOver: readonly bigint[]): Promise<Invitee[]> {
    const able = this.#workers.filter((index) =>
      skill === NO_SKILL ? index < CLIENTS + SKILLS : skillOf(index) === skill,
    );
    for (let look = 0; look < MAX_LOOKS; look++) {
      const connected = new Set(client.transport.peers());
      const found = this.#fleet
        .invitees(able)
        .filter(({ agentId, peer }) => connected.has(peer) && !passedOver.includes(agentId));
      if (found.length > 0) return this.#method === "central" ? found.slice(0, 1) : found;
      if (able.every((index) => passedOver.includes(BigInt(index + 1)))) return [];
      await setTimeout(LOOK_AGAIN_MS, undefined, { signal: this.#signal });
    }
    return [];
  }

  /** Starts whoever has died again, as a supervisor would: also who dies while it is made known to the clients. */
  async #supervise(index: number): Promise<void> {
    for (let failures = 0; failures < MAX_REVIVALS;) {
      await Promise.race([this.#fleet.death(index), this.#ending.promise]);
      // A worker that is dead at the end is started once more: the next arm has the same ones.
      if (this.#fleet.isAlive(index)) return;
      this.kills++;
      const fault = await this.#fleet.revive(index).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      failures = fault === undefined ? 0 : failures + 1;
      this.#fleet.signal.throwIfAborted();
      if (fault instanceof Error) console.error(`bench: worker ${index} did not start: ${fault.message}`);
    }
    throw new Error(`bench: worker ${index} died ${MAX_REVIVALS} times at its start`);
  }
}
