import { TaskState, type AgentCard, type CancelTaskRequest, type GetTaskRequest, type Task } from "@a2a-js/sdk";
import { TaskNotCancelableError } from "@a2a-js/sdk/errors";
import {
  AgentEvent,
  DefaultRequestHandler,
  type AgentExecutor,
  type ExecutionEventBus,
  type RequestContext,
  type ServerCallContext,
} from "@a2a-js/sdk/server";
import { reject, SuretyError, type Verdict } from "#protocol";
import type { AgentDesk } from "../../desk/agents.ts";
import type { Assignment, Caller, Desk } from "../../desk/desk.ts";
import type { Store } from "../../store/port.ts";
import { readDecision, readOrder } from "./order.ts";
import { NodeTaskStore } from "./task-store.ts";
import { artifactsOf, say, statusOf } from "./task-view.ts";

export interface A2aOptions {
  readonly orders: Desk;
  readonly agents: AgentDesk;
  readonly store: Store;
  /** Aborts when the node stops: tasks go on after its restart. */
  readonly stopping: AbortSignal;
}

/** Bidders get this long to hear of a withdrawal. */
const CANCEL_WAIT_MS = 10_000;
const CALLER_KEY = "surety caller";

export const withCaller = (context: ServerCallContext, caller: Caller): ServerCallContext => {
  context.state.set(CALLER_KEY, caller);
  return context;
};

const callerOf = (context: ServerCallContext): Caller => context.state.get(CALLER_KEY) as Caller;

/** SendMessage as an order at the desk; task states as the node's; cancel as the desk's. */
export class A2aHandler extends DefaultRequestHandler {
  readonly #options: A2aOptions;
  readonly #tasks: NodeTaskStore;

  constructor(card: AgentCard, options: A2aOptions) {
    const { orders } = options;
    const tasks = new NodeTaskStore(options.store, (task, taskId, context) =>
      refresh(task, orders.view(taskId, callerOf(context))),
    );
    super(card, tasks, new DeskExecutor(options, tasks));
    this.#options = options;
    this.#tasks = tasks;
  }

  /** With the state that the node knows, whatever was told of it: a restart may have come between. */
  override async getTask(params: GetTaskRequest, context: ServerCallContext): Promise<Task> {
    const task = await super.getTask(params, context);
    const current = this.#tasks.current(params.id, context);
    return current === undefined ? task : { ...task, status: current.status, artifacts: current.artifacts };
  }

  /** Only what the node itself has cancelled is shown as cancelled. */
  override async cancelTask(params: CancelTaskRequest, context: ServerCallContext): Promise<Task> {
    const taskId = this.#tasks.linkOf(params.id, context);
    if (taskId === undefined) return await super.cancelTask(params, context);
    const { orders, stopping } = this.#options;
    const caller = callerOf(context);
    const before = orders.view(taskId, caller);
    if (before.state === "cancelled") return await this.getTask({ ...params, historyLength: 0 }, context);
    // Of a deal that stands, only its provider can let go, and the escrow keeps the money until then.
    if (before.dealId !== null || before.isEnded) throw notCancelable(params.id, before);
    orders.decide(taskId, { action: "cancel" }, caller);
    const waited = AbortSignal.any([stopping, AbortSignal.timeout(CANCEL_WAIT_MS)]);
    const after = await orders.wait(taskId, caller, waited);
    if (after.state !== "cancelled") throw notCancelable(params.id, after);
    return await this.getTask({ ...params, historyLength: 0 }, context);
  }
}

const notCancelable = (id: string, { state }: Assignment) =>
  new TaskNotCancelableError(`Task ${id} is ${state} and cannot be cancelled.`);

class DeskExecutor implements AgentExecutor {
  readonly #options: A2aOptions;
  readonly #tasks: NodeTaskStore;

  constructor(options: A2aOptions, tasks: NodeTaskStore) {
    this.#options = options;
    this.#tasks = tasks;
  }

  async execute(request: RequestContext, bus: ExecutionEventBus): Promise<void> {
    const { taskId: id, contextId, context, userMessage, task } = request;
    const base: Task = task ?? {
      ...{ id, contextId, status: undefined, artifacts: [], history: [userMessage], metadata: {} },
    };
    const begun = await this.#begin(request);
    if (begun.kind !== "accept") {
      const isNew = task === undefined;
      const message = say(`${begun.code}: ${begun.detail}`, { taskId: id, contextId });
      const state = isNew ? TaskState.TASK_STATE_REJECTED : (task.status?.state ?? TaskState.TASK_STATE_WORKING);
      const status = { state, message, timestamp: new Date().toISOString() };
      return bus.publish(AgentEvent.task({ ...base, status }));
    }
    await this.#tell(base, begun.value, bus, context);
  }

  /** Unused: the handler cancels by itself. */
  cancelTask(id: string): Promise<void> {
    return Promise.reject(new TaskNotCancelableError(`Task ${id} cannot be cancelled here.`));
  }

  /** @returns the node's task that the message ordered, or judged */
  async #begin({ context, userMessage, task, taskId: id }: RequestContext): Promise<Verdict<string>> {
    const { orders } = this.#options;
    const caller = callerOf(context);
    const known = task && this.#tasks.linkOf(id, context);
    try {
      if (known === undefined) return await this.#order(userMessage, caller);
      const decision = readDecision(userMessage);
      if (decision.kind !== "accept") return decision;
      orders.decide(known, decision.value, caller);
      return { kind: "accept", value: known };
    } catch (error) {
      if (error instanceof SuretyError) return reject(error.code, `${error.message} ${error.next}`);
      throw error;
    }
  }

  async #order(message: RequestContext["userMessage"], caller: Caller): Promise<Verdict<string>> {
    const { orders, agents, stopping } = this.#options;
    const read = readOrder(message);
    if (read.kind !== "accept") return read;
    const { maxPriceWei, remainingWei } = orders.allowanceOf(caller);
    const text = read.value.query === undefined || read.value.query === "" ? read.value.title : read.value.query;
    const topic = read.value.topic ?? (await agents.topicFor(text, stopping));
    if (topic === undefined) return reject("NOBODY_FOUND", "no agent is known that offers anything like it");
    const most = maxPriceWei < remainingWei ? maxPriceWei : remainingWei;
    const order = { ...read.value, topic, maxPriceWei: read.value.maxPriceWei ?? most };
    return { kind: "accept", value: orders.order(order, caller).taskId };
  }

  /** The task first, as A2A demands, then each change of it until it ends or waits for its client. */
  async #tell(base: Task, taskId: string, bus: ExecutionEventBus, context: ServerCallContext): Promise<void> {
    const { orders, stopping } = this.#options;
    const { id, contextId } = base;
    const ids = { taskId: id, contextId };
    await this.#tasks.save(base, context);
    this.#tasks.link(id, taskId, context);
    let shown = base.artifacts.length;
    let isFirst = true;
    for await (const seen of orders.follow(taskId, callerOf(context), stopping)) {
      const artifacts = artifactsOf(seen);
      const status = statusOf(seen, ids);
      if (isFirst)
        bus.publish(AgentEvent.task({ ...base, status: { ...status, state: workingUnlessEnded(status.state) } }));
      isFirst = false;
      for (const artifact of artifacts.slice(shown)) {
        bus.publish(AgentEvent.artifactUpdate({ ...ids, artifact, append: false, lastChunk: true, metadata: {} }));
      }
      shown = Math.max(shown, artifacts.length);
      bus.publish(AgentEvent.statusUpdate({ ...ids, status, metadata: {} }));
      if (seen.isReviewOpen) return;
    }
  }
}

/** The first event must not close the stream before what follows it is told. */
const workingUnlessEnded = (state: TaskState): TaskState =>
  state === TaskState.TASK_STATE_SUBMITTED ? state : TaskState.TASK_STATE_WORKING;

function refresh(task: Task, seen: Assignment): Task {
  const status = statusOf(seen, { taskId: task.id, contextId: task.contextId });
  const isSame = task.status?.state === status.state;
  return { ...task, status: isSame && task.status !== undefined ? task.status : status, artifacts: artifactsOf(seen) };
}
