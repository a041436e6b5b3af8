import { expect } from "chai";
import { zeroAddress, zeroHash, type Address } from "viem";
import { dealIdOf, topicIdOf, typedDataDigest, type Deal } from "#protocol";
import { createSettlement, DELIVERABLE, PRICE, signerAt, TOPIC } from "./fixture.ts";

const s = await createSettlement();
const { escrow, token, ledger, registry, client, provider, stranger, networkHelpers } = s;
const balanceOf = (account: Address) => token.read.balanceOf([account]);
const byClient = { account: client.account };
const byProvider = { account: provider.account };
const byStranger = { account: stranger.address };

describe("DealEscrow.submit", () => {
  it("starts the review period and tells the deliverable's hash", async () => {
    const { deal, dealId } = await s.openDeal();
    const now = (await networkHelpers.time.latest()) + 10;
    await s.atSecond(now);
    await s.viem.assertions.emitWithArgs(
      escrow.write.submit([deal, DELIVERABLE], byProvider),
      escrow,
      "DealSubmitted",
      [dealId, DELIVERABLE, now + deal.reviewPeriod],
    );
    expect((await escrow.read.dealOf([dealId]))[2]).to.equal(now + deal.reviewPeriod);
  });

  it("is in time at submitBy and too late one second after", async () => {
    for (const delay of [-1, 0]) {
      const { deal, dealId } = await s.openDeal();
      await s.atSecond(deal.submitBy + delay);
      await escrow.write.submit([deal, DELIVERABLE], byProvider);
      expect(await s.stateOf(dealId)).to.equal("Submitted");
    }
    const { deal, dealId } = await s.openDeal();
    await s.atSecond(deal.submitBy + 1);
    await s.expectRefusal(escrow.write.submit([deal, DELIVERABLE], byProvider), "DealEscrowTooLate", [
      dealId,
      BigInt(deal.submitBy),
      BigInt(deal.submitBy + 1),
    ]);
  });

  it("is the provider's alone", async () => {
    const { deal, dealId } = await s.openDeal();
    for (const account of [client.account, stranger.address]) {
      await s.expectRefusal(escrow.write.submit([deal, DELIVERABLE], { account }), "DealEscrowNotParty", [
        dealId,
        provider.agentId,
        account,
      ]);
    }
  });

  it("is open to a second LOG signer, to an operator of the owner, and closed to a revoked signer", async () => {
    const agent = await s.registerAgent(11);
    const hot = await s.bindLogSigner(agent, 12);
    const operator = signerAt(13);
    await registry.write.setApprovalForAll([operator.address, true], { account: agent.account });
    for (const account of [hot.address, operator.address]) {
      const deal = await s.draftDeal(client, agent);
      await escrow.write.open([deal, ...s.sign(deal, client, agent)], byClient);
      await escrow.write.submit([deal, DELIVERABLE], { account });
    }
    await registry.write.revokeSigner([agent.agentId, hot.signerHash, 0], { account: agent.account });
    const deal = await s.draftDeal(client, agent);
    await escrow.write.open([deal, ...s.sign(deal, client, agent)], byClient);
    await s.expectRefusal(escrow.write.submit([deal, DELIVERABLE], { account: hot.address }), "DealEscrowNotParty", [
      dealIdOf(deal),
      agent.agentId,
      hot.address,
    ]);
  });

  it("wants a deliverable and a funded deal", async () => {
    const { deal, dealId } = await s.openDeal();
    await s.expectRefusal(escrow.write.submit([deal, zeroHash], byProvider), "DealEscrowZeroDeliverable", [dealId]);
    const unknown = { ...deal, salt: deal.salt + 900n };
    await s.expectRefusal(escrow.write.submit([unknown, DELIVERABLE], byProvider), "DealEscrowWrongState", [
      dealIdOf(unknown),
      0,
      1,
    ]);
    await escrow.write.submit([deal, DELIVERABLE], byProvider);
    await s.expectRefusal(escrow.write.submit([deal, DELIVERABLE], byProvider), "DealEscrowWrongState", [dealId, 2, 1]);
  });
});

describe("DealEscrow.complete", () => {
  it("pays the provider's agent wallet and tells payee, amount and rating", async () => {
    const { deal, dealId } = await s.submitDeal();
    const before = await balanceOf(provider.account);
    await s.viem.assertions.emitWithArgs(escrow.write.complete([deal, 55], byClient), escrow, "DealCompleted", [
      dealId,
      provider.account,
      PRICE,
      55,
    ]);
    expect((await balanceOf(provider.account)) - before).to.equal(PRICE);
    expect(await s.stateOf(dealId)).to.equal("Completed");
  });

  it("pays the wallet that consented, and the owner once a transfer has cleared it", async () => {
    const agent = await s.registerAgent(14);
    const wallet = signerAt(15);
    const deadline = BigInt((await networkHelpers.time.latest()) + 200);
    const consent = { agentId: agent.agentId, newWallet: wallet.address, owner: agent.account, deadline };
    const signature = wallet.sign(typedDataDigest("AgentWalletSet", consent, s.contracts));
    await registry.write.setAgentWallet([agent.agentId, wallet.address, deadline, signature], {
      account: agent.account,
    });
    const deliver = async () => {
      const deal = await s.draftDeal(client, agent);
      await escrow.write.open([deal, ...s.sign(deal, client, agent)], byClient);
      await escrow.write.submit([deal, DELIVERABLE], { account: agent.signer.address });
      return deal;
    };
    const [first, second] = [await deliver(), await deliver()];
    await escrow.write.complete([first, 1], byClient);
    expect(await balanceOf(wallet.address)).to.equal(PRICE);
    const newOwner = signerAt(16).address;
    await registry.write.transferFrom([agent.account, newOwner, agent.agentId], { account: agent.account });
    await escrow.write.complete([second, 1], byClient);
    expect(await balanceOf(newOwner)).to.equal(PRICE);
  });

  it("moves local trust by the rating, and by nothing for a rating of 0 or topic 0", async () => {
    const topic = topicIdOf("ratings");
    const ids = [Number(client.agentId), Number(provider.agentId)] as const;
    const expected: [number, bigint, readonly [number, number]][] = [
      [100, topic, [100, 0]],
      [-100, topic, [100, 100]],
      [0, topic, [100, 100]],
      [7, topic, [107, 100]],
      [7, 0n, [107, 100]],
    ];
    for (const [rating, of, sums] of expected) {
      const { deal } = await s.submitDeal({ topic: of });
      await escrow.write.complete([deal, rating], byClient);
      expect(await ledger.read.pairOf([topic, ...ids])).to.deep.equal(sums);
    }
  });

  it("refuses ratings beyond -100..100, strangers, and deals in another state", async () => {
    const { deal, dealId } = await s.submitDeal();
    for (const rating of [101, -101, 127, -128]) {
      await s.expectRefusal(escrow.write.complete([deal, rating], byClient), "DealEscrowBadRating", [rating]);
    }
    for (const account of [provider.account, stranger.address]) {
      await s.expectRefusal(escrow.write.complete([deal, 1], { account }), "DealEscrowNotParty", [
        dealId,
        client.agentId,
        account,
      ]);
    }
    await escrow.write.complete([deal, 1], byClient);
    await s.expectRefusal(escrow.write.complete([deal, 1], byClient), "DealEscrowWrongState", [dealId, 3, 2]);
    const funded = await s.openDeal();
    await s.expectRefusal(escrow.write.complete([funded.deal, 1], byClient), "DealEscrowWrongState", [
      funded.dealId,
      1,
      2,
    ]);
  });

  it("still takes a rating after the review period, until somebody releases", async () => {
    const { deal, dealId } = await s.submitDeal();
    await networkHelpers.time.increase(deal.reviewPeriod + 100);
    await escrow.write.complete([deal, -20], byClient);
    expect(await s.stateOf(dealId)).to.equal("Completed");
  });

  it("refuses too little gas for the ledger rather than lose the rating", async () => {
    const { deal, dealId } = await s.submitDeal();
    const gas = await escrow.estimateGas.complete([deal, 9], byClient);
    expect(Number(gas)).to.be.greaterThan(300_000);
    await s.viem.assertions.revertWithCustomError(
      escrow.write.complete([deal, 9], { ...byClient, gas: 300_000n }),
      escrow,
      "DealEscrowLowGas",
    );
    expect(await s.stateOf(dealId)).to.equal("Submitted");
    await escrow.write.complete([deal, 9], { ...byClient, gas });
  });

  it("pays though the ledger refuses the record, and says so", async () => {
    // A second escrow on the same ledger, which does not know it as a recorder and reverts.
    const other = await s.createOtherEscrow();
    await token.write.approve([other.address, PRICE], byClient);
    const deal = await s.draftDeal(client, provider, { topic: TOPIC });
    const contracts = { ...s.contracts, dealEscrow: other.address };
    const digest = typedDataDigest("Deal", deal, contracts);
    const consents = [s.consent(client.signer, digest), s.consent(provider.signer, digest)] as const;
    await other.write.open([deal, ...consents], byClient);
    await other.write.submit([deal, DELIVERABLE], byProvider);
    const before = await balanceOf(provider.account);
    await s.viem.assertions.emitWithArgs(other.write.complete([deal, 5], byClient), other, "LocalTrustSkipped", [
      dealIdOf(deal),
    ]);
    expect((await balanceOf(provider.account)) - before).to.equal(PRICE);
  });
});

describe("DealEscrow.release", () => {
  it("pays the provider of a silent client at reviewUntil, and not one second before", async () => {
    const { deal, dealId } = await s.submitDeal();
    const [, , reviewUntil] = await escrow.read.dealOf([dealId]);
    await s.atSecond(reviewUntil - 1);
    await s.expectRefusal(escrow.write.release([deal], byStranger), "DealEscrowTooEarly", [
      dealId,
      BigInt(reviewUntil),
      BigInt(reviewUntil - 1),
    ]);
    await s.atSecond(reviewUntil);
    await s.viem.assertions.emitWithArgs(escrow.write.release([deal], byStranger), escrow, "DealCompleted", [
      dealId,
      provider.account,
      PRICE,
      0,
    ]);
  });

  it("works ever after, moves no local trust, and only once", async () => {
    const topic = topicIdOf("silence");
    const { deal, dealId } = await s.submitDeal({ topic });
    await networkHelpers.time.increase(10 * 365 * 86_400);
    await escrow.write.release([deal], byStranger);
    const pair = await ledger.read.pairOf([topic, Number(client.agentId), Number(provider.agentId)]);
    expect(pair).to.deep.equal([0, 0]);
    await s.expectRefusal(escrow.write.release([deal], byStranger), "DealEscrowWrongState", [dealId, 3, 2]);
  });

  it("wants a submission, however old the deal", async () => {
    const { deal, dealId } = await s.openDeal();
    await networkHelpers.time.increase(400 * 86_400);
    await s.expectRefusal(escrow.write.release([deal], byStranger), "DealEscrowWrongState", [dealId, 1, 2]);
  });
});

describe("DealEscrow.refund", () => {
  it("repays the payer, whoever that was, one second after submitBy and not at it", async () => {
    const deal: Deal = await s.draftDeal(client, provider);
    await escrow.write.open([deal, ...s.sign(deal, client, provider)], byStranger);
    const before = await balanceOf(stranger.address);
    await s.atSecond(deal.submitBy);
    await s.expectRefusal(escrow.write.refund([deal], byClient), "DealEscrowTooEarly", [
      dealIdOf(deal),
      BigInt(deal.submitBy + 1),
      BigInt(deal.submitBy),
    ]);
    await s.atSecond(deal.submitBy + 1);
    await s.viem.assertions.emitWithArgs(escrow.write.refund([deal], byClient), escrow, "DealRefunded", [
      dealIdOf(deal),
      stranger.address,
      PRICE,
    ]);
    expect((await balanceOf(stranger.address)) - before).to.equal(PRICE);
  });

  it("costs the provider 100 of local trust, once", async () => {
    const topic = topicIdOf("late");
    const { deal, dealId } = await s.openDeal({ topic });
    await networkHelpers.time.increaseTo(deal.submitBy + 1);
    await escrow.write.refund([deal], byStranger);
    const pair = await ledger.read.pairOf([topic, Number(client.agentId), Number(provider.agentId)]);
    expect(pair).to.deep.equal([0, 100]);
    await s.expectRefusal(escrow.write.refund([deal], byStranger), "DealEscrowWrongState", [dealId, 4, 1]);
  });

  it("cannot be starved of the gas that its bad mark needs", async () => {
    const { deal } = await s.openDeal({ topic: topicIdOf("starved") });
    await networkHelpers.time.increaseTo(deal.submitBy + 1);
    for (const gas of [120_000n, 200_000n, 300_000n]) {
      await s.viem.assertions.revertWithCustomError(
        escrow.write.refund([deal], { ...byProvider, gas }),
        escrow,
        "DealEscrowLowGas",
      );
    }
  });

  it("pays nothing for a deal that was never funded: create, wait, claim", async () => {
    await s.openDeal();
    const deal = await s.draftDeal(client, provider);
    const held = await balanceOf(escrow.address);
    await networkHelpers.time.increaseTo(deal.submitBy + 1);
    await s.expectRefusal(escrow.write.refund([deal], byClient), "DealEscrowWrongState", [dealIdOf(deal), 0, 1]);
    await escrow.write.cancel([deal, ...s.signCancel(deal, client, provider)]);
    await s.expectRefusal(escrow.write.refund([deal], byClient), "DealEscrowWrongState", [dealIdOf(deal), 7, 1]);
    expect(await balanceOf(escrow.address)).to.equal(held);
  });
});

describe("DealEscrow.cancel", () => {
  it("before funding ends the deal for ever, and returns nothing", async () => {
    const deal = await s.draftDeal(client, provider);
    await s.viem.assertions.emitWithArgs(
      escrow.write.cancel([deal, ...s.signCancel(deal, client, provider)], byStranger),
      escrow,
      "DealCancelled",
      [dealIdOf(deal), zeroAddress, 0n],
    );
    await s.expectRefusal(
      escrow.write.open([deal, ...s.sign(deal, client, provider)], byClient),
      "DealEscrowWrongState",
      [dealIdOf(deal), 7, 0],
    );
  });

  it("after funding and after submission returns everything to the payer and moves no local trust", async () => {
    const topic = topicIdOf("cancelled");
    for (const start of [s.openDeal, s.submitDeal]) {
      const { deal, dealId } = await start({ topic });
      const before = await balanceOf(client.account);
      await s.viem.assertions.emitWithArgs(
        escrow.write.cancel([deal, ...s.signCancel(deal, client, provider)], byStranger),
        escrow,
        "DealCancelled",
        [dealId, client.account, PRICE],
      );
      expect((await balanceOf(client.account)) - before).to.equal(PRICE);
      await s.expectRefusal(
        escrow.write.cancel([deal, ...s.signCancel(deal, client, provider)], byStranger),
        "DealEscrowNotLive",
        [dealId, 7],
      );
    }
    const pair = await ledger.read.pairOf([topic, Number(client.agentId), Number(provider.agentId)]);
    expect(pair).to.deep.equal([0, 0]);
  });

  it("wants both, over this deal; the caller need not sign", async () => {
    const { deal, dealId } = await s.openDeal();
    const other = { ...deal, salt: deal.salt + 700n };
    const [ofClient, ofProvider] = s.signCancel(deal, client, provider);
    const ofOther = s.signCancel(other, client, provider);
    const [openOfClient] = s.sign(deal, client, provider);
    const cancel = (a: typeof ofClient, b: typeof ofClient, account: Address = client.account) =>
      escrow.write.cancel([deal, a, b], { account });
    await s.expectRefusal(cancel(ofOther[0], ofProvider), "DealEscrowBadSignature", [dealId, client.agentId]);
    await s.expectRefusal(cancel(ofClient, ofOther[1]), "DealEscrowBadSignature", [dealId, provider.agentId]);
    await s.expectRefusal(cancel(openOfClient, ofProvider), "DealEscrowBadSignature", [dealId, client.agentId]);
    await s.expectRefusal(cancel(ofProvider, ofProvider), "DealEscrowInvalidSigner", [
      client.agentId,
      provider.signer.signerHash,
    ]);
    await s.expectRefusal(cancel(ofClient, { ...ofProvider, signature: "0x" }), "DealEscrowBadSignature", [
      dealId,
      provider.agentId,
    ]);
    await cancel(ofClient, { ...ofProvider, signature: "0x" }, provider.account);
    expect(await s.stateOf(dealId)).to.equal("Cancelled");
  });

  it("leaves a settled deal as it is", async () => {
    const { deal, dealId } = await s.submitDeal();
    await escrow.write.complete([deal, 1], byClient);
    await s.expectRefusal(
      escrow.write.cancel([deal, ...s.signCancel(deal, client, provider)], byClient),
      "DealEscrowNotLive",
      [dealId, 3],
    );
  });
});

describe("DealEscrow.withdrawOffer", () => {
  it("takes either side's signature back for ever", async () => {
    for (const account of [client.account, provider.account]) {
      const deal = await s.draftDeal(client, provider);
      const consents = s.sign(deal, client, provider);
      await escrow.write.withdrawOffer([deal], { account });
      await s.expectRefusal(escrow.write.open([deal, ...consents], byClient), "DealEscrowWrongState", [
        dealIdOf(deal),
        7,
        0,
      ]);
    }
  });

  it("is closed to strangers, and to both once the deal is funded", async () => {
    const deal = await s.draftDeal(client, provider);
    await s.expectRefusal(escrow.write.withdrawOffer([deal], byStranger), "DealEscrowNotParty", [
      dealIdOf(deal),
      client.agentId,
      stranger.address,
    ]);
    const funded = await s.openDeal();
    await s.expectRefusal(escrow.write.withdrawOffer([funded.deal], byClient), "DealEscrowWrongState", [
      funded.dealId,
      1,
      0,
    ]);
  });

  it("works though the other side's agent does not exist yet", async () => {
    const deal = await s.draftDeal(client, { ...provider, agentId: 4_000n });
    await escrow.write.withdrawOffer([deal], byClient);
    expect(await s.stateOf(dealIdOf(deal))).to.equal("Cancelled");
  });
});
