import { keccak256, zeroAddress, zeroHash, type Hex, type PublicClient } from "viem";
import {
  anchorsAbi,
  commitmentOfDisclosure,
  credentialsAbi,
  evidenceSlasherAbi,
  identityRegistryAbi,
  isSignerValidAt,
  ownerRecoveryAbi,
  purposes,
  stakeVaultAbi,
  windowValidatorsAbi,
  type Deployment,
  type Disclosure,
} from "#protocol";
import { check, dateOf, fails, holds, type Check } from "./checks.ts";
import { readEvents } from "./logs.ts";

/** One agent at one block. */
export interface Subject {
  readonly client: PublicClient;
  readonly deployment: Deployment;
  readonly agentId: bigint;
  readonly blockNumber: bigint;
}

/** Which person answers for the agent, in the scope of this deployment's reputation. */
export async function* auditCredential({
  client,
  deployment,
  agentId,
  blockNumber,
}: Subject): AsyncGenerator<Check, void, void> {
  const contract = { abi: credentialsAbi, address: deployment.contracts.credentials, blockNumber } as const;
  const [operator, level, validUntil, source, isValid] = await client.readContract({
    ...contract,
    functionName: "credentialOf",
    args: [agentId],
  });
  if (operator === zeroHash) return yield holds("credential", "none: no issuer says who answers for this agent");
  const { verifier, issuerId } = await client.readContract({
    ...contract,
    functionName: "sourceAt",
    args: [BigInt(source)],
  });
  const detail = `operator ${operator}, level ${level}, until ${dateOf(validUntil)}, issuer ${issuerId} by ${verifier}`;
  yield check("credential", isValid, isValid ? detail : `no longer valid: ${detail}`);
}

/** What the agent committed to, and the fields that somebody discloses of it. */
export async function* auditCode(
  { client, deployment, agentId, blockNumber }: Subject,
  disclosures: readonly Disclosure[],
): AsyncGenerator<Check, void, void> {
  const [commitment, version] = await client.readContract({
    ...{ abi: identityRegistryAbi, address: deployment.contracts.identityRegistry, blockNumber },
    functionName: "commitmentOf",
    args: [agentId],
  });
  if (version === 0n) {
    if (disclosures.length > 0) yield fails("code and config", "disclosed, but the agent has no commitment");
    else yield holds("code and config", "no commitment: whatever runs is not bound");
    return;
  }
  const shown = disclosures.length === 0 ? "; ask its owner to disclose a field (`surety baid prove-field`)" : "";
  yield holds("code and config", `committed to in version ${version}: ${commitment}${shown}`);
  for (const disclosure of disclosures) {
    const { field, code } = disclosure;
    const opened = commitmentOfDisclosure(disclosure);
    const detail = `${JSON.stringify(field.value)}, of code ${code.kind} ${code.digest}`;
    yield check(`field ${field.name}`, opened === commitment, opened === commitment ? detail : `leads to ${opened}`);
  }
}

/** How the agent comes to another owner without its present one. */
export async function* auditRecovery({
  client,
  deployment,
  agentId,
  blockNumber,
}: Subject): AsyncGenerator<Check, void, void> {
  const recovery = { abi: ownerRecoveryAbi, address: deployment.contracts.ownerRecovery, blockNumber } as const;
  const [threshold, delay] = await client.readContract({ ...recovery, functionName: "recoveryOf", args: [agentId] });
  const [newOwner, executableAt] = await client.readContract({
    ...recovery,
    functionName: "pendingOf",
    args: [agentId],
  });
  if (newOwner !== zeroAddress) {
    return yield fails(
      "recovery",
      `guardians hand it to ${newOwner} from ${dateOf(executableAt)} on, unless its owner cancels`,
    );
  }
  yield holds(
    "recovery",
    threshold === 0 ? "none" : `by ${threshold} guardians after ${delay} seconds; none is under way`,
  );
}

/** How far the histories of the agent's logs are fixed on chain. */
export async function* auditAnchors(
  { client, deployment, agentId, blockNumber }: Subject,
  logs: readonly Hex[],
): AsyncGenerator<Check, void, void> {
  const anchors = { abi: anchorsAbi, address: deployment.contracts.anchors } as const;
  const range = { ...anchors, fromBlock: BigInt(deployment.deployedAtBlock), toBlock: blockNumber };
  const events = await readEvents(client, { ...range, eventName: "LogAnchored", args: { agentId } });
  for (const log of logs) {
    const [nextSeq, anchoredAt] = await client.readContract({
      ...anchors,
      blockNumber,
      functionName: "anchoredUpTo",
      args: [log],
    });
    if (nextSeq === 0) continue;
    const own = events.filter(({ args }) => args.log.toLowerCase() === log.toLowerCase());
    let covered = 0;
    for (const { args } of own) {
      const isKept = await client.readContract({
        ...anchors,
        blockNumber,
        functionName: "isLogAnchored",
        args: [args],
      });
      if (!isKept || args.fromSeq !== covered)
        return yield fails("anchors", `${log}: the range from ${args.fromSeq} is not kept`);
      covered = args.toSeq + 1;
    }
    yield check(
      "anchors",
      covered === nextSeq,
      `${log}: ${nextSeq} entries in ${own.length} ranges, last at ${dateOf(anchoredAt)}`,
    );
  }
}

/** What the agent has at stake, and what it lost for what it did. */
export async function* auditStake({
  client,
  deployment,
  agentId,
  blockNumber,
}: Subject): AsyncGenerator<Check, void, void> {
  if (agentId >= 2n ** 32n) return;
  const { stakeVault, evidenceSlasher, windowValidators } = deployment.contracts;
  const vault = { abi: stakeVaultAbi, address: stakeVault } as const;
  const id = Number(agentId);
  const [staked, locked] = await client.readContract({ ...vault, functionName: "stakeOf", args: [id], blockNumber });
  yield check("stake", locked <= staked, `${staked} staked, ${locked} of it locked`);
  const blocks = { fromBlock: BigInt(deployment.deployedAtBlock), toBlock: blockNumber };
  const slasher = { abi: evidenceSlasherAbi, address: evidenceSlasher } as const;
  // The vault's event does not say for what: its Seized and Slashed name a module and an amount.
  const punished = await readEvents(client, { ...slasher, ...blocks, eventName: "Punished", args: { agentId } });
  const windows = { abi: windowValidatorsAbi, address: windowValidators } as const;
  const doubled = await readEvents(client, { ...windows, ...blocks, eventName: "DoubleSigned", args: { agentId: id } });
  const offences = [
    ...punished.map(({ args, ...at }) => ({ ...at, taken: args.taken, what: "two histories of its log" })),
    ...doubled.map(({ args, ...at }) => ({ ...at, taken: args.taken, what: "two batches of one window" })),
  ];
  if (offences.length > 0) {
    const shown = offences.map(({ taken, what, transactionHash }) => `${taken} for ${what} in ${transactionHash}`);
    return yield fails("forks", `its own signatures cost it ${shown.join(", ")}`);
  }
  const slashed = await readEvents(client, { ...vault, ...blocks, eventName: "Slashed", args: { agentId: id } });
  const taken = slashed.reduce((sum, { args }) => sum + args.amount, 0n);
  const others = slashed.length === 0 ? "" : `; ${slashed.length} other slashes took ${taken}`;
  yield holds("forks", `none was punished${others}`);
}

/** A question about one signer. */
export interface SignerQuestion {
  /** ERC-7913 bytes (an address for a plain key), or their keccak256. */
  readonly signer: Hex;
  /** Unix seconds. */
  readonly time: number;
  /** One of `purposes`; undefined = whatever it was bound for. */
  readonly purpose?: Hex;
}

/** Whether a signer spoke for the agent at a time, and why: record, window, revocation, tenure and the contract's answer. */
export async function* auditSigner(
  { client, deployment, agentId, blockNumber }: Subject,
  { signer, time, purpose }: SignerQuestion,
): AsyncGenerator<Check, void, void> {
  const registry = { abi: identityRegistryAbi, address: deployment.contracts.identityRegistry, blockNumber } as const;
  const signerHash = signer.length === 66 ? signer : keccak256(signer);
  const [boundTo, boundFor, validFrom, validUntil, invalidFrom] = await client.readContract({
    ...registry,
    functionName: "signerOf",
    args: [signerHash],
  });
  if (boundTo === 0n) return yield fails("bound", `${signerHash} was never bound to any agent`);
  const word = nameOfPurpose(boundFor);
  yield check("bound", boundTo === agentId, `to agent ${boundTo}, for ${word}`);
  if (purpose !== undefined)
    yield check("purpose", purpose === boundFor, `bound for ${word}, asked for ${nameOfPurpose(purpose)}`);
  yield check("begun", time >= validFrom, `valid from ${dateOf(validFrom)}, asked for ${dateOf(time)}`);
  yield check("not ended", validUntil === 0 || time < validUntil, `valid until ${dateOf(validUntil)}`);
  const revoked = invalidFrom === 0 ? "never revoked" : `what it signed from ${dateOf(invalidFrom)} on does not count`;
  yield check("not revoked", invalidFrom === 0 || time < invalidFrom, revoked);
  const args = [agentId, signerHash, boundFor, BigInt(time)] as const;
  const isValid = await client.readContract({ ...registry, functionName: "isSignerValidAt", args });
  const own = isSignerValidAt(
    { agentId: boundTo, purpose: boundFor, validFrom, validUntil, invalidFrom },
    boundFor,
    time,
  );
  const differs = own ? "the agent had changed hands: its signers end with their owner" : "the record says so too";
  yield check(
    "contract",
    isValid,
    isValid ? `isSignerValidAt agrees at block ${blockNumber}` : `isSignerValidAt denies it; ${differs}`,
  );
}

export const nameOfPurpose = (purpose: Hex): string =>
  Object.entries(purposes)
    .find(([, word]) => word === purpose)?.[0]
    .toUpperCase() ?? purpose;
