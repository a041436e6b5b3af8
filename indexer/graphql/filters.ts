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
import { columnsOf, type Column, type TableName, type Value } from "../entities.ts";
import type { Comparison, Condition, RowQuery } from "../store/store.ts";
import { DEFAULT_FIRST, MAX_FIRST, MAX_IN, MAX_SKIP, MAX_WHERE_TERMS } from "./limits.ts";
import { entityNames } from "./names.ts";
import { bigIntScalar, bytesScalar } from "./scalars.ts";

const scalarOfKind: Record<Column["kind"], GraphQLScalarType> = {
  int: GraphQLInt,
  wide: bigIntScalar,
  big: bigIntScalar,
  bytes: bytesScalar,
  text: GraphQLString,
  flag: GraphQLBoolean,
};

export function scalarOf(column: Column): GraphQLScalarType {
  return scalarOfKind[column.kind];
}

const ordered: readonly Comparison[] = ["gt", "gte", "lt", "lte"];
const listed: readonly Comparison[] = ["in", "not_in"];
const textual: readonly Comparison[] = ["contains", "starts_with"];

function comparisonsOf({ kind }: Column): readonly Comparison[] {
  if (kind === "flag") return ["not"];
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
  const columns = Object.entries(columnsOf(table));
  const fields = new Map<string, FilterField>();
  const inputs: GraphQLInputFieldConfigMap = {};
  for (const [name, column] of columns) {
    const scalar = scalarOf(column);
    fields.set(name, { column: name, comparison: "eq" });
    inputs[name] = { type: scalar };
    for (const comparison of comparisonsOf(column)) {
      fields.set(`${name}_${comparison}`, { column: name, comparison });
      const isList = listed.includes(comparison);
      inputs[`${name}_${comparison}`] = { type: isList ? new GraphQLList(new GraphQLNonNull(scalar)) : scalar };
    }
  }
  const { type } = entityNames[table];
  const input: GraphQLInputObjectType = new GraphQLInputObjectType({
    name: `${type}_filter`,
    fields: () => {
      const members = { type: new GraphQLList(new GraphQLNonNull(input)) };
      return { ...inputs, and: members, or: members };
    },
  });
  const values = Object.fromEntries(columns.map(([name]) => [name, {}]));
  const filter = { input, orderBy: new GraphQLEnumType({ name: `${type}_orderBy`, values }), fields };
  filters.set(table, filter);
  return filter;
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

interface WhereInput {
  readonly [field: string]: Value | readonly Value[] | readonly WhereInput[];
}

/** @throws GraphQLError with a code when an argument is out of bounds */
export function rowQueryOf(table: TableName, args: ListArguments, fixed: readonly Condition[] = []): RowQuery {
  const first = bounded("first", args.first ?? DEFAULT_FIRST, MAX_FIRST);
  const skip = bounded("skip", args.skip ?? 0, MAX_SKIP);
  const where =
    args.where === undefined || args.where === null ? [] : conditionsOf(table, args.where, { left: MAX_WHERE_TERMS });
  const direction = args.orderDirection ?? "asc";
  return { table, where: [...fixed, ...where], orderBy: args.orderBy ?? "id", direction, first, skip };
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
    const { column, comparison } = fields.get(name) as FilterField;
    // An absent bound bounds nothing; only equality knows null.
    if (value === null && comparison !== "eq" && comparison !== "not") return [];
    if (Array.isArray(value) && value.length > MAX_IN)
      throw tooMuch("QUERY_IN_TOO_LARGE", `${name} has at most ${MAX_IN}.`, MAX_IN);
    return [{ column, comparison, value: value as Value | readonly Value[] }];
  });
}
