import {
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLString,
  type GraphQLFieldConfig,
  type GraphQLInputFieldConfigMap,
} from "graphql";
import type { AnyRow, TableName } from "../entities.ts";
import { itemsOf, parseJsonUri, textOf } from "../handlers/registration-file.ts";
import type { Condition } from "../store/store.ts";
import { rowsOf, type QueryContext } from "./context.ts";
import { leavesFileField } from "./leaf-files.ts";
import { MAX_FIRST } from "./limits.ts";
import { bytesScalar } from "./scalars.ts";

// Fields and filters that agent0's clients ask for and that no column holds: they follow from columns.

type Field = GraphQLFieldConfig<AnyRow, QueryContext>;

const text = new GraphQLNonNull(GraphQLString);
const words = new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(GraphQLString)));
const addresses = new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(bytesScalar)));

/** Who may act for the agent's owner (ERC-721 ApprovalForAll). */
const operators: Field = {
  type: addresses,
  async resolve(agent, _args, context, info) {
    const where = approvedBy({ column: "owner", comparison: "eq", value: agent["owner"] as string });
    const query = { table: "operatorApprovals", where, orderBy: "operator", direction: "asc" } as const;
    const approvals = await rowsOf(context, info).find({ ...query, first: MAX_FIRST, skip: 0 });
    return approvals.map(({ operator }) => operator);
  },
};

const fileTexts = [
  ...["text", "mcpTool", "mcpPrompt", "mcpResource", "a2aContextId", "a2aTaskId", "tag1", "tag2", "createdAt"],
];
const paymentTexts = { FromAddress: "fromAddress", ToAddress: "toAddress", ChainId: "chainId", TxHash: "txHash" };
const fileLists = ["a2aSkills", "oasfSkills", "oasfDomains"];

/** A feedback's file where the URI itself holds it (data:); one that lies elsewhere is not fetched. */
const feedbackFile: Field = {
  type: new GraphQLObjectType<Readonly<Record<string, unknown>>, QueryContext>({
    name: "FeedbackFile",
    fields: {
      id: { type: text },
      feedbackId: { type: text },
      ...Object.fromEntries(fileTexts.map((name) => [name, { type: GraphQLString }])),
      ...Object.fromEntries(Object.keys(paymentTexts).map((n) => [`proofOfPayment${n}`, { type: GraphQLString }])),
      ...Object.fromEntries(fileLists.map((name) => [name, { type: words }])),
    },
  }),
  resolve({ id, feedbackURI }) {
    const file = parseJsonUri(feedbackURI as string);
    if (file === undefined) return null;
    const payment = (file["proofOfPayment"] ?? {}) as Readonly<Record<string, unknown>>;
    return {
      ...{ id, feedbackId: id },
      ...Object.fromEntries(fileTexts.map((name) => [name, textOf(file[name])])),
      ...Object.fromEntries(
        Object.entries(paymentTexts).map(([n, key]) => [`proofOfPayment${n}`, textOf(payment[key])]),
      ),
      ...Object.fromEntries(fileLists.map((name) => [name, itemsOf(file[name])])),
    };
  },
};

/** Computed fields by table. */
export const computedFields: Partial<Record<TableName, Readonly<Record<string, Field>>>> = {
  agents: { operators, agentURIType: uriType("agentURI") },
  topicRoots: { leavesFile: leavesFileField },
  feedbacks: { feedbackURIType: uriType("feedbackURI"), feedbackFile },
};

/** Filters on computed fields, by table: their input and the condition that they stand for. */
export const computedFilters: Partial<
  Record<TableName, Readonly<Record<string, (value: readonly string[]) => Condition>>>
> = {
  agents: {
    operators_contains: (given) => ({
      and: given.map((operator) => ({
        column: "owner",
        among: {
          table: "operatorApprovals",
          column: "owner",
          where: approvedBy({ column: "operator", comparison: "eq", value: operator.toLowerCase() }),
        },
      })),
    }),
  },
};

export const listInput: GraphQLInputFieldConfigMap[string] = {
  type: new GraphQLList(new GraphQLNonNull(GraphQLString)),
};

function approvedBy(condition: Condition): Condition[] {
  return [condition, { column: "isApproved", comparison: "eq", value: true }];
}

function uriType(column: string): Field {
  return {
    type: text,
    resolve: (row) => /^(ipfs|https?|data|ar):/i.exec(row[column] as string)?.[1]?.toLowerCase() ?? "unknown",
  };
}
