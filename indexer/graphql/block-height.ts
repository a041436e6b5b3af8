import {
  GraphQLError,
  GraphQLInputObjectType,
  GraphQLInt,
  type GraphQLArgumentConfig,
  type GraphQLResolveInfo,
} from "graphql";
import type { BlockRef, Snapshot } from "../store/store.ts";
import type { MeteredRows, QueryContext } from "./context.ts";
import { bytesScalar } from "./scalars.ts";

/** `block: { number | hash | number_gte }`, as The Graph has it. */
export interface BlockHeight {
  readonly number?: number | null;
  readonly hash?: string | null;
  readonly number_gte?: number | null;
}

export const blockArgument: GraphQLArgumentConfig = {
  description: "The block that the answer is as of, with all that hangs from it; absent = the last one.",
  type: new GraphQLInputObjectType({
    name: "Block_height",
    description: "Exactly one of these. Blocks from `_meta { oldestBlock }` on can be named; others are refused.",
    fields: {
      hash: { type: bytesScalar, description: "This block; refused once it is orphaned." },
      number: { type: GraphQLInt, description: "The block of this number on the branch that is indexed." },
      number_gte: { type: GraphQLInt, description: "The last block, refused while it is below this number." },
    },
  }),
};

/**
 * The rows of the block that a root field names: its nested fields find them by `rowsOf`. Never those of another block.
 * @throws GraphQLError BLOCK_AMBIGUOUS, BLOCK_NOT_REACHED, BLOCK_NOT_KEPT, BLOCK_UNKNOWN, INDEXER_EMPTY
 */
export async function rowsAt(
  { rows, past }: QueryContext,
  info: Pick<GraphQLResolveInfo, "path">,
  height: BlockHeight | null | undefined,
): Promise<MeteredRows> {
  const block = await findBlock(rows.snapshot, height ?? {});
  if (block === undefined || block.number === rows.block?.number) return rows;
  const former = rows.at(block);
  past.set(info.path.key, former);
  return former;
}

/** @returns undefined = the snapshot's own block */
async function findBlock(snapshot: Snapshot, height: BlockHeight): Promise<BlockRef | undefined> {
  const { hash = null, number = null, number_gte: atLeast = null } = height;
  const named = [hash, number, atLeast].filter((one) => one !== null).length;
  if (named === 0) return undefined;
  if (named > 1) throw new GraphQLError("Name one block: by hash, number or number_gte.", code("BLOCK_AMBIGUOUS"));
  const { chain } = snapshot;
  if (chain === undefined) throw new GraphQLError("Nothing is indexed yet.", code("INDEXER_EMPTY"));
  const bounds = { oldest: chain.undoFloor, newest: chain.checkpoint.number };
  const wanted = number ?? atLeast ?? bounds.newest;
  if (wanted > bounds.newest)
    throw new GraphQLError(`Block ${wanted} is not reached yet.`, code("BLOCK_NOT_REACHED", bounds));
  if (atLeast !== null) return undefined;
  const block = await snapshot.block(hash === null ? { number: wanted } : { hash });
  if (block !== undefined) return block;
  throw hash === null
    ? new GraphQLError(`What the rows were at block ${wanted} is not kept.`, code("BLOCK_NOT_KEPT", bounds))
    : new GraphQLError(
        `No block ${hash} is kept: orphaned, too old, or not reached yet.`,
        code("BLOCK_UNKNOWN", bounds),
      );
}

const code = (name: string, values: object = {}) => ({ extensions: { code: name, ...values } });
