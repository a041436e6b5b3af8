import { getAddress, isAddress, type Address, type Hex } from "viem";
import { accept, reject, type Verdict } from "#protocol";

/** The contracts whose storage a bundle proves. */
export interface ProvenContracts {
  readonly identityRegistry: Address;
  readonly stakeVault: Address;
  readonly reputationEpochs: Address;
}

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
  /** RLP of the block header. */
  readonly header: Hex;
  /** Nodes of the state and storage tries, ascending, each needed by the check. */
  readonly nodes: readonly Hex[];
}

const FORMAT = "surety-audit-bundle/1";
/** Sanity bounds of what a stranger hands over: an agent's lifetime of keys, topics, and a deep trie for each. */
const MAX_SIGNERS = 1_024;
const MAX_SCORES = 256;
const MAX_NODES = 100_000;

/** The one text of a bundle: fixed key order, lower-case hex, decimal integers, two spaces. */
export function writeBundle(bundle: Bundle): string {
  const { identityRegistry, stakeVault, reputationEpochs } = bundle.contracts;
  const canonical = {
    format: FORMAT,
    contracts: {
      identityRegistry: identityRegistry.toLowerCase(),
      stakeVault: stakeVault.toLowerCase(),
      reputationEpochs: reputationEpochs.toLowerCase(),
    },
    agentId: bundle.agentId.toString(),
    signers: bundle.signers,
    scores: bundle.scores.map(({ topic, index, leaf, proof }) => ({
      topic: topic.toString(),
      index,
      leaf: leaf.toString(),
      proof,
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
  const contracts = [json["contracts"]["identityRegistry"], json["contracts"]["stakeVault"]];
  const [identityRegistry, stakeVault, reputationEpochs] = [...contracts, json["contracts"]["reputationEpochs"]];
  const { agentId, signers, scores, header, nodes } = json;
  if (!isAddressText(identityRegistry) || !isAddressText(stakeVault) || !isAddressText(reputationEpochs))
    return undefined;
  if (!isDecimal(agentId) || !isHexList(signers, MAX_SIGNERS) || !isHexList(nodes, MAX_NODES)) return undefined;
  if (!isBytes(header) || !Array.isArray(scores) || scores.length > MAX_SCORES) return undefined;
  const parsedScores = scores.map(parseScore);
  if (!parsedScores.every((score) => score !== undefined)) return undefined;
  return {
    contracts: {
      identityRegistry: getAddress(identityRegistry),
      stakeVault: getAddress(stakeVault),
      reputationEpochs: getAddress(reputationEpochs),
    },
    agentId: BigInt(agentId),
    signers,
    scores: parsedScores,
    header,
    nodes,
  };
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
const isAddressText = (value: unknown): value is string => typeof value === "string" && isAddress(value);
const isDecimal = (value: unknown): value is string =>
  typeof value === "string" && /^(0|[1-9]\d{0,77})$/.test(value) && BigInt(value) < 1n << 256n;
const isHexList = (value: unknown, max: number): value is Hex[] =>
  Array.isArray(value) && value.length <= max && value.every(isBytes);
