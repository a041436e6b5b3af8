import { concat, encodeAbiParameters, keccak256, type Hex } from "viem";
import { SuretyError } from "./errors.ts";
import { structTypes, type BatchedBinding } from "./generated/structs.ts";

/** A batch of bindings as its issuer anchors it (IAnchors): one root, and a proof for each binding. */
export interface BindingBatch {
  readonly root: Hex;
  readonly count: number;
  /** Siblings from a binding's leaf to the root. @param index place in the batch */
  proofOf(index: number): Hex[];
}

/** Leaf of a batch: hashed twice, so that no inner node is one. */
export function batchLeafOf(binding: BatchedBinding): Hex {
  const fields = structTypes.BatchedBinding;
  return keccak256(keccak256(encodeAbiParameters(fields, fields.map(({ name }) => binding[name]) as never)));
}

/** Parents of one level: pairs in sorted order, as OpenZeppelin's MerkleProof folds them; a node without a partner moves up. */
function parentsOf(level: readonly Hex[]): Hex[] {
  return Array.from({ length: Math.ceil(level.length / 2) }, (_, i) => {
    const [left, right] = [level[2 * i] as Hex, level[2 * i + 1]];
    if (right === undefined) return left;
    return parentOf(left, right);
  });
}

const parentOf = (one: Hex, other: Hex): Hex => keccak256(concat(one < other ? [one, other] : [other, one]));

/** Root to which a binding and its siblings fold; the batch holds it if that is the batch's root. @param proof lower-case words */
export const bindingRootOf = (binding: BatchedBinding, proof: readonly Hex[]): Hex =>
  proof.reduce(parentOf, batchLeafOf(binding));

/** @param bindings at least one; the index of each is its place @throws SuretyError BATCH_EMPTY */
export function createBindingBatch(bindings: readonly Omit<BatchedBinding, "index">[]): BindingBatch {
  if (bindings.length === 0) {
    throw new SuretyError("BATCH_EMPTY", "A batch without bindings has no root.", { next: "Give at least one." });
  }
  const levels: Hex[][] = [bindings.map((binding, index) => batchLeafOf({ ...binding, index }))];
  for (let level = levels[0] as Hex[]; level.length > 1;) levels.push((level = parentsOf(level)));
  return {
    root: levels.at(-1)?.[0] as Hex,
    count: bindings.length,
    proofOf: (index) =>
      levels.slice(0, -1).flatMap((level, height) => level[Math.floor(index / 2 ** height) ^ 1] ?? []),
  };
}
