import { keccak256, stringToHex, zeroAddress, type Hex } from "viem";
import {
  createSigner,
  identityRegistryAbi,
  ownerRecoveryAbi,
  signedBindingsAbi,
  signedProfileAbi,
  SuretyError,
  typedDataDigest,
  type Deployment,
  type Structs,
} from "#protocol";
import type { ContractCall } from "../../node/chain/port.ts";
import type { Connection } from "../cli/network.ts";
import { nextBlockTime } from "../cli/sending.ts";
import { contractsOf, isAccount, type Enclosed, type Order } from "./order.ts";

/** An order's signature, by its signer. */
export interface Signed {
  /** ERC-7913 bytes. */
  readonly signer: Hex;
  readonly signature: Hex;
}

/** The registry takes a wallet's consent for five minutes at most (ERC-8004). */
const WALLET_CONSENT_S = 240;

interface Sites {
  readonly registry: Pick<ContractCall, "abi" | "address">;
  readonly bindings: Pick<ContractCall, "abi" | "address">;
  readonly profile: Pick<ContractCall, "abi" | "address">;
  readonly recovery: Pick<ContractCall, "abi" | "address">;
}

const sitesOf = ({ contracts }: Deployment): Sites => ({
  registry: { abi: identityRegistryAbi, address: contracts.identityRegistry },
  bindings: { abi: signedBindingsAbi, address: contracts.signedBindings },
  profile: { abi: signedProfileAbi, address: contracts.signedProfile },
  recovery: { abi: ownerRecoveryAbi, address: contracts.ownerRecovery },
});

/** A new wallet's own consent, made when the order is sent: it lasts minutes. */
export type WalletConsent = { readonly walletDeadline: bigint; readonly walletSignature: Hex };

/** @throws SuretyError USAGE_WALLET_KEY where the key is not the wallet's */
export async function consentOfWallet(
  { agentId, newWallet }: Structs["AgentWalletChange"],
  owner: Hex,
  walletKey: Hex,
  { client, deployment }: Connection,
): Promise<WalletConsent> {
  const wallet = createSigner(walletKey);
  if (wallet.address.toLowerCase() !== newWallet.toLowerCase()) {
    throw new SuretyError("USAGE_WALLET_KEY", `The key is that of ${wallet.address}, the new wallet is ${newWallet}.`, {
      values: { newWallet, address: wallet.address },
      next: "Name the key file of the new wallet with --wallet-key-file.",
    });
  }
  const walletDeadline = BigInt((await nextBlockTime(client)) + WALLET_CONSENT_S);
  const consent = { agentId, newWallet, owner, deadline: walletDeadline };
  return {
    walletDeadline,
    walletSignature: wallet.sign(typedDataDigest("AgentWalletSet", consent, contractsOf(deployment))),
  };
}

/** The one transaction that executes an order; anybody may send it. Votes of guardians go together, see `recoveryCall`. */
export function callOf(
  order: Exclude<Order, { statement: "SignerBinding" | "OwnerChange" }>,
  { signer, signature }: Signed,
  deployment: Deployment,
  wallet?: WalletConsent,
): ContractCall {
  const { registry, bindings, profile, recovery } = sitesOf(deployment);
  const { enclosed } = order;
  const consentTo = ({ nonce, deadline }: { nonce: bigint; deadline: number }) => ({
    ...{ signer, nonce, deadline, signature },
  });
  switch (order.statement) {
    case "BindingUpdate": {
      const { agentId, version, delta, deadline } = order.message;
      return isAccount(signer)
        ? { ...registry, functionName: "updateCommitment", args: [agentId, version, delta, deadline, signature] }
        : {
            ...registry,
            functionName: "updateCommitmentAsOperator",
            args: [agentId, version, delta, deadline, signer, signature],
          };
    }
    case "SignerGrant": {
      const args = [order.message.agentId, newSignerOf(enclosed), consentTo(order.message)];
      return { ...bindings, functionName: "bindSignerWithSignature", args };
    }
    case "SignerRotation": {
      const { agentId, oldSignerHash } = order.message;
      const { signer: newSigner, validUntil, deadline, proof } = newSignerOf(enclosed);
      const args = [agentId, { oldSignerHash, newSigner, validUntil, deadline, proof }, consentTo(order.message)];
      return { ...bindings, functionName: "rotateSignerWithSignature", args };
    }
    case "SignerRevocation": {
      const { agentId, signerHash, compromisedAt } = order.message;
      const args = [agentId, signerHash, compromisedAt, consentTo(order.message)];
      return { ...bindings, functionName: "revokeSignerWithSignature", args };
    }
    case "Registration": {
      const { owner, commitment } = order.message;
      const binding = { commitment, ...(enclosed.newSigner ?? NO_SIGNER) };
      const args = [owner, enclosed.uri ?? "", binding, consentTo(order.message)];
      return { ...profile, functionName: "registerWithSignature", args };
    }
    case "AgentURISet": {
      const args = [order.message.agentId, enclosed.uri ?? "", consentTo(order.message)];
      return { ...profile, functionName: "setAgentURIWithSignature", args };
    }
    case "AgentMetadataSet": {
      const { metadataKey = "", metadataValue = "0x" } = enclosed;
      const args = [order.message.agentId, metadataKey, metadataValue, consentTo(order.message)];
      return { ...profile, functionName: "setMetadataWithSignature", args };
    }
    case "AgentWalletChange": {
      const { agentId, newWallet } = order.message;
      const consent = consentTo(order.message);
      if (newWallet === zeroAddress)
        return { ...profile, functionName: "unsetAgentWalletWithSignature", args: [agentId, consent] };
      if (wallet === undefined) throw walletSilent(newWallet);
      const args = [agentId, newWallet, wallet.walletDeadline, wallet.walletSignature, consent];
      return { ...profile, functionName: "setAgentWalletWithSignature", args };
    }
    case "AgentTransfer": {
      const { agentId, to } = order.message;
      return { ...profile, functionName: "transferWithSignature", args: [agentId, to, consentTo(order.message)] };
    }
    case "AgentApproval": {
      const { agentId, approved } = order.message;
      return { ...profile, functionName: "approveWithSignature", args: [agentId, approved, consentTo(order.message)] };
    }
    case "OperatorApproval": {
      const { owner, operator, isApproved } = order.message;
      const args = [owner, operator, isApproved, consentTo(order.message)];
      return { ...profile, functionName: "setApprovalForAllWithSignature", args };
    }
    case "RecoverySetting": {
      const { agentId, threshold, delay } = order.message;
      const args = [agentId, threshold, delay, consentTo(order.message)];
      return { ...recovery, functionName: "setRecoveryWithSignature", args };
    }
    case "RecoveryCancel": {
      const args = [order.message.agentId, consentTo(order.message)];
      return { ...recovery, functionName: "cancelRecoveryWithSignature", args };
    }
  }
}

/** A signer's own transaction of the owner, or its order where somebody else sends. */
export function bindingCall(
  { agentId, purpose, validFrom, validUntil, deadline }: Structs["SignerBinding"],
  { signer, signature }: Signed,
  deployment: Deployment,
): ContractCall {
  const args = [agentId, signer, purpose, validFrom, validUntil, deadline, signature];
  return { ...sitesOf(deployment).registry, functionName: "bindSigner", args };
}

/** Starts a recovery with the votes of its guardians, in the order that the contract asks for. */
export function recoveryCall(
  { agentId, newOwner, deadline }: Structs["OwnerChange"],
  votes: readonly Signed[],
  deployment: Deployment,
): ContractCall {
  const sorted = votes.toSorted((a, b) => (keccak256(a.signer) < keccak256(b.signer) ? -1 : 1));
  const args = [agentId, newOwner, deadline, sorted];
  return { ...sitesOf(deployment).recovery, functionName: "startRecovery", args };
}

/** Hands an agent to its new owner once the delay has passed; anybody may. */
export const executeRecoveryCall = (agentId: bigint, deployment: Deployment): ContractCall => ({
  ...sitesOf(deployment).recovery,
  functionName: "executeRecovery",
  args: [agentId],
});

/** keccak256 of a text's UTF-8 bytes, as the orders about URIs and metadata carry it. */
export const hashOfText = (text: string): Hex => keccak256(stringToHex(text));

const NO_SIGNER = { signer: "0x", validFrom: 0, validUntil: 0, deadline: 0, proof: "0x" } as const;

function newSignerOf({ newSigner }: Enclosed) {
  if (newSigner !== undefined) return newSigner;
  throw new SuretyError("USAGE_ORDER_FILE", "The order is about a new signer, whose consent is not in its file.", {
    next: "Use the file as `surety passkey ask` wrote it.",
  });
}

const walletSilent = (newWallet: Hex) =>
  new SuretyError("USAGE_WALLET_KEY", `The new wallet ${newWallet} has to agree, and lasts five minutes in that.`, {
    values: { newWallet },
    next: "Name its key file with --wallet-key-file.",
  });
