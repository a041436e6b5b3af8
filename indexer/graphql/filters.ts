import {
  GraphQLEnumType,
  GraphQLError,
  GraphQLInputObjectType,
  GraphQLInt,
  GraphQLList,
  GraphQLNonNull,
  GraphQLString,
  GraphQLBoolean,
  type GraphQLFieldConfigArgumentMap,
  type GraphQLInputFieldConfigMap,
  type GraphQLScalarType,
} from "graphql";
import { columnsOf, markItem, type Column, type TableName, type Value } from "../entities.ts";
import type { Comparison, Condition, RowQuery } from "../store/store.ts";
import { computedFilters, listInput } from "./agent0.ts";
import { DEFAULT_FIRST, MAX_FIRST, MAX_IN, MAX_SKIP, MAX_WHERE_TERMS, NESTED_WHERE_TERMS } from "./limits.ts";
import { columnAliases, entityNames } from "./names.ts";
import { bigIntScalar, bytesScalar, decimalScalar } from "./scalars.ts";

const scalarOfKind: Record<Column["kind"], GraphQLScalarType> = {
  int: GraphQLInt,
  wide: bigIntScalar,
  big: bigIntScalar,
  bytes: bytesScalar,
  text: GraphQLString,
  flag: GraphQLBoolean,
  decimal: decimalScalar,
  list: GraphQLString,
};

export function scalarOf(column: Column): GraphQLScalarType {
  return scalarOfKind[column.kind];
}

const ordered: readonly Comparison[] = ["gt", "gte", "lt", "lte"];
const listed: readonly Comparison[] = ["in", "not_in"];
const textual: readonly Comparison[] = ["contains", "contains_nocase", "starts_with"];

function comparisonsOf({ kind }: Column): readonly Comparison[] {
  if (kind === "flag") return ["not"];
  if (kind === "list") return [];
  const isText = kind === "text" || kind === "bytes";
  return ["not", ...ordered, ...listed, ...(isText ? textual : [])];
}

/** A filter's field by its name in GraphQL: `price_gte` is column price, comparison gte. */
interface FilterField {
  readonly column: string;
  readonly comparison: Comparison;
}

interface EntityFilter {
  readonly input: GraphQLInputObjectType;
  readonly orderBy: GraphQLEnumType;
  readonly fields: ReadonlyMap<string, FilterField>;
}

const directionEnum = new GraphQLEnumType({ name: "OrderDirection", values: { asc: {}, desc: {} } });
const filters = new Map<TableName, EntityFilter>();

function filterOf(table: TableName): EntityFilter {
  const known = filters.get(table);
  if (known !== undefined) return known;
  const columns = namedColumnsOf(table);
  const fields = new Map<string, FilterField>();
  const inputs: GraphQLInputFieldConfigMap = {};
  for (const [name, column, source] of columns) {
    if (column.kind === "list") {
      inputs[`${name}_contains`] = listInput;
      continue;
    }
    const scalar = scalarOf(column);
    fields.set(name, { column: source, comparison: "eq" });
    inputs[name] = { type: scalar };
    for (const comparison of comparisonsOf(column)) {
      fields.set(`${name}_${comparison}`, { column: source, comparison });
      const isList = listed.includes(comparison);
      inputs[`${name}_${comparison}`] = { type: isList ? new GraphQLList(new GraphQLNonNull(scalar)) : scalar };
    }
  }
  for (const name of Object.keys(computedFilters[table] ?? {})) inputs[name] = listInput;
  const { type } = entityNames[table];
  const input: GraphQLInputObjectType = new GraphQLInputObjectType({
    name: `${type}_filter`,
    fields: () => {
      const members = { type: new GraphQLList(new GraphQLNonNull(input)) };
      return { ...inputs, ...nestedInputs(table), and: members, or: members };
    },
  });
  const values = Object.fromEntries(columns.map(([name, , source]) => [name, { value: source }]));
  const filter = { input, orderBy: new GraphQLEnumType({ name: `${type}_orderBy`, values }), fields };
  filters.set(table, filter);
  return filter;
}

/** Columns by the names that clients know, each with the column that it is. */
export function namedColumnsOf(table: TableName): readonly (readonly [name: string, column: Column, source: string])[] {
  const columns = columnsOf(table);
  const aliases = Object.entries(columnAliases[table] ?? {});
  return [
    ...Object.entries(columns).map(([name, column]) => [name, column, name] as const),
    ...aliases.map(([name, source]) => [name, columns[source] as Column, source] as const),
  ];
}

/** `registrationFile_: { … }`: a filter on the row that a column refers to. */
function nestedInputs(table: TableName): GraphQLInputFieldConfigMap {
  const references = Object.entries(columnsOf(table)).filter(([, column]) => column.refersTo !== undefined);
  return Object.fromEntries(
    references.map(([name, { refersTo }]) => [`${name}_`, { type: filterOf(refersTo as TableName).input }]),
  );
}

/** The arguments of a list, as The Graph has them. */
export function listArguments(table: TableName): GraphQLFieldConfigArgumentMap {
  const { input, orderBy } = filterOf(table);
  return {
    first: { type: GraphQLInt, defaultValue: DEFAULT_FIRST },
    skip: { type: GraphQLInt, defaultValue: 0 },
    where: { type: input },
    orderBy: { type: orderBy, defaultValue: "id" },
    orderDirection: { type: directionEnum, defaultValue: "asc" },
  };
}

export interface ListArguments {
  readonly first: number | null;
  readonly skip: number | null;
  readonly where?: WhereInput | null;
  readonly orderBy: string | null;
  readonly orderDirection: "asc" | "desc" | null;
}

export interface WhereInput {
  readonly [field: string]: Value | readonly Value[] | readonly WhereInput[];
}

/** @throws GraphQLError with a code when an argument is out of bounds */
export function rowQueryOf(table: TableName, args: ListArguments, fixed: readonly Condition[] = []): RowQuery {
  const first = bounded("first", args.first ?? DEFAULT_FIRST, MAX_FIRST);
  const skip = bounded("skip", args.skip ?? 0, MAX_SKIP);
  const where = whereOf(table, args.where);
  const direction = args.orderDirection ?? "asc";
  return { table, where: [...fixed, ...where], orderBy: args.orderBy ?? "id", direction, first, skip };
}

/** The conditions of a `where`, none where there is none. @throws GraphQLError with a code when it has too many terms */
export function whereOf(table: TableName, where: WhereInput | null | undefined): Condition[] {
  return where === undefined || where === null ? [] : conditionsOf(table, where, { left: MAX_WHERE_TERMS });
}

function bounded(name: string, value: number, max: number): number {
  if (value >= 0 && value <= max) return value;
  throw tooMuch("QUERY_PAGE_TOO_LARGE", `${name} is from 0 to ${max}.`, max);
}

function tooMuch(code: string, message: string, max: number): GraphQLError {
  return new GraphQLError(message, { extensions: { code, max } });
}

function conditionsOf(table: TableName, where: WhereInput, budget: { left: number }): Condition[] {
  const { fields } = filterOf(table);
  return Object.entries(where).flatMap(([name, value]): Condition[] => {
    if (--budget.left < 0)
      throw tooMuch("QUERY_WHERE_TOO_LARGE", `A where has ${MAX_WHERE_TERMS} terms.`, MAX_WHERE_TERMS);
    if (name === "and" || name === "or") {
      if (value === null) return [];
      const parts = (value as readonly WhereInput[]).map((part) => ({ and: conditionsOf(table, part, budget) }));
      return [name === "and" ? { and: parts } : { or: parts }];
    }
    const special = specialCondition(table, name, value, budget);
    if (special !== undefined) return special;
    const { column, comparison } = fields.get(name) as FilterField;
    // An absent bound bounds nothing; only equality knows null.
    if (value === null && comparison !== "eq" && comparison !== "not") return [];
    if (Array.isArray(value) && value.length > MAX_IN)
      throw tooMuch("QUERY_IN_TOO_LARGE", `${name} has at most ${MAX_IN}.`, MAX_IN);
    return [{ column, comparison, value: value as Value | readonly Value[] }];
  });
}

/** Conditions of nested, listed and computed filters; undefined = the name is none of theirs. */
function specialCondition(
  table: TableName,
  name: string,
  value: WhereInput[string],
  budget: { left: number },
): Condition[] | undefined {
  const columns = columnsOf(table);
  const nested = name.endsWith("_") ? columns[name.slice(0, -1)] : undefined;
  const listed = name.endsWith("_contains") ? columns[name.slice(0, -"_contains".length)] : undefined;
  const computed = computedFilters[table]?.[name];
  if (nested?.refersTo === undefined && listed?.kind !== "list" && computed === undefined) return undefined;
  if (value === null) return [];
  if (nested?.refersTo !== undefined) {
    const refersTo = nested.refersTo as TableName;
    // Each nesting is a look-up of its own.
    budget.left -= NESTED_WHERE_TERMS;
    const where = conditionsOf(refersTo, value as unknown as WhereInput, budget);
    return [{ column: name.slice(0, -1), among: { table: refersTo, column: "id", where } }];
  }
  const items = value as readonly string[];
  budget.left -= items.length;
  if (computed !== undefined) return [computed(items)];
  const column = name.slice(0, -"_contains".length);
  return items.map((item) => ({ column, comparison: "contains", value: markItem(item) }));
}
