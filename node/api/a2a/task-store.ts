import { Task, TaskState, type ListTasksRequest, type ListTasksResponse } from "@a2a-js/sdk";
import { InMemoryTaskStore, type ServerCallContext, type TaskStore } from "@a2a-js/sdk/server";
import type { Store } from "../../store/port.ts";

const migrations = [
  `CREATE TABLE a2a_tasks (
     id TEXT NOT NULL, owner TEXT NOT NULL, task_id TEXT, json TEXT NOT NULL, updated_ms INTEGER NOT NULL,
     PRIMARY KEY (owner, id)
   ) WITHOUT ROWID, STRICT;
   CREATE INDEX a2a_tasks_by_age ON a2a_tasks (owner, updated_ms);`,
];

/** Tasks that are kept of one client, the newest ones; the node's own record of each stays. */
const MAX_TASKS = 1_000;
/** Messages of a task that are kept. */
const MAX_HISTORY = 16;

interface Row {
  readonly id: string;
  readonly task_id: string | null;
  readonly json: string;
}

/** Brings a stored task up to what the node knows of it. */
export type Refresh = (task: Task, taskId: string, context: ServerCallContext) => Task;

export const ownerOf = (context: ServerCallContext): string => context.user?.userName ?? "";

/** A2A tasks on disk. What a task's state is, the node's board says; this keeps the conversation around it. */
export class NodeTaskStore implements TaskStore {
  readonly #store: Store;
  readonly #refresh: Refresh;

  constructor(store: Store, refresh: Refresh) {
    store.migrate("a2a", migrations);
    this.#store = store;
    this.#refresh = refresh;
  }

  save(task: Task, context: ServerCallContext): Promise<void> {
    const owner = ownerOf(context);
    const json = JSON.stringify(Task.toJSON({ ...task, history: task.history.slice(-MAX_HISTORY) }));
    this.#store.transaction(() => {
      this.#store
        .prepare(
          `INSERT INTO a2a_tasks (id, owner, json, updated_ms) VALUES (?, ?, ?, ?)
           ON CONFLICT (owner, id) DO UPDATE SET json = excluded.json, updated_ms = excluded.updated_ms`,
        )
        .run(task.id, owner, json, Date.now());
      this.#store
        .prepare(
          `DELETE FROM a2a_tasks WHERE owner = ? AND updated_ms <
             (SELECT updated_ms FROM a2a_tasks WHERE owner = ? ORDER BY updated_ms DESC LIMIT 1 OFFSET ${MAX_TASKS})`,
        )
        .run(owner, owner);
    }, "relaxed");
    return Promise.resolve();
  }

  /** The node's task behind an A2A task. */
  link(id: string, taskId: string, context: ServerCallContext): void {
    this.#store
      .prepare("UPDATE a2a_tasks SET task_id = ? WHERE owner = ? AND id = ?")
      .run(taskId, ownerOf(context), id);
  }

  linkOf(id: string, context: ServerCallContext): string | undefined {
    return this.#row(id, context)?.task_id ?? undefined;
  }

  /** As it was saved: the package folds its events over this, and would drop those that a newer state has overtaken. */
  load(id: string, context: ServerCallContext): Promise<Task | undefined> {
    const row = this.#row(id, context);
    return Promise.resolve(row && Task.fromJSON(JSON.parse(row.json)));
  }

  /** As it is now. */
  current(id: string, context: ServerCallContext): Task | undefined {
    const row = this.#row(id, context);
    return row && this.#read(row, context);
  }

  async list(params: ListTasksRequest, context: ServerCallContext): Promise<ListTasksResponse> {
    const rows = this.#store
      .prepare<Row>("SELECT id, task_id, json FROM a2a_tasks WHERE owner = ? ORDER BY updated_ms DESC LIMIT ?")
      .all(ownerOf(context), MAX_TASKS);
    // The package's own store knows filters and pages.
    const listing = new InMemoryTaskStore();
    for (const row of rows) await listing.save(this.#read(row, context), context);
    return await listing.list(params, context);
  }

  #row(id: string, context: ServerCallContext): Row | undefined {
    return this.#store
      .prepare<Row>("SELECT id, task_id, json FROM a2a_tasks WHERE owner = ? AND id = ?")
      .get(ownerOf(context), id);
  }

  #read({ json, task_id }: Row, context: ServerCallContext): Task {
    const task = Task.fromJSON(JSON.parse(json));
    if (task_id !== null) return this.#refresh(task, task_id, context);
    // Nothing was ordered for it: refused, or the node died before.
    const state = task.status?.state ?? TaskState.TASK_STATE_UNSPECIFIED;
    return state === TaskState.TASK_STATE_REJECTED ? task : { ...task, status: { ...lost, message: undefined } };
  }
}

const lost = { state: TaskState.TASK_STATE_REJECTED, timestamp: undefined };
