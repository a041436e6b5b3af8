import { GraphQLInt, GraphQLNonNull, GraphQLObjectType, GraphQLString, type GraphQLFieldConfig } from "graphql";
import { numberToHex, type Hex } from "viem";
import {
  CHUNK_LEAVES,
  decodeLeaves,
  LEAF_BYTES,
  leavesOfChunk,
  proofFromLevels,
  unpackLeaf,
  type LeavesId,
} from "#protocol";
import type { AnyRow, Row } from "../entities.ts";
import type { LeafFile } from "../store/store.ts";
import { rowsOf, type MeteredRows, type QueryContext } from "./context.ts";
import { bigIntScalar } from "./scalars.ts";

/** Levels above the chunks that are kept in memory, of a million leaves 256 KB each. */
const MAX_CACHED_TOPS = 32;

const fileType = new GraphQLObjectType<LeafFile, QueryContext>({
  name: "LeafFile",
  description: "Leaves that came neither with the commit nor by answers on chain, but as a file that their root names.",
  fields: {
    state: {
      type: new GraphQLNonNull(GraphQLString),
      description:
        "announced: not looked for yet. available: part of it is here. verified: all of it is, and hashes to the root. missing: no source has it. false: what sources gave does not hash to the root.",
    },
    knownLeafCount: {
      type: new GraphQLNonNull(bigIntScalar),
      resolve: ({ knownChunks, leafCount }) => Math.min(knownChunks * CHUNK_LEAVES, leafCount),
    },
    attempts: { type: new GraphQLNonNull(GraphQLInt), description: "Failed ones in a row." },
    retryAt: {
      type: bigIntScalar,
      description: "Unix seconds.",
      resolve: ({ retryAt }) => (retryAt === 0 ? null : retryAt),
    },
    detail: { type: GraphQLString, description: "What the last attempt met." },
  },
});

/** `TopicRoot.leavesFile`: null = this indexer has not looked for one. */
export const leavesFileField: GraphQLFieldConfig<AnyRow, QueryContext> = {
  type: fileType,
  resolve: (row, _args, context, info) =>
    rowsOf(context, info).snapshot.leafFile({ root: row["root"] as Hex, leafCount: row["leafCount"] as number }),
};

/** What a score is answered from. */
export type ScoreLeaf = Pick<Row<"scores">, "seat" | "agent" | "score" | "prior" | "leaf"> & {
  readonly proof: readonly Hex[];
};

export interface LeafReader {
  /** One agent's leaf out of a file that is all here; undefined = it has no seat there. */
  leafOf(rows: MeteredRows, id: LeavesId, seat: Row<"seats">): Promise<ScoreLeaf | undefined>;
}

/** Reads leaves with their proofs without hashing: the levels were stored when they were judged. */
export function createLeafReader(): LeafReader {
  const tops = new Map<string, Uint8Array>();
  return {
    async leafOf({ snapshot }, id, { seat, agent }) {
      if (seat >= id.leafCount) return undefined;
      const key = `${id.root}:${id.leafCount}`;
      const chunk = Math.floor(seat / CHUNK_LEAVES);
      const levels = await snapshot.leafChunk(id, chunk);
      const top = tops.get(key) ?? (await snapshot.leafTop(id));
      // Pruned since the file was found to be here.
      if (levels === undefined || top === undefined) return undefined;
      if (tops.size >= MAX_CACHED_TOPS) tops.delete(tops.keys().next().value as string);
      tops.set(key, top);
      const at = (seat % CHUNK_LEAVES) * LEAF_BYTES;
      const words = decodeLeaves(leavesOfChunk(levels, id.leafCount, chunk).slice(at, at + LEAF_BYTES), [1]);
      const word = words.kind === "accept" ? (words.value[0]?.[0] as bigint) : 0n;
      const { agentId, score, prior } = unpackLeaf(word);
      // A false candidate may have put another agent there.
      if (!agent.endsWith(`:${agentId}`)) return undefined;
      const leaf = numberToHex(word, { size: LEAF_BYTES });
      return {
        seat,
        agent,
        score,
        prior: Number(prior),
        leaf,
        proof: proofFromLevels(seat, levels, top, id.leafCount),
      };
    },
  };
}
