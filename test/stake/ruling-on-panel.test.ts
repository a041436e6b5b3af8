import { expect } from "chai";
import { encodeFunctionData, getAddress, numberToHex, parseEventLogs, zeroAddress, type Address, type Hex } from "viem";
import { dealIdOf, reportCommitmentOf, type Deal } from "#protocol";
import { createSettlement, DELIVERABLE, signerAt, type Agent } from "../settlement/fixture.ts";
import { ballot, createPanelSteps } from "../settlement/panel-steps.ts";

const s = await createSettlement();
const { vault, token, escrow, disputes, client, networkHelpers, viem } = s;
const { draw, vote, closeAppeals } = createPanelSteps(s.connection);
const PERIOD = 3_600;
const [JUROR_BOND, JUROR_FEE] = [500n, 10n ** 15n];
const [PENALTY, BOND, STAKE] = [100_000n, 60_000n, 1_000_000n];
/** The first panel has three seats, an appeal's seven. */
const JURORS = 9;
const BURN: Address = "0x000000000000000000000000000000000000dEaD";
const SALT = numberToHex(9, { size: 32 });
const outcomes = ["not", "frozen", "slashed", "acquitted", "lifted"] as const;
const [CLIENT, PROVIDER] = [1, 2];

const panel = await viem.deployContract("JurorPanel", [vault.address, zeroAddress, JUROR_BOND, JUROR_FEE, PERIOD]);
const slasher = await viem.deployContract("RulingSlasher", [
  ...[vault.address, disputes.address, panel.address],
  ...[PENALTY, BOND],
] as const);
await vault.write.setModules([[panel.address, slasher.address]]);
const [accuser, owner] = [signerAt(4).address, signerAt(5).address];
const jury = { panel, client: s.publicClient, owner, stranger: s.stranger.address };
for (const account of [accuser, owner]) await s.endow(account, 10n ** 9n);
await token.write.approve([slasher.address, 2n ** 256n - 1n], { account: accuser });
const byAccuser = { account: accuser };

const jurors = new Set<number>();
for (let k = 0; k < JURORS; k++) {
  await s.registry.write.register([""], { account: owner });
  const agentId = Number(client.agentId) + 2 + k;
  expect(await s.registry.read.ownerOf([BigInt(agentId)])).to.equal(getAddress(owner));
  await vault.write.stake([agentId, 5n * JUROR_BOND], { account: owner });
  await panel.write.enlist([agentId, 3n * JUROR_BOND], { account: owner });
  jurors.add(agentId);
}

let accountIndex = 30;
/** A provider of its own for each test, so that no test meets another's locks. */
async function stakedProvider(): Promise<Agent> {
  const account = signerAt(accountIndex).address;
  await networkHelpers.setBalance(account, 10n ** 18n);
  await networkHelpers.impersonateAccount(account);
  const agent = await s.registerAgent(accountIndex++);
  await vault.write.stake([Number(agent.agentId), STAKE], { account: client.account });
  return agent;
}

/** A delivery that the client disputes before the panel; both sides have deposited its fee, and the panel has the dispute. */
async function disputed(agent: Agent, terms: Partial<Deal> = {}) {
  const submitBy = (await networkHelpers.time.latest()) + 1_000;
  const arbiterDeadline = submitBy + 3_600 + 20 * PERIOD;
  const deal = await s.draftDeal(client, agent, {
    arbiter: getAddress(panel.address),
    submitBy,
    arbiterDeadline,
    ...terms,
  });
  const [payment, fee] = [deal.token === zeroAddress ? deal.price : 0n, 3n * JUROR_FEE];
  await escrow.write.open([deal, ...s.sign(deal, client, agent)], { account: client.account, value: payment });
  await escrow.write.submit([deal, DELIVERABLE], { account: agent.account });
  await disputes.write.dispute([deal, DELIVERABLE], { account: client.account, value: fee });
  const hash = await disputes.write.depositFee([deal, true], { account: agent.account, value: fee });
  const { logs } = await s.publicClient.getTransactionReceipt({ hash });
  const [created] = parseEventLogs({ abi: disputes.abi, logs, eventName: "DisputeCreated" });
  return { deal, dealId: dealIdOf(deal), id: created?.args.disputeId ?? 0n };
}

const drawAndVote = async (id: bigint, choice: number) => {
  const seated = await draw(jury, id);
  expect(seated.every((agent) => jurors.has(agent))).to.equal(true);
  const choices = seated.map(() => choice);
  await vote(jury, id, ballot(seated, choices));
  return seated;
};
const stakeOf = async ({ agentId }: Agent) => (await vault.read.stakeOf([Number(agentId)])).slice(0, 2);
const outcomeOf = async (dealId: Hex) => outcomes[(await slasher.read.accusationOf([dealId]))[0]];
const balanceOf = (account: Address) => token.read.balanceOf([account]);
type SlasherError = Parameters<typeof viem.assertions.revertWithCustomError<typeof slasher>>[2];
const refuses = (call: Promise<Hex>, name: SlasherError) => viem.assertions.revertWithCustomError(call, slasher, name);

/** Reserves the report of a final ruling, and sends it in the next block. */
async function report(deal: Deal): Promise<void> {
  const call = encodeFunctionData({ abi: slasher.abi, functionName: "punish", args: [deal] });
  await vault.write.reserve(
    [reportCommitmentOf({ reporter: accuser, module: slasher.address, call, salt: SALT })],
    byAccuser,
  );
  await vault.write.report([slasher.address, call, SALT], byAccuser);
}

describe("RulingSlasher before the juror panel", () => {
  it("freezes what jurors have voted, slashes what is final, and pays accuser, jurors and client", async () => {
    const agent = await stakedProvider();
    const { deal, dealId, id } = await disputed(agent);
    const accuse = () => slasher.write.accuse([deal, id], byAccuser);
    await refuses(accuse(), "RulingSlasherNotAppealable");
    await drawAndVote(id, CLIENT);
    const before = [await balanceOf(accuser), await balanceOf(BURN), await balanceOf(client.account)] as const;
    await accuse();
    expect(await stakeOf(agent)).to.deep.equal([STAKE, PENALTY]);
    await refuses(slasher.write.conclude([dealId]), "RulingSlasherNotFinal");
    await closeAppeals(jury, id);
    await refuses(slasher.write.conclude([dealId]), "RulingSlasherNotFinal");
    await panel.write.executeRuling([id]);
    await slasher.write.conclude([dealId]);
    expect(await outcomeOf(dealId)).to.equal("slashed");
    expect(await stakeOf(agent)).to.deep.equal([STAKE - PENALTY, 0n]);
    expect((await balanceOf(accuser)) - before[0]).to.equal(PENALTY / 2n);
    expect((await balanceOf(BURN)) - before[1]).to.equal(PENALTY / 2n);
    await disputes.write.resolve([deal]);
    expect((await balanceOf(client.account)) - before[2]).to.equal(deal.price);
    await panel.write.settle([id, 0n]);
    expect((await panel.read.creditOf([owner]))[0]).to.equal(3n * JUROR_FEE);
  });

  it("costs the accuser its bond where the appeal's larger panel votes for the provider", async () => {
    const agent = await stakedProvider();
    const { deal, dealId, id } = await disputed(agent);
    const first = await drawAndVote(id, CLIENT);
    await slasher.write.accuse([deal, id], byAccuser);
    const value = await panel.read.appealCost([id, "0x"]);
    await disputes.write.appeal([deal, id], { account: agent.account, value });
    expect(await drawAndVote(id, PROVIDER)).to.have.length(7);
    await closeAppeals(jury, id);
    await panel.write.executeRuling([id]);
    const before = [await balanceOf(accuser), await balanceOf(agent.account)] as const;
    await slasher.write.conclude([dealId]);
    expect(await outcomeOf(dealId)).to.equal("acquitted");
    expect(await stakeOf(agent)).to.deep.equal([STAKE, 0n]);
    expect([(await balanceOf(accuser)) - before[0], (await balanceOf(agent.account)) - before[1]]).to.deep.equal([
      0n,
      BOND,
    ]);
    for (const round of [0n, 1n]) await panel.write.settle([id, round]);
    for (const juror of first) expect((await vault.read.stakeOf([juror]))[0] < 5n * JUROR_BOND).to.equal(true);
  });

  it("needs no accusation where the ruling is final: one reserved report seizes, and is paid", async () => {
    const agent = await stakedProvider();
    const { deal, dealId, id } = await disputed(agent);
    await drawAndVote(id, CLIENT);
    await closeAppeals(jury, id);
    await refuses(slasher.write.punish([deal]), "RulingSlasherNotFinal");
    await panel.write.executeRuling([id]);
    const before = await balanceOf(accuser);
    await report(deal);
    expect((await balanceOf(accuser)) - before).to.equal(PENALTY / 2n);
    expect(await stakeOf(agent)).to.deep.equal([STAKE - PENALTY, 0n]);
    await refuses(slasher.write.accuse([deal, id], byAccuser), "RulingSlasherWrongStage");
    expect(await outcomeOf(dealId)).to.equal("slashed");
  });

  it("acts on no silence of jurors, and on no ruling that came too late for the deal", async () => {
    const agent = await stakedProvider();
    const silent = await disputed(agent);
    await draw(jury, silent.id);
    await vote(jury, silent.id, new Map());
    await refuses(slasher.write.accuse([silent.deal, silent.id], byAccuser), "RulingSlasherOtherRuling");
    await closeAppeals(jury, silent.id);
    await panel.write.executeRuling([silent.id]);
    await refuses(slasher.write.punish([silent.deal]), "RulingSlasherOtherRuling");

    const late = await disputed(agent);
    await drawAndVote(late.id, CLIENT);
    await slasher.write.accuse([late.deal, late.id], byAccuser);
    await networkHelpers.time.increaseTo(late.deal.arbiterDeadline + 1);
    await viem.assertions.emitWithArgs(panel.write.executeRuling([late.id]), panel, "RulingRefused", [late.id]);
    const before = await balanceOf(accuser);
    await slasher.write.conclude([late.dealId]);
    expect(await outcomeOf(late.dealId)).to.equal("lifted");
    expect((await balanceOf(accuser)) - before, "the bond is back").to.equal(BOND);
    expect(await stakeOf(agent)).to.deep.equal([STAKE, 0n]);
  });

  it("takes no more than the deal had at stake, and asks the accuser for no more", async () => {
    const agent = await stakedProvider();
    const { deal, dealId, id } = await disputed(agent, { price: 40_000n });
    expect(await slasher.read.priceOf([deal])).to.deep.equal([40_000n, 40_000n]);
    expect(await slasher.read.priceOf([{ ...deal, providerBond: 30_000n }])).to.deep.equal([70_000n, BOND]);
    await drawAndVote(id, CLIENT);
    const before = await balanceOf(accuser);
    await slasher.write.accuse([deal, id], byAccuser);
    expect((await slasher.read.accusationOf([dealId])).slice(4)).to.deep.equal([40_000n, 40_000n]);
    await closeAppeals(jury, id);
    await panel.write.executeRuling([id]);
    await slasher.write.conclude([dealId]);
    expect((await balanceOf(accuser)) - before).to.equal(20_000n);
    expect(await stakeOf(agent)).to.deep.equal([STAKE - 40_000n, 0n]);
  });

  it("takes the whole penalty where the deal's money has no price in the vault's token", async () => {
    const agent = await stakedProvider();
    const { deal, id } = await disputed(agent, { token: zeroAddress, price: 1n });
    expect(await slasher.read.priceOf([deal])).to.deep.equal([PENALTY, BOND]);
    await drawAndVote(id, CLIENT);
    await closeAppeals(jury, id);
    await panel.write.executeRuling([id]);
    await report(deal);
    expect(await stakeOf(agent)).to.deep.equal([STAKE - PENALTY, 0n]);
  });
});
