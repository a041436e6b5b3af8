import { keccak256, zeroAddress, type Hex, type PublicClient } from "viem";
import { identityRegistryAbi, nextHead, purposes, type Deployment, type Disclosure } from "#protocol";
import { check, dateOf, fails, holds, type Check } from "./checks.ts";
import { readEvents } from "./logs.ts";
import {
  auditAnchors,
  auditCode,
  auditCredential,
  auditRecovery,
  auditStake,
  nameOfPurpose,
  type Subject,
} from "./responsibility.ts";
import { auditTabs } from "./tabs.ts";
import { auditTransport } from "./transport.ts";

export interface BoundEvent {
  readonly args: { signerHash: Hex; signer: Hex; purpose: Hex; validFrom: number; validUntil: number };
  readonly transactionHash: Hex;
}
export interface UncheckedEvent {
  readonly args: { agentId: bigint; key: Hex; deadline: number; proof: Hex };
}

/**
 * Everything that the chain says of an agent, one line each, ended by the first that does not hold: who owns it, which keys
 * speak for it and as which peers, who answers for it, what it committed to, how its versions fold, how it would be
 * recovered, what is anchored of its logs, what its tabs paid, what it has at stake, and whether it was punished for two histories.
 * @param disclosures fields of its config that somebody hands over with it
 */
export async function* auditAgent(
  client: PublicClient,
  deployment: Deployment,
  agentId: bigint,
  disclosures: readonly Disclosure[] = [],
): AsyncGenerator<Check, void, void> {
  const { number: blockNumber, timestamp } = await client.getBlock();
  const subject: Subject = { client, deployment, agentId, blockNumber };
  const at = registryOf(subject);
  const owner = await client.readContract({ ...at, functionName: "ownerOf", args: [agentId] }).catch(() => undefined);
  if (owner === undefined) return yield fails("owner", `the registry ${at.address} has no agent ${agentId}`);
  yield holds("owner", `${owner} at block ${blockNumber}`);
  const wallet = await client.readContract({ ...at, functionName: "getAgentWallet", args: [agentId] });
  yield holds("wallet", wallet === zeroAddress ? "none; payments go to the owner" : wallet);

  const { bound, unchecked, updates } = await readBindings(subject);
  yield* auditSigners(subject, timestamp, bound);
  yield* auditCredential(subject);
  yield* auditCode(subject, disclosures);
  yield* auditVersions(subject, updates);
  yield* auditTransport(client, deployment, owner, { bound, unchecked });
  yield* auditRecovery(subject);
  const logs = bound.filter(({ args }) => args.purpose === purposes.log && args.signer.length === 42);
  yield* auditAnchors(
    subject,
    logs.map(({ args }) => args.signer),
  );
  yield* auditTabs(subject);
  yield* auditStake(subject);
}

/** The contract of the subject's bindings, at its block. */
const registryOf = ({ deployment, blockNumber }: Subject) =>
  ({ abi: identityRegistryAbi, address: deployment.contracts.identityRegistry, blockNumber }) as const;

/** What was ever bound to the agent, and every version that it committed to. */
export async function readBindings(subject: Subject) {
  const { client, deployment, agentId, blockNumber: toBlock } = subject;
  const { abi, address } = registryOf(subject);
  const range = { abi, address, args: { agentId }, fromBlock: BigInt(deployment.deployedAtBlock), toBlock };
  return {
    bound: await readEvents(client, { ...range, eventName: "SignerBound" }),
    unchecked: await readEvents(client, { ...range, eventName: "SignerUnchecked" }),
    updates: await readEvents(client, { ...range, eventName: "CommitmentUpdated" }),
  };
}

export async function* auditSigners(
  subject: Subject,
  now: bigint,
  bound: readonly BoundEvent[],
): AsyncGenerator<Check, void, void> {
  const { client, agentId } = subject;
  const registry = registryOf(subject);
  if (bound.length === 0) yield holds("signers", "none: nobody can sign for this agent");
  for (const { args } of bound) {
    const name = `signer ${args.signer}`;
    if (keccak256(args.signer) !== args.signerHash) {
      return yield fails(name, `its bytes hash to ${keccak256(args.signer)}, the event says ${args.signerHash}`);
    }
    const [storedAgent, purpose, validFrom, validUntil, invalidFrom] = await client.readContract({
      ...registry,
      functionName: "signerOf",
      args: [args.signerHash],
    });
    if (storedAgent !== agentId || purpose !== args.purpose || validFrom !== args.validFrom) {
      return yield fails(name, `the stored record differs from its event: agent ${storedAgent}, from ${validFrom}`);
    }
    const isValid = await client.readContract({
      ...registry,
      functionName: "isSignerValidAt",
      args: [agentId, args.signerHash, purpose, now],
    });
    const revoked = invalidFrom === 0 ? "" : `, revoked from ${dateOf(invalidFrom)}`;
    const word = nameOfPurpose(purpose);
    yield holds(
      name,
      `${word}, ${isValid ? "valid" : "not valid"} now, from ${dateOf(validFrom)} to ${dateOf(validUntil)}${revoked}`,
    );
  }
}

/** Replays C(v+1) = H(C(v), delta, H(signature)) from the events and compares with storage. */
export async function* auditVersions(
  subject: Subject,
  updates: readonly { args: { version: bigint; head: Hex; commitment: Hex; signature: Hex } }[],
): AsyncGenerator<Check, void, void> {
  const { client, agentId } = subject;
  const [commitment, version, head] = await client.readContract({
    ...registryOf(subject),
    functionName: "commitmentOf",
    args: [agentId],
  });
  if (version === 0n) return yield holds("version chain", "no code commitment");
  let computed: Hex = "0x";
  for (const [index, { args }] of updates.entries()) {
    computed = index === 0 ? args.commitment : nextHead(computed, args.commitment, args.signature);
    if (args.version !== BigInt(index + 1) || args.head !== computed) {
      return yield fails("version chain", `version ${index + 1} folds to ${computed}, the event says ${args.head}`);
    }
  }
  const isSame =
    computed === head && BigInt(updates.length) === version && updates.at(-1)?.args.commitment === commitment;
  yield check(
    "version chain",
    isSame,
    `${updates.length} versions fold to ${computed}; stored: version ${version}, ${head}`,
  );
}
