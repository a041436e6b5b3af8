import { bytesToHex, type Hex } from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { createSigner, purposes, typedDataDigest, type Signer } from "#protocol";
import { createProductionChain, type Chain } from "../harness/production.ts";
import type { Result } from "../harness/report.ts";
import { QUOTED } from "./peers.ts";

/** Everything happens from here on, second by second: equal times sign equal digests, and calldata is priced by its bytes. */
export const STARTS_AT = Date.UTC(2030, 0, 1) / 1000;
/** A deadline that never binds. */
export const FAR = STARTS_AT + 300 * 86_400;
export const EPOCH_LENGTH = 86_400;
export const PUBLISHER_BOND = 1_000_000_000n;
/** Hardhat's public test mnemonic. */
const MNEMONIC = "test test test test test test test test test test test junk";

const sources = [
  "identity/IdentityRegistry.sol",
  "identity/SignedBindings.sol",
  "identity/OwnerRecovery.sol",
  "identity/Anchors.sol",
  "identity/ForeignBindings.sol",
  "identity/KeyVerifiers.sol",
  "stake/EvidenceSlasher.sol",
  "identity/LogEvidence.sol",
  "network/WindowValidators.sol",
  "mocks/TestToken.sol",
  "reputation/TrustLedger.sol",
  "reputation/ReputationEpochs.sol",
  "reputation/FeedbackRegistry.sol",
  "settlement/DealDisputes.sol",
  "settlement/DealEscrow.sol",
  "settlement/JobEscrow.sol",
  "settlement/TabEscrow.sol",
  "settlement/arbitration/JurorPanel.sol",
  "stake/RulingSlasher.sol",
  "stake/StakeVault.sol",
];

/** Account of the public test mnemonic, with its key. */
export function signerAt(index: number): Signer {
  const { privateKey } = mnemonicToAccount(MNEMONIC, { addressIndex: index }).getHdKey();
  if (privateKey === null) throw new Error("the test mnemonic gave no key");
  return createSigner(bytesToHex(privateKey));
}

/** A chain with every contract of the production profile and a clock that ticks once a transaction. */
export async function createRig() {
  const chain = await createProductionChain(sources, STARTS_AT);
  const clock = createClock(chain);
  const { viem } = chain;
  await clock.tick();
  const registry = await viem.deployContract("IdentityRegistry");
  await clock.tick();
  const token = await viem.deployContract("TestToken");
  const chainId = await (await viem.getPublicClient()).getChainId();
  return { chain, viem, registry, token, chainId, ...clock, ...createMeter(chain, clock) };
}

export type Rig = Awaited<ReturnType<typeof createRig>>;

function createClock({ networkHelpers }: Chain) {
  let now = STARTS_AT;
  return {
    now: () => now,
    /** The next block comes one second later. */
    tick: async () => networkHelpers.time.setNextBlockTimestamp(++now),
    /** The next tick is the first second at or after this one (Unix). */
    skipTo: (second: number) => {
      now = Math.max(now, second - 1);
    },
  };
}

function createMeter({ viem }: Chain, { tick }: { tick: () => Promise<void> }) {
  return {
    /** Sends one transaction. @returns all the gas it used, intrinsic gas included @throws if it failed */
    measure: async (send: () => Promise<Hex>): Promise<number> => {
      await tick();
      const client = await viem.getPublicClient();
      const { status, gasUsed } = await client.getTransactionReceipt({ hash: await send() });
      if (status !== "success") throw new Error("a measured transaction failed");
      return Number(gasUsed);
    },
  };
}

/** A registry of its own, with the ledger whose epochs it is scored by and the vault of its agents' stakes. */
export async function deployStakes({ viem, token, tick }: Rig) {
  await tick();
  const registry = await viem.deployContract("IdentityRegistry");
  await tick();
  const ledger = await viem.deployContract("TrustLedger", [BigInt(EPOCH_LENGTH), registry.address]);
  await tick();
  const terms = [token.address, registry.address, ledger.address, 3 * EPOCH_LENGTH] as const;
  return { registry, ledger, vault: await viem.deployContract("StakeVault", terms) };
}

/** The proof of possession of a new LOG signer. @param agentId 0 = the agent that `owner` registers with it */
export function proofOf(rig: Pick<Rig, "registry" | "chainId">, agentId: bigint, owner: Hex, signer: Signer): Hex {
  const { registry, chainId } = rig;
  const binding = {
    agentId,
    owner,
    signerHash: signer.signerHash,
    purpose: purposes.log,
    validFrom: 0,
    validUntil: 0,
    deadline: FAR,
  };
  const contracts = { chainId, identityRegistry: registry.address, dealEscrow: registry.address };
  return signer.sign(typedDataDigest("SignerBinding", binding, contracts));
}

/** One figure of gas, less being better. */
export function gasResult(
  id: string,
  value: number,
  about: Partial<Pick<Result, "goal" | "peers" | "note">> = {},
): Result {
  const notes = [about.note, about.peers === undefined ? undefined : QUOTED].filter((note) => note !== undefined);
  return {
    id,
    unit: "gas",
    value,
    goal: about.goal ?? null,
    better: "lower",
    peers: about.peers ?? {},
    ratio: null,
    note: notes.join("; "),
  };
}
