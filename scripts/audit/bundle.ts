import { getAddress, type Address, type Hex } from "viem";
import type { Structs, Verdict } from "#protocol";
import { batchEvidenceJson, parseBatchEvidence, type BatchEvidence } from "./batch.ts";
import {
  isAddressText,
  isBytes,
  isDecimal,
  isHexList,
  isRecord,
  isUint,
  isWord,
  MAX_NODES,
  MAX_SIGNERS,
  parseList,
  readCanonical,
  writeCanonical,
  type BundleForm,
} from "./bundle-text.ts";
import type { ProvenState } from "./proven-state.ts";

/** The contracts whose storage a bundle proves. */
export const provenContractNames = [
  ...(["identityRegistry", "ownerRecovery", "anchors", "credentials", "issuerCredentials"] as const),
  ...(["semaphoreCredentials", "stakeVault", "reputationEpochs"] as const),
] as const;
export type ProvenContract = (typeof provenContractNames)[number];
export type ProvenContracts = Readonly<Record<ProvenContract, Address>>;

/** A range of a log of the agent that is anchored on chain. */
export type BundledAnchor = Omit<Structs["LogAnchor"], "agentId">;

export interface BundledScore {
  readonly topic: bigint;
  readonly index: number;
  readonly leaf: bigint;
  readonly proof: readonly Hex[];
}

/** Everything that an auditor needs to check one agent against one block hash, with no RPC and nobody to believe. */
export interface Bundle extends ProvenState<ProvenContract> {
  readonly agentId: bigint;
  /** ERC-7913 bytes of every signer that was ever bound to the agent. */
  readonly signers: readonly Hex[];
  /** Bindings of the agent in batches, as their holder handed them over: the chain has only the batches' roots. */
  readonly batched: readonly BatchEvidence[];
  readonly scores: readonly BundledScore[];
  /** The last ranges of the agent's logs, in order, each log's up to its tip. */
  readonly anchors: readonly BundledAnchor[];
}

/** Sanity bounds of what a stranger hands over: an agent's lifetime of batches, topics and ranges. */
const MAX_BATCHED = 256;
const MAX_SCORES = 256;
const MAX_ANCHORS = 4_096;

const agentForm: BundleForm<Bundle> = { format: "surety-audit-bundle/3", write: writeFields, parse };

/** The one text of a bundle. */
export const writeBundle = (bundle: Bundle): string => writeCanonical(agentForm, bundle);

/** Reads a bundle; only its canonical text is one, so that no byte of it is free. */
export const readBundle = (text: string): Verdict<Bundle> => readCanonical(agentForm, text);

function writeFields(bundle: Bundle): Record<string, unknown> {
  return {
    contracts: Object.fromEntries(provenContractNames.map((name) => [name, bundle.contracts[name].toLowerCase()])),
    agentId: bundle.agentId.toString(),
    signers: bundle.signers,
    batched: bundle.batched.map(batchEvidenceJson),
    scores: bundle.scores.map(({ topic, index, leaf, proof }) => ({
      topic: topic.toString(),
      index,
      leaf: leaf.toString(),
      proof,
    })),
    anchors: bundle.anchors.map(({ log, fromSeq, toSeq, root, stateHead }) => ({
      log: log.toLowerCase(),
      ...{ fromSeq, toSeq, root, stateHead },
    })),
    header: bundle.header,
    nodes: [...bundle.nodes].sort(),
  };
}

function parse(json: Record<string, unknown>): Bundle | undefined {
  const { contracts: given, agentId, signers, header, nodes } = json;
  if (!isRecord(given) || !provenContractNames.every((name) => isAddressText(given[name]))) return undefined;
  if (!isDecimal(agentId) || !isHexList(signers, MAX_SIGNERS) || !isHexList(nodes, MAX_NODES)) return undefined;
  const batched = parseList(json["batched"], MAX_BATCHED, parseBatched);
  const scores = parseList(json["scores"], MAX_SCORES, parseScore);
  const anchors = parseList(json["anchors"], MAX_ANCHORS, parseAnchor);
  if (!isBytes(header) || batched === undefined || scores === undefined || anchors === undefined) return undefined;
  const contracts = Object.fromEntries(provenContractNames.map((name) => [name, getAddress(given[name] as string)]));
  return {
    ...{ contracts: contracts as unknown as ProvenContracts, agentId: BigInt(agentId), signers },
    ...{ batched, scores, anchors, header, nodes },
  };
}

function parseBatched(json: unknown): BatchEvidence | undefined {
  const read = parseBatchEvidence(json);
  return read.kind === "accept" ? read.value : undefined;
}

function parseAnchor(json: unknown): BundledAnchor | undefined {
  if (!isRecord(json)) return undefined;
  const { log, fromSeq, toSeq, root, stateHead } = json;
  if (!isAddressText(log) || !isUint(fromSeq, 40) || !isUint(toSeq, 40)) return undefined;
  if (!isWord(root) || !isWord(stateHead)) return undefined;
  return { log: getAddress(log), fromSeq, toSeq, root, stateHead };
}

function parseScore(json: unknown): BundledScore | undefined {
  if (!isRecord(json)) return undefined;
  const { topic, index, leaf, proof } = json;
  if (!isDecimal(topic) || !isDecimal(leaf) || !isUint(index, 53)) return undefined;
  // Deeper than 32 levels is no tree of 2^32 seats.
  if (!isHexList(proof, 32)) return undefined;
  return { topic: BigInt(topic), index, leaf: BigInt(leaf), proof };
}
