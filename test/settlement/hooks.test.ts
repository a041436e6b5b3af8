import { expect } from "chai";
import { getAddress, parseEventLogs, type Address } from "viem";
import { createSettlement, DELIVERABLE, PRICE } from "./fixture.ts";

const s = await createSettlement();
const { escrow, registry, client, provider, publicClient } = s;
const byClient = { account: client.account };
const hostile = await s.viem.deployContract("HostileHook");
const receipts = await s.viem.deployContract("ReceiptHook");
const budget = await s.viem.deployContract("BudgetHook", [escrow.address]);
const feedback = await s.viem.deployContract("FeedbackRegistry", [escrow.address]);
await escrow.write.setFeedbackRegistry([feedback.address]);
const feedbackHook = await s.viem.deployContract("FeedbackHook", [escrow.address, feedback.address]);

describe("hooks", () => {
  for (const [vice, name] of ["does its work", "reverts", "burns all gas", "answers 100,000 bytes"].entries()) {
    it(`one that ${name} blocks no step of a deal`, async () => {
      await hostile.write.setVice([vice, escrow.address, "0x"]);
      const before = await hostile.read.callCount();
      const { deal, dealId } = await s.submitDeal({ hook: hostile.address });
      await escrow.write.complete([deal, 3], byClient);
      expect(await s.stateOf(dealId)).to.equal("Completed");
      expect(await hostile.read.callCount()).to.equal(vice === 0 ? before + 3n : before);
      const late = await s.openDeal({ hook: hostile.address });
      await s.networkHelpers.time.increaseTo(late.deal.submitBy + 1);
      await escrow.write.refund([late.deal], byClient);
      expect(await s.stateOf(late.dealId)).to.equal("Refunded");
      await hostile.write.setVice([0, escrow.address, "0x"]);
    });
  }

  it("one that re-enters finds the deal ended already", async () => {
    const { deal, dealId } = await s.submitDeal({ hook: hostile.address });
    await hostile.write.setVice([4, escrow.address, s.encode(escrow, "release", [deal])]);
    const before = await s.token.read.balanceOf([provider.account]);
    await s.networkHelpers.time.increase(deal.reviewPeriod + 1);
    await escrow.write.release([deal], byClient);
    expect(await hostile.read.hasReentered()).to.equal(false);
    expect((await s.token.read.balanceOf([provider.account])) - before).to.equal(PRICE);
    expect(await s.stateOf(dealId)).to.equal("Completed");
    await hostile.write.setVice([0, escrow.address, "0x"]);
  });

  it("cannot be kept in the dark by giving little gas", async () => {
    const { deal } = await s.openDeal({ hook: hostile.address });
    await s.viem.assertions.revertWithCustomError(
      escrow.write.submit([deal, DELIVERABLE], { account: provider.account, gas: 250_000n }),
      escrow,
      "DealEscrowLowGas",
    );
  });
});

describe("ReceiptHook", () => {
  it("tells each step in one event", async () => {
    const { deal, dealId } = await s.submitDeal({ hook: receipts.address });
    const hash = await escrow.write.complete([deal, -7], byClient);
    const { logs } = await publicClient.getTransactionReceipt({ hash });
    const [receipt] = parseEventLogs({ abi: receipts.abi, logs });
    expect(receipt?.args).to.include({ dealId, step: 3, amount: PRICE });
    expect(BigInt.asIntN(256, BigInt(receipt?.args.reference_ ?? 0))).to.equal(-7n);
  });
});

describe("BudgetHook", () => {
  it("adds up a day of an operator's deals, says when the limit is passed, and gives back what returns", async () => {
    const token: Address = s.token.address;
    const remaining = () => budget.read.remainingOf([client.account, token]);
    await budget.write.setLimit([token, 2n * PRICE], byClient);
    const first = await s.openDeal({ hook: budget.address });
    expect(await remaining()).to.equal(PRICE);
    await s.openDeal({ hook: budget.address });
    const { deal } = await s.openDeal({ hook: budget.address });
    expect(await budget.getEvents.BudgetExceeded()).to.have.length(1);
    expect(await remaining()).to.equal(0n);
    for (const ended of [first.deal, deal]) {
      await escrow.write.cancel([ended, ...s.signCancel(ended, client, provider)]);
    }
    expect(await remaining()).to.equal(PRICE);
    await s.networkHelpers.time.increase(86_400);
    expect(await remaining()).to.equal(2n * PRICE);
  });

  it("takes orders from its escrow alone", async () => {
    const { deal, dealId } = await s.openDeal();
    await s.viem.assertions.revertWithCustomError(
      budget.write.onFunded([dealId, deal, client.account], byClient),
      budget,
      "BudgetHookNotEscrow",
    );
  });
});

describe("FeedbackHook", () => {
  it("gives the rating as backed feedback once the client's owner approves it, and else says that it could not", async () => {
    const unapproved = await s.submitDeal({ hook: feedbackHook.address });
    await escrow.write.complete([unapproved.deal, 40], byClient);
    expect(await escrow.getEvents.HookFailed()).to.have.length(1);
    await registry.write.approve([feedbackHook.address, client.agentId], byClient);
    const { deal, dealId } = await s.submitDeal({ hook: feedbackHook.address });
    await escrow.write.complete([deal, 41], byClient);
    expect(await escrow.getEvents.HookFailed()).to.have.length(0);
    expect(await escrow.read.isTicketUsed([dealId])).to.equal(true);
    const [value] = await feedback.read.readFeedback([provider.agentId, feedbackHook.address, 1n]);
    expect(value).to.equal(41n);
  });
});

describe("the shipped hooks", () => {
  it("leave a budget alone where the provider earned all, and where the deal ended on another day", async () => {
    const token: Address = s.token.address;
    await budget.write.setLimit([token, 50n * PRICE], byClient);
    const remaining = () => budget.read.remainingOf([client.account, token]);
    const earned = await s.submitDeal({ hook: budget.address });
    const before = await remaining();
    await escrow.write.complete([earned.deal, 0], byClient);
    expect(await remaining()).to.equal(before);
    const late = await s.openDeal({ hook: budget.address });
    await s.networkHelpers.time.increase(2 * 86_400);
    await escrow.write.refund([late.deal], byClient);
    expect(await remaining()).to.equal(50n * PRICE);
  });

  it("count a day's sum up to 128 bits and no further; without a limit all may be spent", async () => {
    const rich = await s.viem.deployContract("HostileToken");
    await rich.write.mint([client.account, 2n ** 130n]);
    await rich.write.approve([escrow.address, 2n ** 256n - 1n], byClient);
    const price = 2n ** 128n - 1n;
    for (const time of ["first", "second"]) {
      await s.openDeal({ hook: budget.address, token: getAddress(rich.address), price });
      const [spent] = await budget.getEvents.Spent();
      expect(spent?.args.spent, time).to.equal(price);
    }
    expect(await budget.read.remainingOf([client.account, rich.address])).to.equal(2n ** 256n - 1n);
  });

  it("make no opinion of silence, and take no call but the escrow's", async () => {
    const { deal, dealId } = await s.submitDeal({ hook: feedbackHook.address });
    await s.networkHelpers.time.increase(deal.reviewPeriod + 1);
    await escrow.write.release([deal], byClient);
    expect(await escrow.read.isTicketUsed([dealId])).to.equal(false);
    await s.viem.assertions.revertWithCustomError(
      feedbackHook.write.onSettled([dealId, deal, 3, PRICE, 5], byClient),
      feedbackHook,
      "FeedbackHookNotEscrow",
    );
  });
});
