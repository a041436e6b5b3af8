// Agents of registries that are not ours. Their bindings have a contract of their own, which answers as ours does, under numbers of its own.
import { isAddressEqual, type Address, type PublicClient } from "viem";
import { foreignBindingsAbi, SuretyError, type Deployment } from "#protocol";
import { auditSigners, auditVersions, readBindings } from "./agent.ts";
import { check, fails, holds, type Check } from "./checks.ts";
import type { Subject } from "./responsibility.ts";
import { auditTransport } from "./transport.ts";

/** The deployment as the bindings of adopted agents see it: theirs are the registry's functions and its domain. */
export async function adoptedDeployment(client: PublicClient, deployment: Deployment): Promise<Deployment> {
  const { foreignBindings } = deployment.contracts;
  const bindings = { abi: foreignBindingsAbi, address: foreignBindings } as const;
  const signedBindings = await client.readContract({ ...bindings, functionName: "signedBindings" });
  return { ...deployment, contracts: { ...deployment.contracts, identityRegistry: foreignBindings, signedBindings } };
}

/** An adopted agent's number; 0 = nobody ever adopted it. */
export function adoptedIdOf(
  { client, deployment, blockNumber }: Omit<Subject, "agentId" | "blockNumber"> & { readonly blockNumber?: bigint },
  registry: Address,
  id: bigint,
): Promise<bigint> {
  return client.readContract({
    ...{ abi: foreignBindingsAbi, address: deployment.contracts.foreignBindings, functionName: "idOf" },
    ...{ args: [registry, id], ...(blockNumber === undefined ? {} : { blockNumber }) },
  });
}

/** Nobody gave an agent of another registry a number here. */
export const notAdopted = (registry: Address, id: bigint) =>
  new SuretyError("FOREIGN_NOT_ADOPTED", `Agent ${id} of ${registry} has no number here yet.`, {
    values: { registry, agentId: id },
    next: `Anybody gives it one: \`surety agent adopt ${registry} ${id} --key-file KEY\`.`,
  });

/** Whom another registry names as an agent's owner at a block; undefined = nobody, or no answer. */
export const ownerThere = (
  client: PublicClient,
  registry: Address,
  id: bigint,
  blockNumber: bigint,
): Promise<Address | undefined> =>
  client
    .readContract({ abi: foreignBindingsAbi, address: registry, functionName: "ownerOf", args: [id], blockNumber })
    .catch(() => undefined);

/** An agent of another registry as a subject of the checks of ours. A number of 0 has no signer. */
export async function adoptedSubject(subject: Subject, registry: Address): Promise<Subject> {
  const { client, deployment, agentId: id } = subject;
  const agentId = await adoptedIdOf(subject, registry, id);
  return { ...subject, agentId, deployment: await adoptedDeployment(client, deployment) };
}

/**
 * What the chain says of an agent of another registry: who owns it there, which keys speak for it here and as which peers, and
 * how its versions fold. Credential, stake and recovery are for agents of our own registry.
 */
export async function* auditForeignAgent(
  client: PublicClient,
  deployment: Deployment,
  registry: Address,
  id: bigint,
): AsyncGenerator<Check, void, void> {
  const { number: blockNumber, timestamp } = await client.getBlock();
  const subject = await adoptedSubject({ client, deployment, agentId: id, blockNumber }, registry);
  const { agentId } = subject;
  if (agentId === 0n) return yield fails("adopted", `nobody ever adopted agent ${id} of ${registry}`);
  yield holds("adopted", `agent ${id} of ${registry} has the number ${agentId} here`);

  const bindings = { abi: foreignBindingsAbi, address: deployment.contracts.foreignBindings, blockNumber } as const;
  const seen = await client.readContract({ ...bindings, functionName: "ownerOf", args: [agentId] });
  const present = await ownerThere(client, registry, id, blockNumber);
  if (present === undefined) return yield fails("owner", `${registry} names no owner of agent ${id} any more`);
  // Until somebody asks, a former owner's keys count here as they did.
  const unseen = `${registry} names ${present}, here ${seen} was seen last: \`surety agent observe\` ends the keys of ${seen}`;
  const isSeen = isAddressEqual(seen, present);
  yield check("owner", isSeen, isSeen ? `${present} at block ${blockNumber}` : unseen);

  const events = await readBindings(subject);
  yield* auditSigners(subject, timestamp, events.bound);
  yield* auditVersions(subject, events.updates);
  yield* auditTransport(client, subject.deployment, present, events);
}
