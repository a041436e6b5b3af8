import { getAddress, type Address, type Hex } from "viem";
import {
  accept,
  anchorsAbi,
  batchRevocationSlot,
  bindingRootOf,
  batchSlot,
  decodeBatch,
  decodeBatchRevocation,
  purposes,
  reject,
  type BatchedBinding,
  type Verdict,
} from "#protocol";
import { isAddressText, isDecimal, isRecord, isUint, isWord } from "./bundle-text.ts";
import { check, dateOf, holds, type Check } from "./checks.ts";
import { nameOfPurpose, type Subject } from "./responsibility.ts";

/** One binding of an issuer's batch, with its way to the root that the issuer anchored. */
export interface BatchEvidence {
  readonly issuer: Address;
  readonly root: Hex;
  readonly binding: BatchedBinding;
  readonly proof: readonly Hex[];
}

/** Siblings of a batch of 2^32. */
const MAX_DEPTH = 32;

/** The evidence as JSON: fixed key order, decimal agent id, addresses in lower case. */
export const batchEvidenceJson = ({ issuer, root, binding, proof }: BatchEvidence): Record<string, unknown> => {
  const { index, agentId, signerHash, purpose, validFrom, validUntil } = binding;
  return {
    ...{ issuer: issuer.toLowerCase(), root },
    binding: { index, agentId: agentId.toString(), signerHash, purpose, validFrom, validUntil },
    proof,
  };
};

/** The text of one binding's evidence, as its holder keeps it. */
export const writeBatchEvidence = (evidence: BatchEvidence): string =>
  `${JSON.stringify(batchEvidenceJson(evidence), null, 2)}\n`;

/** Reads what a stranger hands over. */
export function readBatchEvidence(text: string): Verdict<BatchEvidence> {
  try {
    return parseBatchEvidence(JSON.parse(text));
  } catch {
    return reject("BATCH_NOT_JSON", "it is not JSON");
  }
}

/** Reads the JSON of what a stranger hands over. */
export function parseBatchEvidence(json: unknown): Verdict<BatchEvidence> {
  if (!isRecord(json) || !isRecord(json["binding"])) return reject("BATCH_SHAPE", "it has no binding");
  const { issuer, root, proof } = json;
  const { index, agentId, signerHash, purpose, validFrom, validUntil } = json["binding"];
  if (!isAddressText(issuer)) return reject("BATCH_SHAPE", "its issuer is no address");
  if (!isWord(root) || !isWord(signerHash) || !isWord(purpose)) return reject("BATCH_SHAPE", "a word is malformed");
  const isWhole = isUint(index, 32) && isUint(validFrom, 48) && isUint(validUntil, 48);
  const isAgent = isDecimal(agentId) && agentId !== "0";
  if (!isWhole || !isAgent) return reject("BATCH_SHAPE", "a number is malformed");
  if (!Array.isArray(proof) || proof.length > MAX_DEPTH || !proof.every(isWord)) {
    return reject("BATCH_SHAPE", "its proof is malformed");
  }
  const binding = { index, agentId: BigInt(agentId), signerHash, purpose, validFrom, validUntil };
  return accept({ issuer: getAddress(issuer), root, binding, proof });
}

/** Whether an issuer's batch holds a binding and it counts at a second (Unix). A batch is its issuer's word, proven to nobody on chain. */
export async function* auditBatched(
  { client, deployment, blockNumber }: Omit<Subject, "agentId">,
  { issuer, root, binding, proof }: BatchEvidence,
  time: number,
): AsyncGenerator<Check, void, void> {
  const anchors = { abi: anchorsAbi, address: deployment.contracts.anchors, blockNumber } as const;
  const args = [issuer, root] as const;
  const [count, anchoredAt] = await client.readContract({ ...anchors, functionName: "batchOf", args });
  yield check("batch", count > 0, count > 0 ? `${count} bindings of ${issuer}` : `${issuer} never anchored ${root}`);
  yield check("anchored", time >= anchoredAt, `at ${dateOf(anchoredAt)}, asked for ${dateOf(time)}`);
  const { index, agentId, signerHash, purpose, validFrom, validUntil } = binding;
  const place = `${index + 1} of ${count}: ${signerHash} for agent ${agentId}, ${nameOfPurpose(purpose)}`;
  yield check("place", index < count && Object.values(purposes).includes(purpose), place);
  yield check("begun", time >= validFrom, `valid from ${dateOf(validFrom)}`);
  yield check("not ended", validUntil === 0 || time < validUntil, `valid until ${dateOf(validUntil)}`);
  const asked = [issuer, root, binding, proof, BigInt(time)] as const;
  const isBound = await client.readContract({ ...anchors, functionName: "isBoundInAt", args: asked });
  yield check(
    "contract",
    isBound,
    isBound ? "isBoundInAt agrees" : "isBoundInAt denies it: not in the batch, or revoked",
  );
  yield holds("issuer", `the word of ${issuer} and of nobody else: rely on it as far as on them`);
}

/** What proves a batched binding in the storage of Anchors: its batch, and that it was not taken back alone. */
export const batchSlotsOf = ({ issuer, root, binding }: BatchEvidence): Hex[] => [
  batchSlot(issuer, root),
  batchRevocationSlot(issuer, root, binding.index),
];

/** Whether a batched binding of an agent counts at a block's second (Unix), by the proven words of Anchors. */
export function verifyBatched(
  agentId: bigint,
  { issuer, root, binding, proof }: BatchEvidence,
  word: (slot: Hex) => bigint,
  timestamp: number,
): Check {
  const { count, anchoredAt } = decodeBatch(word(batchSlot(issuer, root)));
  const invalidFrom = decodeBatchRevocation(word(batchRevocationSlot(issuer, root, binding.index)));
  const isPlaced = binding.index < count && bindingRootOf(binding, proof) === root;
  const isKnown = binding.agentId === agentId && Object.values(purposes).includes(binding.purpose);
  const state = invalidFrom !== 0 ? `revoked at ${dateOf(invalidFrom)}` : stateOf(binding, timestamp);
  const isOk = isPlaced && isKnown && state === "valid";
  const place = isPlaced
    ? `${binding.index + 1} of ${count} in ${root}, anchored at ${dateOf(anchoredAt)}`
    : "in no such batch";
  const window = `from ${binding.validFrom} to ${binding.validUntil || "no end"}`;
  const claim = `agent ${binding.agentId}, ${nameOfPurpose(binding.purpose)}, ${state}, ${window}`;
  return check(
    `batched signer ${binding.signerHash}`,
    isOk,
    `${claim}; the word of ${issuer} and of nobody else: ${place}`,
  );
}

function stateOf({ validFrom, validUntil }: BatchedBinding, timestamp: number): string {
  if (validUntil !== 0 && timestamp >= validUntil) return "ended";
  return timestamp < validFrom ? "not yet valid" : "valid";
}
