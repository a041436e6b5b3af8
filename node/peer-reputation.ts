import { addressOfPeerId, topicIdOf } from "#protocol";
import type { AgentPort } from "./discovery/port.ts";
import type { ScoreReader } from "./reputation/scores.ts";
import type { PeerName } from "./transport/port.ts";

/** Points of mesh score for twice the share of the average agent, and as many less for half of it; the mesh bounds the sum. */
const POINTS_PER_DOUBLING = 2;
/** `standingsOf` counts in 1/2^16 of the uniform share. */
const UNIFORM_BITS = 16;
/** Topics of the own trade that are asked about. */
const MAX_TOPICS = 4;

export interface PeerReputationOptions {
  readonly agents: Pick<AgentPort, "agentOf">;
  readonly scores: Pick<ScoreReader, "standingsOf">;
  /** What the own agent offers: reputation in other trades says little of a peer here. */
  readonly topics: readonly string[];
}

/**
 * What the finalized epochs say of the agent behind a peer, as points for the mesh's score: 0 for who has no score, so that
 * a newcomer's links are as good as an average agent's. Proven against the chain's roots, as all scores are.
 */
export function createPeerReputation(options: PeerReputationOptions) {
  const topics = [...new Set(options.topics)].slice(0, MAX_TOPICS).map((topic) => topicIdOf(topic));
  return async (peer: PeerName, signal: AbortSignal): Promise<number> => {
    const address = addressOfPeerId(peer);
    if (address.kind !== "accept" || topics.length === 0) return 0;
    const agentId = await options.agents.agentOf(address.value, signal);
    if (agentId === undefined || agentId === 0n) return 0;
    const standings = await Promise.all(topics.map((topic) => options.scores.standingsOf(topic, [agentId], signal)));
    const shares = standings.flatMap(({ scores }) => [...scores.values()]);
    const points = shares.map((share) => POINTS_PER_DOUBLING * (Math.log2(Math.max(1, Number(share))) - UNIFORM_BITS));
    return points.length === 0 ? 0 : points.reduce((sum, each) => sum + each, 0) / points.length;
  };
}
