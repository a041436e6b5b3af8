import { expect } from "chai";
import { parseEventLogs, toHex, type Hex } from "viem";
import { purposes, type Signer } from "#protocol";
import { commitment, createIdentityChain, uri } from "./setup.ts";

const chain = await createIdentityChain();
const { registry, owner, stranger } = chain;
const gas = 1_000_000n;

const isValidAt = (agentId: bigint, signerHash: Hex, second: number, purpose: Hex = purposes.log) =>
  registry.read.isSignerValidAt([agentId, signerHash, purpose, BigInt(second)]);

describe("signers: rotation", () => {
  const rotate = (
    agentId: bigint,
    oldSignerHash: Hex,
    next = chain.newSigner(),
    fields: { purpose?: Hex; validUntil?: number; deadline?: number; proof?: Hex; account?: Hex } = {},
  ) => {
    const { purpose = purposes.log, validUntil = 0, deadline = 2 ** 48 - 1 } = fields;
    const binding = chain.bindingOf(next, agentId, { purpose, validUntil, deadline });
    const proof = fields.proof ?? next.sign(chain.bindingDigest(binding));
    return registry.write.rotateSigner([agentId, oldSignerHash, next.address, validUntil, deadline, proof], {
      account: fields.account ?? owner.account.address,
      gas,
    });
  };

  it("hands the purpose over in one second: never both, never neither", async () => {
    const agentId = await chain.registerAgent();
    const { signer: old } = await chain.bindFresh(agentId, { purpose: purposes.transport });
    const next = chain.newSigner();
    const at = (await chain.now()) + 100;
    await chain.atSecond(at);
    const { logs } = await chain.mine(
      rotate(agentId, old.signerHash, next, { purpose: purposes.transport, validUntil: at + 10 }),
    );
    const names = parseEventLogs({ abi: registry.abi, logs }).map((log) => log.eventName);
    expect(names).to.deep.equal(["SignerRevoked", "SignerBound"]);
    for (const [second, ofOld, ofNext] of [
      [at - 1, true, false],
      [at, false, true],
      [at + 9, false, true],
      [at + 10, false, false],
    ] as const) {
      expect(await isValidAt(agentId, old.signerHash, second, purposes.transport)).to.equal(ofOld);
      expect(await isValidAt(agentId, next.signerHash, second, purposes.transport)).to.equal(ofNext);
    }
  });

  it("refuses to rotate a revoked, ended, foreign or unknown signer, and into a taken one", async () => {
    const agentId = await chain.registerAgent();
    const otherId = await chain.registerAgent();
    const { signer: revoked } = await chain.bindFresh(agentId);
    const { timestamp: revokedAt } = await chain.mine(registry.write.revokeSigner([agentId, revoked.signerHash, 0]));
    const until = (await chain.now()) + 100;
    const { signer: ended } = await chain.bindFresh(agentId, { validUntil: until });
    const { signer: alive } = await chain.bindFresh(agentId);
    const { signer: foreign } = await chain.bindFresh(otherId);
    const unknown = chain.newSigner().signerHash;
    await chain.atSecond(until);
    await chain.refuses(() => rotate(agentId, ended.signerHash), "BindingsBadCompromiseTime", [
      until,
      0n,
      BigInt(until - 1),
    ]);
    await chain.refuses(() => rotate(agentId, revoked.signerHash), "BindingsAlreadyRevoked", [
      revoked.signerHash,
      revokedAt,
    ]);
    for (const hash of [foreign.signerHash, unknown]) {
      await chain.refuses(() => rotate(agentId, hash), "BindingsUnknownSigner", [agentId, hash]);
    }
    await chain.refuses(() => rotate(agentId, alive.signerHash, foreign), "BindingsSignerTaken", [
      foreign.signerHash,
      otherId,
    ]);
    await chain.refuses(() => rotate(agentId, alive.signerHash, alive), "BindingsSignerTaken", [
      alive.signerHash,
      agentId,
    ]);
  });

  it("refuses a bad proof, an old one and a stranger, and then leaves the old signer in office", async () => {
    const agentId = await chain.registerAgent();
    const { signer: old, timestamp } = await chain.bindFresh(agentId);
    const next = chain.newSigner();
    await chain.refuses(() => rotate(agentId, old.signerHash, next, { proof: "0x" }), "BindingsBadProof", [
      agentId,
      next.signerHash,
    ]);
    // A proof for another purpose does not let the successor take this one.
    const binding = chain.bindingOf(next, agentId, { purpose: purposes.operator });
    const proof = next.sign(chain.bindingDigest(binding));
    await chain.refuses(() => rotate(agentId, old.signerHash, next, { proof }), "BindingsBadProof", [
      agentId,
      next.signerHash,
    ]);
    const second = (await chain.now()) + 10;
    await chain.atSecond(second);
    await chain.refuses(() => rotate(agentId, old.signerHash, next, { deadline: second - 1 }), "BindingsExpired", [
      second - 1,
      BigInt(second),
    ]);
    const account = stranger.account.address;
    await chain.refuses(() => rotate(agentId, old.signerHash, next, { account }), "ERC721InsufficientApproval", [
      account,
      agentId,
    ]);
    expect(await isValidAt(agentId, old.signerHash, timestamp + 10_000)).to.equal(true);
  });
});

describe("signers: registration with a signer", () => {
  const initial = (signer: Signer, fields: { owner?: Hex; commitment?: Hex } = {}) => {
    const binding = chain.bindingOf(signer, 0n, { owner: fields.owner ?? owner.account.address });
    return {
      commitment: fields.commitment ?? commitment,
      signer: signer.address,
      validFrom: 0,
      validUntil: 0,
      deadline: binding.deadline,
      proof: signer.sign(chain.bindingDigest(binding)),
    };
  };

  it("registers agent, commitment and LOG signer in one transaction, with events in order", async () => {
    const signer = chain.newSigner();
    const { logs, timestamp } = await chain.mine(registry.write.registerBound([uri, initial(signer)]));
    const agentId = await registry.read.agentOfSigner([signer.signerHash]);
    expect(parseEventLogs({ abi: registry.abi, logs }).map((log) => log.eventName)).to.deep.equal([
      "Transfer",
      "Registered",
      "MetadataSet",
      "CommitmentUpdated",
      "SignerBound",
    ]);
    expect(await registry.read.ownerOf([agentId])).to.equal(chain.ownerSigner.address);
    expect(await registry.read.tokenURI([agentId])).to.equal(uri);
    expect(await registry.read.commitmentOf([agentId])).to.deep.equal([commitment, 1n, commitment]);
    expect(await registry.read.signerOf([signer.signerHash])).to.deep.equal([agentId, purposes.log, timestamp, 0, 0]);
  });

  it("registers without a commitment where it is zero", async () => {
    const signer = chain.newSigner();
    const zero = toHex(0, { size: 32 });
    const { logs } = await chain.mine(registry.write.registerBound([uri, initial(signer, { commitment: zero })]));
    expect(parseEventLogs({ abi: registry.abi, logs, eventName: "CommitmentUpdated" })).to.deep.equal([]);
    const agentId = await registry.read.agentOfSigner([signer.signerHash]);
    expect(await registry.read.commitmentOf([agentId])).to.deep.equal([zero, 0n, zero]);
  });

  it("refuses a proof that names another registrant, and a second use: no agent is left behind", async () => {
    const signer = chain.newSigner();
    const stolen = initial(signer, { owner: owner.account.address });
    const account = stranger.account.address;
    const nextId = (await chain.registerAgent()) + 1n;
    await chain.refuses(() => registry.write.registerBound([uri, stolen], { account, gas }), "BindingsBadProof", [
      nextId,
      signer.signerHash,
    ]);
    await chain.mine(registry.write.registerBound([uri, stolen]));
    await chain.refuses(() => registry.write.registerBound([uri, stolen], { gas }), "BindingsSignerTaken", [
      signer.signerHash,
      nextId,
    ]);
    await chain.refuses(() => registry.read.ownerOf([nextId + 1n]), "ERC721NonexistentToken", [nextId + 1n]);
  });
});
