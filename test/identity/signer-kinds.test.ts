import { expect } from "chai";
import { concat, encodeAbiParameters, keccak256, parseEventLogs, toHex, zeroHash, type Address, type Hex } from "viem";
import { purposes, uncheckedSignerOf } from "#protocol";
import { accountOf, createIdentityChain, keyOf, p256KeyOf, passkeyOf, type AnySigner } from "./setup.ts";

const chain = await createIdentityChain();
const { registry, owner } = chain;
const p256Verifier = await chain.viem.deployContract("P256Verifier");
const webAuthnVerifier = await chain.viem.deployContract("WebAuthnVerifier");
const FAR = 2 ** 48 - 1;
const gas = 2_000_000n;

/** A 2-of-3 account over a plain key, a P-256 key and a passkey, signing with the first and the last. */
async function multiSigner(): Promise<AnySigner> {
  const members = [
    keyOf(chain.newSigner()),
    p256KeyOf(p256Verifier.address, 77n),
    passkeyOf(webAuthnVerifier.address, 78n),
  ];
  const account = await chain.viem.deployContract("MultiSigner", [members.map(({ bytes }) => bytes), 2n]);
  const voting = [members[0] as AnySigner, members[2] as AnySigner];
  const sorted = voting.toSorted((a, b) => (a.signerHash < b.signerHash ? -1 : 1));
  const lists = [{ type: "bytes[]" }, { type: "bytes[]" }];
  return accountOf(account.address, {
    sign: (digest) =>
      encodeAbiParameters(lists, [sorted.map(({ bytes }) => bytes), sorted.map((key) => key.sign(digest))]),
  });
}

/** An account with a plain key and, by EIP-7702, with code that answers wrongly. */
async function delegatedAccount(): Promise<AnySigner> {
  const key = chain.newSigner();
  const truncating = await chain.viem.deployContract("TruncatingVerifier");
  const client = await chain.viem.getTestClient();
  await client.setCode({ address: key.address, bytecode: concat(["0xef0100", truncating.address]) });
  return keyOf(key);
}

const kinds: Record<string, () => AnySigner | Promise<AnySigner>> = {
  "a plain key": () => keyOf(chain.newSigner()),
  "a P-256 key": () => p256KeyOf(p256Verifier.address, 0xabcdn),
  "a passkey": () => passkeyOf(webAuthnVerifier.address, 0xabcen),
  "an ERC-1271 account": async () => {
    const key = keyOf(chain.newSigner());
    const account = await chain.viem.deployContract("ExecutingWallet", [key.bytes as Address]);
    return accountOf(account.address, key);
  },
  "an EIP-7702 account": delegatedAccount,
  "a multi-signer account": multiSigner,
};

const bindingAs = (agentId: bigint, signer: AnySigner, purpose: Hex) => {
  const binding = chain.bindingOf(signer, agentId, { purpose });
  const bind = (proof: Hex) => () =>
    registry.write.bindSigner([agentId, signer.bytes, purpose, 0, 0, FAR, proof], { gas });
  return { digest: chain.bindingDigest(binding), bind };
};

describe("signers of every kind", () => {
  for (const [name, create] of Object.entries(kinds)) {
    it(`binds ${name} with its own proof, and with nobody else's`, async () => {
      const agentId = await chain.registerAgent();
      const signer = await create();
      const { digest, bind } = bindingAs(agentId, signer, purposes.operator);
      const refused = [agentId, signer.signerHash];
      const others = [chain.ownerSigner.sign(digest), signer.sign(keccak256(digest)), "0x", toHex(1, { size: 600 })];
      for (const proof of others as Hex[]) await chain.refuses(bind(proof), "BindingsBadProof", refused);
      const { logs, timestamp } = await chain.mine(bind(signer.sign(digest))());
      const [event] = parseEventLogs({ abi: registry.abi, logs, eventName: "SignerBound" });
      expect(event?.args.signer.toLowerCase()).to.equal(signer.bytes.toLowerCase());
      const args = [agentId, signer.signerHash, purposes.operator, BigInt(timestamp)] as const;
      expect(await registry.read.isSignerValidAt(args)).to.equal(true);
      expect(await registry.read.isSignerUnchecked([signer.signerHash])).to.equal(false);
    });
  }

  it("refuses a passkey whose user was not present or not verified", async () => {
    const agentId = await chain.registerAgent();
    for (const flags of [0x00, 0x01, 0x04]) {
      const signer = passkeyOf(webAuthnVerifier.address, 0xbad0n + BigInt(flags), flags);
      const { digest, bind } = bindingAs(agentId, signer, purposes.operator);
      await chain.refuses(bind(signer.sign(digest)), "BindingsBadProof", [agentId, signer.signerHash]);
    }
  });

  it("finds every signer of an agent by its events, and the agent of every signer", async () => {
    const agentId = await chain.registerAgent();
    const bound: Hex[] = [];
    for (const create of Object.values(kinds).slice(3)) {
      const signer = await create();
      const { digest, bind } = bindingAs(agentId, signer, purposes.log);
      await chain.mine(bind(signer.sign(digest))());
      bound.push(signer.signerHash);
    }
    const events = await registry.getEvents.SignerBound({ agentId }, { fromBlock: 0n });
    expect(events.map(({ args }) => args.signerHash)).to.deep.equal(bound);
    for (const hash of bound) expect(await registry.read.agentOfSigner([hash])).to.equal(agentId);
  });
});

describe("keys whose proof the chain cannot check", () => {
  const key = keccak256("0xed25519a");
  const proof = toHex(9n, { size: 64 });
  const bind = (agentId: bigint, given: Hex = key, signature: Hex = proof, account: Hex = owner.account.address) =>
    registry.write.bindUncheckedKey([agentId, given, 0, 0, FAR, signature], { account, gas });

  it("are TRANSPORT signers whose record and events say so, with the proof for whoever checks it", async () => {
    const agentId = await chain.registerAgent();
    const { logs, timestamp } = await chain.mine(bind(agentId));
    const signer = uncheckedSignerOf(agentId, key);
    const signerHash = keccak256(signer);
    const events = parseEventLogs({ abi: registry.abi, logs });
    expect(events[0]?.args).to.deep.include({ agentId, signerHash, purpose: purposes.transport, signer });
    expect(events[1]?.args).to.deep.equal({ agentId, signerHash, key, deadline: FAR, proof });
    expect(await registry.read.isSignerUnchecked([signerHash])).to.equal(true);
    const args = [agentId, signerHash, purposes.transport, BigInt(timestamp)] as const;
    expect(await registry.read.isSignerValidAt(args)).to.equal(true);
    // Whoever asks for the bare key finds nothing: no claim passes for a checked one.
    expect(await registry.read.agentOfSigner([keccak256(key)])).to.equal(0n);
    await chain.mine(registry.write.revokeSigner([agentId, signerHash, 0]));
    expect((await registry.read.signerOf([signerHash]))[4]).to.be.greaterThan(0);
  });

  it("can be claimed by several agents, so that a false claim takes the key from nobody; once by each", async () => {
    const [first, second] = [await chain.registerAgent(), await chain.registerAgent()];
    await chain.mine(bind(first));
    await chain.mine(bind(second));
    const signerHash = keccak256(uncheckedSignerOf(first, key));
    await chain.refuses(() => bind(first), "BindingsSignerTaken", [signerHash, first]);
  });

  it("are refused when zero, with a proof of another length, and from a stranger", async () => {
    const agentId = await chain.registerAgent();
    await chain.refuses(() => bind(agentId, zeroHash), "BindingsZeroSigner", [32n]);
    for (const length of [0, 63, 65]) {
      const values = [BigInt(length), 64n];
      const signature = `0x${"01".repeat(length)}` as const;
      await chain.refuses(() => bind(agentId, key, signature), "BindingsBadProofLength", values);
    }
    const account = chain.stranger.account.address;
    await chain.refuses(() => bind(agentId, key, proof, account), "ERC721InsufficientApproval", [account, agentId]);
  });
});
