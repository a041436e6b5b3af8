import { getAddress, isAddress, type Address, type Hex } from "viem";
import { accept, reject, type Structs, type Verdict } from "#protocol";

/** The contracts whose storage a bundle proves. */
export interface ProvenContracts {
  readonly identityRegistry: Address;
  readonly ownerRecovery: Address;
  readonly anchors: Address;
  readonly credentials: Address;
  readonly issuerCredentials: Address;
  readonly semaphoreCredentials: Address;
  readonly stakeVault: Address;
  readonly reputationEpochs: Address;
}

export const provenContractNames = [
  ...(["identityRegistry", "ownerRecovery", "anchors", "credentials", "issuerCredentials"] as const),
  ...(["semaphoreCredentials", "stakeVault", "reputationEpochs"] as const),
] as const satisfies readonly (keyof ProvenContracts)[];

/** A range of a log of the agent that is anchored on chain. */
export type BundledAnchor = Omit<Structs["LogAnchor"], "agentId">;

export interface BundledScore {
  readonly topic: bigint;
  readonly index: number;
  readonly leaf: bigint;
  readonly proof: readonly Hex[];
}

/** Everything that an auditor needs to check one agent against one block hash, with no RPC and nobody to believe. */
export interface Bundle {
  readonly contracts: ProvenContracts;
  readonly agentId: bigint;
  /** ERC-7913 bytes of every signer that was ever bound to the agent. */
  readonly signers: readonly Hex[];
  readonly scores: readonly BundledScore[];
  /** The last ranges of the agent's logs, in order, each log's up to its tip. */
  readonly anchors: readonly BundledAnchor[];
  /** RLP of the block header. */
  readonly header: Hex;
  /** Nodes of the state and storage tries, ascending, each needed by the check. */
  readonly nodes: readonly Hex[];
}

const FORMAT = "surety-audit-bundle/2";
/** Sanity bounds of what a stranger hands over: an agent's lifetime of keys, topics, and a deep trie for each. */
const MAX_SIGNERS = 1_024;
const MAX_SCORES = 256;
const MAX_ANCHORS = 4_096;
const MAX_NODES = 100_000;

/** The one text of a bundle: fixed key order, lower-case hex, decimal integers, two spaces. */
export function writeBundle(bundle: Bundle): string {
  const canonical = {
    format: FORMAT,
    contracts: Object.fromEntries(provenContractNames.map((name) => [name, bundle.contracts[name].toLowerCase()])),
    agentId: bundle.agentId.toString(),
    signers: bundle.signers,
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
  return `${JSON.stringify(canonical, null, 2)}\n`;
}

/** Reads a bundle; only its canonical text is one, so that no byte of it is free. */
export function readBundle(text: string): Verdict<Bundle> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return reject("BUNDLE_NOT_JSON", "the bundle is not JSON");
  }
  const bundle = parse(json);
  if (bundle === undefined) return reject("BUNDLE_SHAPE", `not an object of the form ${FORMAT}`);
  if (writeBundle(bundle) !== text) return reject("BUNDLE_NOT_CANONICAL", "the bundle is not in its canonical form");
  return accept(bundle);
}

function parse(json: unknown): Bundle | undefined {
  if (!isRecord(json) || json["format"] !== FORMAT || !isRecord(json["contracts"])) return undefined;
  const given = json["contracts"];
  const { agentId, signers, scores, anchors, header, nodes } = json;
  if (!provenContractNames.every((name) => isAddressText(given[name]))) return undefined;
  if (!isDecimal(agentId) || !isHexList(signers, MAX_SIGNERS) || !isHexList(nodes, MAX_NODES)) return undefined;
  if (!isBytes(header) || !Array.isArray(scores) || scores.length > MAX_SCORES) return undefined;
  if (!Array.isArray(anchors) || anchors.length > MAX_ANCHORS) return undefined;
  const parsedScores = scores.map(parseScore);
  const parsedAnchors = anchors.map(parseAnchor);
  if (!parsedScores.every((score) => score !== undefined)) return undefined;
  if (!parsedAnchors.every((anchor) => anchor !== undefined)) return undefined;
  const contracts = Object.fromEntries(provenContractNames.map((name) => [name, getAddress(given[name] as string)]));
  return {
    ...{ contracts: contracts as unknown as ProvenContracts, agentId: BigInt(agentId), signers },
    ...{ scores: parsedScores, anchors: parsedAnchors, header, nodes },
  };
}

function parseAnchor(json: unknown): BundledAnchor | undefined {
  if (!isRecord(json)) return undefined;
  const { log, fromSeq, toSeq, root, stateHead } = json;
  if (!isAddressText(log) || !isSeq(fromSeq) || !isSeq(toSeq) || !isWord(root) || !isWord(stateHead)) return undefined;
  return { log: getAddress(log), fromSeq, toSeq, root, stateHead };
}

function parseScore(json: unknown): BundledScore | undefined {
  if (!isRecord(json)) return undefined;
  const { topic, index, leaf, proof } = json;
  if (!isDecimal(topic) || !isDecimal(leaf) || !Number.isSafeInteger(index) || (index as number) < 0) return undefined;
  // Deeper than 32 levels is no tree of 2^32 seats.
  if (!isHexList(proof, 32)) return undefined;
  return { topic: BigInt(topic), index: index as number, leaf: BigInt(leaf), proof };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isBytes = (value: unknown): value is Hex => typeof value === "string" && /^0x([0-9a-f]{2})*$/.test(value);
const isWord = (value: unknown): value is Hex => isBytes(value) && value.length === 66;
/** A uint40. */
const isSeq = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 40;
const isAddressText = (value: unknown): value is string => typeof value === "string" && isAddress(value);
const isDecimal = (value: unknown): value is string =>
  typeof value === "string" && /^(0|[1-9]\d{0,77})$/.test(value) && BigInt(value) < 1n << 256n;
const isHexList = (value: unknown, max: number): value is Hex[] =>
  Array.isArray(value) && value.length <= max && value.every(isBytes);
