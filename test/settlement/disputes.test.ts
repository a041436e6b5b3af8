import { expect } from "chai";
import { parseEther, zeroAddress, zeroHash, type Address, type Hex } from "viem";
import { dealIdOf, topicIdOf, typedDataDigest, type Deal } from "#protocol";
import { createSettlement, DELIVERABLE, PRICE, signerAt } from "./fixture.ts";

const s = await createSettlement();
const { escrow, disputes, token, ledger, client, provider, stranger, networkHelpers, publicClient } = s;
const byClient = { account: client.account };
const byProvider = { account: provider.account };
const byStranger = { account: stranger.address };
const [PROVIDER_BOND, CLIENT_BOND, REVIEW] = [300_000n, 70_001n, 3_600];
const FEE = parseEther("0.01");
await s.endow(provider.account);
const arbitrator = await s.viem.deployContract("TestArbitrator");

const balanceOf = (account: Address) => token.read.balanceOf([account]);
const stages = ["None", "ProviderOwes", "ClientOwes", "Paid", "Created", "Ruled", "Closed"] as const;
const stageOf = async (dealId: Hex) => stages[(await disputes.read.disputeOf([dealId]))[3]];

/** Terms with bonds and an arbiter. */
async function disputable(arbiter: Address, terms: Partial<Deal> = {}): Promise<Partial<Deal>> {
  const submitBy = (await networkHelpers.time.latest()) + 1_000;
  const bonds = { providerBond: PROVIDER_BOND, clientBond: CLIENT_BOND };
  return { arbiter, submitBy, reviewPeriod: REVIEW, arbiterDeadline: submitBy + REVIEW + 10_000, ...bonds, ...terms };
}

async function disputed(arbiter: Address, terms: Partial<Deal> = {}, value = 0n) {
  const submitted = await s.submitDeal(await disputable(arbiter, terms));
  await disputes.write.dispute([submitted.deal, DELIVERABLE], { ...byClient, value });
  return submitted;
}

/** What a call moves to client and provider, in the token. */
async function moved(call: () => Promise<unknown>): Promise<[bigint, bigint]> {
  const before = [await balanceOf(client.account), await balanceOf(provider.account)] as const;
  await call();
  return [(await balanceOf(client.account)) - before[0], (await balanceOf(provider.account)) - before[1]];
}

describe("bonds", () => {
  it("of both sides come in at opening and go back when the client completes", async () => {
    const before = [await balanceOf(client.account), await balanceOf(provider.account)] as const;
    const { deal } = await s.submitDeal(await disputable(stranger.address));
    expect(await balanceOf(client.account)).to.equal(before[0] - PRICE - CLIENT_BOND);
    expect(await balanceOf(provider.account)).to.equal(before[1] - PROVIDER_BOND);
    await escrow.write.complete([deal, 50], byClient);
    expect(await balanceOf(client.account)).to.equal(before[0] - PRICE);
    expect(await balanceOf(provider.account)).to.equal(before[1] + PRICE);
  });

  it("go back to their sides when both cancel, and the provider's pays the client when delivery is late", async () => {
    const cancelled = await s.submitDeal(await disputable(stranger.address));
    const cancel = () => escrow.write.cancel([cancelled.deal, ...s.signCancel(cancelled.deal, client, provider)]);
    expect(await moved(cancel)).to.deep.equal([PRICE + CLIENT_BOND, PROVIDER_BOND]);
    const late = await s.openDeal(await disputable(stranger.address));
    await networkHelpers.time.increaseTo(late.deal.submitBy + 1);
    expect(await moved(() => escrow.write.refund([late.deal]))).to.deep.equal([
      PRICE + CLIENT_BOND + PROVIDER_BOND,
      0n,
    ]);
  });

  it("need the provider's allowance, and its signature", async () => {
    const poor = await s.registerAgent(11);
    const deal = await s.draftDeal(client, poor, { providerBond: 1n });
    await s.viem.assertions.revertWithCustomError(
      escrow.write.open([deal, ...s.sign(deal, client, poor)], byClient),
      token,
      "ERC20InsufficientAllowance",
    );
    await s.endow(poor.account);
    await escrow.write.open([deal, ...s.sign(deal, client, poor)], byClient);
    expect(await s.stateOf(dealIdOf(deal))).to.equal("Funded");
  });
});

describe("DealDisputes.dispute", () => {
  it("is the client's, before reviewUntil to the second, of a submitted deal with an arbiter", async () => {
    for (const delay of [-1, 0] as const) {
      const { deal, dealId } = await s.submitDeal(await disputable(stranger.address));
      const [, , reviewUntil] = await escrow.read.dealOf([dealId]);
      await s.atSecond(reviewUntil + delay);
      const call = disputes.write.dispute([deal, DELIVERABLE], byClient);
      if (delay === 0) await s.viem.assertions.revertWithCustomError(call, escrow, "DealEscrowTooLate");
      else await call;
      await networkHelpers.mine();
      expect(await s.stateOf(dealId)).to.equal(delay === 0 ? "Submitted" : "Disputed");
    }
    const { deal } = await s.submitDeal(await disputable(stranger.address));
    await s.viem.assertions.revertWithCustomError(
      disputes.write.dispute([deal, DELIVERABLE], byProvider),
      disputes,
      "DealDisputesNotParty",
    );
    const plain = await s.submitDeal();
    await s.viem.assertions.revertWithCustomError(
      disputes.write.dispute([plain.deal, DELIVERABLE], byClient),
      escrow,
      "DealEscrowNoArbiter",
    );
  });

  it("is relayed by the client's signature over this deal and this reason", async () => {
    const { deal, dealId } = await s.submitDeal(await disputable(stranger.address));
    const consent = s.consent(
      client.signer,
      typedDataDigest("DealDispute", { dealId, reasonHash: DELIVERABLE }, s.contracts),
    );
    await s.viem.assertions.revertWithCustomError(
      disputes.write.disputeFor([deal, dealId, consent], byStranger),
      disputes,
      "DealEscrowBadSignature",
    );
    await disputes.write.disputeFor([deal, DELIVERABLE, consent], byStranger);
    expect(await s.stateOf(dealId)).to.equal("Disputed");
  });

  it("cannot be entered past the disputes' contract", async () => {
    const { deal } = await s.submitDeal(await disputable(stranger.address));
    await s.expectRefusal(escrow.write.markDisputed([deal, DELIVERABLE], byClient), "DealEscrowNotDisputes", [
      client.account,
    ]);
    await s.expectRefusal(escrow.write.resolve([deal, 1, 0n, 0], byStranger), "DealEscrowNotDisputes", [
      stranger.address,
    ]);
  });
});

describe("an arbiter that rules by its own call", () => {
  const topic = topicIdOf("rulings");
  const half = PRICE / 2n;
  const outcomes: [string, bigint, [bigint, bigint], number][] = [
    ["halves the price and returns both bonds when it refuses", 0n, [half + CLIENT_BOND, half + PROVIDER_BOND], 0],
    ["gives all to the client, with a bad mark", 1n, [PRICE + CLIENT_BOND + PROVIDER_BOND, 0n], 100],
    ["gives all to the provider", 2n, [0n, PRICE + CLIENT_BOND + PROVIDER_BOND], 0],
  ];
  for (const [name, ruling, payments, unsatisfied] of outcomes) {
    it(name, async () => {
      const { deal, dealId } = await disputed(stranger.address, { topic });
      const ids = [topic, Number(client.agentId), Number(provider.agentId)] as const;
      const [, before] = await ledger.read.pairOf(ids);
      expect(await moved(() => disputes.write.ruleAsArbiter([deal, ruling], byStranger))).to.deep.equal(payments);
      expect(await s.stateOf(dealId)).to.equal("Resolved");
      expect(await ledger.read.pairOf(ids)).to.deep.equal([0, before + unsatisfied]);
    });
  }

  it("gives the odd unit of a halved price to the provider", async () => {
    const { deal } = await disputed(stranger.address, { price: PRICE + 1n, providerBond: 0n, clientBond: 0n });
    const halve = () => disputes.write.ruleAsArbiter([deal, 0n], byStranger);
    expect(await moved(halve)).to.deep.equal([half, half + 1n]);
  });

  it("is the only one, in time to the second, with a ruling that there is, once", async () => {
    const { deal } = await disputed(stranger.address);
    const rule = (ruling: bigint, account: Address) => disputes.write.ruleAsArbiter([deal, ruling], { account });
    await s.viem.assertions.revertWithCustomError(rule(1n, client.account), disputes, "DealDisputesNotArbiter");
    await s.viem.assertions.revertWithCustomError(rule(3n, stranger.address), disputes, "DealDisputesBadRuling");
    await s.atSecond(deal.arbiterDeadline + 1);
    await s.viem.assertions.revertWithCustomError(rule(1n, stranger.address), disputes, "DealDisputesTooLate");
    await networkHelpers.mine();
    const other = await disputed(stranger.address);
    await s.atSecond(other.deal.arbiterDeadline);
    await disputes.write.ruleAsArbiter([other.deal, 1n], byStranger);
    await s.viem.assertions.revertWithCustomError(
      disputes.write.ruleAsArbiter([other.deal, 1n], byStranger),
      escrow,
      "DealEscrowWrongState",
    );
  });

  it("that stays silent halves the deal one second after its deadline, by anyone", async () => {
    const { deal, dealId } = await disputed(stranger.address);
    await s.atSecond(deal.arbiterDeadline);
    await s.viem.assertions.revertWithCustomErrorWithArgs(
      disputes.write.resolve([deal], byProvider),
      disputes,
      "DealDisputesTooEarly",
      [dealId, BigInt(deal.arbiterDeadline + 1), BigInt(deal.arbiterDeadline)],
    );
    await networkHelpers.mine();
    await s.atSecond(deal.arbiterDeadline + 1);
    const resolve = () => disputes.write.resolve([deal], byProvider);
    expect(await moved(resolve)).to.deep.equal([half + CLIENT_BOND, half + PROVIDER_BOND]);
  });
});

describe("an ERC-792 arbitrator", () => {
  before(() => arbitrator.write.setCost([FEE]));
  beforeEach(() => arbitrator.write.setVice([0, zeroAddress, "0x"]));
  const refused = async (call: Promise<Hex>) => {
    let isRefused = false;
    await call.catch(() => (isRefused = true));
    expect(isRefused).to.equal(true);
  };
  const wei = (address: Address) => publicClient.getBalance({ address });

  it("is paid by both sides, rules, and the winner has its fee back", async () => {
    const held = await wei(disputes.address);
    const { deal, dealId } = await disputed(arbitrator.address, {}, FEE);
    expect(await stageOf(dealId)).to.equal("ProviderOwes");
    await disputes.write.depositFee([deal, true], { ...byStranger, value: FEE });
    expect(await stageOf(dealId)).to.equal("Created");
    const again = disputes.write.depositFee([deal, true], { ...byStranger, value: FEE });
    await s.viem.assertions.revertWithCustomError(again, disputes, "DealDisputesWrongStage");
    const disputeId = await arbitrator.read.disputeCount();
    expect(await disputes.read.dealOfDispute([arbitrator.address, disputeId])).to.equal(dealId);
    await arbitrator.write.giveRuling([disputeId, 2n]);
    const before = await wei(provider.account);
    const end = () => disputes.write.resolve([deal], byStranger);
    expect(await moved(end)).to.deep.equal([0n, PRICE + CLIENT_BOND + PROVIDER_BOND]);
    expect((await wei(provider.account)) - before).to.equal(FEE);
    expect(await wei(disputes.address)).to.equal(held);
    await s.viem.assertions.revertWithCustomError(
      arbitrator.write.giveRuling([disputeId, 1n]),
      disputes,
      "DealDisputesWrongStage",
    );
  });

  it("costs the client its fee at once, and what is too much is credited", async () => {
    const held = await wei(disputes.address);
    const { deal } = await s.submitDeal(await disputable(arbitrator.address));
    await s.viem.assertions.revertWithCustomError(
      disputes.write.dispute([deal, DELIVERABLE], { ...byClient, value: FEE - 1n }),
      disputes,
      "DealDisputesFeeTooLow",
    );
    await disputes.write.dispute([deal, DELIVERABLE], { ...byClient, value: FEE + 5n });
    expect(await disputes.read.creditOf([zeroAddress, client.account])).to.equal(5n);
    await disputes.write.withdrawCredit([zeroAddress, stranger.address], byClient);
    expect((await wei(disputes.address)) - held).to.equal(FEE);
  });

  it("wins the client the deal if the provider does not match the fee in time, to the second", async () => {
    const { deal, dealId } = await disputed(arbitrator.address, {}, FEE);
    const [, , feeBy] = await disputes.read.disputeOf([dealId]);
    await s.atSecond(feeBy);
    await s.viem.assertions.revertWithCustomError(
      disputes.write.resolve([deal], byClient),
      disputes,
      "DealDisputesTooEarly",
    );
    await networkHelpers.mine();
    await s.atSecond(feeBy + 1);
    await s.viem.assertions.revertWithCustomError(
      disputes.write.depositFee([deal, true], { ...byProvider, value: FEE }),
      disputes,
      "DealDisputesTooLate",
    );
    await networkHelpers.mine();
    const end = () => disputes.write.resolve([deal], byStranger);
    expect(await moved(end)).to.deep.equal([PRICE + CLIENT_BOND + PROVIDER_BOND, 0n]);
    expect(await s.stateOf(dealId)).to.equal("Resolved");
  });

  it("makes the client add when the cost has risen, and loses it the deal if it does not", async () => {
    const { deal, dealId } = await disputed(arbitrator.address, {}, FEE);
    await arbitrator.write.setCost([2n * FEE]);
    await disputes.write.depositFee([deal, true], { ...byProvider, value: 2n * FEE });
    expect(await stageOf(dealId)).to.equal("ClientOwes");
    const [, , feeBy] = await disputes.read.disputeOf([dealId]);
    await networkHelpers.time.increaseTo(feeBy + 1);
    const end = () => disputes.write.resolve([deal], byStranger);
    expect(await moved(end)).to.deep.equal([0n, PRICE + CLIENT_BOND + PROVIDER_BOND]);
    await arbitrator.write.setCost([FEE]);
  });

  it("that takes no dispute, or gives one twice, blocks nothing: the deposits return and the deal is halved", async () => {
    const held = await wei(disputes.address);
    for (const vice of [1, 3, 4] as const) {
      const { deal, dealId } = await disputed(arbitrator.address, {}, FEE);
      await arbitrator.write.setVice([vice, zeroAddress, "0x"]);
      await refused(disputes.write.depositFee([deal, true], { ...byProvider, value: FEE }));
      await disputes.write.depositFee([deal, false], { ...byProvider, value: FEE });
      await refused(disputes.write.createDispute([deal], byStranger));
      expect(await stageOf(dealId)).to.equal("Paid");
      await networkHelpers.time.increaseTo(deal.arbiterDeadline + 1);
      const before = await wei(client.account);
      await disputes.write.resolve([deal], byStranger);
      expect((await wei(client.account)) - before).to.equal(FEE);
      expect(await stageOf(dealId)).to.equal("Closed");
      await arbitrator.write.setVice([0, zeroAddress, "0x"]);
    }
    expect(await wei(disputes.address)).to.equal(held);
  });

  it("that takes it later is asked again by anyone", async () => {
    const { deal, dealId } = await disputed(arbitrator.address, {}, FEE);
    await arbitrator.write.setVice([1, zeroAddress, "0x"]);
    await disputes.write.depositFee([deal, false], { ...byProvider, value: FEE });
    await arbitrator.write.setVice([0, zeroAddress, "0x"]);
    await disputes.write.createDispute([deal], byStranger);
    expect(await stageOf(dealId)).to.equal("Created");
  });

  it("that ends the deal by both sides' word while it creates is refused: no end is told before its beginning", async () => {
    const { deal, dealId } = await disputed(arbitrator.address, {}, FEE);
    const split = { toProvider: 1n, rating: 0, validUntil: deal.arbiterDeadline };
    const input = s.encode(disputes, "settle", [
      ...[deal, { dealId, ...split }],
      ...s.signSplit(deal, split, client, provider),
    ]);
    await arbitrator.write.setVice([5, disputes.address, input]);
    const call = disputes.write.depositFee([deal, true], { ...byProvider, value: FEE });
    await s.viem.assertions.revertWithCustomError(call, disputes, "DealDisputesWrongStage");
    expect(await stageOf(dealId)).to.equal("ProviderOwes");
    await arbitrator.write.setVice([0, zeroAddress, "0x"]);
  });

  it("that re-enters while it creates finds nothing to take", async () => {
    const { deal, dealId } = await disputed(arbitrator.address, {}, FEE);
    const input = s.encode(disputes, "createDispute", [deal]);
    await arbitrator.write.setVice([5, disputes.address, input]);
    await disputes.write.depositFee([deal, true], { ...byProvider, value: FEE });
    expect(await arbitrator.read.hasReentered()).to.equal(false);
    expect(await stageOf(dealId)).to.equal("Created");
  });

  it("cannot be made to look free by giving little gas", async () => {
    const { deal, dealId } = await s.submitDeal(await disputable(arbitrator.address));
    for (const gas of [120_000n, 180_000n, 220_000n]) {
      await refused(disputes.write.dispute([deal, DELIVERABLE], { ...byClient, gas, value: FEE }));
    }
    expect(await s.stateOf(dealId)).to.equal("Submitted");
  });

  it("gets appeals and their money, of its own disputes", async () => {
    const { deal } = await disputed(arbitrator.address, {}, FEE);
    await disputes.write.depositFee([deal, true], { ...byProvider, value: FEE });
    const disputeId = await arbitrator.read.disputeCount();
    await disputes.write.appeal([deal, disputeId], { ...byProvider, value: 7n });
    expect(await arbitrator.read.appealed([disputeId])).to.equal(7n);
    await s.viem.assertions.revertWithCustomError(
      disputes.write.appeal([deal, disputeId - 1n], { ...byProvider, value: 7n }),
      disputes,
      "DealDisputesUnknownDispute",
    );
  });

  it("is too late after the deal's deadline", async () => {
    const { deal } = await disputed(arbitrator.address, {}, FEE);
    await disputes.write.depositFee([deal, true], { ...byProvider, value: FEE });
    await s.atSecond(deal.arbiterDeadline + 1);
    await s.viem.assertions.revertWithCustomError(
      arbitrator.write.giveRuling([await arbitrator.read.disputeCount(), 1n]),
      disputes,
      "DealDisputesTooLate",
    );
  });

  it("loses half of what it was paid to each side when both agree after all", async () => {
    const { deal, dealId } = await disputed(arbitrator.address, {}, FEE);
    await disputes.write.depositFee([deal, true], { ...byProvider, value: FEE });
    const before = await wei(client.account);
    await escrow.write.cancel([deal, ...s.signCancel(deal, client, provider)], byStranger);
    await disputes.write.resolve([deal], byStranger);
    expect((await wei(client.account)) - before).to.equal(FEE / 2n);
    expect(await stageOf(dealId)).to.equal("Closed");
    await s.viem.assertions.revertWithCustomError(
      disputes.write.resolve([deal], byStranger),
      disputes,
      "DealDisputesWrongStage",
    );
  });
});

describe("DealDisputes.settle", () => {
  const proposal = { toProvider: 250_000n, rating: 40, validUntil: 2 ** 40 };

  it("ends a funded, a submitted and a disputed deal by the split that both signed", async () => {
    for (const start of [s.openDeal, s.submitDeal, (terms: Partial<Deal>) => disputed(stranger.address, terms)]) {
      const { deal, dealId } = await start(await disputable(stranger.address));
      const consents = s.signSplit(deal, proposal, client, provider);
      const call = () => disputes.write.settle([deal, { dealId, ...proposal }, ...consents], byStranger);
      expect(await moved(call)).to.deep.equal([PRICE - 250_000n + CLIENT_BOND, 250_000n + PROVIDER_BOND]);
      expect(await s.stateOf(dealId)).to.equal("Resolved");
    }
  });

  it("takes the accepting side's own call for its signature", async () => {
    const { deal, dealId } = await s.submitDeal();
    const [ofClient, ofProvider] = s.signSplit(deal, proposal, client, provider);
    const unsigned = { ...ofProvider, signature: "0x" as Hex };
    await disputes.write.settle([deal, { dealId, ...proposal }, ofClient, unsigned], byProvider);
    expect(await s.stateOf(dealId)).to.equal("Resolved");
  });

  it("refuses other terms, another deal's proposal, late ones, and more than is held", async () => {
    const { deal, dealId } = await s.submitDeal();
    const other = await s.submitDeal();
    const consents = s.signSplit(deal, proposal, client, provider);
    const settle = (of: Deal, terms: typeof proposal) =>
      disputes.write.settle([of, { dealId, ...terms }, ...consents], byStranger);
    const refused: [Promise<Hex>, "DealEscrowBadSignature" | "DealDisputesTooLate"][] = [
      [settle(deal, { ...proposal, toProvider: 250_001n }), "DealEscrowBadSignature"],
      [settle(deal, { ...proposal, rating: 41 }), "DealEscrowBadSignature"],
      [settle(other.deal, proposal), "DealEscrowBadSignature"],
      [settle(deal, { ...proposal, validUntil: 1 }), "DealDisputesTooLate"],
    ];
    for (const [call, name] of refused) await s.viem.assertions.revertWithCustomError(call, disputes, name);
    const tooMuch = { ...proposal, toProvider: PRICE + 1n };
    await s.viem.assertions.revertWithCustomError(
      disputes.write.settle([deal, { dealId, ...tooMuch }, ...s.signSplit(deal, tooMuch, client, provider)]),
      escrow,
      "DealEscrowBadSplit",
    );
  });
});

describe("evidence", () => {
  it("is both sides', while the deal is disputed", async () => {
    const { deal } = await disputed(stranger.address);
    await disputes.write.submitEvidence([deal, "ipfs://a"], byClient);
    await disputes.write.submitEvidence([deal, "ipfs://b"], byProvider);
    await s.viem.assertions.revertWithCustomError(
      disputes.write.submitEvidence([deal, "ipfs://c"], { account: signerAt(19).address }),
      disputes,
      "DealDisputesNotParty",
    );
    const plain = await s.submitDeal({ salt: 77_777n });
    expect(plain.deal.splitsRoot).to.equal(zeroHash);
    await s.viem.assertions.revertWithCustomError(
      disputes.write.submitEvidence([plain.deal, "ipfs://d"], byClient),
      disputes,
      "DealEscrowWrongState",
    );
  });
});

describe("an arbitrator that charges", () => {
  it("rules through its dispute alone, not as a plain account beside it", async () => {
    const { deal, dealId } = await disputed(arbitrator.address, {}, FEE);
    await networkHelpers.setBalance(arbitrator.address, parseEther("1"));
    await networkHelpers.impersonateAccount(arbitrator.address);
    await s.viem.assertions.revertWithCustomError(
      disputes.write.ruleAsArbiter([deal, 1n], { account: arbitrator.address }),
      disputes,
      "DealDisputesWrongStage",
    );
    expect(await stageOf(dealId)).to.equal("ProviderOwes");
  });
});
