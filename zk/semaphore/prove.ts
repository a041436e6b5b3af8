import type { Group } from "@semaphore-protocol/group";
import type { Identity } from "@semaphore-protocol/identity";
import { generateProof } from "@semaphore-protocol/proof";
import {
  encodeMembershipPresentation,
  membershipMessageOf,
  SuretyError,
  type DomainContracts,
  type OperatorSignal,
} from "../../contracts/protocol/index.ts";
import type { Hex } from "viem";
import { artifactPath, isGenuine, TREE_DEPTH } from "./artifacts.ts";

/** The library's types do not resolve under Node's own module resolution: what we use of them. */
const generate = generateProof as unknown as (
  identity: Identity,
  group: Group,
  message: bigint,
  scope: bigint,
  treeDepth: number,
  artifacts: { readonly wasm: string; readonly zkey: string },
) => Promise<{ readonly points: readonly string[]; readonly merkleTreeRoot: string; readonly nullifier: string }>;

/** A proof of membership, ready for `Credentials.present`. */
export interface Membership {
  readonly presentation: Hex;
  /** The person's pseudonym in this scope. */
  readonly nullifier: Hex;
  readonly points: readonly string[];
  readonly root: bigint;
}

/**
 * Proves that one of the group's members answers for an agent, without saying which. Seconds of work, no network.
 * @param group the issuer's people; its root has to be the one that the issuer published
 * @param signal for which agent, owner, scope and until when
 * @throws SuretyError ZK_ARTIFACTS_MISSING, ZK_NOT_A_MEMBER
 */
export async function proveMembership(
  identity: Identity,
  group: Group,
  signal: OperatorSignal,
  contracts: DomainContracts,
): Promise<Membership> {
  for (const name of ["semaphore-16.wasm", "semaphore-16.zkey"] as const) {
    if (isGenuine(name)) continue;
    throw new SuretyError("ZK_ARTIFACTS_MISSING", `${name} is not there, or not the one that was checked.`, {
      values: { name },
      next: "Run `npm run zk:setup`.",
    });
  }
  if (group.indexOf(identity.commitment) < 0) {
    throw new SuretyError("ZK_NOT_A_MEMBER", "This identity is not in the group.", {
      values: { commitment: identity.commitment, size: group.size },
      next: "Ask the issuer to add the commitment, and use the list of members that belongs to its published root.",
    });
  }
  const artifacts = { wasm: artifactPath("semaphore-16.wasm"), zkey: artifactPath("semaphore-16.zkey") };
  // Without the artifacts the library would fetch them from a host.
  const proof = await generate(
    identity,
    group,
    membershipMessageOf(signal, contracts),
    BigInt(signal.scope),
    TREE_DEPTH,
    artifacts,
  );
  const root = BigInt(proof.merkleTreeRoot);
  const shown = { points: proof.points, root, nullifier: proof.nullifier };
  return {
    ...{ points: proof.points, root },
    nullifier: `0x${BigInt(proof.nullifier).toString(16).padStart(64, "0")}`,
    presentation: encodeMembershipPresentation(shown, signal.validUntil),
  };
}

/** Ends the threads that the prover keeps; without it a process lives on. */
export async function endProver(): Promise<void> {
  const { curve_bn128: curve } = globalThis as { curve_bn128?: { terminate: () => Promise<void> } };
  await curve?.terminate();
}
