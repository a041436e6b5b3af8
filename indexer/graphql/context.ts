import { GraphQLError, type GraphQLResolveInfo } from "graphql";
import type { Deployment } from "#protocol";
import type { AnyRow, Row, TableName } from "../entities.ts";
import type { IndexerStatus } from "../status.ts";
import type { Awaitable, BlockRef, PastRows, RowQuery, RowView, Snapshot } from "../store/store.ts";
import { CHANGES_PER_ROW, COUNT_ROWS, MAX_ROWS } from "./limits.ts";

/** What a query runs on: one snapshot for all its fields, and a budget of rows. */
export interface QueryContext {
  readonly deployment: Deployment;
  readonly status: IndexerStatus;
  /** As of the snapshot's block. */
  readonly rows: MeteredRows;
  /** Of root fields that name another block, by their keys in the answer. */
  readonly past: Map<string | number, MeteredRows>;
}

/** The rows that a field answers from: those of the block that the root field above it names. */
export function rowsOf({ rows, past }: QueryContext, { path }: Pick<GraphQLResolveInfo, "path">): MeteredRows {
  if (past.size === 0) return rows;
  let root = path;
  while (root.prev !== undefined) root = root.prev;
  return past.get(root.key) ?? rows;
}

/** Reads rows as of one block and counts them: nested lists multiply, and only counting bounds what they cost. */
export class MeteredRows {
  readonly snapshot: Snapshot;
  /** The block that the rows are as of; undefined = nothing is indexed. */
  readonly block: BlockRef | undefined;
  readonly #past: PastRows | undefined;
  readonly #view: RowView;
  readonly #budget: { left: number };
  readonly #changes = new Map<TableName, Awaitable<number>>();

  constructor(snapshot: Snapshot, past?: { readonly block: BlockRef; readonly of: MeteredRows }) {
    this.snapshot = snapshot;
    this.#past = past === undefined ? undefined : snapshot.asOf(past.block.number);
    this.#view = this.#past ?? snapshot;
    this.block = past?.block ?? snapshot.chain?.checkpoint;
    this.#budget = past === undefined ? { left: MAX_ROWS } : past.of.#budget;
  }

  /** The rows of a block before, on the same budget. @param block between the undo floor and the checkpoint */
  at(block: BlockRef): MeteredRows {
    return new MeteredRows(this.snapshot, { block, of: this });
  }

  get<T extends TableName>(table: T, id: string): Awaitable<Row<T> | undefined> {
    this.#spend(1);
    return this.#view.get(table, id);
  }

  find(query: RowQuery): Awaitable<readonly AnyRow[]> {
    return after(this.#spendOn(query.table, 1), () =>
      after(this.#view.find(query), (rows) => {
        this.#spend(rows.length);
        return rows;
      }),
    );
  }

  count(query: Pick<RowQuery, "table" | "where">): Awaitable<number> {
    return after(this.#spendOn(query.table, COUNT_ROWS), () => this.#view.count(query));
  }

  /** A list of a past block walks over every change of its table since. */
  #spendOn(table: TableName, count: number): Awaitable<void> {
    if (this.#past === undefined) return this.#spend(count);
    const known = this.#changes.get(table) ?? this.#past.changesOf(table);
    this.#changes.set(table, known);
    return after(known, (changes) => this.#spend(count + Math.ceil(changes / CHANGES_PER_ROW)));
  }

  #spend(count: number): void {
    this.#budget.left -= count;
    if (this.#budget.left >= 0) return;
    throw new GraphQLError(`A query may read ${MAX_ROWS} rows.`, {
      extensions: { code: "QUERY_TOO_EXPENSIVE", max: MAX_ROWS },
    });
  }
}

/** Goes on at once where the engine answered at once. */
function after<T, R>(value: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> {
  return value instanceof Promise ? value.then(next) : next(value);
}
