import { gql, GraphQLClient } from "graphql-request";
import type { Hex } from "viem";
import {
  packScoreQuery,
  reputationEpochsAbi,
  topicIdOf,
  relativeScoreOf,
  unpackLeaf,
  verifyProof,
  type Deployment,
} from "#protocol";
import type { ReputationClient } from "./chain.ts";

interface ScoreAnswer {
  readonly score: { readonly epoch: string; readonly index: string; readonly leaf: Hex; readonly proof: Hex[] } | null;
}

export interface ScoreReaderOptions {
  readonly client: ReputationClient;
  readonly deployment: Deployment;
  /** An indexer's GraphQL endpoint; undefined = no scores are known. */
  readonly graphqlUrl: string | undefined;
  /** Told when the indexer fails or lies; the agent then counts as one without a score. */
  readonly onFault: (fault: unknown) => void;
}

/** A score, and what proves it by one call of `ReputationEpochs.verifyScore` or by hand against `finalizedOf`. */
export interface ProvenScore {
  readonly agentId: bigint;
  readonly topic: bigint;
  readonly epoch: number;
  /** Of a whole of 2^62, which the topic's agents share. */
  readonly score: bigint;
  readonly index: number;
  readonly leaf: bigint;
  readonly proof: readonly Hex[];
  readonly root: Hex;
  readonly leafCount: number;
}

/** What the chain holds of a topic's last finalized epoch. */
interface FinalizedTopic {
  readonly topic: bigint;
  readonly root: Hex;
  readonly epoch: number;
  readonly leafCount: number;
}

/** Agents asked for in one search, each with a request to the indexer. */
const MAX_AGENTS = 100;

const scoreQuery = gql`
  query Score($agentId: BigInt!, $topic: BigInt!) {
    score(agentId: $agentId, topic: $topic) {
      epoch
      index
      leaf
      proof
    }
  }
`;

/**
 * Scores of the last finalized epoch, from an indexer that nobody has to believe: each comes with a Merkle proof, which is
 * checked against the root that the chain itself holds.
 */
export class ScoreReader {
  readonly #options: ScoreReaderOptions;
  readonly #graphql: GraphQLClient | undefined;

  constructor(options: ScoreReaderOptions) {
    this.#options = options;
    const { graphqlUrl } = options;
    this.#graphql = graphqlUrl === undefined ? undefined : new GraphQLClient(graphqlUrl);
  }

  /** @returns score of each agent as a fraction of the highest among them; absent = no proven score */
  async scoresOf(
    topic: string,
    agentIds: readonly bigint[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<bigint, number>> {
    const graphql = this.#graphql;
    if (graphql === undefined) return new Map();
    const finalized = await this.#finalized(topicIdOf(topic));
    if (finalized === undefined) return new Map();
    const asked = agentIds.slice(0, MAX_AGENTS).map(async (agentId) => {
      const proven = await this.#provenScore(graphql, finalized, agentId, signal);
      return [agentId, proven?.score] as const;
    });
    const proven = (await Promise.all(asked)).filter((entry): entry is readonly [bigint, bigint] => !!entry[1]);
    const highest = proven.reduce((max, [, score]) => (score > max ? score : max), 1n);
    return new Map(proven.map(([agentId, score]) => [agentId, Number((score * 1_000_000n) / highest) / 1_000_000]));
  }

  /** One agent's score with its proof; undefined: none is finalized, or none is known that the chain's root proves. */
  async provenScoreOf(topic: string | bigint, agentId: bigint, signal: AbortSignal): Promise<ProvenScore | undefined> {
    const finalized = await this.#finalized(typeof topic === "bigint" ? topic : topicIdOf(topic));
    if (finalized === undefined || this.#graphql === undefined) return undefined;
    return await this.#provenScore(this.#graphql, finalized, agentId, signal);
  }

  /** @returns the last finalized epoch (0 = none), and each agent's score as a multiple of the uniform share, in 1/2^16 */
  async standingsOf(
    topic: bigint,
    agentIds: readonly bigint[],
    signal: AbortSignal,
  ): Promise<{ readonly epoch: number; readonly scores: ReadonlyMap<bigint, bigint> }> {
    const graphql = this.#graphql;
    const finalized = graphql === undefined ? undefined : await this.#finalized(topic);
    if (graphql === undefined || finalized === undefined) return { epoch: 0, scores: new Map() };
    const scores = new Map<bigint, bigint>();
    const asked = agentIds.slice(0, MAX_AGENTS).map(async (agentId) => {
      const proven = await this.#provenScore(graphql, finalized, agentId, signal);
      if (proven !== undefined) scores.set(agentId, relativeScoreOf(proven.score, finalized.leafCount));
    });
    await Promise.all(asked);
    return { epoch: finalized.epoch, scores };
  }

  async #finalized(topic: bigint): Promise<FinalizedTopic | undefined> {
    const [root, epoch, leafCount] = await this.#options.client.readContract({
      abi: reputationEpochsAbi,
      address: this.#options.deployment.contracts.reputationEpochs,
      functionName: "finalizedOf",
      args: [topic],
    });
    return epoch === 0 ? undefined : { topic, root, epoch, leafCount };
  }

  async #provenScore(
    graphql: GraphQLClient,
    { topic, root, epoch, leafCount }: FinalizedTopic,
    agentId: bigint,
    signal: AbortSignal,
  ): Promise<ProvenScore | undefined> {
    try {
      const variables = { agentId: agentId.toString(), topic: topic.toString() };
      const { score } = await graphql.request<ScoreAnswer>({ document: scoreQuery, variables, signal });
      if (score === null || Number(score.epoch) !== epoch) return undefined;
      const leaf = { index: Number(score.index), word: BigInt(score.leaf) };
      const { agentId: leafAgent, score: share } = unpackLeaf(leaf.word);
      if (BigInt(leafAgent) === agentId && verifyProof(root, leafCount, leaf, score.proof)) {
        const { index, word } = leaf;
        return { agentId, topic, epoch, score: share, index, leaf: word, proof: score.proof, root, leafCount };
      }
      throw new Error(
        `the indexer's proof of agent ${agentId} in query ${packScoreQuery({ topic, epoch, index: leaf.index })} does not hold`,
      );
    } catch (fault) {
      signal.throwIfAborted();
      this.#options.onFault(fault);
      return undefined;
    }
  }
}
