import { expect } from "chai";
import { parseEventLogs, zeroAddress, zeroHash, type Address, type Hex } from "viem";
import { purposes, typedDataDigest, type Signer, type Structs } from "#protocol";
import { commitment, createIdentityChain, keyOf, p256KeyOf } from "./setup.ts";

const chain = await createIdentityChain();
const { registry, owner, stranger, operator, buyer } = chain;
const foreign = await chain.viem.deployContract("ForeignBindings");
const twins = await chain.viem.getContractAt("SignedBindings", await foreign.read.signedBindings());
const domain = { ...chain.domain, identityRegistry: foreign.address };
const FAR = 2 ** 48 - 1;
const gas = 1_000_000n;
const ownerKey = keyOf(chain.ownerSigner);
/** Vices of HostileRegistry. */
const vices = { none: 0, reverts: 1, eatsGas: 2, nothing: 3, noAddress: 4, zero: 5, atLength: 6 };

/** An agent of another registry, adopted. Our own registry serves as a foreign ERC-8004 one: it is just an address here. */
async function adoptedAgent() {
  const foreignId = await chain.registerAgent();
  await chain.mine(foreign.write.adopt([registry.address, foreignId], { account: stranger.account.address }));
  return { foreignId, agentId: await foreign.read.idOf([registry.address, foreignId]) };
}

async function hostileAgent() {
  const hostile = await chain.viem.deployContract("HostileRegistry", [owner.account.address]);
  await chain.mine(foreign.write.adopt([hostile.address, 1n]));
  return { hostile, agentId: await foreign.read.idOf([hostile.address, 1n]) };
}

function bindingOf(signer: Signer, agentId: bigint, fields: Partial<Structs["SignerBinding"]> = {}) {
  const binding = chain.bindingOf(signer, agentId, fields);
  return { binding, proof: signer.sign(typedDataDigest("SignerBinding", binding, domain)) };
}

const bind = (signer: Signer, agentId: bigint, by: Address = owner.account.address, ownedBy: Address = by) => {
  const { binding, proof } = bindingOf(signer, agentId, { owner: ownedBy });
  const args = [agentId, signer.address, binding.purpose, 0, 0, FAR, proof] as const;
  return foreign.write.bindSigner(args, { account: by, gas });
};

const isValidAt = (agentId: bigint, { signerHash }: { signerHash: Hex }, time: number) =>
  foreign.read.isSignerValidAt([agentId, signerHash, purposes.log, BigInt(time)]);
const refuses = (act: () => Promise<unknown>, error: string, values: readonly unknown[]) =>
  chain.refuses(act, error, values, foreign);
const isAccount = (account: Address) => (value: unknown) => String(value).toLowerCase() === account.toLowerCase();

describe("agents of a registry that is not ours", () => {
  it("are adopted by anybody, once, under a number that says where they come from", async () => {
    const { foreignId, agentId } = await adoptedAgent();
    const { logs } = await chain.mine(foreign.write.adopt([registry.address, foreignId]));
    expect(logs).to.deep.equal([]);
    const [origin, id] = await foreign.read.originOf([agentId]);
    expect([origin.toLowerCase(), id]).to.deep.equal([registry.address.toLowerCase(), foreignId]);
    expect(await foreign.read.ownerOf([agentId])).to.equal(chain.ownerSigner.address);
    expect(await foreign.read.getAgentWallet([agentId])).to.equal(chain.ownerSigner.address);
    await refuses(() => foreign.read.ownerOf([999n]), "ForeignUnknownAgent", [999n]);
    await refuses(() => foreign.write.observeOwner([999n], { gas }), "ForeignUnknownAgent", [999n]);
    const nowhere = stranger.account.address;
    await refuses(() => foreign.write.adopt([nowhere, 1n], { gas }), "ForeignNotAContract", [isAccount(nowhere)]);
    const missing = [isAccount(registry.address), 999n];
    await refuses(() => foreign.write.adopt([registry.address, 999n], { gas }), "ForeignNoOwner", missing);
  });

  it("bind, rotate and revoke signers in their owner's name, and advance their version chain", async () => {
    const { agentId } = await adoptedAgent();
    const [first, next] = [chain.newSigner(), chain.newSigner()];
    const { timestamp } = await chain.mine(bind(first, agentId));
    expect(await foreign.read.signerOf([first.signerHash])).to.deep.equal([agentId, purposes.log, timestamp, 0, 0]);
    const { proof } = bindingOf(next, agentId);
    await chain.atSecond(timestamp + 10);
    await chain.mine(foreign.write.rotateSigner([agentId, first.signerHash, next.address, 0, FAR, proof]));
    expect(await isValidAt(agentId, first, timestamp + 10)).to.equal(false);
    expect(await isValidAt(agentId, next, timestamp + 10)).to.equal(true);
    await chain.atSecond(timestamp + 20);
    await chain.mine(foreign.write.revokeSigner([agentId, next.signerHash, timestamp + 15]));
    expect(await isValidAt(agentId, next, timestamp + 14)).to.equal(true);
    expect(await isValidAt(agentId, next, timestamp + 15)).to.equal(false);
    expect((await foreign.read.answerableOf([next.signerHash]))[3]).to.equal(timestamp + 20);
    const update = { agentId, version: 1n, previous: zeroHash, delta: commitment, deadline: FAR };
    const signature = ownerKey.sign(typedDataDigest("BindingUpdate", update, domain));
    const account = stranger.account.address;
    await chain.mine(foreign.write.updateCommitment([agentId, 1n, commitment, FAR, signature], { account }));
    expect(await foreign.read.commitmentOf([agentId])).to.deep.equal([commitment, 1n, commitment]);
    expect(await foreign.read.historyOf([agentId])).to.have.length(2);
  });

  it("know nothing of bindings made for our own agents, nor the other way round", async () => {
    const { agentId } = await adoptedAgent();
    const signer = chain.newSigner();
    const own = chain.bindingOf(signer, agentId);
    const proof = signer.sign(chain.bindingDigest(own));
    const args = [agentId, signer.address, own.purpose, 0, 0, FAR, proof] as const;
    const refused = [agentId, signer.signerHash];
    await refuses(() => foreign.write.bindSigner(args, { gas }), "BindingsBadProof", refused);
    expect(await foreign.read.agentOfSigner([signer.signerHash])).to.equal(0n);
  });

  it("listen to the owner, its approved account and its operators there, and to nobody else", async () => {
    const { agentId, foreignId } = await adoptedAgent();
    const byStranger = () => bind(chain.newSigner(), agentId, stranger.account.address, owner.account.address);
    const refused = [agentId, isAccount(stranger.account.address)];
    await refuses(byStranger, "ForeignNotAuthorized", refused);
    await registry.write.approve([stranger.account.address, foreignId]);
    await chain.mine(byStranger());
    await registry.write.setApprovalForAll([operator.account.address, true]);
    await chain.mine(bind(chain.newSigner(), agentId, operator.account.address, owner.account.address));
    await registry.write.setApprovalForAll([operator.account.address, false]);
  });

  it("obey their owner's signature and their OPERATOR signers', whoever delivers them", async () => {
    const { agentId } = await adoptedAgent();
    const verifier = await chain.viem.deployContract("P256Verifier");
    const key = p256KeyOf(verifier.address, 0xf0n);
    const binding = chain.bindingOf(key, agentId, { purpose: purposes.operator });
    const proof = key.sign(typedDataDigest("SignerBinding", binding, domain));
    const operatorArgs = [agentId, key.bytes, purposes.operator, 0, 0, FAR, proof] as const;
    await chain.mine(foreign.write.bindSigner(operatorArgs, { gas }));
    const relayed = { account: stranger.account.address, gas };
    for (const by of [ownerKey, key]) {
      const signer = chain.newSigner();
      const order = { agentId, signerHash: signer.signerHash, purpose: purposes.log, validFrom: 0, validUntil: 0 };
      const offered = bindingOf(signer, agentId);
      const offer = { signer: signer.address, purpose: purposes.log, validFrom: 0, validUntil: 0 };
      const newSigner = { ...offer, deadline: FAR, proof: offered.proof };
      const consent = chain.consent(by, "SignerGrant", order, { verifyingContract: foreign.address });
      await chain.mine(twins.write.bindSignerWithSignature([agentId, newSigner, consent], relayed));
      expect(await foreign.read.agentOfSigner([signer.signerHash])).to.equal(agentId);
    }
  });
});

describe("agents that change hands on a registry that is not ours", () => {
  it("end the former owner's signers when that is seen, which anybody may bring about", async () => {
    const { agentId, foreignId } = await adoptedAgent();
    const signer = chain.newSigner();
    const { timestamp } = await chain.mine(bind(signer, agentId));
    await registry.write.transferFrom([owner.account.address, buyer.account.address, foreignId]);
    const seenAt = timestamp + 100;
    await chain.atSecond(seenAt);
    const { logs } = await chain.mine(foreign.write.observeOwner([agentId], { account: stranger.account.address }));
    const [event] = parseEventLogs({ abi: foreign.abi, logs, eventName: "OwnerObserved" });
    expect(event?.args).to.deep.include({ agentId, tenure: 1, since: seenAt });
    expect(await isValidAt(agentId, signer, seenAt - 1)).to.equal(true);
    expect(await isValidAt(agentId, signer, seenAt)).to.equal(false);
    const former = [signer.signerHash, seenAt];
    const revoke = () =>
      foreign.write.revokeSigner([agentId, signer.signerHash, 0], { account: buyer.account.address, gas });
    await refuses(revoke, "BindingsFormerSigner", former);
  });

  it("give a former owner and its operators no say, though nobody had seen the sale", async () => {
    const { agentId, foreignId } = await adoptedAgent();
    const operatorKey = chain.newSigner();
    const { binding, proof } = bindingOf(operatorKey, agentId, { purpose: purposes.operator });
    const args = [agentId, operatorKey.address, binding.purpose, 0, 0, FAR, proof] as const;
    await chain.mine(foreign.write.bindSigner(args, { gas }));
    await registry.write.transferFrom([owner.account.address, buyer.account.address, foreignId]);
    const seller = [agentId, isAccount(owner.account.address)];
    await refuses(() => bind(chain.newSigner(), agentId), "ForeignNotAuthorized", seller);
    const update = { agentId, version: 1n, previous: zeroHash, delta: commitment, deadline: FAR };
    const signature = operatorKey.sign(typedDataDigest("BindingUpdate", update, domain));
    const asOperator = [agentId, 1n, commitment, FAR, operatorKey.address, signature] as const;
    const refusedOperator = [agentId, operatorKey.signerHash];
    await refuses(
      () => foreign.write.updateCommitmentAsOperator(asOperator, { gas }),
      "BindingsNotOperator",
      refusedOperator,
    );
    const log = chain.newSigner();
    const order = { agentId, signerHash: log.signerHash, purpose: purposes.log, validFrom: 0, validUntil: 0 };
    const offer = { signer: log.address, purpose: purposes.log, validFrom: 0, validUntil: 0, deadline: FAR };
    const consent = chain.consent(keyOf(operatorKey), "SignerGrant", order, { verifyingContract: foreign.address });
    const offered = { ...offer, proof: bindingOf(log, agentId, { owner: buyer.account.address }).proof };
    const relayed = { account: stranger.account.address, gas };
    const bindAsOperator = () => twins.write.bindSignerWithSignature([agentId, offered, consent], relayed);
    await chain.refuses(bindAsOperator, "SignedOrdersNotAuthorized", refusedOperator, twins);
  });
});

describe("a hostile registry", () => {
  for (const [name, vice] of Object.entries(vices).filter(([vice]) => !["none", "atLength"].includes(vice))) {
    it(`that ${name} is refused by name, and what was bound stays as it was`, async () => {
      const { hostile, agentId } = await hostileAgent();
      const signer = chain.newSigner();
      const { timestamp } = await chain.mine(bind(signer, agentId));
      await hostile.write.turn([owner.account.address, vice]);
      const values = [isAccount(hostile.address), 1n];
      await refuses(() => bind(chain.newSigner(), agentId), "ForeignNoOwner", values);
      await refuses(() => foreign.write.observeOwner([agentId], { gas }), "ForeignNoOwner", values);
      expect(await isValidAt(agentId, signer, timestamp)).to.equal(true);
      expect(await foreign.read.ownerOf([agentId])).to.equal(chain.ownerSigner.address);
    });
  }

  it("that eats all gas costs its caller a bounded sum, and one that answers at length no more than its word", async () => {
    const { hostile, agentId } = await hostileAgent();
    await hostile.write.turn([owner.account.address, vices.atLength]);
    const { gasUsed } = await chain.mine(bind(chain.newSigner(), agentId));
    expect(Number(gasUsed)).to.be.lessThan(150_000);
    await hostile.write.turn([owner.account.address, vices.eatsGas]);
    const hash = await foreign.write
      .observeOwner([agentId], { gas, account: stranger.account.address })
      .catch(() => undefined);
    expect(hash).to.equal(undefined);
    const { number } = await chain.publicClient.getBlock();
    const { gasUsed: spent } = await chain.publicClient.getBlock({ blockNumber: number });
    expect(Number(spent)).to.be.lessThan(120_000);
  });

  it("that lies about the owner rewrites no history and reaches no other registry's agents", async () => {
    const honest = await adoptedAgent();
    const ours = chain.newSigner();
    const { timestamp: boundAt } = await chain.mine(bind(ours, honest.agentId));
    const { hostile, agentId } = await hostileAgent();
    const signer = chain.newSigner();
    const { timestamp } = await chain.mine(bind(signer, agentId));
    let end = 0;
    for (const [i, liar] of [buyer, owner, stranger].entries()) {
      await hostile.write.turn([liar.account.address, vices.none]);
      await chain.atSecond(timestamp + 100 * (i + 1));
      const { timestamp: seenAt } = await chain.mine(foreign.write.observeOwner([agentId]));
      end ||= seenAt;
    }
    // Ended by the first change that was seen; the return of its owner does not revive it.
    expect(await isValidAt(agentId, signer, end - 1)).to.equal(true);
    expect(await isValidAt(agentId, signer, end)).to.equal(false);
    expect((await foreign.read.tenureOf([agentId]))[0]).to.equal(3);
    expect(await isValidAt(honest.agentId, ours, boundAt + 10_000)).to.equal(true);
    const taken = [ours.signerHash, honest.agentId];
    const account = stranger.account.address;
    await refuses(() => bind(ours, agentId, account), "BindingsSignerTaken", taken);
    expect(await foreign.read.ownerOf([agentId])).to.not.equal(zeroAddress);
  });
});
