import { getAddress, zeroAddress, type Address, type Hex } from "viem";
import {
  addressOfPeerId,
  isSignerValidAt,
  matchBody,
  purposes,
  signerHashOf,
  stakeVaultAbi,
  topicIdOf,
  verifyLogHeader,
  type Deployment,
  type DomainContracts,
} from "#protocol";
import { withSignal } from "../chain/clock.ts";
import { unreachable, type ChainClient } from "../chain/connect.ts";
import type { Heads, IdentityReader } from "../chain/port.ts";
import type { Discovery } from "../discovery/discovery.ts";
import type { Finding, FindFilter } from "../discovery/port.ts";
import type { LogReader } from "../log/log-store.ts";
import type { ScoreReader } from "../reputation/scores.ts";
import { strangersList, strangersText, UNTRUSTED_NOTICE } from "./untrusted.ts";

// Whom to find and whom to trust, as a client may ask it: figures that this node checked itself stand beside each other,
// what the other side says of itself stands under `untrusted`.

export interface AgentDeskOptions {
  readonly client: ChainClient;
  readonly deployment: Deployment;
  readonly heads: Heads;
  readonly identity: IdentityReader;
  readonly logs: LogReader;
  readonly discovery: Discovery;
  readonly scores: ScoreReader;
}

export interface FindQuestion extends Pick<FindFilter, "topic" | "minScore" | "maxPriceWei"> {
  readonly query: string;
  readonly limit: number;
}

/** One thing that was checked. */
export interface IdentityCheck {
  readonly name: string;
  readonly holds: boolean;
  /** Our own words and figures only. */
  readonly detail: string;
}

/** All scores of a topic together. */
const WHOLE = 2 ** 62;
/** Findings that are looked through for one agent's. */
const MAX_SEARCHED = 100;

export class AgentDesk {
  readonly #options: AgentDeskOptions;
  readonly #contracts: DomainContracts;

  constructor(options: AgentDeskOptions) {
    this.#options = options;
    this.#contracts = { chainId: options.deployment.chainId, ...options.deployment.contracts };
  }

  /** @throws SuretyError FIND_FILTER_INVALID */
  async find({ query, ...filter }: FindQuestion, signal: AbortSignal) {
    const found = await this.#options.discovery.find(query, filter, signal);
    return { notice: UNTRUSTED_NOTICE, agents: found.map(describe) };
  }

  /** The best finding of a text, for whoever has no topic. */
  async topicFor(text: string, signal: AbortSignal): Promise<string | undefined> {
    const [best] = await this.#options.discovery.find(text, { limit: 1, liveness: "known" }, signal);
    return best?.topics[0];
  }

  /**
   * Owner, LOG signer, declaration, peer, forks, commitment and stake of an agent, each read from the chain or computed
   * again from what the agent signed; the first check that fails makes the ones that need it fail too.
   */
  async verify(agentId: bigint, signal: AbortSignal) {
    const { identity, heads } = this.#options;
    const { number } = heads.latest();
    const owner = await identity.ownerOf(agentId, signal);
    const exists = owner !== zeroAddress;
    const checks: IdentityCheck[] = [
      { name: "registered", holds: exists, detail: exists ? `owned by ${owner}` : "the registry has no such agent" },
    ];
    if (exists) {
      const finding = await this.#findingOf(agentId, signal);
      checks.push(...(finding === undefined ? [unheard] : await this.#checkDeclaration(finding, signal)));
      checks.push(await this.#checkCommitment(agentId, finding, signal), await this.#checkStake(agentId, signal));
    }
    return { agentId, blockNumber: number, holds: checks.every(({ holds }) => holds), checks };
  }

  /** A score and its proof against the root that the chain holds, or why there is none. */
  async reputation(agentId: bigint, topic: string, signal: AbortSignal) {
    const proven = await this.#options.scores.provenScoreOf(topic, agentId, signal);
    const { reputationEpochs, trustLedger } = this.#options.deployment.contracts;
    const subject = { agentId, topic, topicId: topicIdOf(topic), contracts: { reputationEpochs, trustLedger } };
    if (proven === undefined) {
      return { ...subject, isProven: false, reason: "no finalized score of this agent in this topic is known here" };
    }
    const { epoch, score, index, leaf, proof, root, leafCount } = proven;
    const share = Number(score) / WHOLE;
    return { ...subject, isProven: true, epoch, score, share, proof: { index, leaf, path: proof, root, leafCount } };
  }

  async #findingOf(agentId: bigint, signal: AbortSignal): Promise<Finding | undefined> {
    const found = await this.#options.discovery.find("", { limit: MAX_SEARCHED, liveness: "known" }, signal);
    return found.find((finding) => finding.agentId === agentId);
  }

  async #checkDeclaration({ evidence, log, peerId, agentId }: Finding, signal: AbortSignal): Promise<IdentityCheck[]> {
    const { identity, logs, heads } = this.#options;
    const record = await identity.signerOf(signerHashOf(log), signal);
    const speaks = record.agentId === agentId && isSignerValidAt(record, purposes.log, heads.latest().timestamp);
    const signed = verifyLogHeader(evidence.header, this.#contracts);
    const whole = signed.kind === "accept" ? matchBody(evidence.header.header, evidence.body) : signed;
    const peer = addressOfPeerId(peerId);
    const isOwnPeer = peer.kind === "accept" && peer.value === getAddress(log);
    const isForked = logs.forkOf(log) !== undefined;
    return [
      { name: "log signer", holds: speaks, detail: `${log} ${speaks ? "is" : "is not"} bound as its LOG signer now` },
      {
        name: "declaration",
        holds: whole.kind === "accept",
        detail: whole.kind === "accept" ? `entry ${evidence.digest}, signed by ${log}` : whole.code,
      },
      {
        name: "peer",
        holds: isOwnPeer,
        detail: isOwnPeer ? "its peer id is that key's" : "its peer id is another key's",
      },
      { name: "one history", holds: !isForked, detail: isForked ? "its log has two histories" : "no fork is known" },
    ];
  }

  /** Without a commitment an agent promises nothing of its code; with one, its log says whether it runs it. */
  async #checkCommitment(agentId: bigint, finding: Finding | undefined, signal: AbortSignal): Promise<IdentityCheck> {
    const commitment = await this.#options.identity.commitmentOf(agentId, signal);
    const name = "code commitment";
    if (BigInt(commitment) === 0n) return { name, holds: true, detail: "none: it commits to no code" };
    if (finding === undefined) return { name, holds: true, detail: commitment };
    const says = finding.isBound ? "its log says that it runs it" : "its log says that it runs something else";
    return { name, holds: finding.isBound, detail: `${commitment}; ${says}` };
  }

  async #checkStake(agentId: bigint, signal: AbortSignal): Promise<IdentityCheck> {
    const vault = { address: this.#options.deployment.contracts.stakeVault, abi: stakeVaultAbi } as const;
    if (agentId >= 2n ** 32n) return { name: "stake", holds: true, detail: "none" };
    const answer = this.#options.client.readContract({ ...vault, functionName: "stakeOf", args: [Number(agentId)] });
    const [staked] = await withSignal(answer, signal).catch((cause: unknown) => {
      signal.throwIfAborted();
      throw unreachable(cause);
    });
    return { name: "stake", holds: true, detail: `${staked} of the token's smallest unit` };
  }
}

const unheard: IdentityCheck = {
  name: "declaration",
  holds: false,
  detail: "this node has heard no valid declaration of it",
};

function describe(finding: Finding) {
  const { agentId, log, declarationId, evidence, priceWei, token, isBound, peerId } = finding;
  const { rank, match, score, liveness, isLive, alive } = finding;
  return {
    ...{ agentId, log, declarationId, headerDigest: evidence.digest, priceWei, token, isBound, peerId },
    ...{ rank, match, score, liveness, isLive },
    alive: alive ?? null,
    untrusted: {
      name: strangersText(finding.name, 128),
      description: strangersText(finding.description),
      topics: strangersList(finding.topics),
      skills: strangersList(finding.skills),
    },
  };
}

/** What finds name and describe, for typed users. */
export type DescribedAgent = ReturnType<typeof describe> & { readonly log: Address; readonly headerDigest: Hex };
