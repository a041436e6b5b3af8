import { GraphQLError } from "graphql";
import type { Deployment } from "#protocol";
import type { AnyRow, Row, TableName } from "../entities.ts";
import type { IndexerStatus } from "../status.ts";
import type { Awaitable, RowQuery, Snapshot } from "../store/store.ts";
import { COUNT_ROWS, MAX_ROWS } from "./limits.ts";

/** What a query runs on: one snapshot for all its fields, and a budget of rows. */
export interface QueryContext {
  readonly deployment: Deployment;
  readonly status: IndexerStatus;
  readonly rows: MeteredRows;
}

/** Reads rows of one snapshot and counts them: nested lists multiply, and only counting bounds what they cost. */
export class MeteredRows {
  readonly snapshot: Snapshot;
  #left = MAX_ROWS;

  constructor(snapshot: Snapshot) {
    this.snapshot = snapshot;
  }

  get<T extends TableName>(table: T, id: string): Awaitable<Row<T> | undefined> {
    this.#spend(1);
    return this.snapshot.get(table, id);
  }

  find(query: RowQuery): Awaitable<readonly AnyRow[]> {
    this.#spend(1);
    const rows = this.snapshot.find(query);
    if (rows instanceof Promise) return rows.then((found) => this.#count(found));
    return this.#count(rows);
  }

  count(query: Pick<RowQuery, "table" | "where">): Awaitable<number> {
    this.#spend(COUNT_ROWS);
    return this.snapshot.count(query);
  }

  #count(rows: readonly AnyRow[]): readonly AnyRow[] {
    this.#spend(rows.length);
    return rows;
  }

  #spend(count: number): void {
    this.#left -= count;
    if (this.#left >= 0) return;
    throw new GraphQLError(`A query may read ${MAX_ROWS} rows.`, {
      extensions: { code: "QUERY_TOO_EXPENSIVE", max: MAX_ROWS },
    });
  }
}
