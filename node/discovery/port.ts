import type { Address, Hex } from "viem";
import type { AliveProof, SignedHeader } from "#protocol";
import type { PeerName } from "../transport/port.ts";

/** Scores of finalized epochs; the reputation stage comes later, so node.ts supplies it. */
export interface ScorePort {
  /** @returns score of each agent in the topic, a fraction 0…1 of the highest among those asked for; absent = none yet */
  scoresOf(topic: string, agentIds: readonly bigint[], signal: AbortSignal): Promise<ReadonlyMap<bigint, number>>;
}

/** The identity registry: whom a log speaks for. */
export interface AgentPort {
  /** @returns undefined if the log's signer speaks for nobody now */
  agentOf(log: Address, signal: AbortSignal): Promise<bigint | undefined>;
  /** @returns the agent's current commitment to code and config; zero = none */
  commitmentOf(agentId: bigint, signal: AbortSignal): Promise<Hex>;
}

export interface FindFilter {
  /** `declare`: who offers; `intent`: who asks. Default `declare`. */
  readonly kind?: "declare" | "intent";
  readonly topic?: string;
  /** At least one of these. */
  readonly skills?: readonly string[];
  /** Fraction 0…1, see ScorePort. */
  readonly minScore?: number;
  /** In the token's smallest unit. */
  readonly maxPriceWei?: bigint;
  /** Age of the signed answer that shows an agent alive; older ones are asked anew. Default and at most LIVENESS_TTL_MS. */
  readonly maxAgeMs?: number;
  /**
   * `required`: only agents that have answered a challenge; `preferred`: these first, then the others as stale; `known`:
   * nobody is challenged, answers of earlier searches count. Default `required`.
   */
  readonly liveness?: "required" | "preferred" | "known";
  /**
   * `local`: only what this node heard; `network`: where that is fewer than `limit`, peers are asked, and agents that the
   * chain's registry names. Default `network`; `local` where liveness is `known`.
   */
  readonly scope?: "local" | "network";
  /** 1…100, default 20. */
  readonly limit?: number;
}

/** One agent that was found, with what is needed to check it: header, signature and body, and the log's agent on chain. */
export interface Finding {
  /** Digest of the declaration; what an update, a withdrawal or a negotiation cites. */
  readonly declarationId: Hex;
  readonly agentId: bigint;
  readonly log: Address;
  /** A stranger's words: label them as such before they reach a prompt. */
  readonly name: string;
  readonly description: string;
  readonly topics: readonly string[];
  readonly skills: readonly string[];
  readonly priceWei: bigint;
  readonly token: Address;
  readonly peerId: PeerName;
  readonly addresses: readonly string[];
  /**
   * The author's entry says that it runs what its agent committed to, and its log's last attestation names the commitment that the chain
   * holds now. That this is what runs is still its operator's word.
   */
  readonly isBound: boolean;
  /** Who pointed to it: the own index, a peer, or an indexer's registry. Each was verified in the same way. */
  readonly source: "index" | "peer" | "directory";
  /** Whether its LOG key answered a challenge within `maxAgeMs`; a stale agent may still declare, and not be there. */
  readonly isLive: boolean;
  /** That answer, to be checked by anybody (`verifyAlive`); of a stale agent the last one, if it ever gave one. */
  readonly alive: AliveProof | undefined;
  /** rank = match × (floor + (1 − floor) · score) × liveness; all 0…1. */
  readonly rank: number;
  readonly match: number;
  readonly score: number;
  readonly liveness: number;
  readonly evidence: { readonly header: SignedHeader; readonly digest: Hex; readonly body: Uint8Array };
}
