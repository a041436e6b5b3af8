import { expect } from "chai";
import { getAddress, zeroAddress, type Address, type Hex } from "viem";
import { createSettlement, EPOCH_LENGTH, signerAt, UNBONDING_DELAY } from "../settlement/fixture.ts";

const s = await createSettlement();
const { vault, token, ledger, client, provider, stranger, networkHelpers } = s;
const agentId = Number(provider.agentId);
const byOwner = { account: provider.account };
const module = signerAt(10).address;
const otherModule = signerAt(11).address;
const reporter = signerAt(12).address;
const BURN: Address = "0x000000000000000000000000000000000000dEaD";
await s.endow(provider.account);

type VaultError = Parameters<typeof s.viem.assertions.revertWithCustomError<typeof vault>>[2];
const expectRefusal = (call: Promise<Hex>, name: VaultError, args: unknown[]) =>
  s.viem.assertions.revertWithCustomErrorWithArgs(call, vault, name, args as never);
const stakeOf = async (id = agentId) => (await vault.read.stakeOf([id]))[0];
const lockedOf = async (id = agentId) => (await vault.read.stakeOf([id]))[1];

/** Moves to the start of the next epoch, so that a test has one to itself. */
async function enterNextEpoch(): Promise<void> {
  const genesis = await ledger.read.genesis();
  const epoch = await ledger.read.epoch();
  await networkHelpers.time.increaseTo(genesis + epoch * EPOCH_LENGTH);
}

describe("StakeVault modules", () => {
  it("are nobody until the deployer names them, once", async () => {
    await expectRefusal(vault.write.lock([agentId, 1n], { account: module }), "StakeVaultNotModule", [module]);
    await expectRefusal(
      vault.write.setModules([[stranger.address]], { account: stranger.address }),
      "StakeVaultNotDeployer",
      [stranger.address],
    );
    await s.viem.assertions.emitWithArgs(vault.write.setModules([[module, otherModule]]), vault, "ModulesSet", [
      [module, otherModule],
    ]);
    expect(await vault.read.isModule([module])).to.equal(true);
    expect(await vault.read.isModule([stranger.address])).to.equal(false);
    await expectRefusal(vault.write.setModules([[stranger.address]]), "StakeVaultModulesSet", []);
  });

  it("alone lock, unlock and slash", async () => {
    const account = stranger.address;
    for (const call of [
      vault.write.lock([agentId, 1n], { account }),
      vault.write.unlock([agentId, 1n], { account }),
      vault.write.slash([agentId, 1n, 0n, account], { account }),
    ]) {
      await expectRefusal(call, "StakeVaultNotModule", [account]);
    }
  });

  it("read what they were deployed with", async () => {
    expect(getAddress(await vault.read.token())).to.equal(getAddress(token.address));
    expect(getAddress(await vault.read.clock())).to.equal(getAddress(ledger.address));
    expect(getAddress(await vault.read.registry())).to.equal(getAddress(s.registry.address));
    expect(await vault.read.unbondingDelay()).to.equal(UNBONDING_DELAY);
  });
});

describe("StakeVault.stake", () => {
  it("adds, from anyone, and tells who paid", async () => {
    const before = await stakeOf();
    const epoch = await ledger.read.epoch();
    await s.viem.assertions.emitWithArgs(
      vault.write.stake([agentId, 500n], { account: stranger.address }),
      vault,
      "Staked",
      [agentId, stranger.address, 500n, before + 500n, epoch],
    );
    expect(await stakeOf()).to.equal(before + 500n);
  });

  it("refuses nothing, an unknown agent, and more than 112 bits", async () => {
    await expectRefusal(vault.write.stake([agentId, 0n], byOwner), "StakeVaultZeroAmount", []);
    await expectRefusal(vault.write.stake([4_000, 1n], byOwner), "StakeVaultUnknownAgent", [4_000n]);
    await expectRefusal(vault.write.stake([0, 1n], byOwner), "StakeVaultUnknownAgent", [0n]);
    const room = 2n ** 112n - 1n - (await stakeOf());
    for (const amount of [room + 1n, 2n ** 256n - 1n]) {
      await expectRefusal(vault.write.stake([agentId, amount], byOwner), "StakeVaultTooMuch", [agentId, amount, room]);
    }
  });

  it("counts what arrives and refuses a fee on transfer", async () => {
    const fee = await s.viem.deployContract("HostileToken");
    const other = await s.viem.deployContract("StakeVault", [
      fee.address,
      s.registry.address,
      ledger.address,
      UNBONDING_DELAY,
    ]);
    await fee.write.mint([client.account, 1_000n]);
    await fee.write.approve([other.address, 1_000n], { account: client.account });
    await fee.write.setFee([1_000n]);
    await s.viem.assertions.revertWithCustomErrorWithArgs(
      other.write.stake([1, 1_000n], { account: client.account }),
      other,
      "StakeVaultShortfall",
      [1_000n, 900n],
    );
  });
});

describe("StakeVault.stakeAt", () => {
  it("is the stake at the close of the last epoch, whatever happens in this one", async () => {
    await enterNextEpoch();
    const closed = await stakeOf();
    expect(await vault.read.stakeAt([agentId])).to.equal(closed);
    await vault.write.stake([agentId, 1_000n], byOwner);
    await vault.write.stake([agentId, 1_000n], byOwner);
    await vault.write.startUnbonding([agentId, 300n], byOwner);
    await vault.write.lock([agentId, 700n], { account: module });
    await vault.write.slash([agentId, 700n, 0n, reporter], { account: module });
    expect(await vault.read.stakeAt([agentId])).to.equal(closed);
    expect(await stakeOf()).to.equal(closed + 1_000n);
  });

  it("changes at the first second of the next epoch and stays through quiet ones", async () => {
    await enterNextEpoch();
    const closed = await stakeOf();
    await vault.write.stake([agentId, 50n], byOwner);
    const end = (await ledger.read.genesis()) + (await ledger.read.epoch()) * EPOCH_LENGTH;
    await networkHelpers.time.increaseTo(end - 1n);
    expect(await vault.read.stakeAt([agentId])).to.equal(closed);
    await networkHelpers.time.increaseTo(end);
    expect(await vault.read.stakeAt([agentId])).to.equal(closed + 50n);
    await networkHelpers.time.increase(10n * EPOCH_LENGTH);
    expect(await vault.read.stakeAt([agentId])).to.equal(closed + 50n);
    await vault.write.stake([agentId, 1n], byOwner);
    expect(await vault.read.stakeAt([agentId])).to.equal(closed + 50n);
  });

  it("is 0 for an agent that staked in this epoch first, or never", async () => {
    await enterNextEpoch();
    const agent = await s.registerAgent(5);
    await vault.write.stake([Number(agent.agentId), 10n], byOwner);
    expect(await vault.read.stakeAt([Number(agent.agentId)])).to.equal(0n);
    expect(await vault.read.stakeAt([4_000])).to.equal(0n);
  });
});

describe("StakeVault.startUnbonding and withdraw", () => {
  it("pay the owner once the delay is over, to the second", async () => {
    await vault.write.stake([agentId, 900n], byOwner);
    const now = (await networkHelpers.time.latest()) + 10;
    await s.atSecond(now);
    const staked = await stakeOf();
    const epoch = (BigInt(now) - (await ledger.read.genesis())) / EPOCH_LENGTH + 1n;
    const due = now + UNBONDING_DELAY;
    const [, , waiting] = await vault.read.stakeOf([agentId]);
    await s.viem.assertions.emitWithArgs(
      vault.write.startUnbonding([agentId, 900n], byOwner),
      vault,
      "UnbondingStarted",
      [agentId, 900n, due, staked - 900n, epoch],
    );
    await s.atSecond(due - 1);
    await expectRefusal(vault.write.withdraw([agentId]), "StakeVaultTooEarly", [agentId, due, BigInt(due - 1)]);
    await s.atSecond(due);
    const before = await token.read.balanceOf([provider.account]);
    await vault.write.withdraw([agentId], { account: stranger.address });
    expect((await token.read.balanceOf([provider.account])) - before).to.equal(900n + waiting);
    await expectRefusal(vault.write.withdraw([agentId]), "StakeVaultNothingUnbonding", [agentId]);
  });

  it("start anew with every addition", async () => {
    await vault.write.stake([agentId, 100n], byOwner);
    await vault.write.startUnbonding([agentId, 40n], byOwner);
    await networkHelpers.time.increase(UNBONDING_DELAY - 10);
    const now = (await networkHelpers.time.latest()) + 5;
    await s.atSecond(now);
    await vault.write.startUnbonding([agentId, 60n], byOwner);
    const [, , unbonding, withdrawableAt] = await vault.read.stakeOf([agentId]);
    expect([unbonding, withdrawableAt]).to.deep.equal([100n, now + UNBONDING_DELAY]);
  });

  it("are refused to strangers, for nothing, for unknown agents and for locked stake", async () => {
    await expectRefusal(
      vault.write.startUnbonding([agentId, 1n], { account: stranger.address }),
      "StakeVaultNotAuthorized",
      [agentId, stranger.address],
    );
    await expectRefusal(vault.write.startUnbonding([agentId, 0n], byOwner), "StakeVaultZeroAmount", []);
    await expectRefusal(vault.write.startUnbonding([4_000, 1n], byOwner), "StakeVaultUnknownAgent", [4_000n]);
    await vault.write.stake([agentId, 100n], byOwner);
    const staked = await stakeOf();
    await vault.write.lock([agentId, 60n], { account: module });
    await expectRefusal(vault.write.startUnbonding([agentId, staked - 59n], byOwner), "StakeVaultInsufficient", [
      agentId,
      staked - 60n,
      staked - 59n,
    ]);
    await vault.write.startUnbonding([agentId, staked - 60n], byOwner);
    expect([await stakeOf(), await lockedOf()]).to.deep.equal([60n, 60n]);
    await vault.write.unlock([agentId, 60n], { account: module });
  });
});

describe("StakeVault locks and slashes", () => {
  it("never exceed the stake, over all modules together", async () => {
    await vault.write.stake([agentId, 100n], byOwner);
    const staked = await stakeOf();
    await vault.write.lock([agentId, staked - 10n], { account: module });
    await expectRefusal(vault.write.lock([agentId, 11n], { account: otherModule }), "StakeVaultInsufficient", [
      agentId,
      10n,
      11n,
    ]);
    await s.viem.assertions.emitWithArgs(vault.write.lock([agentId, 10n], { account: otherModule }), vault, "Locked", [
      agentId,
      otherModule,
      10n,
      10n,
    ]);
    await expectRefusal(vault.write.lock([agentId, 0n], { account: module }), "StakeVaultZeroAmount", []);
  });

  it("reach the calling module's own lock only", async () => {
    for (const call of [
      vault.write.unlock([agentId, 11n], { account: otherModule }),
      vault.write.slash([agentId, 11n, 0n, reporter], { account: otherModule }),
    ]) {
      await expectRefusal(call, "StakeVaultExceedsLock", [agentId, otherModule, 10n, 11n]);
    }
    await s.viem.assertions.emitWithArgs(
      vault.write.unlock([agentId, 4n], { account: otherModule }),
      vault,
      "Unlocked",
      [agentId, otherModule, 4n, 6n],
    );
    expect(await vault.read.lockOf([agentId, otherModule])).to.equal(6n);
  });

  it("pay the reporter, burn the rest, and end at zero", async () => {
    const staked = await stakeOf();
    const burned = await token.read.balanceOf([BURN]);
    const held = await token.read.balanceOf([vault.address]);
    const epoch = await ledger.read.epoch();
    await expectRefusal(
      vault.write.slash([agentId, 6n, 7n, reporter], { account: otherModule }),
      "StakeVaultRewardTooHigh",
      [7n, 6n],
    );
    await s.viem.assertions.emitWithArgs(
      vault.write.slash([agentId, 6n, 2n, reporter], { account: otherModule }),
      vault,
      "Slashed",
      [agentId, otherModule, reporter, 6n, 2n, staked - 6n, epoch],
    );
    expect(await token.read.balanceOf([reporter])).to.equal(2n);
    expect((await token.read.balanceOf([BURN])) - burned).to.equal(4n);
    expect(await token.read.balanceOf([vault.address])).to.equal(held - 6n);
    expect(await vault.read.lockOf([agentId, otherModule])).to.equal(0n);
    await expectRefusal(
      vault.write.slash([agentId, 0n, 0n, reporter], { account: otherModule }),
      "StakeVaultZeroAmount",
      [],
    );
  });

  it("are not blocked by a reporter that cannot be paid", async () => {
    const hostile = await s.viem.deployContract("HostileToken");
    const other = await s.viem.deployContract("StakeVault", [
      hostile.address,
      s.registry.address,
      ledger.address,
      UNBONDING_DELAY,
    ]);
    await other.write.setModules([[module]]);
    await hostile.write.mint([client.account, 100n]);
    await hostile.write.approve([other.address, 100n], { account: client.account });
    await other.write.stake([1, 100n], { account: client.account });
    await other.write.lock([1, 100n], { account: module });
    for (const account of [reporter, BURN]) await hostile.write.setBlocked([account, true]);
    await other.write.slash([1, 100n, 30n, reporter], { account: module });
    expect(await other.read.creditOf([reporter])).to.equal(30n);
    expect(await other.read.creditOf([BURN])).to.equal(70n);
    expect((await other.read.stakeOf([1]))[0]).to.equal(0n);
    await s.viem.assertions.emitWithArgs(
      other.write.withdrawCredit([client.account], { account: reporter }),
      other,
      "CreditWithdrawn",
      [reporter, getAddress(client.account), 30n],
    );
    await s.viem.assertions.revertWithCustomErrorWithArgs(
      other.write.withdrawCredit([client.account], { account: reporter }),
      other,
      "StakeVaultNoCredit",
      [reporter],
    );
  });
});

describe("StakeVault.freeze and seize", () => {
  /** An agent with a thousand staked, 300 of it held by the other module and 400 on the way out. */
  async function leavingAgent(): Promise<number> {
    const owner = { account: signerAt(6).address };
    const agent = Number((await s.registry.simulate.register([""], owner)).result);
    await s.registry.write.register([""], owner);
    await vault.write.stake([agent, 1_000n], byOwner);
    await vault.write.lock([agent, 300n], { account: otherModule });
    await vault.write.startUnbonding([agent, 400n], owner);
    return agent;
  }
  const holdings = async (agent: number) => {
    const [staked, locked, unbonding] = await vault.read.stakeOf([agent]);
    return { staked, locked, unbonding };
  };

  it("reach what unbonds, after what is free, and no other module's lock", async () => {
    const agent = await leavingAgent();
    const epoch = await ledger.read.epoch();
    const hash = await vault.write.freeze([agent, 450n], { account: module });
    for (const [name, args] of [
      ["Rebonded", [agent, 150n, 750n, epoch]],
      ["Locked", [agent, getAddress(module), 450n, 450n]],
    ] as const) {
      await s.viem.assertions.emitWithArgs(Promise.resolve(hash), vault, name, [...args]);
    }
    expect(await holdings(agent)).to.deep.equal({ staked: 750n, locked: 750n, unbonding: 250n });
    await vault.write.freeze([agent, 10_000n], { account: module });
    expect(await holdings(agent)).to.deep.equal({ staked: 1_000n, locked: 1_000n, unbonding: 0n });
    expect(await vault.read.lockOf([agent, otherModule])).to.equal(300n);
    for (const call of [
      vault.write.freeze([agent, 1n], { account: module }),
      vault.write.seize([agent, 1n, reporter], { account: module }),
    ]) {
      await expectRefusal(call, "StakeVaultNothingToTake", [agent]);
    }
  });

  it("hold frozen stake: it neither leaves nor backs anything else, until it is unlocked or slashed", async () => {
    const agent = await leavingAgent();
    const owner = { account: signerAt(6).address };
    await vault.write.freeze([agent, 700n], { account: module });
    await networkHelpers.time.increase(2 * UNBONDING_DELAY);
    await expectRefusal(vault.write.withdraw([agent]), "StakeVaultNothingUnbonding", [agent]);
    await expectRefusal(vault.write.startUnbonding([agent, 1n], owner), "StakeVaultInsufficient", [agent, 0n, 1n]);
    await expectRefusal(vault.write.lock([agent, 1n], { account: otherModule }), "StakeVaultInsufficient", [
      agent,
      0n,
      1n,
    ]);
    await vault.write.slash([agent, 500n, 0n, reporter], { account: module });
    await vault.write.unlock([agent, 200n], { account: module });
    expect(await holdings(agent)).to.deep.equal({ staked: 500n, locked: 300n, unbonding: 0n });
    await vault.write.startUnbonding([agent, 200n], owner);
    const [, , , withdrawableAt] = await vault.read.stakeOf([agent]);
    expect(withdrawableAt, "the delay starts anew").to.equal((await networkHelpers.time.latest()) + UNBONDING_DELAY);
  });

  it("pay half of what is seized to the reporter, and burn all of it where there is none", async () => {
    const agent = await leavingAgent();
    const epoch = await ledger.read.epoch();
    const balances = async () => [await token.read.balanceOf([reporter]), await token.read.balanceOf([BURN])] as const;
    const [paidBefore, burnedBefore] = await balances();
    await s.viem.assertions.emitWithArgs(
      vault.write.seize([agent, 401n, reporter], { account: module }),
      vault,
      "Seized",
      [agent, getAddress(module), getAddress(reporter), 401n, 101n, 200n, 300n, epoch],
    );
    const [paid, burned] = await balances();
    expect([paid - paidBefore, burned - burnedBefore]).to.deep.equal([200n, 201n]);
    await vault.write.seize([agent, 1_000n, zeroAddress], { account: module });
    expect((await token.read.balanceOf([BURN])) - burned).to.equal(299n);
    expect(await holdings(agent)).to.deep.equal({ staked: 300n, locked: 300n, unbonding: 0n });
  });

  it("end with the withdrawal: what has left is out of reach, and it cannot leave before the delay", async () => {
    const agent = await leavingAgent();
    await vault.write.seize([agent, 300n, zeroAddress], { account: module });
    await networkHelpers.time.increase(UNBONDING_DELAY);
    await vault.write.withdraw([agent]);
    await expectRefusal(vault.write.freeze([agent, 1n], { account: module }), "StakeVaultNothingToTake", [agent]);
  });

  it("leave unbonding what finds no room in 112 bits", async () => {
    const { agentId: id } = await s.registerAgent(7);
    const agent = Number(id);
    await vault.write.stake([agent, 100n], byOwner);
    await vault.write.startUnbonding([agent, 100n], { account: signerAt(7).address });
    await token.write.mint([provider.account, 2n ** 112n]);
    await vault.write.stake([agent, 2n ** 112n - 41n], byOwner);
    await vault.write.freeze([agent, 2n ** 112n], { account: module });
    expect(await holdings(agent)).to.deep.equal({ staked: 2n ** 112n - 1n, locked: 2n ** 112n - 1n, unbonding: 60n });
  });

  it("are the modules' alone", async () => {
    const account = stranger.address;
    for (const call of [
      vault.write.freeze([agentId, 1n], { account }),
      vault.write.seize([agentId, 1n, account], { account }),
    ]) {
      await expectRefusal(call, "StakeVaultNotModule", [account]);
    }
  });

  it("need a vault whose delay outlasts two epochs", async () => {
    const args = [token.address, s.registry.address, ledger.address] as const;
    const min = 2n * EPOCH_LENGTH;
    await s.viem.assertions.revertWithCustomErrorWithArgs(
      s.viem.deployContract("StakeVault", [...args, Number(min) - 1]),
      vault,
      "StakeVaultShortDelay",
      [Number(min) - 1, min],
    );
    await s.viem.deployContract("StakeVault", [...args, Number(min)]);
  });
});
