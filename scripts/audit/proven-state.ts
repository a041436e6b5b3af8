import { type Address, type Hex, type PublicClient } from "viem";
import { decodeHeader, encodeHeader, NodeSet, storageRootOf, storageWordOf } from "#protocol";
import { check, dateOf, fails, type Check } from "./checks.ts";

/** Storage of some contracts at one block, with every node of the tries that proves it. */
export interface ProvenState<Name extends string> {
  readonly contracts: Readonly<Record<Name, Address>>;
  /** RLP of the block header. */
  readonly header: Hex;
  /** Nodes of the state and storage tries, ascending, each needed by the check. */
  readonly nodes: readonly Hex[];
}

/** A word of one contract's proven storage. */
export type Words<Name extends string> = (contract: Name, slot: Hex) => bigint;

/** A block as eth_getBlockBy… gives it: header fields by name, in hex. */
export type RawBlock = Readonly<Record<string, unknown>>;

/** What an export gives: the bundle, and the block whose hash its reader has to believe. */
export interface Exported<T> {
  readonly bundle: T;
  readonly blockNumber: bigint;
  readonly blockHash: Hex;
}

/** RLP of nothing. */
const EMPTY_TRIE: Hex = "0x80";

/** The bundle does not prove what a check needs. */
class Unproven extends Error {}

/** The newest block, with all of its header. */
export async function readBlock(client: PublicClient): Promise<{ block: RawBlock; number: bigint; hash: Hex }> {
  const block = await client.request<{ ReturnType: Record<string, unknown> }>({
    method: "eth_getBlockByNumber",
    params: ["latest", false],
  });
  return { block, number: BigInt(block["number"] as Hex), hash: block["hash"] as Hex };
}

/** EIP-1186 proofs of each contract's account and slots at a block. */
export async function proveState<Name extends string>(
  client: PublicClient,
  block: RawBlock,
  contracts: Readonly<Record<Name, Address>>,
  slots: Readonly<Record<Name, readonly Hex[]>>,
): Promise<ProvenState<Name>> {
  const blockNumber = BigInt(block["number"] as Hex);
  const nodes = new Set<Hex>();
  for (const name of Object.keys(contracts) as Name[]) {
    const proof = await client.getProof({ address: contracts[name], storageKeys: [...slots[name]], blockNumber });
    for (const node of [...proof.accountProof, ...proof.storageProof.flatMap((slot) => slot.proof)]) nodes.add(node);
  }
  // Some endpoints prove the emptiness of an empty trie by its root; a verifier knows that hash.
  nodes.delete(EMPTY_TRIE);
  return { contracts, header: encodeHeader(block), nodes: [...nodes].sort() };
}

/**
 * Checks proven storage offline: from the block hash to the state root, from there to each contract's storage, and then
 * what `verify` makes of its words. Nothing but the hash is trusted, and no node is free.
 * @param blockHash of a block that the auditor believes, from any source
 * @param verify given the words and the block's second (Unix)
 */
export function* verifyProven<Name extends string>(
  state: ProvenState<Name>,
  blockHash: Hex,
  verify: (words: Words<Name>, timestamp: number) => Iterable<Check>,
): Generator<Check, void, void> {
  const header = decodeHeader(state.header);
  if (header.kind !== "accept") return yield fails("header", header.detail);
  const { hash, number, stateRoot, timestamp } = header.value;
  yield check("header", hash === blockHash, `block ${number} of ${dateOf(timestamp)} hashes to ${hash}`);
  const nodes = new NodeSet(state.nodes);
  const roots = rootsOf(state, nodes, stateRoot);
  try {
    yield* verify((name, slot) => wordAt(state, nodes, { name, root: roots(name), slot }), timestamp);
    // Every contract's account is proven, so that no address in the bundle is free either.
    for (const name of Object.keys(state.contracts)) roots(name as Name);
  } catch (error) {
    if (!(error instanceof Unproven)) throw error;
    return yield fails("proof", error.message);
  }
  const isExact = nodes.visitedCount === state.nodes.length;
  yield check("nodes", isExact, `${nodes.visitedCount} of ${state.nodes.length} trie nodes were needed`);
}

/** Storage roots, each proven once. */
function rootsOf<Name extends string>({ contracts }: ProvenState<Name>, nodes: NodeSet, stateRoot: Hex) {
  const roots = new Map<Name, Hex>();
  return (name: Name): Hex => {
    const known = roots.get(name);
    if (known !== undefined) return known;
    const root = storageRootOf(nodes, stateRoot, contracts[name]);
    if (root.kind !== "accept") throw new Unproven(`account ${contracts[name]} (${name}): ${root.detail}`);
    roots.set(name, root.value);
    return root.value;
  };
}

function wordAt<Name extends string>(
  { contracts }: ProvenState<Name>,
  nodes: NodeSet,
  { name, root, slot }: { readonly name: Name; readonly root: Hex; readonly slot: Hex },
): bigint {
  const word = storageWordOf(nodes, root, slot);
  if (word.kind !== "accept") throw new Unproven(`slot ${slot} of ${contracts[name]} (${name}): ${word.detail}`);
  return word.value;
}
