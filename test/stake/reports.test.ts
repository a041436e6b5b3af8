import { expect } from "chai";
import { network } from "hardhat";
import { encodeFunctionData, getAddress, numberToHex, parseEventLogs, type Hex } from "viem";
import { reportCommitmentOf, topicIdOf } from "#protocol";
import { at, solveHonestly, TrustGraph, withWords, type Epoch } from "../reputation-contracts/trust-graph.ts";
import {
  BURN_ACCOUNT,
  commit,
  deployWorld,
  edgeChallenge,
  errorNameOf,
  goTo,
  PUBLISHER_BOND,
  record,
  registerAgents,
  stake,
  type World,
} from "../reputation-contracts/world.ts";

const chain = await network.create();
const SALT = numberToHex(41, { size: 32 });
const PUBLISHER = 3;

/** Epoch 1 is closed; its one candidate is false in the last leaf. */
async function commitForgery() {
  const world = await deployWorld(chain);
  await registerAgents(world, world.accounts.owner, 2);
  await registerAgents(world, world.accounts.publisher, 1);
  await stake(world, 1, 1_000n);
  await stake(world, PUBLISHER, 4n * PUBLISHER_BOND);
  const graph = new TrustGraph(topicIdOf("code_generation"));
  await record(world, graph, [1, 2, 80, 0]);
  await record(world, graph, [2, 1, 60, 0]);
  const honest = solveHonestly(graph.close((agentId) => (agentId === 1 ? 1_000n : 0n)));
  await goTo(world, 2n);
  const last = honest.words.length - 1;
  const forged: Epoch = withWords(honest, honest.words.with(last, at(honest.words, last) + (1n << 160n)));
  const candidateId = await commit(world, [forged], { publisher: PUBLISHER, account: world.accounts.publisher });
  const call = encodeFunctionData({
    abi: world.epochs.abi,
    functionName: "challengeEdge",
    args: edgeChallenge(candidateId, forged, true).args as never,
  });
  return { world, candidateId, call };
}

const by = (account: Hex) => ({ account });

/** What a report of this account would end in now. */
async function outcomeOf({ vault, epochs }: World, reporter: Hex, call: Hex, salt = SALT): Promise<string> {
  return await vault.simulate.report([epochs.address, call, salt], by(reporter)).then(() => "struck", errorNameOf);
}

async function reserve({ vault, epochs }: World, reporter: Hex, call: Hex, sender = reporter): Promise<Hex> {
  const commitment = reportCommitmentOf({ reporter, module: epochs.address, call, salt: SALT });
  await vault.write.reserve([commitment], by(sender));
  return commitment;
}

describe("Reports", () => {
  const load = () => chain.networkHelpers.loadFixture(commitForgery);

  it("pay half of the bond to who reserved the report in an earlier block", async () => {
    const { world, candidateId, call } = await load();
    const { accounts, token, vault, epochs } = world;
    const commitment = await reserve(world, accounts.challenger, call);
    expect(await vault.read.reservedAt([commitment])).to.equal(await world.client.getBlockNumber());
    const hash = await vault.write.report([epochs.address, call, SALT], by(accounts.challenger));
    const { logs } = await world.client.getTransactionReceipt({ hash });
    const [struck] = parseEventLogs({ abi: epochs.abi, logs, eventName: "CandidateStruck" });
    expect(struck?.args).to.deep.include({
      candidateId,
      challenger: getAddress(accounts.challenger),
      slashed: PUBLISHER_BOND,
      reward: PUBLISHER_BOND / 2n,
    });
    expect(await token.read.balanceOf([accounts.challenger])).to.equal(PUBLISHER_BOND / 2n);
    expect(await token.read.balanceOf([BURN_ACCOUNT])).to.equal(PUBLISHER_BOND / 2n);
    expect(await vault.read.reservedAt([commitment]), "used up").to.equal(0n);
  });

  it("pay nobody who copies one that waits to be mined: neither sent alone, nor reserved in the same block", async () => {
    const { world, call } = await load();
    const { accounts, vault, epochs, token, challenger, client, viem } = world;
    await reserve(world, accounts.challenger, call);
    const thief = await viem.getWalletClient(accounts.rival);
    const testClient = await viem.getTestClient();
    await testClient.setAutomine(false);
    try {
      // The thief pays more for each, so that both of its transactions come first in the block.
      const dear = { maxFeePerGas: 10n ** 12n, maxPriorityFeePerGas: 10n ** 11n, gas: 1_000_000n };
      const stolen = reportCommitmentOf({ reporter: accounts.rival, module: epochs.address, call, salt: SALT });
      const reserved = await thief.writeContract({
        ...{ address: vault.address, abi: vault.abi, functionName: "reserve", args: [stolen], ...dear },
      });
      const copied = await thief.writeContract({
        ...{ address: vault.address, abi: vault.abi, functionName: "report", ...dear },
        args: [epochs.address, call, SALT],
      });
      const shown = await challenger.writeContract({
        ...{ address: vault.address, abi: vault.abi, functionName: "report", gas: 1_000_000n },
        args: [epochs.address, call, SALT],
      });
      await testClient.mine({ blocks: 1 });
      const statuses = [];
      for (const hash of [reserved, copied, shown]) {
        const { status, transactionIndex } = await client.getTransactionReceipt({ hash });
        statuses.push([status, transactionIndex]);
      }
      expect(statuses).to.deep.equal([
        ["success", 0],
        ["reverted", 1],
        ["success", 2],
      ]);
    } finally {
      await testClient.setAutomine(true);
    }
    expect(await token.read.balanceOf([accounts.challenger])).to.equal(PUBLISHER_BOND / 2n);
    expect(await token.read.balanceOf([accounts.rival])).to.equal(0n);
  });

  it("leave the reward burned where somebody strikes without a reservation: spite pays nothing", async () => {
    const { world, candidateId, call } = await load();
    const { accounts, token } = world;
    await reserve(world, accounts.challenger, call);
    const rival = await world.viem.getWalletClient(accounts.rival);
    await rival.sendTransaction({ to: world.epochs.address, data: call });
    expect((await world.epochs.read.candidateOf([candidateId]))[3]).to.equal(3);
    expect(await token.read.balanceOf([accounts.rival])).to.equal(0n);
    expect(await token.read.balanceOf([BURN_ACCOUNT])).to.equal(PUBLISHER_BOND);
    expect(await outcomeOf(world, accounts.challenger, call)).to.equal("ReputationEpochsStruck");
  });

  it("serve the reserved call of the reserved account alone, and once", async () => {
    const { world, call } = await load();
    const { accounts } = world;
    // Whoever sends a reservation, it belongs to the address in it.
    const commitment = await reserve(world, accounts.challenger, call, accounts.stranger);
    const first = await world.vault.read.reservedAt([commitment]);
    await reserve(world, accounts.challenger, call, accounts.rival);
    expect(await world.vault.read.reservedAt([commitment]), "kept from the first on").to.equal(first);
    expect(await outcomeOf(world, accounts.rival, call)).to.equal("StakeVaultNotReserved");
    expect(await outcomeOf(world, accounts.challenger, `${call}00`)).to.equal("StakeVaultNotReserved");
    expect(await outcomeOf(world, accounts.challenger, call, numberToHex(42, { size: 32 }))).to.equal(
      "StakeVaultNotReserved",
    );
    expect(await outcomeOf(world, accounts.challenger, call)).to.equal("struck");
    await world.vault.write.report([world.epochs.address, call, SALT], by(accounts.challenger));
    expect(await outcomeOf(world, accounts.challenger, call)).to.equal("StakeVaultNotReserved");
  });

  it("keep the reservation of one that the module refuses, and pass its reason on", async () => {
    const { world } = await load();
    const { accounts, vault, epochs } = world;
    const early = encodeFunctionData({ abi: epochs.abi, functionName: "strikeUnavailable", args: [1n << 32n, 1n, 0n] });
    const commitment = await reserve(world, accounts.challenger, early);
    await world.networkHelpers.mine();
    expect(await outcomeOf(world, accounts.challenger, early)).to.equal("ReputationEpochsNoRequest");
    expect(await vault.read.reservedAt([commitment])).to.not.equal(0n);
  });

  it("reach the vault's modules only", async () => {
    const { world, call } = await load();
    const { accounts, vault, token } = world;
    const onToken = vault.simulate.report([token.address, call, SALT], by(accounts.challenger));
    expect(await onToken.then(() => "done", errorNameOf)).to.equal("StakeVaultNotModule");
    expect(BigInt(await vault.read.reporter())).to.equal(0n);
  });

  it("are not made within one another: no module hands on another reporter's reward", async () => {
    const { viem, registry, token, ledger, vault: wired } = (await load()).world;
    const delay = await wired.read.unbondingDelay();
    const vault = await viem.deployContract("StakeVault", [token.address, registry.address, ledger.address, delay]);
    // A module that does whatever the vault's call tells it: here, one more report.
    const module = await viem.deployContract("ExecutingWallet", [vault.address]);
    await vault.write.setModules([[module.address]]);
    const [reporter] = (await viem.getWalletClients()).map(({ account }) => account.address) as [Hex];
    const inner = encodeFunctionData({ abi: vault.abi, functionName: "report", args: [module.address, "0x", SALT] });
    const call = encodeFunctionData({ abi: module.abi, functionName: "execute", args: [vault.address, inner] });
    await vault.write.reserve([reportCommitmentOf({ reporter, module: module.address, call, salt: SALT })]);
    await viem.assertions.revertWithCustomErrorWithArgs(
      vault.write.report([module.address, call, SALT], { account: reporter }),
      vault,
      "StakeVaultNestedReport",
      [getAddress(reporter)],
    );
  });
});
