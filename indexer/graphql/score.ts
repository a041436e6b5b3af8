import {
  GraphQLBoolean,
  GraphQLError,
  GraphQLInt,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLString,
  type GraphQLFieldConfig,
} from "graphql";
import { encodeFunctionData, type Hex } from "viem";
import { LeafTree, packScoreQuery, reputationEpochsAbi } from "#protocol";
import type { AnyRow, Row } from "../entities.ts";
import type { Condition, RowQuery } from "../store/store.ts";
import { blockArgument, rowsAt, type BlockHeight } from "./block-height.ts";
import type { QueryContext } from "./context.ts";
import { createLeafReader, type LeafReader, type ScoreLeaf } from "./leaf-files.ts";
import { MAX_FIRST } from "./limits.ts";
import { bigIntScalar, bytesScalar } from "./scalars.ts";

/** Trees kept in memory. A tree of 4,096 leaves (what fits a commit's calldata) takes 260 KB and 20 ms to build. */
const MAX_CACHED_TREES = 32;

interface ScoreArguments {
  readonly agentId: bigint;
  readonly topic: bigint;
  readonly epoch?: number | null;
  readonly block?: BlockHeight | null;
}

type ObjectType = GraphQLObjectType<AnyRow, QueryContext>;

/**
 * `score(agentId, topic, epoch)`: one agent's score with all that `verifyScore` and an auditor need. Without an epoch it
 * is the topic's last finalized one, the only one that the contract itself answers for.
 */
export function scoreField(
  agentType: ObjectType,
  candidateType: ObjectType,
): GraphQLFieldConfig<unknown, QueryContext> {
  const trees = new Map<Hex, LeafTree>();
  const files = createLeafReader();
  return {
    type: scoreProofType(agentType, candidateType),
    args: {
      agentId: { type: new GraphQLNonNull(bigIntScalar) },
      topic: { type: new GraphQLNonNull(bigIntScalar) },
      epoch: { type: GraphQLInt },
      block: blockArgument,
    },
    resolve: async (_root, args: ScoreArguments, whole, info) => {
      const context = { ...whole, rows: await rowsAt(whole, info, args.block) };
      const root = await findRoot(context, args.topic, args.epoch ?? null);
      if (root === undefined) return null;
      const candidate = (await context.rows.get("candidates", root.candidate)) as Row<"candidates">;
      const agent = `${context.deployment.chainId}:${args.agentId}`;
      const isOnChain = root.leavesState === "verified";
      const found = isOnChain
        ? await leafOfRows(context, root, agent, trees)
        : await leafOfFile(context, root, agent, files);
      if (found === undefined || agent.endsWith(":0")) return null;
      return scoreProof(context, { root, candidate, found });
    },
  };
}

function scoreProofType(agentType: ObjectType, candidateType: ObjectType): GraphQLObjectType {
  const big = new GraphQLNonNull(bigIntScalar);
  const bytes = new GraphQLNonNull(bytesScalar);
  const text = new GraphQLNonNull(GraphQLString);
  return new GraphQLObjectType({
    name: "ScoreProof",
    fields: {
      agent: { type: agentType },
      candidate: { type: new GraphQLNonNull(candidateType) },
      topic: { type: big },
      epoch: { type: big },
      score: { type: big, description: "Share of 2^62." },
      prior: { type: big },
      root: { type: bytes },
      index: { type: big, description: "Position of the leaf = the agent's seat." },
      leaf: { type: bytes, description: "agent32 | score64 | cum64 | prior48 | rowSum48." },
      leafCount: { type: big },
      proof: { type: new GraphQLNonNull(new GraphQLList(bytes)) },
      query: { type: big, description: "topic | epoch << 64 | index << 96." },
      proofCalldata: { type: bytes, description: "Call of ReputationEpochs.verifyScore, ready to send." },
      contract: { type: bytes, description: "ReputationEpochs." },
      finality: {
        type: text,
        description:
          "finalized: verifyScore answers. superseded: a later epoch of the topic is finalized. standing: not finalized, it may yet be struck.",
      },
      isChainFinal: {
        type: new GraphQLNonNull(GraphQLBoolean),
        description: "The chain calls the commit's block final.",
      },
      publishedIn: { type: bytes, description: "Transaction of the commit." },
      finalizedIn: { type: bytesScalar, description: "Transaction that finalized the topic." },
    },
  });
}

/** The root to answer from: of the asked epoch the finalized one, else the first that stands. */
async function findRoot(
  { rows }: QueryContext,
  topic: bigint,
  epoch: number | null,
): Promise<Row<"topicRoots"> | undefined> {
  const context = { rows };
  if (epoch === null) {
    const topicRow = await rows.get("topics", topic.toString());
    if (topicRow === undefined || topicRow.finalizedCandidate === null) return undefined;
    return rows.get("topicRoots", `${topicRow.finalizedCandidate}:${topic}`);
  }
  const roots = await find<"topicRoots">(context, "topicRoots", [
    equal("topic", topic.toString()),
    equal("epoch", epoch),
  ]);
  const finalized = roots.find(({ finalizedAt }) => finalizedAt !== null);
  if (finalized !== undefined) return finalized;
  const standing = await Promise.all(
    roots.map(async (root) => [root, await rows.get("candidates", root.candidate)] as const),
  );
  // Ids of one epoch are as long as each other up to 2^32 candidates, but compare as numbers all the same.
  return standing
    .filter(([, candidate]) => candidate?.state === "standing")
    .map(([root]) => root)
    .sort((a, b) => (BigInt(a.candidate) < BigInt(b.candidate) ? -1 : 1))[0];
}

async function leafOfRows(
  context: QueryContext,
  root: Row<"topicRoots">,
  agent: string,
  trees: Map<Hex, LeafTree>,
): Promise<ScoreLeaf | undefined> {
  const where = [equal("candidate", root.candidate), equal("topic", root.topic), equal("agent", agent)];
  const [score] = await find<"scores">(context, "scores", where);
  if (score === undefined) return undefined;
  return { ...score, proof: (await treeOf(context, root, trees)).proof(score.seat) };
}

/** Of leaves that no log holds: they came as a file, if they came. */
async function leafOfFile(
  { rows, deployment }: QueryContext,
  { root, leafCount, leavesState, topic }: Row<"topicRoots">,
  agent: string,
  files: LeafReader,
): Promise<ScoreLeaf | undefined> {
  const id = { root: root as Hex, leafCount };
  const fileState = (await rows.snapshot.leafFile(id))?.state ?? null;
  if (fileState !== "verified") {
    const came = fileState === null ? "" : `, their file is ${fileState}`;
    throw new GraphQLError(`The leaves of root ${root} are ${leavesState}${came}: no score of it is shown.`, {
      extensions: { code: "SCORE_NOT_VERIFIED", leavesState, fileState, root },
    });
  }
  const seat = await rows.get("seats", `${topic}:${agent.slice(`${deployment.chainId}:`.length)}`);
  return seat === undefined ? undefined : files.leafOf(rows, id, seat);
}

async function treeOf(
  context: QueryContext,
  { candidate, topic, root, leafCount }: Row<"topicRoots">,
  trees: Map<Hex, LeafTree>,
): Promise<LeafTree> {
  const known = trees.get(root as Hex);
  if (known !== undefined) return known;
  const words: bigint[] = [];
  while (words.length < leafCount) {
    // By seat, a page at a time; not metered, since the caller asked for one score. As of today: leaves never change.
    const seats = [{ column: "seat", comparison: "gte", value: words.length } as const];
    const where: Condition[] = [equal("candidate", candidate), equal("topic", topic), ...seats];
    const page = (await context.rows.snapshot.find(query("scores", where, "seat"))) as readonly Row<"scores">[];
    if (page.length === 0) break;
    for (const { leaf } of page) words.push(BigInt(leaf));
  }
  const tree = words.length === leafCount && leafCount > 0 ? new LeafTree(words) : undefined;
  if (tree?.root !== root) {
    throw new GraphQLError("The stored leaves do not hash to the committed root.", {
      extensions: { code: "SCORE_ROOT_MISMATCH", root },
    });
  }
  if (trees.size >= MAX_CACHED_TREES) trees.delete(trees.keys().next().value as Hex);
  trees.set(root, tree);
  return tree;
}

interface ScoreParts {
  readonly root: Row<"topicRoots">;
  readonly candidate: Row<"candidates">;
  readonly found: ScoreLeaf;
}

async function scoreProof(context: QueryContext, { root, candidate, found: score }: ScoreParts): Promise<unknown> {
  const { rows, deployment } = context;
  const word = packScoreQuery({ topic: BigInt(root.topic), epoch: root.epoch, index: score.seat });
  const topic = await rows.get("topics", root.topic);
  return {
    agent: await rows.get("agents", score.agent),
    candidate,
    topic: BigInt(root.topic),
    epoch: root.epoch,
    score: score.score,
    prior: score.prior,
    root: root.root,
    index: score.seat,
    leaf: score.leaf,
    leafCount: root.leafCount,
    proof: score.proof,
    query: word,
    proofCalldata: encodeFunctionData({
      abi: reputationEpochsAbi,
      functionName: "verifyScore",
      args: [word, BigInt(score.leaf), score.proof],
    }),
    contract: deployment.contracts.reputationEpochs.toLowerCase(),
    finality: finalityOf(root, topic),
    isChainFinal: candidate.committedBlock <= (rows.snapshot.chain?.finalized ?? -1),
    publishedIn: candidate.committedTx,
    finalizedIn: root.finalizedTx,
  };
}

function finalityOf(root: Row<"topicRoots">, topic: Row<"topics"> | undefined): string {
  if (root.finalizedAt === null) return "standing";
  return topic?.finalizedEpoch === root.epoch ? "finalized" : "superseded";
}

function equal(column: string, value: string | number): Condition {
  return { column, comparison: "eq", value };
}

function query(table: "scores" | "topicRoots", where: readonly Condition[], orderBy: string): RowQuery {
  return { table, where, orderBy, direction: "asc", first: MAX_FIRST, skip: 0 };
}

async function find<T extends "scores" | "topicRoots">(
  { rows }: Pick<QueryContext, "rows">,
  table: T,
  where: readonly Condition[],
): Promise<readonly Row<T>[]> {
  return (await rows.find(query(table, where, "id"))) as unknown as readonly Row<T>[];
}
