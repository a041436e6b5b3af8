import { expect } from "chai";
import { parseEventLogs, type Hex } from "viem";
import { purposes, type Signer } from "#protocol";
import { createIdentityChain } from "./setup.ts";

const chain = await createIdentityChain();
const { registry, owner, stranger, buyer } = chain;
const gas = 1_000_000n;
const DAY = 86_400;

const isValidAt = (agentId: bigint, signerHash: Hex, second: number, purpose: Hex = purposes.log) =>
  registry.read.isSignerValidAt([agentId, signerHash, purpose, BigInt(second)]);

describe("signers: the end of one", () => {
  it("revokes at once: valid before, not from that second on", async () => {
    const agentId = await chain.registerAgent();
    const { signer, timestamp: boundAt } = await chain.bindFresh(agentId);
    await chain.atSecond(boundAt + 50);
    const { logs } = await chain.mine(registry.write.revokeSigner([agentId, signer.signerHash, 0]));
    const [event] = parseEventLogs({ abi: registry.abi, logs, eventName: "SignerRevoked" });
    expect(event?.args).to.deep.equal({ agentId, signerHash: signer.signerHash, invalidFrom: boundAt + 50 });
    const answers = await Promise.all(
      [boundAt - 1, boundAt, boundAt + 49, boundAt + 50, boundAt + 51].map((t) =>
        isValidAt(agentId, signer.signerHash, t),
      ),
    );
    expect(answers).to.deep.equal([false, true, true, false, false]);
    expect((await registry.read.signerOf([signer.signerHash]))[4]).to.equal(boundAt + 50);
  });

  it("dates a compromise back: history before it stays valid", async () => {
    const agentId = await chain.registerAgent();
    const { signer, timestamp: boundAt } = await chain.bindFresh(agentId);
    await chain.atSecond(boundAt + 100);
    await chain.mine(registry.write.revokeSigner([agentId, signer.signerHash, boundAt + 30]));
    const answers = await Promise.all(
      [boundAt, boundAt + 29, boundAt + 30, boundAt + 31].map((t) => isValidAt(agentId, signer.signerHash, t)),
    );
    expect(answers).to.deep.equal([true, true, false, false]);
  });

  it("takes a compromise from the first second of validity to now, and none outside", async () => {
    const agentId = await chain.registerAgent();
    const from = (await chain.now()) + 100;
    const until = from + 100;
    const bound = () => chain.bindFresh(agentId, { validFrom: from, validUntil: until });
    const signers: Signer[] = [];
    for (let i = 0; i < 7; i++) signers.push((await bound()).signer);
    const revoke = (i: number, compromisedAt: number, second: number) => async () => {
      await chain.atSecond(second);
      return registry.write.revokeSigner([agentId, signers[i]?.signerHash as Hex, compromisedAt], { gas });
    };
    const refuses = (i: number, compromisedAt: number, second: number) =>
      chain.refuses(revoke(i, compromisedAt, second), "BindingsBadCompromiseTime", [
        compromisedAt === 0 ? second : compromisedAt,
        compromisedAt === 0 ? 0n : BigInt(from),
        BigInt(Math.min(second, until - 1)),
      ]);
    await refuses(0, from - 1, from + 50);
    await refuses(0, from + 52, from + 51);
    await chain.mine(revoke(0, from, from + 52)());
    await chain.mine(revoke(1, from + 53, from + 53)());
    await chain.mine(revoke(2, until - 1, until - 1)());
    await refuses(3, until, until + 1);
    await refuses(4, 0, until + 2);
    await chain.mine(revoke(4, until - 1, until + 3)());
  });

  it("ends a signer before it began, so that it never counts", async () => {
    const agentId = await chain.registerAgent();
    const from = (await chain.now()) + 1_000;
    const { signer } = await chain.bindFresh(agentId, { validFrom: from });
    await chain.mine(registry.write.revokeSigner([agentId, signer.signerHash, 0]));
    for (const second of [from - 1, from, from + 1_000]) {
      expect(await isValidAt(agentId, signer.signerHash, second)).to.equal(false);
    }
  });

  it("refuses a second revocation, a foreign signer, an unknown one and a stranger", async () => {
    const agentId = await chain.registerAgent();
    const otherId = await chain.registerAgent();
    const { signer } = await chain.bindFresh(agentId);
    const revoke = (id: bigint, signerHash: Hex, account: Hex) => () =>
      registry.write.revokeSigner([id, signerHash, 0], { account, gas });
    const self = owner.account.address;
    const unknown = chain.newSigner().signerHash;
    await chain.refuses(revoke(otherId, signer.signerHash, self), "BindingsUnknownSigner", [
      otherId,
      signer.signerHash,
    ]);
    await chain.refuses(revoke(agentId, unknown, self), "BindingsUnknownSigner", [agentId, unknown]);
    await chain.refuses(revoke(0n, unknown, self), "ERC721NonexistentToken", [0n]);
    await chain.refuses(revoke(agentId, signer.signerHash, stranger.account.address), "ERC721InsufficientApproval", [
      stranger.account.address,
      agentId,
    ]);
    const { timestamp } = await chain.mine(revoke(agentId, signer.signerHash, self)());
    await chain.refuses(revoke(agentId, signer.signerHash, self), "BindingsAlreadyRevoked", [
      signer.signerHash,
      timestamp,
    ]);
  });

  it("dates a compromise back by seven days at most: what is older stays, whoever it harms", async () => {
    const agentId = await chain.registerAgent();
    const { signer, timestamp: boundAt } = await chain.bindFresh(agentId);
    const second = boundAt + 30 * DAY;
    const revoke = (compromisedAt: number) => async () => {
      await chain.atSecond(second);
      return registry.write.revokeSigner([agentId, signer.signerHash, compromisedAt], { gas });
    };
    await chain.refuses(revoke(second - 7 * DAY - 1), "BindingsBadCompromiseTime", [
      second - 7 * DAY - 1,
      BigInt(second - 7 * DAY),
      BigInt(second),
    ]);
    await chain.atSecond(second + 1);
    await chain.mine(registry.write.revokeSigner([agentId, signer.signerHash, second + 1 - 7 * DAY], { gas }));
    expect(await isValidAt(agentId, signer.signerHash, second - 7 * DAY)).to.equal(true);
    expect(await isValidAt(agentId, signer.signerHash, second + 1 - 7 * DAY)).to.equal(false);
  });

  it("leaves an agent answerable up to the record of a revocation, whatever it is dated back to", async () => {
    const agentId = await chain.registerAgent();
    const { signer, timestamp: boundAt } = await chain.bindFresh(agentId);
    expect(await registry.read.answerableOf([signer.signerHash])).to.deep.equal([agentId, purposes.log, boundAt, 0]);
    await chain.atSecond(boundAt + 1_000);
    await chain.mine(registry.write.revokeSigner([agentId, signer.signerHash, boundAt + 10]));
    expect(await isValidAt(agentId, signer.signerHash, boundAt + 500)).to.equal(false);
    expect(await registry.read.answerableOf([signer.signerHash])).to.deep.equal([
      agentId,
      purposes.log,
      boundAt,
      boundAt + 1_000,
    ]);
  });

  it("ends a seller's signers with the sale, in that second, and leaves what they signed before", async () => {
    const agentId = await chain.registerAgent();
    const { signer, timestamp: boundAt } = await chain.bindFresh(agentId);
    const { signer: later } = await chain.bindFresh(agentId, { validFrom: boundAt + 10_000 });
    const soldAt = boundAt + 100;
    await chain.atSecond(soldAt);
    await chain.mine(registry.write.transferFrom([owner.account.address, buyer.account.address, agentId]));
    const answers = await Promise.all(
      [boundAt, soldAt - 1, soldAt, soldAt + 1].map((t) => isValidAt(agentId, signer.signerHash, t)),
    );
    expect(answers).to.deep.equal([true, true, false, false]);
    expect(await isValidAt(agentId, later.signerHash, boundAt + 10_001)).to.equal(false);
    expect(await registry.read.signerOf([signer.signerHash])).to.deep.equal([
      agentId,
      purposes.log,
      boundAt,
      0,
      soldAt,
    ]);
    expect((await registry.read.answerableOf([signer.signerHash]))[3]).to.equal(soldAt);
    expect(await registry.read.tenureOf([agentId])).to.deep.equal([1, soldAt]);
  });

  it("keeps the earlier end of a signer that was revoked before its agent was sold", async () => {
    const agentId = await chain.registerAgent();
    const { signer, timestamp: boundAt } = await chain.bindFresh(agentId);
    await chain.atSecond(boundAt + 50);
    await chain.mine(registry.write.revokeSigner([agentId, signer.signerHash, 0]));
    await chain.atSecond(boundAt + 100);
    await chain.mine(registry.write.transferFrom([owner.account.address, buyer.account.address, agentId]));
    expect((await registry.read.signerOf([signer.signerHash]))[4]).to.equal(boundAt + 50);
    expect((await registry.read.answerableOf([signer.signerHash]))[3]).to.equal(boundAt + 50);
    expect(await isValidAt(agentId, signer.signerHash, boundAt + 49)).to.equal(true);
  });

  it("lets neither seller nor buyer touch the seller's signers after the sale", async () => {
    const agentId = await chain.registerAgent();
    const { signer } = await chain.bindFresh(agentId);
    const { timestamp: soldAt } = await chain.mine(
      registry.write.transferFrom([owner.account.address, buyer.account.address, agentId]),
    );
    const revoke = (account: Hex) => () =>
      registry.write.revokeSigner([agentId, signer.signerHash, 0], { account, gas });
    await chain.refuses(revoke(owner.account.address), "ERC721InsufficientApproval", [owner.account.address, agentId]);
    const former = [signer.signerHash, soldAt];
    await chain.refuses(revoke(buyer.account.address), "BindingsFormerSigner", former);
    const next = chain.newSigner();
    const binding = chain.bindingOf(next, agentId, { owner: buyer.account.address });
    const proof = next.sign(chain.bindingDigest(binding));
    const rotation = [agentId, signer.signerHash, next.address, 0, binding.deadline, proof] as const;
    await chain.refuses(
      () => registry.write.rotateSigner(rotation, { account: buyer.account.address, gas }),
      "BindingsFormerSigner",
      former,
    );
  });

  it("ends each owner's signers at its own sale, however many sales follow, and a return revives none", async () => {
    const agentId = await chain.registerAgent();
    const accounts = [owner, buyer, stranger, owner, buyer];
    const bound: { signer: Signer; from: number; until: number }[] = [];
    for (const [i, holder] of accounts.entries()) {
      const account = holder.account.address;
      const signer = chain.newSigner();
      const binding = chain.bindingOf(signer, agentId, { owner: account });
      const { timestamp: from } = await chain.mine(chain.bind(signer, binding, undefined, account));
      const next = accounts[i + 1]?.account.address;
      if (next === undefined) {
        bound.push({ signer, from, until: 0 });
        break;
      }
      await chain.atSecond(from + 50);
      await chain.mine(registry.write.transferFrom([account, next, agentId], { account }));
      bound.push({ signer, from, until: from + 50 });
    }
    for (const { signer, from, until } of bound) {
      expect((await registry.read.signerOf([signer.signerHash]))[4]).to.equal(until);
      expect(await isValidAt(agentId, signer.signerHash, from + 49)).to.equal(true);
      expect(await isValidAt(agentId, signer.signerHash, from + 50)).to.equal(until === 0);
    }
    expect((await registry.read.tenureOf([agentId]))[0]).to.equal(4);
  });
});
