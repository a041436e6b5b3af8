// What columns of the entities there are.

/**
 * Kinds of column.
 * - int: at most 32 bits, a GraphQL Int. wide: at most 48 bits (Unix seconds, sums), a number here, a decimal string outside.
 * - big: up to 256 bits, a bigint here, a decimal string outside. bytes: lower-case 0x hex. text: any string. flag: boolean.
 * - decimal: a signed decimal fraction as text, at most 18 places, that compares as a number. list: strings, joined by `joinList`.
 */
export type ColumnKind = "int" | "wide" | "big" | "bytes" | "text" | "flag" | "decimal" | "list";

export interface Column {
  readonly kind: ColumnKind;
  readonly isNullable?: true;
  /** The table whose id this column holds; GraphQL follows it. */
  readonly refersTo?: string;
  /** Sorted and filtered often. Columns that refer to a table are indexed anyway. */
  readonly isIndexed?: true;
}

export const int = { kind: "int" } as const;
export const wide = { kind: "wide" } as const;
export const big = { kind: "big" } as const;
export const bytes = { kind: "bytes" } as const;
export const text = { kind: "text" } as const;
export const nullableWide = { kind: "wide", isNullable: true } as const;
export const nullableBig = { kind: "big", isNullable: true } as const;
export const nullableBytes = { kind: "bytes", isNullable: true } as const;
export const nullableText = { kind: "text", isNullable: true } as const;
export const flag = { kind: "flag" } as const;
export const list = { kind: "list" } as const;
export const indexedText = { kind: "text", isIndexed: true } as const;
export const indexedBytes = { kind: "bytes", isIndexed: true } as const;
export const indexedWide = { kind: "wide", isIndexed: true } as const;
export const agent = { kind: "text", refersTo: "agents" } as const;
export const topic = { kind: "text", refersTo: "topics" } as const;
export const deal = { kind: "text", refersTo: "deals" } as const;
export const candidate = { kind: "text", refersTo: "candidates" } as const;
