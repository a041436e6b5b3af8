import { expect } from "chai";
import { encodeFunctionData, getAddress, numberToHex, type Address, type Hex } from "viem";
import { dealIdOf, reportCommitmentOf, type Deal } from "#protocol";
import { createSettlement, DELIVERABLE, signerAt, UNBONDING_DELAY, type Agent } from "../settlement/fixture.ts";

const s = await createSettlement();
const { vault, token, disputes, client, provider, stranger, networkHelpers, viem } = s;
const [PENALTY, BOND, STAKE] = [1_000n, 701n, 5_000n];
const SALT = numberToHex(9, { size: 32 });
const BURN: Address = "0x000000000000000000000000000000000000dEaD";
const statuses = { waiting: 0, appealable: 1, solved: 2 } as const;
const [REFUSED, FOR_CLIENT, FOR_PROVIDER] = [0n, 1n, 2n];
const outcomes = ["not", "frozen", "slashed", "acquitted", "lifted"] as const;

const arbitrator = await viem.deployContract("TestArbitrator");
const slasher = await viem.deployContract("RulingSlasher", [
  ...[vault.address, disputes.address, arbitrator.address],
  ...[PENALTY, BOND],
] as const);
const otherModule = signerAt(11).address;
await vault.write.setModules([[slasher.address, otherModule]]);
const accuser = signerAt(4).address;
await s.endow(accuser, 10n ** 9n);
await token.write.approve([slasher.address, 2n ** 256n - 1n], { account: accuser });
const byClient = { account: client.account };
const byAccuser = { account: accuser };

let accountIndex = 30;
/** A provider of its own for each test, so that no test meets another's locks. */
async function stakedProvider(stake = STAKE): Promise<Agent> {
  const account = signerAt(accountIndex).address;
  await s.networkHelpers.setBalance(account, 10n ** 18n);
  await s.networkHelpers.impersonateAccount(account);
  const agent = await s.registerAgent(accountIndex++);
  if (stake !== 0n) await vault.write.stake([Number(agent.agentId), stake], byClient);
  return agent;
}

/** A deal of that provider whose dispute the arbitrator has, with a present ruling. */
async function disputed(agent: Agent, ruling: bigint, status: number = statuses.appealable) {
  const submitBy = (await networkHelpers.time.latest()) + 1_000;
  const terms = { arbiter: getAddress(arbitrator.address), submitBy, arbiterDeadline: submitBy + 3_600 + 10_000 };
  const deal = await s.draftDeal(client, agent, terms);
  await s.escrow.write.open([deal, ...s.sign(deal, client, agent)], byClient);
  await s.escrow.write.submit([deal, DELIVERABLE], { account: agent.account });
  await disputes.write.dispute([deal, DELIVERABLE], byClient);
  await disputes.write.createDispute([deal]);
  const disputeId = await arbitrator.read.disputeCount();
  await arbitrator.write.setPresent([disputeId, status, ruling]);
  return { deal, dealId: dealIdOf(deal), disputeId };
}

/** A deal whose provider is accused on a ruling that can be appealed. */
async function accused(agent: Agent) {
  const opened = await disputed(agent, FOR_CLIENT);
  await slasher.write.accuse([opened.deal, opened.disputeId], byAccuser);
  return opened;
}

const stakeOf = async ({ agentId }: Agent) => {
  const [staked, locked, unbonding] = await vault.read.stakeOf([Number(agentId)]);
  return { staked, locked, unbonding };
};
const outcomeOf = async (dealId: Hex) => outcomes[(await slasher.read.accusationOf([dealId]))[0]];
const balanceOf = (account: Address) => token.read.balanceOf([account]);
type SlasherError = Parameters<typeof viem.assertions.revertWithCustomError<typeof slasher>>[2];
const refuses = (call: Promise<Hex>, name: SlasherError) => viem.assertions.revertWithCustomError(call, slasher, name);

describe("RulingSlasher.accuse", () => {
  it("freezes the penalty on a bond while the ruling can be appealed, and slashes it once the ruling is final", async () => {
    const agent = await stakedProvider();
    const before = [await balanceOf(accuser), await balanceOf(BURN)] as const;
    const { dealId, disputeId } = await accused(agent);
    expect(await stakeOf(agent)).to.deep.equal({ staked: STAKE, locked: PENALTY, unbonding: 0n });
    expect(await balanceOf(accuser)).to.equal(before[0] - BOND);
    await refuses(slasher.write.conclude([dealId]), "RulingSlasherNotFinal");
    await arbitrator.write.giveRuling([disputeId, FOR_CLIENT]);
    await slasher.write.conclude([dealId]);
    expect(await outcomeOf(dealId)).to.equal("slashed");
    expect(await stakeOf(agent)).to.deep.equal({ staked: STAKE - PENALTY, locked: 0n, unbonding: 0n });
    expect(await balanceOf(accuser)).to.equal(before[0] + PENALTY / 2n);
    expect(await balanceOf(BURN)).to.equal(before[1] + PENALTY / 2n);
    expect(await balanceOf(slasher.address)).to.equal(0n);
    await refuses(slasher.write.conclude([dealId]), "RulingSlasherWrongStage");
  });

  it("costs the accuser its bond, which is the provider's, where the appeal turns the ruling round", async () => {
    const agent = await stakedProvider();
    const { dealId, disputeId } = await accused(agent);
    await arbitrator.write.giveRuling([disputeId, FOR_PROVIDER]);
    const before = [await balanceOf(accuser), await balanceOf(agent.account)] as const;
    await slasher.write.conclude([dealId]);
    expect(await outcomeOf(dealId)).to.equal("acquitted");
    expect(await stakeOf(agent)).to.deep.equal({ staked: STAKE, locked: 0n, unbonding: 0n });
    expect(await balanceOf(accuser)).to.equal(before[0]);
    expect(await balanceOf(agent.account)).to.equal(before[1] + BOND);
  });

  it("gives stake and bond back where the arbitrator refuses in the end", async () => {
    const agent = await stakedProvider();
    const before = await balanceOf(accuser);
    const { dealId, disputeId } = await accused(agent);
    await arbitrator.write.giveRuling([disputeId, REFUSED]);
    await slasher.write.conclude([dealId]);
    expect(await outcomeOf(dealId)).to.equal("lifted");
    expect(await balanceOf(accuser)).to.equal(before);
    expect((await stakeOf(agent)).locked).to.equal(0n);
  });

  it("keeps nothing frozen beyond the deal's arbiterDeadline, to the second, by anyone", async () => {
    const agent = await stakedProvider();
    const before = await balanceOf(accuser);
    const { deal, dealId } = await accused(agent);
    await s.atSecond(deal.arbiterDeadline);
    await refuses(slasher.write.conclude([dealId], { account: stranger.address }), "RulingSlasherNotFinal");
    await s.atSecond(deal.arbiterDeadline + 1);
    await slasher.write.conclude([dealId], { account: stranger.address });
    expect(await outcomeOf(dealId)).to.equal("lifted");
    expect(await balanceOf(accuser)).to.equal(before);
    expect((await stakeOf(agent)).locked).to.equal(0n);
  });

  it("reaches what unbonds: an appeal buys no time to leave", async () => {
    const agent = await stakedProvider();
    const { deal, dealId, disputeId } = await disputed(agent, FOR_CLIENT);
    await vault.write.startUnbonding([Number(agent.agentId), STAKE], { account: agent.account });
    await slasher.write.accuse([deal, disputeId], byAccuser);
    expect(await stakeOf(agent)).to.deep.equal({ staked: PENALTY, locked: PENALTY, unbonding: STAKE - PENALTY });
    await arbitrator.write.giveRuling([disputeId, FOR_CLIENT]);
    await networkHelpers.time.increase(UNBONDING_DELAY + 1);
    await vault.write.withdraw([Number(agent.agentId)], { account: agent.account });
    await slasher.write.conclude([dealId]);
    expect(await stakeOf(agent)).to.deep.equal({ staked: 0n, locked: 0n, unbonding: 0n });
  });

  it("freezes what is within reach and no other module's lock, and nothing where there is nothing", async () => {
    const agent = await stakedProvider(1_200n);
    await vault.write.lock([Number(agent.agentId), 900n], { account: otherModule });
    await accused(agent);
    expect((await stakeOf(agent)).locked).to.equal(1_200n);
    expect(await vault.read.lockOf([Number(agent.agentId), slasher.address])).to.equal(300n);
    const poor = await disputed(agent, FOR_CLIENT);
    await viem.assertions.revertWithCustomError(
      slasher.write.accuse([poor.deal, poor.disputeId], byAccuser),
      vault,
      "StakeVaultNothingToTake",
    );
  });

  it("rests on a present ruling for the client by this arbitrator over this deal, once a deal", async () => {
    const agent = await stakedProvider();
    const other = await disputed(agent, FOR_CLIENT);
    const { deal, disputeId } = await accused(agent);
    const accuse = (of: Deal, id: bigint) => slasher.write.accuse([of, id], byAccuser);
    await refuses(accuse(deal, disputeId), "RulingSlasherWrongStage");
    await refuses(accuse(other.deal, disputeId), "RulingSlasherUnknownDispute");
    await refuses(accuse({ ...other.deal, arbiter: stranger.address }, other.disputeId), "RulingSlasherNotArbitrator");
    for (const status of [statuses.waiting, statuses.solved]) {
      await arbitrator.write.setPresent([other.disputeId, status, FOR_CLIENT]);
      await refuses(accuse(other.deal, other.disputeId), "RulingSlasherNotAppealable");
    }
    for (const ruling of [REFUSED, FOR_PROVIDER]) {
      await arbitrator.write.setPresent([other.disputeId, statuses.appealable, ruling]);
      await refuses(accuse(other.deal, other.disputeId), "RulingSlasherOtherRuling");
    }
  });

  it("is undone whole without the bond", async () => {
    const agent = await stakedProvider();
    const { deal, dealId, disputeId } = await disputed(agent, FOR_CLIENT);
    await viem.assertions.revertWithCustomError(
      slasher.write.accuse([deal, disputeId], { account: stranger.address }),
      token,
      "ERC20InsufficientAllowance",
    );
    expect(await outcomeOf(dealId)).to.equal("not");
    expect((await stakeOf(agent)).locked).to.equal(0n);
  });
});

describe("RulingSlasher.punish", () => {
  it("seizes by a final ruling in one transaction, and pays half to who reserved it", async () => {
    const agent = await stakedProvider();
    const { deal, disputeId } = await disputed(agent, FOR_CLIENT);
    await refuses(slasher.write.punish([deal]), "RulingSlasherNotFinal");
    await arbitrator.write.giveRuling([disputeId, FOR_CLIENT]);
    const call = encodeFunctionData({ abi: slasher.abi, functionName: "punish", args: [deal] });
    const commitment = reportCommitmentOf({ reporter: accuser, module: slasher.address, call, salt: SALT });
    await vault.write.reserve([commitment], byAccuser);
    const before = await balanceOf(accuser);
    await vault.write.report([slasher.address, call, SALT], byAccuser);
    expect(await balanceOf(accuser)).to.equal(before + PENALTY / 2n);
    expect((await stakeOf(agent)).staked).to.equal(STAKE - PENALTY);
    await refuses(slasher.write.punish([deal]), "RulingSlasherWrongStage");
  });

  it("burns all of it where it was sent without a reservation, and acts on no other ruling", async () => {
    const [guilty, innocent] = [await stakedProvider(), await stakedProvider()];
    const lost = await disputed(guilty, FOR_CLIENT);
    const won = await disputed(innocent, FOR_PROVIDER);
    await arbitrator.write.giveRuling([lost.disputeId, FOR_CLIENT]);
    await arbitrator.write.giveRuling([won.disputeId, FOR_PROVIDER]);
    const burned = await balanceOf(BURN);
    await slasher.write.punish([lost.deal], { account: stranger.address });
    expect(await balanceOf(BURN)).to.equal(burned + PENALTY);
    await refuses(slasher.write.punish([won.deal]), "RulingSlasherOtherRuling");
    expect((await stakeOf(innocent)).staked).to.equal(STAKE);
  });

  it("is not undone by a client that settles after the ruling", async () => {
    const agent = await stakedProvider();
    const { deal, dealId, disputeId } = await disputed(agent, FOR_CLIENT);
    await arbitrator.write.giveRuling([disputeId, FOR_CLIENT]);
    const split = { toProvider: 1n, rating: 0, validUntil: deal.arbiterDeadline };
    await disputes.write.settle([deal, { dealId, ...split }, ...s.signSplit(deal, split, client, agent)]);
    await slasher.write.punish([deal]);
    expect((await stakeOf(agent)).staked).to.equal(STAKE - PENALTY);
  });

  it("cannot take a second time what an accusation took", async () => {
    const agent = await stakedProvider();
    const { deal, dealId, disputeId } = await accused(agent);
    await arbitrator.write.giveRuling([disputeId, FOR_CLIENT]);
    await slasher.write.conclude([dealId]);
    await refuses(slasher.write.punish([deal]), "RulingSlasherWrongStage");
  });
});

describe("RulingSlasher", () => {
  it("is not built without a penalty, nor with accusations for nothing, nor with more than anybody can stake", async () => {
    for (const [penalty, bond] of [
      [0n, 1n],
      [1n, 0n],
      [1n << 112n, 1n],
      [1n, 1n << 112n],
    ] as const) {
      await viem.assertions.revertWithCustomErrorWithArgs(
        viem.deployContract("RulingSlasher", [vault.address, disputes.address, arbitrator.address, penalty, bond]),
        slasher,
        "RulingSlasherBadTerms",
        [penalty, bond],
      );
    }
  });

  it("lets nobody shield its stake by an arbitrator of its own", async () => {
    const own = await viem.deployContract("TestArbitrator");
    const agent = await stakedProvider();
    const { deal } = await disputed(agent, FOR_CLIENT);
    await refuses(
      slasher.write.accuse([{ ...deal, arbiter: getAddress(own.address) }, 1n], byAccuser),
      "RulingSlasherNotArbitrator",
    );
    expect(provider.agentId).to.not.equal(agent.agentId);
  });
});
