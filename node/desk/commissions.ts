import type { Hex } from "viem";
import { SuretyError } from "#protocol";
import type { SpendingLimits } from "../config.ts";
import type { Store } from "../store/port.ts";
import type { Task, TaskState } from "../tasks.ts";

const migrations = [
  `CREATE TABLE desk_commissions (
     task_id TEXT PRIMARY KEY, spec_hash TEXT NOT NULL UNIQUE, client TEXT NOT NULL, at_ms INTEGER NOT NULL,
     reserve TEXT NOT NULL, is_reviewed INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX desk_commissions_by_client ON desk_commissions (client, at_ms);`,
];

/** Tasks of one client in one period: each look at its budget reads all of them. */
const MAX_PER_PERIOD = 1_000;
/** Nothing was paid, or it came back. */
const unpaid: readonly TaskState[] = ["failed", "cancelled", "refunded"];

/** A task that a client gave. */
export interface Commission {
  readonly taskId: string;
  readonly client: string;
  readonly reserveWei: bigint;
  /** The client judges the delivery itself. */
  readonly isReviewed: boolean;
}

interface Row {
  readonly task_id: string;
  readonly client: string;
  readonly reserve: string;
  readonly is_reviewed: number;
}

/** What is left of a client's limits. */
export interface Allowance {
  readonly maxPriceWei: bigint;
  readonly budgetWei: bigint;
  readonly periodSeconds: number;
  readonly committedWei: bigint;
  readonly remainingWei: bigint;
}

/** Which client gave which task, on disk: a restart gives nobody a new budget. */
export class Commissions {
  readonly #store: Store;
  readonly #nowMs: () => number;

  constructor(store: Store, nowMs: () => number) {
    store.migrate("desk", migrations);
    this.#store = store;
    this.#nowMs = nowMs;
  }

  /** Joins the transaction that stores the task. */
  add({ taskId, client, reserveWei, isReviewed }: Commission, specHash: Hex): void {
    this.#store
      .prepare(
        "INSERT INTO desk_commissions (task_id, spec_hash, client, at_ms, reserve, is_reviewed) VALUES (?, ?, ?, ?, ?, ?)",
      )
      .run(taskId, specHash, client, this.#nowMs(), reserveWei.toString(), isReviewed ? 1 : 0);
  }

  get(taskId: string): Commission | undefined {
    return read(this.#store.prepare<Row>("SELECT * FROM desk_commissions WHERE task_id = ?").get(taskId));
  }

  bySpecHash(specHash: Hex): Commission | undefined {
    return read(this.#store.prepare<Row>("SELECT * FROM desk_commissions WHERE spec_hash = ?").get(specHash));
  }

  /**
   * What a client may still commit. A task counts with its reserve until its price is known, with its price from then on,
   * and not at all once it ended unpaid.
   * @param taskOf looks up a task
   */
  allowanceOf(client: string, limits: SpendingLimits, taskOf: (id: string) => Task | undefined): Allowance {
    const since = this.#nowMs() - limits.periodSeconds * 1000;
    const rows = this.#store
      .prepare<Row>("SELECT * FROM desk_commissions WHERE client = ? AND at_ms > ? ORDER BY at_ms DESC LIMIT ?")
      .all(client, since, MAX_PER_PERIOD);
    if (rows.length === MAX_PER_PERIOD) throw tooMany(client);
    const committedWei = rows.reduce(
      (sum, { task_id, reserve }) => sum + amountOf(taskOf(task_id), BigInt(reserve)),
      0n,
    );
    const left = limits.budgetWei - committedWei;
    return { ...limits, committedWei, remainingWei: left < 0n ? 0n : left };
  }
}

const amountOf = (task: Task | undefined, reserveWei: bigint): bigint => {
  if (task === undefined || unpaid.includes(task.state)) return 0n;
  return task.priceWei ?? reserveWei;
};

const read = (row: Row | undefined): Commission | undefined =>
  row && {
    ...{ taskId: row.task_id, client: row.client },
    ...{ reserveWei: BigInt(row.reserve), isReviewed: row.is_reviewed === 1 },
  };

const tooMany = (client: string) =>
  new SuretyError("SPENDING_TOO_MANY", `The client ${client} gave ${MAX_PER_PERIOD} tasks in its period.`, {
    values: { client, max: MAX_PER_PERIOD },
    next: "Wait until the period has moved on.",
    isRetryable: true,
  });
