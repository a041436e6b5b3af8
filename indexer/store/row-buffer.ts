import type { AnyRow, Row, TableName } from "../entities.ts";
import type { RowChange, RowReader } from "../handlers/row-change.ts";

/** A row that a transaction changed, with its state before. */
export interface BufferedRow {
  readonly table: TableName;
  readonly id: string;
  readonly before: AnyRow | undefined;
  row: AnyRow;
}

/** Collects the changes of one transaction: a row that ten events change is written once, and its undo kept once. */
export class RowBuffer implements RowReader {
  readonly #read: (table: TableName, id: string) => AnyRow | undefined;
  readonly #changed = new Map<string, BufferedRow>();

  constructor(read: (table: TableName, id: string) => AnyRow | undefined) {
    this.#read = read;
  }

  get<T extends TableName>(table: T, id: string): Row<T> | undefined {
    const changed = this.#changed.get(`${table}/${id}`);
    return (changed === undefined ? this.#read(table, id) : changed.row) as Row<T> | undefined;
  }

  put({ table, row }: RowChange): void {
    const key = `${table}/${row.id}`;
    const changed = this.#changed.get(key);
    if (changed === undefined) this.#changed.set(key, { table, id: row.id, before: this.#read(table, row.id), row });
    else changed.row = row;
  }

  changed(): Iterable<BufferedRow> {
    return this.#changed.values();
  }
}
