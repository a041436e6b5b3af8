import { expect } from "chai";
import { network } from "hardhat";
import { keccak256, stringToHex, toHex, type Address, type Hash, type Hex } from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { createSigner, purposes, typedDataDigest, type Signer, type Structs } from "#protocol";

/** The accounts of every local Hardhat chain; public, for tests only. */
const mnemonic = "test test test test test test test test test test test junk";

/** 66 bytes, the length of an ipfs:// URI with a CIDv1. */
export const uri = "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";

export const commitment = keccak256(stringToHex("a commitment"));

/** ERC-721 metadata id of ERC-4906, by its clause; not derived from code under test. */
export const erc4906InterfaceId = "0x49064906";

/** Signer of one of Hardhat's accounts. */
function accountSigner(addressIndex: number): Signer {
  const { privateKey } = mnemonicToAccount(mnemonic, { addressIndex }).getHdKey();
  if (privateKey === null) throw new Error("the HD key has no private part");
  return createSigner(privateKey);
}

/** A chain of its own with a registry, its people, and what tests of all its parts say again and again. */
export async function createIdentityChain() {
  const { viem, networkHelpers } = await network.create();
  const registry = await viem.deployContract("IdentityRegistry");
  const publicClient = await viem.getPublicClient();
  const [owner, stranger, operator, buyer] = await viem.getWalletClients();
  if (owner === undefined || stranger === undefined || operator === undefined || buyer === undefined) {
    throw new Error("the chain has fewer than four accounts");
  }
  const domain = {
    chainId: await publicClient.getChainId(),
    identityRegistry: registry.address,
    dealEscrow: registry.address,
  };
  let keyCount = 0n;

  const chain = {
    viem,
    time: networkHelpers.time,
    registry,
    publicClient,
    owner,
    stranger,
    operator,
    buyer,
    ownerSigner: accountSigner(0),
    strangerSigner: accountSigner(1),
    domain,

    /** A key that nothing else in the test uses. */
    newSigner: (): Signer => createSigner(toHex(0x5eed_0000n + ++keyCount, { size: 32 })),

    /** Mines a transaction and returns its block's second and the registry's events in order. */
    async mine(sent: Promise<Hash>) {
      const receipt = await publicClient.getTransactionReceipt({ hash: await sent });
      const block = await publicClient.getBlock({ blockNumber: receipt.blockNumber });
      return { timestamp: Number(block.timestamp), logs: receipt.logs, gasUsed: receipt.gasUsed };
    },

    /** Sets the second of the next block, at which the next transaction runs. */
    atSecond: (second: number): Promise<void> => networkHelpers.time.setNextBlockTimestamp(second),

    now: (): Promise<number> => networkHelpers.time.latest(),

    /** Registers an agent for the owner and returns its id. */
    async registerAgent(account: Address = owner.account.address): Promise<bigint> {
      const { result, request } = await publicClient.simulateContract({
        address: registry.address,
        abi: registry.abi,
        functionName: "register",
        args: [uri],
        account,
      });
      await owner.writeContract(request);
      return result as bigint;
    },

    /** Fields of a SignerBinding over a signer, by default LOG from now without end. */
    bindingOf(
      signer: { signerHash: Hex },
      agentId: bigint,
      fields: Partial<Structs["SignerBinding"]> = {},
    ): Structs["SignerBinding"] {
      return {
        agentId,
        owner: owner.account.address,
        signerHash: signer.signerHash,
        purpose: purposes.log,
        validFrom: 0,
        validUntil: 0,
        deadline: 2 ** 48 - 1,
        ...fields,
      };
    },

    /** The digest that a new signer signs. */
    bindingDigest: (binding: Structs["SignerBinding"]): Hex => typedDataDigest("SignerBinding", binding, domain),

    /** Sends bindSigner with the fields of a binding, signed by the signer unless a proof is given. */
    bind(signer: Signer, binding: Structs["SignerBinding"], proof?: Hex, account: Address = owner.account.address) {
      const { agentId, purpose, validFrom, validUntil, deadline } = binding;
      return registry.write.bindSigner(
        [
          agentId,
          signer.address,
          purpose,
          validFrom,
          validUntil,
          deadline,
          proof ?? signer.sign(chain.bindingDigest(binding)),
        ],
        { account, gas: 1_000_000n },
      );
    },

    /** Binds a fresh LOG signer and returns it with the second of its binding. */
    async bindFresh(agentId: bigint, fields: Partial<Structs["SignerBinding"]> = {}) {
      const signer = chain.newSigner();
      const { timestamp } = await chain.mine(chain.bind(signer, chain.bindingOf(signer, agentId, fields)));
      return { signer, timestamp };
    },

    /** Root of the registry's whole storage. */
    async storageRoot(): Promise<Hex> {
      return (await publicClient.getProof({ address: registry.address, storageKeys: [] })).storageHash;
    },

    /** Expects the named error with its values, and a storage that is bit for bit what it was. */
    async refuses(act: () => Promise<unknown>, error: string, values: readonly unknown[]): Promise<void> {
      const before = await chain.storageRoot();
      await viem.assertions.revertWithCustomErrorWithArgs(
        act() as Promise<Hash>,
        registry,
        error as never,
        values as never,
      );
      expect(await chain.storageRoot(), "storage after a refusal").to.equal(before);
    },
  };
  return chain;
}

export type IdentityChain = Awaited<ReturnType<typeof createIdentityChain>>;
