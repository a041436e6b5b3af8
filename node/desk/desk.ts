import type { Address } from "viem";
import { contentHashOf, SuretyError } from "#protocol";
import type { SpendingLimits } from "../config.ts";
import { encodeEvidence } from "../settlement/evidence.ts";
import type { Settlement } from "../settlement/driver.ts";
import type { DealSummary, Judgement } from "../settlement/port.ts";
import { DEFAULT_BIDDING_MS, type TaskRequest } from "../task-request.ts";
import { isEnded, type Task, type TaskBoard } from "../tasks.ts";
import type { Bell } from "./bell.ts";
import type { Allowance, Commission, Commissions } from "./commissions.ts";
import type { Reviews } from "./reviews.ts";
import { readDelivery, UNTRUSTED_NOTICE } from "./untrusted.ts";

/** Who asks: the owner with the node's own token, or a client of the configuration. */
export interface Caller {
  readonly name: string;
  readonly isOwner: boolean;
  /** undefined = it may spend nothing here. */
  readonly spending: SpendingLimits | undefined;
}

/** What a client wants done. Amounts in the token's smallest unit. */
export interface Order {
  readonly topic: string;
  readonly title: string;
  /** Any JSON value: what the provider gets. */
  readonly input: unknown;
  readonly query?: string;
  readonly maxPriceWei: bigint;
  readonly valuePerQualityWei?: bigint;
  readonly submitWithinSeconds?: number;
  readonly minScore?: number;
  readonly maxInvited?: number;
  /** The client judges the delivery itself; else the agent's own program does. */
  readonly isReviewed: boolean;
}

export type Decision =
  | { readonly action: "accept"; readonly rating: number }
  | { readonly action: "dispute"; readonly reason: string }
  | { readonly action: "cancel" };

export interface DeskOptions {
  readonly token: Address;
  readonly tasks: TaskBoard;
  readonly settlement: Settlement;
  readonly commissions: Commissions;
  readonly reviews: Reviews;
  /** Rung after each change of a task, a deal or a review. */
  readonly bell: Bell;
}

const DEFAULT_SUBMIT_S = 600;
const DEFAULT_INVITED = 8;
/** Time for a model, or a person behind it, to read a delivery. */
const REVIEW_S = 600;

/**
 * Where clients order work: each within its limits, and each seeing its own tasks only. What a client says is input, never
 * a permission: prices are bounded by the configuration, and a judgement touches the client's own deals alone.
 */
export class Desk {
  readonly #options: DeskOptions;

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  /** @throws SuretyError SPENDING_NOT_ALLOWED, SPENDING_PRICE, SPENDING_BUDGET, TASK_INVALID, TASKS_BUSY */
  order(order: Order, caller: Caller) {
    const { commissions, tasks } = this.#options;
    const { maxPriceWei: reserveWei, isReviewed } = order;
    const allowance = this.allowanceOf(caller);
    if (reserveWei > allowance.maxPriceWei) throw tooDear(reserveWei, allowance);
    if (reserveWei > allowance.remainingWei) throw overBudget(reserveWei, allowance);
    // From the check to the row nothing is awaited: two orders at once cannot both take what is left.
    const { id } = tasks.add(requestOf(order), (taskId, specHash) =>
      commissions.add({ taskId, client: caller.name, reserveWei, isReviewed }, specHash),
    );
    return this.view(id, caller);
  }

  /** @throws SuretyError SPENDING_NOT_ALLOWED */
  allowanceOf(caller: Caller): Allowance {
    const { commissions, tasks } = this.#options;
    if (caller.spending === undefined) throw notAllowed(caller);
    return commissions.allowanceOf(caller.name, caller.spending, (id) => tasks.get(id));
  }

  /** A task of this caller as it stands. @throws SuretyError TASK_UNKNOWN */
  view(taskId: string, caller: Caller) {
    const { task, commission } = this.#own(taskId, caller);
    const deal = this.#dealOf(task);
    const isReviewOpen = task.dealId !== undefined && this.#options.reviews.isOpen(task.dealId);
    return {
      notice: UNTRUSTED_NOTICE,
      taskId,
      state: task.state,
      isEnded: isEnded(task.state),
      reason: task.reason ?? null,
      maxPriceWei: commission.reserveWei,
      token: this.#options.token,
      providerAgentId: task.providerAgentId ?? null,
      dealId: task.dealId ?? null,
      dealState: deal?.state ?? null,
      priceWei: task.priceWei ?? null,
      rating: task.rating ?? null,
      isReviewOpen,
      delivery: this.#deliveryOf(task),
    };
  }

  /** Waits until the task ends, its review opens, or the signal aborts. */
  async wait(taskId: string, caller: Caller, signal: AbortSignal) {
    const { bell } = this.#options;
    for (;;) {
      const { count } = bell;
      const seen = this.view(taskId, caller);
      if (seen.isEnded || seen.isReviewOpen || signal.aborted) return seen;
      await bell.heardSince(count, signal);
    }
  }

  /** Each state of the task from now on, the first one at once, the last one when it has ended or the signal aborts. */
  async *follow(taskId: string, caller: Caller, signal: AbortSignal) {
    const { bell } = this.#options;
    for (let last = ""; ;) {
      const { count } = bell;
      const seen = this.view(taskId, caller);
      const mark = `${seen.state} ${seen.dealState} ${seen.isReviewOpen} ${seen.delivery !== null}`;
      if (mark !== last) yield seen;
      last = mark;
      if (seen.isEnded || signal.aborted) return;
      await bell.heardSince(count, signal);
    }
  }

  /** @throws SuretyError TASK_UNKNOWN, REVIEW_NOT_OPEN, TASK_STEP_IMPOSSIBLE, DEAL_STEP_IMPOSSIBLE */
  decide(taskId: string, decision: Decision, caller: Caller): void {
    const { tasks, reviews, bell } = this.#options;
    const { task } = this.#own(taskId, caller);
    if (caller.spending === undefined && !caller.isOwner) throw notAllowed(caller);
    if (decision.action === "cancel") tasks.cancel(taskId);
    else if (task.dealId === undefined || !reviews.judge(task.dealId, judgementOf(decision))) throw notOpen(task);
    bell.ring();
  }

  /** All that this side can show of the deal of a task of this caller. @throws SuretyError TASK_UNKNOWN, DEAL_UNKNOWN */
  evidence(taskId: string, caller: Caller) {
    const { task } = this.#own(taskId, caller);
    if (task.dealId === undefined) throw noDeal(task);
    const bundle = this.#options.settlement.evidenceOf(task.dealId);
    const bytes = encodeEvidence(bundle);
    return { dealId: task.dealId, bundle, bytes, hash: contentHashOf(bytes), state: this.#dealOf(task)?.state };
  }

  #own(taskId: string, { name, isOwner }: Caller): { task: Task; commission: Commission } {
    const { tasks, commissions } = this.#options;
    const [task, commission] = [tasks.get(taskId), commissions.get(taskId)];
    // Another client's task is as unknown as one that never was.
    if (task !== undefined && commission !== undefined && (isOwner || commission.client === name)) {
      return { task, commission };
    }
    throw unknownTask(taskId);
  }

  #dealOf({ dealId }: Task): DealSummary | undefined {
    return dealId === undefined ? undefined : this.#options.settlement.deals().find((deal) => deal.dealId === dealId);
  }

  #deliveryOf({ dealId }: Task) {
    if (dealId === undefined) return null;
    const { deliverable } = this.#options.settlement.evidenceOf(dealId);
    if (deliverable.length === 0) return null;
    return { hash: contentHashOf(deliverable), bytes: deliverable.length, untrusted: readDelivery(deliverable) };
  }
}

/** What a client is told of one of its tasks. */
export type Assignment = ReturnType<Desk["view"]>;

function requestOf(order: Order): TaskRequest {
  const { topic, title, input, query, maxPriceWei, isReviewed } = order;
  return {
    spec: { topic, title, input },
    query: query ?? title,
    reservePriceWei: maxPriceWei,
    valuePerQuality: order.valuePerQualityWei ?? 0n,
    submitWithinS: order.submitWithinSeconds ?? DEFAULT_SUBMIT_S,
    biddingMs: DEFAULT_BIDDING_MS,
    maxInvited: order.maxInvited ?? DEFAULT_INVITED,
    minScore: order.minScore ?? 0,
    ...(isReviewed ? { reviewPeriodS: REVIEW_S } : {}),
  };
}

const judgementOf = (decision: Exclude<Decision, { action: "cancel" }>): Judgement =>
  decision.action === "accept"
    ? { kind: "complete", rating: decision.rating }
    : { kind: "dispute", reason: decision.reason };

const unknownTask = (taskId: string) =>
  new SuretyError("TASK_UNKNOWN", "This client has no such task.", {
    values: { taskId },
    next: "Name a taskId that this client's own order returned.",
  });

const notAllowed = ({ name }: Caller) =>
  new SuretyError("SPENDING_NOT_ALLOWED", `The client ${name} may commit this agent to nothing.`, {
    values: { client: name },
    next: "The agent's owner gives it `spending` with maxPriceWei and budgetWei in the node's configuration (node/README.md).",
  });

const tooDear = (askedWei: bigint, { maxPriceWei }: Allowance) =>
  new SuretyError("SPENDING_PRICE", `At most ${maxPriceWei} may be offered for one task, not ${askedWei}.`, {
    values: { askedWei, maxPriceWei },
    next: "Offer less. Only the agent's owner can raise the limit, in the node's configuration.",
  });

const overBudget = (askedWei: bigint, { remainingWei, budgetWei, periodSeconds }: Allowance) =>
  new SuretyError("SPENDING_BUDGET", `Of the budget ${remainingWei} is left, and ${askedWei} was asked for.`, {
    values: { askedWei, remainingWei, budgetWei, periodSeconds },
    next: "Offer less, or wait until earlier tasks have left the period.",
  });

const notOpen = ({ id, state }: Task) =>
  new SuretyError("REVIEW_NOT_OPEN", `Nothing of task ${id} waits for a judgement; it is ${state}.`, {
    values: { taskId: id, state },
    next: "Wait for the task; judge when isReviewOpen is true.",
  });

const noDeal = ({ id, state }: Task) =>
  new SuretyError("DEAL_UNKNOWN", `Task ${id} has no deal; it is ${state}.`, {
    values: { taskId: id, state },
    next: "Wait until a provider has agreed.",
  });
