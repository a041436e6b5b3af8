import {
  GraphQLBoolean,
  GraphQLError,
  GraphQLID,
  GraphQLInt,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLSchema,
  GraphQLString,
  type GraphQLArgumentConfig,
  type GraphQLFieldConfig,
  type GraphQLFieldConfigMap,
  type GraphQLResolveInfo,
} from "graphql";
import { splitList, tableNames, type AnyRow, type Column, type TableName } from "../entities.ts";
import { lagOf } from "../status.ts";
import { computedFields } from "./agent0.ts";
import { blockArgument, rowsAt, type BlockHeight } from "./block-height.ts";
import { rowsOf, type QueryContext } from "./context.ts";
import {
  listArguments,
  namedColumnsOf,
  rowQueryOf,
  scalarOf,
  whereOf,
  type ListArguments,
  type WhereInput,
} from "./filters.ts";
import { backReferences, entityNames } from "./names.ts";
import { bytesScalar } from "./scalars.ts";
import { scoreField } from "./score.ts";

type Arguments = Readonly<Record<string, unknown>>;
type Field = GraphQLFieldConfig<AnyRow, QueryContext, Arguments>;

/** The read-only schema, made of the same table of entities as the SQL. */
export function createSchema(): GraphQLSchema {
  const types = Object.fromEntries(
    tableNames.map((table) => [table, objectType(table, (name) => types[name])]),
  ) as Record<TableName, GraphQLObjectType<AnyRow, QueryContext>>;
  const fields: GraphQLFieldConfigMap<unknown, QueryContext> = {};
  for (const table of tableNames) {
    const { one } = entityNames[table];
    fields[table] = rootList(types[table], table);
    if (one !== undefined) fields[one] = oneField(types[table], table);
  }
  fields["counts"] = {
    type: new GraphQLNonNull(countsType()),
    args: { block: blockArgument },
    resolve: async (_root, args: Arguments, context, info) => {
      await rowsAt(context, info, args["block"] as BlockHeight | null);
      return {};
    },
  };
  fields["score"] = scoreField(types.agents, types.candidates);
  fields["_meta"] = { type: metaType, args: { block: blockArgument }, resolve: resolveMeta };
  return new GraphQLSchema({ query: new GraphQLObjectType({ name: "Query", fields }) });
}

function objectType(
  table: TableName,
  typeOf: (table: TableName) => GraphQLObjectType<AnyRow, QueryContext> | undefined,
): GraphQLObjectType<AnyRow, QueryContext> {
  const known = (name: string) => typeOf(name as TableName) as GraphQLObjectType<AnyRow, QueryContext>;
  return new GraphQLObjectType<AnyRow, QueryContext>({
    name: entityNames[table].type,
    fields: () => ({
      ...Object.fromEntries(
        namedColumnsOf(table).map(([name, column, source]) => [name, columnField(source, column, known)]),
      ),
      ...computedFields[table],
      ...Object.fromEntries(
        backReferences
          .filter(({ of }) => of === table)
          .map((reference) => [reference.field, listField(known(reference.table), reference.table, reference.column)]),
      ),
    }),
  });
}

function columnField(
  name: string,
  column: Column,
  typeOf: (table: string) => GraphQLObjectType<AnyRow, QueryContext>,
): Field {
  if (name === "id") return { type: new GraphQLNonNull(GraphQLID) };
  if (column.refersTo !== undefined) {
    const target = column.refersTo as TableName;
    return {
      type: typeOf(target),
      // Null where nothing has that id, as for the agent of the dust seat.
      resolve: (row, _args, context, info) =>
        row[name] === null ? null : rowsOf(context, info).get(target, row[name] as string),
    };
  }
  if (column.kind === "list") return { type: textsType, resolve: (row) => splitList(row[name] as string) };
  const resolve = (row: AnyRow) => row[name];
  return { resolve, type: column.isNullable ? scalarOf(column) : new GraphQLNonNull(scalarOf(column)) };
}

/** How many rows of each entity pass a `where`: a page's totals, without its rows. */
function countsType(): GraphQLObjectType<AnyRow, QueryContext> {
  const fields = tableNames.map((table): [string, Field] => [
    table,
    {
      type: new GraphQLNonNull(GraphQLInt),
      args: { where: listArguments(table)["where"] as GraphQLArgumentConfig },
      resolve: (_root, args, context, info) =>
        rowsOf(context, info).count({ table, where: whereOf(table, args["where"] as WhereInput | null | undefined) }),
    },
  ]);
  return new GraphQLObjectType({ name: "Counts", fields: Object.fromEntries(fields) });
}

const textsType = new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(GraphQLString)));

/** @param column only rows whose column holds the parent's id */
function listField(type: GraphQLObjectType<AnyRow, QueryContext>, table: TableName, column: string): Field {
  return {
    type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(type))),
    args: listArguments(table),
    resolve: (row, args, context, info) => {
      const fixed = [{ column, comparison: "eq", value: row["id"] as string } as const];
      return rowsOf(context, info).find(rowQueryOf(table, args as unknown as ListArguments, fixed));
    },
  };
}

function rootList(
  type: GraphQLObjectType<AnyRow, QueryContext>,
  table: TableName,
): GraphQLFieldConfig<unknown, QueryContext> {
  return {
    type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(type))),
    args: { ...listArguments(table), block: blockArgument },
    resolve: async (_root, args: Arguments, context, info) => {
      const rows = await rowsAt(context, info, args["block"] as BlockHeight | null);
      return rows.find(rowQueryOf(table, args as unknown as ListArguments));
    },
  };
}

function oneField(
  type: GraphQLObjectType<AnyRow, QueryContext>,
  table: TableName,
): GraphQLFieldConfig<unknown, QueryContext> {
  return {
    type,
    // String, as agent0's clients declare it; a document that declares an ID is read as one (plugins.ts).
    args: { id: { type: new GraphQLNonNull(GraphQLString) }, block: blockArgument },
    resolve: async (_root, args: Arguments, context, info) =>
      (await rowsAt(context, info, args["block"] as BlockHeight | null)).get(table, args["id"] as string),
  };
}

const metaBlockType = new GraphQLObjectType({
  name: "_Block_",
  fields: {
    number: { type: new GraphQLNonNull(GraphQLInt) },
    hash: { type: new GraphQLNonNull(bytesScalar) },
    parentHash: { type: new GraphQLNonNull(bytesScalar) },
    timestamp: { type: new GraphQLNonNull(GraphQLInt) },
  },
});

const metaType = new GraphQLObjectType({
  name: "_Meta_",
  fields: {
    block: { type: new GraphQLNonNull(metaBlockType), description: "Every row of this answer is as of this block." },
    deployment: { type: new GraphQLNonNull(GraphQLString), description: "CAIP-10 id of the identity registry." },
    hasIndexingErrors: { type: new GraphQLNonNull(GraphQLBoolean) },
    behindBlocks: {
      type: GraphQLInt,
      description: "Blocks between the rows as they stand and the last head that is known.",
    },
    headAgeSeconds: {
      type: GraphQLInt,
      description:
        "Since that head was read: it grows while the chain's endpoint, or the process that writes, is silent.",
    },
    finalizedBlock: {
      type: new GraphQLNonNull(GraphQLInt),
      description: "Rows up to here cannot be undone, as known now.",
    },
    oldestBlock: { type: new GraphQLNonNull(GraphQLInt), description: "The oldest block that `block` can name." },
  },
});

async function resolveMeta(
  _root: unknown,
  args: Arguments,
  context: QueryContext,
  info: GraphQLResolveInfo,
): Promise<unknown> {
  const { deployment, status } = context;
  const { block, snapshot } = await rowsAt(context, info, args["block"] as BlockHeight | null);
  const { chain } = snapshot;
  if (chain === undefined) throw new GraphQLError("Nothing is indexed yet.", { extensions: { code: "INDEXER_EMPTY" } });
  return {
    block,
    deployment: `eip155:${deployment.chainId}:${deployment.contracts.identityRegistry.toLowerCase()}`,
    hasIndexingErrors: status.trouble !== undefined,
    ...lagOf(status),
    finalizedBlock: chain.finalized,
    oldestBlock: chain.undoFloor,
  };
}
