import { expect } from "chai";
import { network } from "hardhat";
import { encodeAbiParameters, getAddress, maxUint256, numberToHex, zeroAddress, type Address, type Hex } from "viem";
import { errorNameOf } from "../reputation-contracts/world.ts";
import { ballot, commitmentOf, createPanelSteps, headerOf, SALT } from "./panel-steps.ts";

const chain = await network.create();
const { viem, networkHelpers } = chain;
const { draw, vote, closeAppeals } = createPanelSteps(chain);
const PERIOD = 3_600;
const JUROR_BOND = 1_000_000n;
const JUROR_FEE = 10n ** 15n;
const JURORS = 12;
const BURN: Address = "0x000000000000000000000000000000000000dEaD";
const stages = ["none", "drawing", "committing", "revealing", "appealing", "due", "ruled"] as const;

/** Twelve jurors with three bonds each, on a real registry, vault and ledger; agents 11 and 12 are of one operator. */
async function deployPanel(jurorFee: bigint) {
  const [, owner, party, appellant, stranger] = (await viem.getWalletClients()).map(
    ({ account }) => account.address,
  ) as [Address, Address, Address, Address, Address];
  const registry = await viem.deployContract("IdentityRegistry");
  const token = await viem.deployContract("TestToken");
  const ledger = await viem.deployContract("TrustLedger", [86_400n, registry.address]);
  const vault = await viem.deployContract("StakeVault", [token.address, registry.address, ledger.address, 200_000]);
  const operators = await viem.deployContract("OperatorTable");
  const panel = await viem.deployContract("JurorPanel", [
    vault.address,
    operators.address,
    JUROR_BOND,
    jurorFee,
    PERIOD,
  ]);
  await vault.write.setModules([[panel.address]]);
  const taker = await viem.deployContract("RulingTaker", [panel.address]);
  await token.write.mint([owner, 1_000n * JUROR_BOND]);
  await token.write.approve([vault.address, maxUint256], { account: owner });
  for (let agent = 1; agent <= JURORS; agent++) {
    await registry.write.register([""], { account: owner });
    await vault.write.stake([agent, 5n * JUROR_BOND], { account: owner });
    await panel.write.enlist([agent, 3n * JUROR_BOND], { account: owner });
  }
  const client = await viem.getPublicClient();
  return { registry, token, ledger, vault, operators, panel, taker, client, owner, party, appellant, stranger };
}

type World = Awaited<ReturnType<typeof deployPanel>>;

const createPanel = () => deployPanel(JUROR_FEE);
/** Its jurors are paid by each other's bonds alone. */
const createFreePanel = () => deployPanel(0n);

const extraOf = (jurors: number, excluded: number[] = []): Hex =>
  encodeAbiParameters([{ type: "uint256" }, { type: "uint32[]" }], [BigInt(jurors), excluded]);

async function ask({ taker, panel, party, client }: World, extra: Hex = "0x", choices = 2n): Promise<bigint> {
  const value = await panel.read.arbitrationCost([extra]);
  await taker.write.ask([choices, extra], { account: party, value });
  const [created] = await panel.getEvents.DisputeCreation({}, { blockHash: (await client.getBlock()).hash });
  return created?.args._disputeID ?? 0n;
}

const stageOf = async ({ panel }: World, id: bigint) => stages[await panel.read.stageOf([id])];

const outcome = (call: Promise<unknown>): Promise<string> => call.then(() => "done", errorNameOf);
const creditOf = async ({ panel }: World, account: Address) => panel.read.creditOf([account]);

describe("JurorPanel", () => {
  const load = () => networkHelpers.loadFixture(createPanel);

  it("draws as many different jurors as are asked for, from the named block's randomness, and nobody can choose it", async () => {
    const world = await load();
    const { panel, client } = world;
    const id = await ask(world, extraOf(5));
    const scheduledAt = await client.getBlockNumber();
    const [, seedBlock] = await panel.read.roundOf([id, 0n]);
    expect(seedBlock).to.equal(scheduledAt + 4n);
    expect(await outcome(panel.simulate.draw([id, "0x"]))).to.equal("JurorPanelSeedNotYet");
    await networkHelpers.mine(6);
    for (const other of [seedBlock - 1n, seedBlock + 1n]) {
      expect(await outcome(panel.simulate.draw([id, await headerOf(world, other)]))).to.equal("JurorPanelWrongHeader");
    }
    const snapshot = await networkHelpers.takeSnapshot();
    const jurors = await draw(world, id);
    expect(new Set(jurors).size).to.equal(5);
    await snapshot.restore();
    await networkHelpers.mine(100);
    expect(await draw(world, id), "whenever it is drawn").to.deep.equal(jurors);
    for (const agent of jurors) {
      expect((await panel.read.jurorOf([agent]))[1]).to.equal(JUROR_BOND);
    }
  });

  it("puts a draw off to a new block, by anybody, once the old one's hash is gone", async () => {
    const world = await load();
    const { panel, client } = world;
    const id = await ask(world);
    await networkHelpers.mine(300);
    await panel.write.draw([id, "0x"]);
    const [, seedBlock] = await panel.read.roundOf([id, 0n]);
    expect(seedBlock).to.equal((await client.getBlockNumber()) + 4n);
    expect(await stageOf(world, id)).to.equal("drawing");
    expect(await draw(world, id)).to.have.length(3);
  });

  it("seats no excluded agent, no operator twice, and nobody of an excluded agent's operator", async () => {
    const world = await load();
    const { operators } = world;
    const operator = numberToHex(5, { size: 32 });
    for (const agent of [1, 2, 3, 4, 5, 6]) await operators.write.set([BigInt(agent), operator]);
    const all = await draw(world, await ask(world, extraOf(10)));
    expect(
      all.filter((agent) => agent <= 6),
      "of one operator",
    ).to.have.length(1);
    expect(all.filter((agent) => agent > 6)).to.have.length(6);
    await operators.write.set([12n, operator]);
    const some = await draw(world, await ask(world, extraOf(10, [12, 7])));
    expect([...some].sort((a, b) => a - b)).to.deep.equal([8, 9, 10, 11]);
    // A registry of operators that fails stops no draw.
    await operators.write.setFailing([true]);
    expect(await draw(world, await ask(world, extraOf(3)))).to.have.length(3);
  });

  it("lets nobody starve the question after operators of its gas, and seat one of them twice", async () => {
    const world = await load();
    const id = await ask(world);
    const [, seedBlock] = await world.panel.read.roundOf([id, 0n]);
    await networkHelpers.mine(5);
    const header = await headerOf(world, seedBlock);
    expect(await outcome(world.panel.simulate.draw([id, header], { gas: 150_000n }))).to.equal("JurorPanelGasTooLow");
    expect(await outcome(world.panel.simulate.draw([id, header]))).to.equal("done");
  });

  it("draws in proportion to the bonds that stand behind an agent", async () => {
    const world = await load();
    const { panel, vault, owner } = world;
    await vault.write.stake([1, 33n * JUROR_BOND], { account: owner });
    await panel.write.enlist([1, 30n * JUROR_BOND], { account: owner });
    expect((await panel.read.jurorOf([1]))[2]).to.equal(33n);
    let first = 0;
    for (let k = 0; k < 30; k++) if ((await draw(world, await ask(world, extraOf(1)))).includes(1)) first++;
    // 33 of 66 bonds; under 5 or over 25 of 30 happens once in 5,000.
    expect(first).to.be.within(5, 25);
  });

  it("rules by the majority, delivers, pays who was right and slashes who was wrong or silent", async () => {
    const world = await load();
    const { panel, taker, token, vault, owner, client } = world;
    const id = await ask(world, extraOf(5));
    const jurors = await draw(world, id);
    expect(await stageOf(world, id)).to.equal("committing");
    await vote(world, id, ballot(jurors, [1, 1, 2, null, 1]));
    expect(await stageOf(world, id)).to.equal("appealing");
    expect(await panel.read.currentRuling([id])).to.equal(1n);
    expect(await panel.read.disputeStatus([id])).to.equal(1);
    expect(await outcome(panel.simulate.executeRuling([id]))).to.equal("JurorPanelWrongStage");
    await closeAppeals(world, id);
    expect(await stageOf(world, id)).to.equal("due");
    await panel.write.executeRuling([id]);
    expect(await taker.read.rulingOf([id])).to.equal(2n);
    expect(await panel.read.disputeStatus([id])).to.equal(2);
    await panel.write.settle([id, 0n]);
    // Three were right: five fees and two bonds are theirs; all agents have one owner here.
    expect(await creditOf(world, owner)).to.deep.equal([((5n * JUROR_FEE) / 3n) * 3n, 2n * JUROR_BOND]);
    expect(await creditOf(world, taker.address), "what does not divide goes back").to.deep.equal([
      (5n * JUROR_FEE) % 3n,
      0n,
    ]);
    for (const [k, agent] of jurors.entries()) {
      const isWrong = k === 2 || k === 3;
      expect((await vault.read.stakeOf([agent]))[0]).to.equal((isWrong ? 4n : 5n) * JUROR_BOND);
      expect(await panel.read.jurorOf([agent])).to.deep.equal([(isWrong ? 2n : 3n) * JUROR_BOND, 0n, 3n]);
      await panel.write.syncWeight([agent]);
      expect((await panel.read.jurorOf([agent]))[2]).to.equal(isWrong ? 2n : 3n);
    }
    const before = await client.getBalance({ address: owner });
    await panel.write.withdrawCredit([owner]);
    expect((await client.getBalance({ address: owner })) - before).to.equal(((5n * JUROR_FEE) / 3n) * 3n);
    await panel.write.withdrawCredit([taker.address]);
    expect([
      await client.getBalance({ address: panel.address }),
      await token.read.balanceOf([panel.address]),
    ]).to.deep.equal([0n, 0n]);
    expect(await outcome(panel.simulate.settle([id, 0n]))).to.equal("JurorPanelSettled");
    expect(await outcome(panel.simulate.withdrawCredit([owner]))).to.equal("JurorPanelNoCredit");
  });

  it("doubles the panel at each appeal up to a bound, and judges every round by the last one", async () => {
    const world = await load();
    const { panel, taker, appellant, vault } = world;
    const id = await ask(world, extraOf(7));
    const first = await draw(world, id);
    await vote(
      world,
      id,
      ballot(
        first,
        first.map(() => 1),
      ),
    );
    const cost = await panel.read.appealCost([id, "0x"]);
    expect(cost).to.equal(15n * JUROR_FEE);
    const poor = panel.simulate.appeal([id, "0x"], { account: appellant, value: cost - 1n });
    expect(await outcome(poor)).to.equal("JurorPanelFeeTooLow");
    await panel.write.appeal([id, "0x"], { account: appellant, value: cost + 5n });
    expect(await creditOf(world, appellant), "what was too much").to.deep.equal([5n, 0n]);
    expect(await panel.read.currentRuling([id])).to.equal(1n);
    // Twelve agents are all there are: a smaller panel than the fifteen that were asked for.
    const second = await draw(world, id);
    expect(second.length).to.be.within(10, 12);
    await vote(
      world,
      id,
      ballot(
        second,
        second.map(() => 2),
      ),
    );
    await panel.write.appeal([id, "0x"], { account: appellant, value: await panel.read.appealCost([id, "0x"]) });
    const third = await draw(world, id);
    expect(await panel.read.appealCost([id, "0x"])).to.equal(maxUint256);
    expect(await panel.read.appealPeriod([id])).to.deep.equal([0n, 0n]);
    await vote(
      world,
      id,
      ballot(
        third,
        third.map(() => 2),
      ),
    );
    expect(await stageOf(world, id)).to.equal("due");
    await panel.write.executeRuling([id]);
    expect(await taker.read.rulingOf([id])).to.equal(3n);
    for (const round of [0n, 1n, 2n]) await panel.write.settle([id, round]);
    for (const agent of first) expect((await vault.read.stakeOf([agent]))[0]).to.equal(4n * JUROR_BOND);
  });

  it("keeps the ruling of the round before where an appeal has no quorum", async () => {
    const world = await load();
    const { panel, taker, appellant } = world;
    const id = await ask(world);
    const first = await draw(world, id);
    await vote(world, id, ballot(first, [2, 2, 1]));
    await panel.write.appeal([id, "0x"], { account: appellant, value: await panel.read.appealCost([id, "0x"]) });
    const second = await draw(world, id);
    await vote(world, id, ballot(second, [1, 1, 1]));
    await closeAppeals(world, id);
    await panel.write.executeRuling([id]);
    expect(await taker.read.rulingOf([id])).to.equal(3n);
  });

  for (const [what, votes] of [
    ["silence", [undefined, undefined, undefined]],
    ["one vote of three", [1, undefined, null]],
    ["a tie", [1, 2, null]],
  ] as const) {
    it(`rules 0 on ${what}, slashes the silent, and takes nothing from who voted`, async () => {
      const world = await load();
      const { panel, taker, token, vault, owner } = world;
      const burned = await token.read.balanceOf([BURN]);
      const id = await ask(world);
      const jurors = await draw(world, id);
      await vote(world, id, ballot(jurors, votes));
      await closeAppeals(world, id);
      await panel.write.executeRuling([id]);
      expect(await taker.read.rulingOf([id])).to.equal(1n);
      await panel.write.settle([id, 0n]);
      const voters = votes.filter((choice) => choice !== undefined && choice !== null).length;
      const stakes = await Promise.all(jurors.map(async (agent) => (await vault.read.stakeOf([agent]))[0]));
      expect(stakes.filter((stake) => stake === 5n * JUROR_BOND)).to.have.length(voters);
      const [fees, bonds] = await creditOf(world, owner);
      const lost = BigInt(3 - voters) * JUROR_BOND;
      if (voters === 0) {
        expect([fees, bonds]).to.deep.equal([0n, 0n]);
        expect(await creditOf(world, taker.address)).to.deep.equal([3n * JUROR_FEE, 0n]);
        expect((await token.read.balanceOf([BURN])) - burned).to.equal(lost);
      } else expect(bonds).to.equal(lost);
    });
  }

  it("pays bonds where there are no fees, and keeps fees for an account that takes none", async () => {
    const free = await networkHelpers.loadFixture(createFreePanel);
    const id = await ask(free);
    await vote(free, id, ballot(await draw(free, id), [1, 1, 2]));
    await closeAppeals(free, id);
    await free.panel.write.executeRuling([id]);
    await free.panel.write.settle([id, 0n]);
    const before = await free.token.read.balanceOf([free.owner]);
    await free.panel.write.withdrawCredit([free.owner]);
    expect((await free.token.read.balanceOf([free.owner])) - before).to.equal(JUROR_BOND);

    const world = await load();
    // A contract that receives nothing appeals with too much: what is left over is its credit.
    const [account, over] = [world.token.address, 5n];
    await networkHelpers.impersonateAccount(account);
    await networkHelpers.setBalance(account, 10n ** 18n);
    const disputed = await ask(world);
    await vote(world, disputed, ballot(await draw(world, disputed), [1, 1, 1]));
    const value = (await world.panel.read.appealCost([disputed, "0x"])) + over;
    await world.panel.write.appeal([disputed, "0x"], { account, value });
    expect(await outcome(world.panel.simulate.withdrawCredit([account]))).to.equal("JurorPanelNotPaid");
    expect(await creditOf(world, account)).to.deep.equal([over, 0n]);
  });

  it("seals votes: none counts that is copied, changed, late, early, twice or somebody else's", async () => {
    const world = await load();
    const { panel, owner, stranger } = world;
    const id = await ask(world);
    const jurors = await draw(world, id);
    const [a, b, c] = jurors as [number, number, number];
    const outsider = [1, 2, 3, 4].find((agent) => !jurors.includes(agent)) as number;
    const by = { account: owner };
    const commit = (agent: number, commitment: Hex, account = owner) =>
      outcome(panel.write.commitVote([id, agent, commitment], { account }));
    expect(await commit(a, commitmentOf(id, 0, a, 1), stranger)).to.equal("JurorPanelNotAuthorized");
    expect(await commit(outsider, commitmentOf(id, 0, outsider, 1))).to.equal("JurorPanelNotJuror");
    expect(await commit(a, numberToHex(0, { size: 32 }))).to.equal("JurorPanelVoted");
    expect(await commit(a, commitmentOf(id, 0, a, 1))).to.equal("done");
    expect(await commit(a, commitmentOf(id, 0, a, 2))).to.equal("JurorPanelVoted");
    expect(await commit(b, commitmentOf(id, 0, a, 1)), "a copied envelope").to.equal("done");
    expect(await commit(c, commitmentOf(id, 0, c, 3)), "a choice that there is not").to.equal("done");
    const reveal = (agent: number, choice: bigint) => outcome(panel.write.revealVote([id, agent, choice, SALT], by));
    expect(await reveal(a, 1n)).to.equal("JurorPanelWrongStage");
    await networkHelpers.time.increase(PERIOD);
    expect(await commit(c, commitmentOf(id, 0, c, 1))).to.equal("JurorPanelWrongStage");
    expect(await reveal(a, 2n)).to.equal("JurorPanelBadReveal");
    expect(await reveal(b, 1n)).to.equal("JurorPanelBadReveal");
    expect(await reveal(c, 3n)).to.equal("JurorPanelBadReveal");
    expect(await reveal(a, 1n)).to.equal("done");
    expect(await reveal(a, 1n)).to.equal("JurorPanelVoted");
    expect((await panel.read.voteOf([id, 0n, a])).slice(1)).to.deep.equal([1n, true]);
    await networkHelpers.time.increase(PERIOD);
    expect(await reveal(a, 1n)).to.equal("JurorPanelWrongStage");
  });

  it("ends without jurors in the default, at once", async () => {
    const world = await load();
    const { vault, ledger, registry, token, operators } = world;
    const other = await viem.deployContract("StakeVault", [token.address, registry.address, ledger.address, 200_000]);
    const args = [other.address, operators.address, JUROR_BOND, JUROR_FEE, PERIOD] as const;
    const panel = await viem.deployContract("JurorPanel", args);
    const taker = await viem.deployContract("RulingTaker", [panel.address]);
    const empty = { ...world, panel, taker };
    const id = await ask(empty);
    expect(await draw(empty, id)).to.deep.equal([]);
    expect(await stageOf(empty, id)).to.equal("due");
    await panel.write.executeRuling([id]);
    expect(await taker.read.rulingOf([id])).to.equal(1n);
    await panel.write.settle([id, 0n]);
    expect(await creditOf(empty, taker.address)).to.deep.equal([3n * JUROR_FEE, 0n]);
    expect(await vault.read.isModule([panel.address])).to.equal(false);
  });

  it("is not stopped by an arbitrable that refuses the ruling, and delivers it later", async () => {
    const world = await load();
    const { panel, taker } = world;
    const id = await ask(world);
    await vote(world, id, ballot(await draw(world, id), [1, 1, 1]));
    await closeAppeals(world, id);
    await taker.write.setRefusing([true]);
    await viem.assertions.emitWithArgs(panel.write.executeRuling([id]), panel, "RulingRefused", [id]);
    await panel.write.settle([id, 0n]);
    await taker.write.setRefusing([false]);
    await panel.write.deliver([id]);
    expect(await taker.read.rulingOf([id])).to.equal(2n);
    expect(await outcome(panel.simulate.deliver([id]))).to.equal("JurorPanelDelivered");
  });

  it("lets nobody come or go while a draw is pending, nor take back what a seat holds", async () => {
    const world = await load();
    const { panel, owner, stranger } = world;
    const by = { account: owner };
    const id = await ask(world);
    for (const call of [
      panel.simulate.enlist([1, JUROR_BOND], by),
      panel.simulate.discharge([1, JUROR_BOND], by),
      panel.simulate.syncWeight([1]),
    ]) {
      expect(await outcome(call)).to.equal("JurorPanelDrawPending");
    }
    const [agent] = (await draw(world, id)) as [number];
    expect(await outcome(panel.simulate.discharge([agent, 2n * JUROR_BOND + 1n], by))).to.equal(
      "JurorPanelInsufficient",
    );
    await panel.write.discharge([agent, 2n * JUROR_BOND], by);
    expect(await panel.read.jurorOf([agent])).to.deep.equal([JUROR_BOND, JUROR_BOND, 1n]);
    for (const call of [
      panel.simulate.enlist([1, JUROR_BOND], { account: stranger }),
      panel.simulate.discharge([1, JUROR_BOND], { account: stranger }),
    ]) {
      expect(await outcome(call)).to.equal("JurorPanelNotAuthorized");
    }
  });

  it("passes over whose whole enlisted stake is held by other seats", async () => {
    const world = await load();
    const { panel, owner } = world;
    for (let agent = 3; agent <= JURORS; agent++)
      await panel.write.discharge([agent, 3n * JUROR_BOND], { account: owner });
    for (let k = 0; k < 3; k++) expect(await draw(world, await ask(world, extraOf(2)))).to.have.length(2);
    expect(await draw(world, await ask(world, extraOf(2)))).to.deep.equal([]);
  });

  it("refuses what it cannot judge", async () => {
    const world = await load();
    const { panel, taker, party, stranger, vault, operators } = world;
    const cost = 3n * JUROR_FEE;
    const direct = panel.simulate.createDispute([2n, "0x"], { account: stranger, value: cost });
    expect(await outcome(direct)).to.equal("JurorPanelNotArbitrable");
    const through = (choices: bigint, extra: Hex, value = cost) =>
      outcome(taker.simulate.ask([choices, extra], { account: party, value }));
    expect(await through(0n, "0x")).to.equal("JurorPanelBadChoices");
    expect(await through(17n, "0x")).to.equal("JurorPanelBadChoices");
    expect(await through(2n, "0x", cost - 1n)).to.equal("JurorPanelFeeTooLow");
    expect(await through(2n, extraOf(0))).to.equal("JurorPanelBadExtraData");
    expect(await through(2n, extraOf(32))).to.equal("JurorPanelBadExtraData");
    expect(await through(2n, extraOf(3, Array(9).fill(1) as number[]))).to.equal("JurorPanelBadExtraData");
    for (const call of [
      panel.simulate.draw([9n, "0x"]),
      panel.simulate.executeRuling([9n]),
      panel.read.currentRuling([9n]),
    ]) {
      expect(await outcome(call)).to.equal("JurorPanelUnknownDispute");
    }
    expect(await stageOf(world, 9n)).to.equal("none");
    for (const [bond, period] of [
      [0n, PERIOD],
      [1n, 0],
    ] as const) {
      const args = [vault.address, operators.address, bond, JUROR_FEE, period] as const;
      expect(await outcome(viem.deployContract("JurorPanel", args))).to.equal("JurorPanelBadTerms");
    }
    const unasked = await viem.deployContract("JurorPanel", [vault.address, zeroAddress, 1n, 0n, 1]);
    expect(getAddress(unasked.address)).to.not.equal(getAddress(panel.address));
  });
});
