import { bytesToHex, keccak256, size, type Hex } from "viem";
import { randomBytes } from "node:crypto";
import {
  createSigner,
  domainOf,
  identityRegistryAbi,
  purposes,
  structTypes,
  SuretyError,
  typedDataDigest,
  type Deployment,
  type DomainContracts,
  type Structs,
} from "#protocol";
import type { Connection } from "../cli/network.ts";
import { nextBlockTime } from "../cli/sending.ts";
import type { OrderSubject } from "./subject.ts";

/** Everything that is done to an agent by signature, and the consents that such an order needs. */
export const statements = [
  ...(["SignerBinding", "SignerGrant", "SignerRotation", "SignerRevocation", "BindingUpdate"] as const),
  ...(["Registration", "AgentURISet", "AgentMetadataSet", "AgentWalletChange", "AgentTransfer"] as const),
  ...(["AgentApproval", "OperatorApproval", "RecoverySetting", "RecoveryCancel", "OwnerChange"] as const),
] as const satisfies readonly (keyof Structs)[];
export type Statement = (typeof statements)[number];

/** A new signer that agrees to speak for an agent: `ISignedBindings.NewSigner`. */
export interface ConsentingSigner {
  readonly signer: Hex;
  readonly purpose: Hex;
  readonly validFrom: number;
  readonly validUntil: number;
  readonly deadline: number;
  readonly proof: Hex;
}

/** What the transaction carries beside what is signed: the texts behind hashes, and the new signer's consent. */
export interface Enclosed {
  readonly uri?: string;
  readonly metadataKey?: string;
  readonly metadataValue?: Hex;
  readonly newSigner?: ConsentingSigner;
}

/** One order, ready to be signed. */
export type Order = {
  [K in Statement]: { readonly statement: K; readonly message: Structs[K]; readonly enclosed: Enclosed };
}[Statement];

/** Who orders, and under what. */
export interface Asking {
  /** Its deployment names the registry that executes the order: ours, or that of adopted agents (`subjectOf`). */
  readonly connection: Connection;
  /** The agent's number at that registry; 0 where the order is about no agent that there is. */
  readonly agentId: bigint;
  /** Who owns it now; of no agent: who orders. */
  readonly owner: Hex;
  /** ERC-7913 bytes of who will sign. */
  readonly signer: Hex;
  /** Last second (Unix) at which the order may be executed. */
  readonly deadline: number;
  /** Used once by each signer, in any order. */
  readonly nonce: bigint;
}

/** An order on which somebody has to agree who is not at this terminal. */
export async function startAsking(
  { connection, agentId, owner }: OrderSubject,
  signer: Hex,
  { lifetimeS, deadline }: { readonly lifetimeS: number; readonly deadline?: number },
): Promise<Asking> {
  const last = deadline ?? (await nextBlockTime(connection.client)) + lifetimeS;
  const nonce = BigInt(bytesToHex(randomBytes(32)));
  return { connection, agentId, owner: owner ?? signer, signer, deadline: last, nonce };
}

export const contractsOf = ({ chainId, contracts }: Deployment): DomainContracts => ({ chainId, ...contracts });

/** The digest that is signed. */
export const digestOf = ({ statement, message }: Order, deployment: Deployment): Hex =>
  typedDataDigest(statement, message, contractsOf(deployment));

/** The same as typed data, for a page or a wallet that shows it before it signs. */
export const typedDataOf = ({ statement, message }: Order, deployment: Deployment) => ({
  domain: domainOf(statement, contractsOf(deployment)),
  types: { [statement]: structTypes[statement] },
  primaryType: statement,
  message,
});

const registryOf = ({ contracts }: Deployment) =>
  ({ abi: identityRegistryAbi, address: contracts.identityRegistry }) as const;

/** Orders that an OPERATOR signer may give, too; see contracts/identity/README.md. */
const operable: readonly Statement[] = [
  ...(["SignerGrant", "SignerRotation", "SignerRevocation"] as const),
  ...(["BindingUpdate", "AgentURISet", "AgentMetadataSet"] as const),
];

/**
 * Whether the chain will take this order from this signer: better known before a person is asked to sign.
 * @throws SuretyError ORDER_NOT_AUTHORIZED
 */
export async function requireAuthority(
  { statement, message }: Order,
  { connection: { client, deployment }, signer, owner }: Asking,
): Promise<void> {
  if (statement === "SignerBinding" || statement === "Registration" || statement === "OperatorApproval") return;
  const isGuardian = statement === "OwnerChange";
  if (!isGuardian && signer.toLowerCase() === owner.toLowerCase()) return;
  const purpose = isGuardian ? purposes.recovery : purposes.operator;
  if (isGuardian || operable.includes(statement)) {
    const time = BigInt(await nextBlockTime(client));
    const args = [message.agentId, keccak256(signer), purpose, time] as const;
    if (await client.readContract({ ...registryOf(deployment), functionName: "isSignerValidAt", args })) return;
  }
  const who = isGuardian ? "a RECOVERY signer" : operable.includes(statement) ? "an OPERATOR signer" : "the owner";
  throw new SuretyError(
    "ORDER_NOT_AUTHORIZED",
    `${signer} is not ${who} of agent ${message.agentId}, and ${statement} is ${who}'s order.`,
    {
      values: { agentId: message.agentId, signer, owner, statement },
      next: isGuardian
        ? "Let a guardian sign it; `surety verify agent` lists the signers."
        : `Let the owner ${owner} sign it${operable.includes(statement) ? ", or bind this signer as OPERATOR first" : ""}.`,
    },
  );
}

/** A plain key's consent to speak for an agent. */
export function consentOfKey(
  key: Hex,
  fields: Omit<Structs["SignerBinding"], "signerHash">,
  deployment: Deployment,
): ConsentingSigner {
  const signer = createSigner(key);
  const { purpose, validFrom, validUntil, deadline } = fields;
  const statement = { ...fields, signerHash: signer.signerHash };
  const proof = signer.sign(typedDataDigest("SignerBinding", statement, contractsOf(deployment)));
  return { signer: signer.address, purpose, validFrom, validUntil, deadline, proof };
}

/** True for a signer that is an account: its bytes are its address. */
export const isAccount = (signer: Hex): boolean => size(signer) === 20;
