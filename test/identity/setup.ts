import { p256 } from "@noble/curves/nist.js";
import { expect } from "chai";
import { network } from "hardhat";
import {
  bytesToHex,
  concat,
  encodeAbiParameters,
  hexToBytes,
  keccak256,
  sha256,
  slice,
  stringToHex,
  toHex,
  type Address,
  type Hash,
  type Hex,
} from "viem";
import { createSigner, purposes, typedDataDigest, type Signer, type Structs } from "#protocol";
import { testSigner } from "../fixtures/keys.ts";

/** 66 bytes, the length of an ipfs:// URI with a CIDv1. */
export const uri = "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";

export const commitment = keccak256(stringToHex("a commitment"));

/** ERC-721 metadata id of ERC-4906, by its clause; not derived from code under test. */
export const erc4906InterfaceId = "0x49064906";

/** A signer of any kind, by its ERC-7913 bytes. */
export interface AnySigner {
  readonly bytes: Hex;
  readonly signerHash: Hex;
  sign(digest: Hex): Hex;
}

/** A plain key as one of any kind. */
export const keyOf = (signer: Signer): AnySigner => ({
  bytes: signer.address,
  signerHash: signer.signerHash,
  sign: (digest) => signer.sign(digest),
});

/** The digests of an account that answers for another key's signatures (ERC-1271). */
export const accountOf = (address: Address, key: Pick<AnySigner, "sign">): AnySigner => ({
  bytes: address,
  signerHash: keccak256(address),
  sign: (digest) => key.sign(digest),
});

const p256PublicKey = (secret: Uint8Array): Hex => bytesToHex(p256.getPublicKey(secret, false).subarray(1));
const p256Sign = (message: Uint8Array, secret: Uint8Array): Uint8Array =>
  p256.sign(message, secret, { prehash: false, lowS: true });

/** A P-256 key under its ERC-7913 verifier. */
export function p256KeyOf(verifier: Address, seed: bigint): AnySigner {
  const secret = hexToBytes(toHex(seed, { size: 32 }));
  const bytes = concat([verifier, p256PublicKey(secret)]);
  return { bytes, signerHash: keccak256(bytes), sign: (digest) => bytesToHex(p256Sign(hexToBytes(digest), secret)) };
}

/** What an authenticator says of an assertion: user present, user verified. */
const PRESENT_AND_VERIFIED = 0x05;

/** A passkey as an authenticator makes and asserts it (WebAuthn 2, 6.1 and 7.2), under its ERC-7913 verifier. */
export function passkeyOf(verifier: Address, seed: bigint, flags = PRESENT_AND_VERIFIED): AnySigner {
  const secret = hexToBytes(toHex(seed, { size: 32 }));
  const bytes = concat([verifier, p256PublicKey(secret)]);
  return {
    bytes,
    signerHash: keccak256(bytes),
    sign(digest) {
      const challenge = Buffer.from(digest.slice(2), "hex").toString("base64url");
      const json = `{"type":"webauthn.get","challenge":"${challenge}","origin":"https://agents.example","crossOrigin":false}`;
      const authenticator = concat([sha256(stringToHex("agents.example")), toHex(flags, { size: 1 }), "0x00000001"]);
      const message = sha256(concat([authenticator, sha256(stringToHex(json))]));
      const signature = bytesToHex(p256Sign(hexToBytes(message), secret));
      const [r, s] = [slice(signature, 0, 32), slice(signature, 32, 64)];
      const fields = [
        ...[{ type: "bytes32" }, { type: "bytes32" }, { type: "uint256" }, { type: "uint256" }],
        ...[{ type: "bytes" }, { type: "string" }],
      ];
      const [challengeIndex, typeIndex] = [json.indexOf('"challenge"'), json.indexOf('"type"')].map(BigInt);
      return encodeAbiParameters(fields, [r, s, challengeIndex, typeIndex, authenticator, json]);
    },
  };
}

/** Order of secp256k1. */
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** The other signature over the same digest that plain ecrecover would take. */
export function malleate(signature: Hex): Hex {
  const bytes = hexToBytes(signature);
  const s = ORDER - BigInt(bytesToHex(bytes.subarray(32, 64)));
  return concat([bytesToHex(bytes.subarray(0, 32)), toHex(s, { size: 32 }), bytes[64] === 27 ? "0x1c" : "0x1b"]);
}

/** A chain of its own with a registry, its people, and what tests of all its parts say again and again. */
export async function createIdentityChain() {
  const { viem, networkHelpers } = await network.create();
  const registry = await viem.deployContract("IdentityRegistry");
  const publicClient = await viem.getPublicClient();
  const signedBindings = await viem.getContractAt("SignedBindings", await registry.read.signedBindings());
  const signedProfile = await viem.getContractAt("SignedProfile", await registry.read.signedProfile());
  const recovery = await viem.getContractAt("OwnerRecovery", await registry.read.ownerRecovery());
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
  let nonceCount = 0n;

  const chain = {
    viem,
    time: networkHelpers.time,
    registry,
    publicClient,
    signedBindings,
    signedProfile,
    recovery,
    owner,
    stranger,
    operator,
    buyer,
    ownerSigner: testSigner(0),
    strangerSigner: testSigner(1),
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

    /** Mines empty blocks. */
    skip: (blocks: number): Promise<void> => networkHelpers.mine(blocks),

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
    async storageRoot(address: Address = registry.address): Promise<Hex> {
      return (await publicClient.getProof({ address, storageKeys: [] })).storageHash;
    },

    /**
     * Expects the named error with its values, and storages that are bit for bit what they were.
     * @param contract whose error it is, where that is not the registry's
     */
    async refuses(
      act: () => Promise<unknown>,
      error: string,
      values: readonly unknown[],
      contract: { readonly address: Address } = registry,
    ): Promise<void> {
      const roots = () => Promise.all([chain.storageRoot(), chain.storageRoot(contract.address)]);
      const before = await roots();
      await viem.assertions.revertWithCustomErrorWithArgs(
        act() as Promise<Hash>,
        contract as typeof registry,
        error as never,
        values as never,
      );
      expect(await roots(), "storage after a refusal").to.deep.equal(before);
    },

    /** Signs an order (ISignedOrders) with a fresh nonce, unless one is given. */
    consent<K extends keyof Structs>(
      signer: AnySigner,
      struct: K,
      order: Omit<Structs[K], "nonce" | "deadline">,
      fields: { nonce?: bigint; deadline?: number; verifyingContract?: Address; chainId?: number } = {},
    ) {
      const { nonce = ++nonceCount, deadline = 2 ** 48 - 1 } = fields;
      const { verifyingContract: identityRegistry = registry.address, chainId = domain.chainId } = fields;
      const contracts = { ...domain, identityRegistry, chainId };
      const statement = { ...order, nonce, deadline } as unknown as Structs[K];
      const signature = signer.sign(typedDataDigest(struct, statement, contracts));
      return { signer: signer.bytes, nonce, deadline, signature };
    },
  };
  return chain;
}

export type IdentityChain = Awaited<ReturnType<typeof createIdentityChain>>;
