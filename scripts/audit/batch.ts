import { isAddress, type Address, type Hex } from "viem";
import { accept, anchorsAbi, purposes, reject, type BatchedBinding, type Verdict } from "#protocol";
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

/** The text of one binding's evidence, as its holder keeps it. */
export const writeBatchEvidence = ({ issuer, root, binding, proof }: BatchEvidence): string =>
  `${JSON.stringify({ issuer, root, binding: { ...binding, agentId: binding.agentId.toString() }, proof }, null, 2)}\n`;

/** Reads what a stranger hands over. */
export function readBatchEvidence(text: string): Verdict<BatchEvidence> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return reject("BATCH_NOT_JSON", "it is not JSON");
  }
  if (!isRecord(json) || !isRecord(json["binding"])) return reject("BATCH_SHAPE", "it has no binding");
  const { issuer, root, proof } = json;
  const { index, agentId, signerHash, purpose, validFrom, validUntil } = json["binding"];
  if (typeof issuer !== "string" || !isAddress(issuer)) return reject("BATCH_SHAPE", "its issuer is no address");
  if (!isWord(root) || !isWord(signerHash) || !isWord(purpose)) return reject("BATCH_SHAPE", "a word is malformed");
  const isWhole = isUint(index, 32) && isUint(validFrom, 48) && isUint(validUntil, 48);
  const isAgent = typeof agentId === "string" && /^[1-9]\d{0,76}$/.test(agentId);
  if (!isWhole || !isAgent) return reject("BATCH_SHAPE", "a number is malformed");
  if (!Array.isArray(proof) || proof.length > MAX_DEPTH || !proof.every(isWord)) {
    return reject("BATCH_SHAPE", "its proof is malformed");
  }
  const binding = { index, agentId: BigInt(agentId), signerHash, purpose, validFrom, validUntil };
  return accept({ issuer, root, binding, proof });
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

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isWord = (value: unknown): value is Hex => typeof value === "string" && /^0x[0-9a-f]{64}$/.test(value);
const isUint = (value: unknown, bits: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < 2 ** bits;
