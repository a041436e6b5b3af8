// Offline evidence of an agent of a registry that is not ours: what it is bound to here, and what that does not show.
import { getAddress, type Address, type Hex, type PublicClient } from "viem";
import {
  adoptedIdSlot,
  decodeObservedOwner,
  observedOwnerSlot,
  type Deployment,
  type Verdict as ProtocolVerdict,
} from "#protocol";
import {
  isAddressText,
  isBytes,
  isDecimal,
  isHexList,
  isOfForm,
  isRecord,
  MAX_NODES,
  MAX_SIGNERS,
  readCanonical,
  writeCanonical,
  type BundleForm,
} from "./bundle-text.ts";
import { check, dateOf, fails, holds, unproven, type Check } from "./checks.ts";
import { readSigners } from "./export.ts";
import { adoptedDeployment, adoptedIdOf, notAdopted, ownerThere } from "./foreign.ts";
import { proveState, readBlock, verifyProven, type Exported, type ProvenState, type Words } from "./proven-state.ts";
import { bindingSlotsOf, verifySigner, verifyVersions, type BindingWords } from "./verify-identity.ts";

/** Everything that the bindings of foreign agents hold of one, against one block hash. Its number here is proven, not told. */
export interface ForeignBundle extends ProvenState<"foreignBindings"> {
  /** The registry that gave the id. */
  readonly registry: Address;
  readonly foreignId: bigint;
  /** ERC-7913 bytes of every signer that was ever bound to the agent. */
  readonly signers: readonly Hex[];
}

const foreignForm: BundleForm<ForeignBundle> = { format: "surety-audit-foreign/1", write: writeFields, parse };

/** The one text of a foreign agent's bundle. */
export const writeForeignBundle = (bundle: ForeignBundle): string => writeCanonical(foreignForm, bundle);
/** Reads a bundle; only its canonical text is one. */
export const readForeignBundle = (text: string): ProtocolVerdict<ForeignBundle> => readCanonical(foreignForm, text);
/** Whether a text says that it is the bundle of a foreign agent. */
export const isForeignBundle = (text: string): boolean => isOfForm(foreignForm, text);

function writeFields({
  contracts,
  registry,
  foreignId,
  signers,
  header,
  nodes,
}: ForeignBundle): Record<string, unknown> {
  return {
    contracts: { foreignBindings: contracts.foreignBindings.toLowerCase() },
    registry: registry.toLowerCase(),
    foreignId: foreignId.toString(),
    ...{ signers, header, nodes: [...nodes].sort() },
  };
}

function parse(json: Record<string, unknown>): ForeignBundle | undefined {
  const { contracts: given, registry, foreignId, signers, header, nodes } = json;
  if (!isRecord(given) || !isAddressText(given["foreignBindings"]) || !isAddressText(registry)) return undefined;
  if (!isDecimal(foreignId) || !isHexList(signers, MAX_SIGNERS) || !isHexList(nodes, MAX_NODES)) return undefined;
  if (!isBytes(header)) return undefined;
  const contracts = { foreignBindings: getAddress(given["foreignBindings"]) };
  return { contracts, registry: getAddress(registry), foreignId: BigInt(foreignId), signers, header, nodes };
}

/** What an export of a foreign agent gives besides: whom its registry names at that block, which the bundle cannot prove. */
export interface ForeignExport extends Exported<ForeignBundle> {
  readonly agentId: bigint;
  readonly ownerThere: Address | undefined;
  readonly ownerSeen: Address;
}

/**
 * Collects header and EIP-1186 proofs of what is bound here to an agent of another registry, at the newest block.
 * @throws SuretyError FOREIGN_NOT_ADOPTED
 */
export async function exportForeignBundle(
  client: PublicClient,
  deployment: Deployment,
  registry: Address,
  foreignId: bigint,
): Promise<ForeignExport> {
  const { block, number: blockNumber, hash: blockHash } = await readBlock(client);
  const agentId = await adoptedIdOf({ client, deployment, blockNumber }, registry, foreignId);
  if (agentId === 0n) throw notAdopted(registry, foreignId);
  const signers = await readSigners(client, await adoptedDeployment(client, deployment), { agentId, blockNumber });
  const { foreignBindings } = deployment.contracts;
  const slots = [adoptedIdSlot(registry, foreignId), observedOwnerSlot(agentId)];
  const bound = bindingSlotsOf("foreignBindings", agentId, signers);
  const state = await proveState(client, block, { foreignBindings }, { foreignBindings: [...slots, ...bound] });
  const seen = await client.getStorageAt({ address: foreignBindings, slot: observedOwnerSlot(agentId), blockNumber });
  return {
    ...{ bundle: { ...state, registry, foreignId, signers }, blockNumber, blockHash, agentId },
    ownerThere: await ownerThere(client, registry, foreignId, blockNumber),
    ownerSeen: decodeObservedOwner(BigInt(seen ?? "0x0")).owner,
  };
}

/**
 * Checks a foreign agent's bundle offline, against a block hash that the auditor believes: its number here, the owner that was
 * seen last, versions and signers. Who owns it where it comes from stays unproven, and is told as that.
 */
export const verifyForeignBundle = (bundle: ForeignBundle, blockHash: Hex): Generator<Check, void, void> =>
  verifyProven(bundle, blockHash, (words, timestamp) => verifyForeignAgent(bundle, words, timestamp));

function* verifyForeignAgent(
  { registry, foreignId, signers }: ForeignBundle,
  words: Words<"foreignBindings">,
  timestamp: number,
): Generator<Check, void, void> {
  const bindings: BindingWords = { of: "foreignBindings", word: (slot) => words("foreignBindings", slot) };
  const agentId = bindings.word(adoptedIdSlot(registry, foreignId));
  if (agentId === 0n) return yield fails("adopted", `nobody ever adopted agent ${foreignId} of ${registry}`);
  yield holds("adopted", `agent ${foreignId} of ${registry} has the number ${agentId} here`);
  const { owner, tenure, since } = decodeObservedOwner(bindings.word(observedOwnerSlot(agentId)));
  const seen = tenure === 0 ? "when it was adopted" : `since ${dateOf(since)}, after ${tenure} changes of hands`;
  yield check("owner seen", BigInt(owner) !== 0n, `${owner}, ${seen}`);
  // A layout can be guessed, and any contract can write any word there: only its code would say what a slot means.
  const question = `ask it for ownerOf(${foreignId}) at this block`;
  yield unproven("owner there", `whether ${registry} names ${owner} still, its storage does not show: ${question}`);
  yield verifyVersions(agentId, bindings);
  for (const signer of signers) yield verifySigner(agentId, signer, bindings, { tenure, timestamp });
}
