import { getAddress, isAddress, type Address } from "viem";
import { SuretyError } from "./errors.ts";

/** Where one deployment of Surety stands on one chain. Written by `surety deploy`, read by every other part. */
export interface Deployment {
  readonly chainId: number;
  /** Block from which an indexer has to read. */
  readonly deployedAtBlock: number;
  readonly contracts: {
    readonly identityRegistry: Address;
    /** Parts of the registry that act by signature and for guardians. */
    readonly signedBindings: Address;
    readonly signedProfile: Address;
    readonly ownerRecovery: Address;
    /** Bindings of agents whose registry is not ours. */
    readonly foreignBindings: Address;
    /** Merkle roots of log ranges and of batches of bindings. */
    readonly anchors: Address;
    readonly logEvidence: Address;
    /** ERC-7913 verifiers of P-256 keys and of passkeys: a signer's bytes are one of these addresses, then x and y. */
    readonly p256Verifier: Address;
    readonly webAuthnVerifier: Address;
    /** Who answers for an agent, in the scope of the trust ledger. */
    readonly credentials: Address;
    readonly issuerCredentials: Address;
    readonly semaphoreCredentials: Address;
    readonly stakeVault: Address;
    readonly dealEscrow: Address;
    readonly dealDisputes: Address;
    readonly dealFunding: Address;
    readonly tabEscrow: Address;
    readonly trustLedger: Address;
    readonly reputationEpochs: Address;
    /** Prices providers' bonds by their scores. */
    readonly bondCurve: Address;
    /** Takes the stake of who signed two histories. */
    readonly evidenceSlasher: Address;
    /** The default arbiter: staked jurors, ERC-792. */
    readonly jurorPanel: Address;
    /** Takes the stake of a provider against which the juror panel rules, and freezes it while an appeal is open. */
    readonly rulingSlasher: Address;
    /** Draws who orders a topic's log headers, and takes the stake of who signs two orders. */
    readonly windowValidators: Address;
    readonly structHashes: Address;
    /** ERC-8004's reputation registry, with the deals behind it. */
    readonly feedbackRegistry: Address;
    /** ERC-8004's validation registry. */
    readonly validationRegistry: Address;
    /** ERC-8183, paid in `token`. */
    readonly jobEscrow: Address;
    /** The ERC-20 in which deals of the local scenarios are paid and stake is held. */
    readonly token: Address;
  };
}

/** Every contract of a deployment. */
export const deployedContractNames = [
  "identityRegistry",
  "signedBindings",
  "signedProfile",
  "ownerRecovery",
  "foreignBindings",
  "anchors",
  "logEvidence",
  "p256Verifier",
  "webAuthnVerifier",
  "credentials",
  "issuerCredentials",
  "semaphoreCredentials",
  "stakeVault",
  "dealEscrow",
  "dealDisputes",
  "dealFunding",
  "tabEscrow",
  "trustLedger",
  "reputationEpochs",
  "bondCurve",
  "evidenceSlasher",
  "jurorPanel",
  "rulingSlasher",
  "windowValidators",
  "structHashes",
  "feedbackRegistry",
  "validationRegistry",
  "jobEscrow",
  "token",
] as const satisfies readonly (keyof Deployment["contracts"])[];

/** @param text the JSON of a deployment file @throws SuretyError DEPLOYMENT_INVALID */
export function parseDeployment(text: string): Deployment {
  const fail = (detail: string, cause?: unknown) =>
    new SuretyError("DEPLOYMENT_INVALID", `The deployment file is not valid: ${detail}.`, {
      values: { detail },
      next: "An older version wrote it, or somebody changed it: deploy again, `surety deploy --reset` for all of it anew.",
      cause,
    });
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw fail("it is not JSON", cause);
  }
  const { chainId, deployedAtBlock } = json;
  if (!Number.isSafeInteger(chainId) || (chainId as number) < 1) throw fail("chainId is not a positive integer");
  if (!Number.isSafeInteger(deployedAtBlock) || (deployedAtBlock as number) < 0) {
    throw fail("deployedAtBlock is not a block number");
  }
  const given = (json["contracts"] ?? {}) as Record<string, unknown>;
  const contracts = Object.fromEntries(
    deployedContractNames.map((name) => {
      const address = given[name];
      if (typeof address !== "string" || !isAddress(address)) throw fail(`contracts.${name} is not an address`);
      return [name, getAddress(address)];
    }),
  );
  return {
    chainId: chainId as number,
    deployedAtBlock: deployedAtBlock as number,
    contracts: contracts as Deployment["contracts"],
  };
}
