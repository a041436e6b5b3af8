import type { Hex } from "viem";
import {
  contentHashOf,
  isDocument,
  postedPriceOf,
  accept,
  MAX_SPEC_BYTES,
  SuretyError,
  topicIdOf,
  type Call,
  type MechanismDocument,
  type Verdict,
} from "#protocol";
import type { Discovery } from "./discovery/discovery.ts";
import type { Agreement, CallRequest, Negotiator } from "./negotiation/port.ts";
import type { DealOutcome } from "./settlement/port.ts";
import type { Settlement } from "./settlement/driver.ts";
import type { Store } from "./store/port.ts";
import {
  decodeRequest,
  encodeRequest,
  encodeSpecification,
  REVIEW_PERIOD_S,
  rulesOf,
  timesOf,
  type TaskRequest,
} from "./task-request.ts";
import type { Transport } from "./transport/port.ts";

export type TaskState = "searching" | "negotiating" | "settling" | "settled" | "refunded" | "cancelled" | "failed";

export interface Task {
  readonly id: string;
  readonly request: TaskRequest;
  readonly state: TaskState;
  readonly reason: string | undefined;
  readonly providerAgentId: bigint | undefined;
  readonly dealId: Hex | undefined;
  readonly priceWei: bigint | undefined;
  readonly rating: number | undefined;
}

export interface TaskBoardOptions {
  readonly agentId: bigint;
  readonly token: Hex;
  readonly store: Store;
  readonly discovery: Discovery;
  readonly transport: Transport;
  readonly negotiator: Negotiator;
  readonly settlement: Settlement;
  /** Appends an INTENT to the log and gossips it. */
  readonly announce: (task: Task, bidByMs: number) => void;
  /** Ends the task's INTENT: agreed to, or not to be agreed to any more. */
  readonly conclude: (taskId: string, outcome: "complete" | "withdrawn") => void;
  /** A document's prices as what the agent has seen asks for; absent: as they stand. */
  readonly learn?: (rules: MechanismDocument) => Verdict<MechanismDocument>;
  /** Appends rules to the log, once, so that whoever holds the deal finds them. */
  readonly publishRules: (rules: MechanismDocument) => void;
  /** Unix seconds of the chain. */
  readonly chainTime: () => number;
  readonly nowMs: () => number;
  readonly createId: () => string;
  readonly onFault: (fault: unknown) => void;
}

/** Calls that were never made, and that no second attempt would make. */
const HOPELESS = ["CALL_INVALID", "CALL_NOBODY_ADMITTED"];
/** A call that was under way when the node died has ended one way or the other after this. */
const LOST_CALL_MS = 60_000;
/** Tasks under way at once; an application that wants more waits for some to end. */
const MAX_OPEN = 256;
const endStates = { Completed: "settled", Refunded: "refunded", Cancelled: "cancelled" } as const;

const migrations = [
  `CREATE TABLE tasks_task (
    id TEXT PRIMARY KEY, spec_hash TEXT NOT NULL UNIQUE, request TEXT NOT NULL, state TEXT NOT NULL, reason TEXT,
    provider TEXT, deal_id TEXT, price TEXT, rating INTEGER
  ) STRICT`,
];

type Terms = Pick<CallRequest, "mechanism" | "side" | "reservePrice" | "reviewPeriod">;

interface TaskRow {
  readonly id: string;
  readonly request: string;
  readonly state: TaskState;
  readonly reason: string | null;
  readonly provider: string | null;
  readonly deal_id: Hex | null;
  readonly price: string | null;
  readonly rating: number | null;
}

/**
 * Tasks of the agent's own program, each seen through from search to settlement. A task is on disk before anything is
 * done for it; after a restart it goes on where it was.
 */
export class TaskBoard {
  readonly #options: TaskBoardOptions;
  readonly #lifetime = new AbortController();
  readonly #underway = new Set<Promise<void>>();
  readonly #withdrawals = new Map<string, AbortController>();
  readonly #listeners = new Set<() => void>();

  constructor(options: TaskBoardOptions) {
    this.#options = options;
    options.store.migrate("tasks", migrations);
  }

  /** Takes up every task that had not ended. */
  start(): void {
    for (const task of this.#select("state IN ('searching', 'negotiating', 'settling')")) {
      if (task.state === "searching") this.#spawn(() => this.#search(task));
      else if (task.state === "settling" && task.dealId !== undefined) this.#follow(task.id, task.dealId);
      else if (task.state === "negotiating") this.#spawn(() => this.#giveUpLater(task.id));
    }
  }

  async stop(): Promise<void> {
    this.#lifetime.abort(
      new SuretyError("TASKS_STOPPED", "The node has stopped; its tasks go on when it starts again.", {
        next: "Start the node again with the same store.",
        isRetryable: true,
      }),
    );
    await Promise.allSettled(this.#underway);
  }

  /**
   * @param admit called with the task's id and the hash of its specification, in the transaction that stores it: nothing
   * is done for a task that it throws at
   * @throws SuretyError TASK_INVALID, TASKS_BUSY
   */
  add(request: TaskRequest, admit?: (id: string, specHash: Hex) => void): Task {
    if (this.#underway.size >= MAX_OPEN) {
      throw new SuretyError("TASKS_BUSY", `${MAX_OPEN} tasks are under way already.`, {
        next: "Wait until some of them have ended.",
        isRetryable: true,
      });
    }
    const id = this.#options.createId();
    const spec = encodeSpecification(request.spec, id);
    if (spec.length > MAX_SPEC_BYTES) {
      throw new SuretyError("TASK_INVALID", `The specification takes ${spec.length} bytes of ${MAX_SPEC_BYTES}.`, {
        values: { bytes: spec.length, max: MAX_SPEC_BYTES },
        next: "Shorten the input, or put it where the provider can fetch it.",
      });
    }
    const { store } = this.#options;
    const specHash = contentHashOf(spec);
    store.transaction(() => {
      store
        .prepare("INSERT INTO tasks_task (id, spec_hash, request, state) VALUES (?, ?, ?, 'searching')")
        .run(id, specHash, encodeRequest(request));
      admit?.(id, specHash);
    }, "synced");
    const task = this.get(id) as Task;
    this.#spawn(() => this.#search(task));
    return task;
  }

  /** @param listener called after each change of any task @returns removes it */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Withdraws a task that nobody has agreed to yet; once a deal stands, asks its provider to cancel, which it may refuse.
   * @throws SuretyError TASK_UNKNOWN, TASK_STEP_IMPOSSIBLE, and as Settlement.cancel
   */
  cancel(id: string): void {
    const task = this.get(id);
    if (task === undefined) throw unknownTask(id);
    const withdrawal = this.#withdrawals.get(id);
    if (task.state === "settling" && task.dealId !== undefined) this.#options.settlement.cancel(task.dealId);
    else if (isEnded(task.state) || withdrawal === undefined) throw notCancellable(task);
    else withdrawal.abort(new DOMException("the task was withdrawn", "AbortError"));
    if (task.state === "searching") this.#end(id, "cancelled", "WITHDRAWN");
  }

  get(id: string): Task | undefined {
    return this.#select("id = ?", id)[0];
  }

  /** Both sides signed: from here on the deal is settlement's, and the task follows it. */
  onAgreed({ role, dealId, deal }: Agreement): void {
    if (role !== "client") return;
    const [task] = this.#select("spec_hash = ?", deal.specHash);
    if (task === undefined || task.state === "settling" || isEnded(task.state)) return;
    this.#options.store
      .prepare("UPDATE tasks_task SET state = 'settling', provider = ?, deal_id = ?, price = ? WHERE id = ?")
      .run(deal.providerAgentId.toString(), dealId, deal.price.toString(), task.id);
    this.#options.conclude(task.id, "complete");
    this.#changed();
    this.#follow(task.id, dealId);
  }

  /** A call ended without a deal. */
  onFailed({ specHash }: Call, code: string): void {
    const [task] = this.#select("spec_hash = ?", specHash);
    if (task?.state === "negotiating") this.#end(task.id, code === "WITHDRAWN" ? "cancelled" : "failed", code);
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  #spawn(work: () => Promise<void>): void {
    const running = work().catch((fault: unknown) => {
      if (!this.#lifetime.signal.aborted) this.#options.onFault(fault);
    });
    this.#underway.add(running);
    void running.finally(() => this.#underway.delete(running));
  }

  /** Ended by the node's end or by the task's withdrawal, which is no fault. */
  async #search(task: Task): Promise<void> {
    const withdrawal = new AbortController();
    this.#withdrawals.set(task.id, withdrawal);
    try {
      await this.#invite(task, AbortSignal.any([this.#lifetime.signal, withdrawal.signal]));
    } catch (fault) {
      if (!withdrawal.signal.aborted) throw fault;
    } finally {
      this.#withdrawals.delete(task.id);
    }
  }

  async #invite(task: Task, signal: AbortSignal): Promise<void> {
    const { agentId, discovery, transport, announce, nowMs } = this.#options;
    const { spec, query, minScore, excludedAgentIds = [], invitedAgentIds } = task.request;
    const maxInvited = task.request.bargain === undefined ? task.request.maxInvited : 1;
    announce(task, nowMs() + timesOf(task.request).biddingMs);
    const excluded = new Set([agentId, ...excludedAgentIds]);
    const limit = Math.min(maxInvited + excluded.size, 100);
    const filter = invitedAgentIds === undefined ? { topic: spec.topic, minScore, limit } : { limit: 100 };
    const isInvited = (id: bigint) =>
      !excluded.has(id) && (invitedAgentIds === undefined || invitedAgentIds.includes(id));
    // Who did not answer in time is invited after the others: a bid shows best who is there.
    const found = await discovery.find(query, { ...filter, liveness: "preferred" }, signal);
    const others = found.filter((finding) => isInvited(finding.agentId)).slice(0, maxInvited);
    for (const { peerId, addresses } of others) await transport.learnAddresses(peerId, addresses);
    signal.throwIfAborted();
    if (others.length === 0) return this.#end(task.id, "failed", "NOBODY_FOUND");
    const invitees = others.map((finding) => ({ agentId: finding.agentId, peer: finding.peerId }));
    await this.#negotiate(task, invitees, signal);
  }

  async #negotiate(
    task: Task,
    invitees: readonly { agentId: bigint; peer: string }[],
    signal: AbortSignal,
  ): Promise<void> {
    const { negotiator, token, chainTime, publishRules } = this.#options;
    const { spec } = task.request;
    const terms = this.#termsOf(task.request);
    if (terms.kind !== "accept") return this.#end(task.id, "failed", `${terms.code}: ${terms.detail}`);
    const { biddingMs, submitWithinS } = timesOf(task.request);
    this.#options.store.prepare("UPDATE tasks_task SET state = 'negotiating' WHERE id = ?").run(task.id);
    this.#changed();
    if (isDocument(terms.value.mechanism)) publishRules(terms.value.mechanism);
    // How it ends is told to onAgreed or onFailed, as for a call that a restart interrupted.
    const calling = negotiator.callForBids(
      {
        topic: topicIdOf(spec.topic),
        spec: encodeSpecification(spec, task.id),
        ...terms.value,
        ...{ token, invitees, biddingMs },
        submitBy: chainTime() + submitWithinS,
      },
      signal,
    );
    await calling.catch((fault: unknown) => {
      if (!(fault instanceof SuretyError) || !HOPELESS.includes(fault.code)) throw fault;
      this.#end(task.id, "failed", `${fault.code}: ${fault.message}`);
    });
  }

  /** By which rules a task is called: a document as what the agent has seen bears it out, or packages as they stand. */
  #termsOf(request: TaskRequest): Verdict<Terms> {
    const { learn = accept } = this.#options;
    const { bargain, reservePriceWei: reservePrice, reviewPeriodS = REVIEW_PERIOD_S } = request;
    if (bargain !== undefined)
      return accept({ mechanism: bargain.rules, side: bargain.side, reservePrice, reviewPeriod: reviewPeriodS });
    const learnt = learn(rulesOf(request));
    if (learnt.kind !== "accept") return learnt;
    const { award, review } = learnt.value;
    const posted = award.rule === "posted-price" ? postedPriceOf(learnt.value) : undefined;
    const price = { reservePrice: posted ?? reservePrice };
    return accept({ mechanism: learnt.value, ...price, reviewPeriod: review.periodS });
  }

  /** The negotiator resumes calls of before the restart and tells how they end; one that never reached its disk is lost. */
  async #giveUpLater(id: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => resolve(undefined), LOST_CALL_MS);
    this.#lifetime.signal.addEventListener("abort", () => resolve(undefined), { once: true });
    await promise;
    clearTimeout(timer);
    if (!this.#lifetime.signal.aborted && this.get(id)?.state === "negotiating") this.#end(id, "failed", "CALL_LOST");
  }

  #follow(id: string, dealId: Hex): void {
    this.#spawn(async () => {
      const outcome = await this.#options.settlement.whenEnded(dealId, this.#lifetime.signal);
      this.#end(id, endStateOf(outcome), outcome.state, outcome.rating);
    });
  }

  #end(id: string, state: TaskState, reason: string, rating?: number): void {
    this.#options.store
      .prepare("UPDATE tasks_task SET state = ?, reason = ?, rating = ? WHERE id = ?")
      .run(state, reason, rating ?? null, id);
    this.#options.conclude(id, "withdrawn");
    this.#changed();
  }

  #select(where: string, ...values: string[]): Task[] {
    const rows = this.#options.store.prepare<TaskRow>(`SELECT * FROM tasks_task WHERE ${where}`).all(...values);
    return rows.map((row) => ({
      id: row.id,
      request: decodeRequest(row.request),
      state: row.state,
      reason: row.reason ?? undefined,
      providerAgentId: row.provider === null ? undefined : BigInt(row.provider),
      dealId: row.deal_id ?? undefined,
      priceWei: row.price === null ? undefined : BigInt(row.price),
      rating: row.rating ?? undefined,
    }));
  }
}

function unknownTask(id: string): SuretyError {
  return new SuretyError("TASK_UNKNOWN", `There is no task ${id}.`, {
    values: { id },
    next: "Name a task of this node.",
  });
}

function notCancellable({ id, state }: Task): SuretyError {
  return new SuretyError("TASK_STEP_IMPOSSIBLE", `Task ${id} is ${state} and cannot be withdrawn.`, {
    values: { id, state },
    next: "Wait for its end; money of a deal without a delivery comes back when its time is over.",
  });
}

/** Whether nothing more happens to a task. */
export const isEnded = (state: TaskState): boolean => !["searching", "negotiating", "settling"].includes(state);

const endStateOf = ({ state }: DealOutcome): TaskState =>
  state in endStates ? endStates[state as keyof typeof endStates] : "failed";
