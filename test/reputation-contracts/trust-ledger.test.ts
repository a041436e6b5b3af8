import { expect } from "chai";
import { network } from "hardhat";
import { getAddress, numberToHex, parseEventLogs, type Hex } from "viem";
import { topicIdOf } from "#protocol";
import { deployWorld, EPOCH_LENGTH, errorNameOf, goTo, registerAgents } from "./world.ts";

const chain = await network.create();
const TOPIC = topicIdOf("code_generation");
const MAX_ROW_SUM = 1 << 24;

async function deployWithAgents() {
  const world = await deployWorld(chain);
  await registerAgents(world, world.accounts.owner, 3);
  const rate = (client: number, provider: number, satisfied: number, unsatisfied = 0, topic = TOPIC) =>
    world.ledger.write.record([topic, client, provider, satisfied, unsatisfied], { account: world.accounts.recorder });
  return { ...world, world, rate };
}

const load = () => chain.networkHelpers.loadFixture(deployWithAgents);

async function nameOfError(call: Promise<unknown>): Promise<string> {
  return await call.then(() => "no error", errorNameOf);
}

describe("TrustLedger", () => {
  it("counts epochs from 1 at its deployment, and a bucket has its length", async () => {
    const { ledger, genesis, networkHelpers, world } = await load();
    expect(await ledger.read.epoch()).to.equal(1n);
    await networkHelpers.time.increaseTo(genesis + EPOCH_LENGTH - 1n);
    expect(await ledger.read.epoch()).to.equal(1n);
    await goTo(world, 2n);
    expect(await ledger.read.epoch()).to.equal(2n);
  });

  it("refuses an epoch without length", async () => {
    const { viem, registry } = await load();
    expect(await nameOfError(viem.deployContract("TrustLedger", [0n, registry.address]))).to.equal(
      "TrustLedgerZeroEpochLength",
    );
  });

  it("lets the deployer name recorders once, and only recorders record", async () => {
    const { ledger, accounts, viem, registry } = await load();
    const { stranger, recorder } = accounts;
    const fresh = await viem.deployContract("TrustLedger", [EPOCH_LENGTH, registry.address]);
    expect(await nameOfError(fresh.simulate.setRecorders([[stranger]], { account: stranger }))).to.equal(
      "TrustLedgerNotDeployer",
    );
    expect(await nameOfError(ledger.simulate.setRecorders([[stranger]]))).to.equal("TrustLedgerRecordersSet");
    expect(await ledger.read.isRecorder([recorder])).to.equal(true);
    const call = ledger.simulate.record([TOPIC, 1, 2, 5, 0], { account: stranger });
    expect(await nameOfError(call)).to.equal("TrustLedgerNotRecorder");
  });

  it("seats an agent that joins once, by its owner or who is approved, and nobody else", async () => {
    const { ledger, registry, accounts, world } = await load();
    const join = (account = accounts.owner, agentId = 1, topic = TOPIC) =>
      nameOfError(ledger.write.join([topic, agentId], { account }));
    expect(await join(accounts.stranger)).to.equal("TrustLedgerNotAuthorized");
    expect(await join(accounts.owner, 1, 0n)).to.equal("TrustLedgerZeroTopic");
    expect(await join(accounts.owner, 99)).to.equal("ERC721NonexistentToken");
    expect(await join()).to.equal("no error");
    expect(await join()).to.equal("no error");
    await registry.write.approve([accounts.stranger, 2n], { account: accounts.owner });
    expect(await join(accounts.stranger, 2)).to.equal("no error");
    expect(await ledger.read.seatsAt([TOPIC]), "before the close").to.equal(0);
    await goTo(world, 2n);
    expect(await ledger.read.seatsAt([TOPIC])).to.equal(3);
    expect(await ledger.read.nodeAt([TOPIC, 1])).to.deep.equal([1, 0, 0]);
    expect(await ledger.read.nodeAt([TOPIC, 2])).to.deep.equal([2, 0, 0]);
    expect(await ledger.read.nodeAt([TOPIC, 3])).to.deep.equal([0, 0, 0]);
  });

  it("ignores what names no topic, no agent or one agent twice", async () => {
    const { client, rate } = await load();
    for (const hash of [await rate(1, 2, 5, 0, 0n), await rate(0, 2, 5), await rate(1, 0, 5), await rate(1, 1, 5)]) {
      const { logs, status } = await client.getTransactionReceipt({ hash });
      expect([logs.length, status]).to.deep.equal([0, "success"]);
    }
  });

  it("keeps a row at its bound by taking the excess off the satisfied sum", async () => {
    const { ledger, rate, world, client } = await load();
    await rate(1, 2, MAX_ROW_SUM - 100, 0);
    const hash = await rate(1, 3, 250, 50);
    const { logs } = await client.getTransactionReceipt({ hash });
    const [recorded] = parseEventLogs({ abi: ledger.abi, logs, eventName: "Recorded" });
    expect([recorded?.args.satisfied, recorded?.args.weight]).to.deep.equal([150, 100]);
    expect(await ledger.read.pairOf([TOPIC, 1, 3])).to.deep.equal([150, 50]);
    // Room that an unsatisfied rating makes in one pair can be used by another.
    await rate(1, 2, 0, 40);
    await rate(1, 3, 60, 0);
    await goTo(world, 2n);
    expect(await ledger.read.nodeAt([TOPIC, 1])).to.deep.equal([1, MAX_ROW_SUM, 0]);
    const [seat, inDegree, edges] = await ledger.read.rowAt([TOPIC, 3, 0n, 10n]);
    expect([seat, inDegree, edges]).to.deep.equal([3, 1, [(1n << 48n) | 140n]]);
  });

  it("lists a pair when its weight first exceeds 0, and keeps it when the weight is gone", async () => {
    const { ledger, rate, world } = await load();
    await rate(1, 2, 0, 10);
    await rate(3, 2, 5, 0);
    await rate(1, 2, 20, 0);
    await rate(3, 2, 0, 50);
    await goTo(world, 2n);
    await rate(1, 2, 0, 100);
    const [, inDegree, edges] = await ledger.read.rowAt([TOPIC, 2, 0n, 10n]);
    expect([inDegree, edges]).to.deep.equal([2, [3n << 48n, (1n << 48n) | 10n]]);
    expect((await ledger.read.rowAt([TOPIC, 2, 1n, 2n]))[2]).to.deep.equal([(1n << 48n) | 10n]);
    expect((await ledger.read.rowAt([TOPIC, 2, 2n, 9n]))[2]).to.deep.equal([]);
    expect((await ledger.read.rowAt([TOPIC, 2, 2n, 1n]))[2]).to.deep.equal([]);
  });

  it("gives every page of a row as it gives the whole, wherever it begins in a slot of eight seats", async () => {
    const { ledger, rate, world } = await load();
    const [provider, inDegree] = [1, 11];
    await registerAgents(world, world.accounts.owner, inDegree - 2);
    for (let client = 2; client <= inDegree + 1; client++) await rate(client, provider, client);
    await goTo(world, 2n);
    const page = async (from: number, to: number) =>
      (await ledger.read.rowAt([TOPIC, provider, BigInt(from), BigInt(to)]))[2];
    const whole = await page(0, 99);
    expect(whole).to.have.length(inDegree);
    for (let from = 0; from <= inDegree; from++)
      expect(await page(from, from + 3), `from ${from}`).to.deep.equal(whole.slice(from, from + 3));
  });

  it("moves no trust between two agents of one operator, and does not even seat them", async () => {
    const { ledger, viem, rate, world } = await load();
    const operators = await viem.deployContract("OperatorTable");
    await ledger.write.setOperators([operators.address]);
    const [one, other] = [1, 2].map((n) => numberToHex(n, { size: 32 })) as [Hex, Hex];
    await operators.write.set([1n, one]);
    await operators.write.set([2n, one]);
    await rate(1, 2, 80);
    await rate(2, 1, 80);
    await operators.write.set([3n, other]);
    await rate(1, 3, 70);
    expect(await ledger.read.pairOf([TOPIC, 1, 2])).to.deep.equal([0, 0]);
    expect(await ledger.read.pairOf([TOPIC, 1, 3])).to.deep.equal([70, 0]);
    await goTo(world, 2n);
    expect(await ledger.read.nodeAt([TOPIC, 2]), "no seat").to.deep.equal([0, 0, 0]);
    expect(await ledger.read.nodeAt([TOPIC, 1])).to.deep.equal([1, 70, 0]);
  });

  it("takes a credential into account for a known pair from the next epoch on", async () => {
    const { ledger, viem, rate, world } = await load();
    const operators = await viem.deployContract("OperatorTable");
    await ledger.write.setOperators([operators.address]);
    await rate(1, 2, 10);
    const operator = numberToHex(1, { size: 32 });
    await operators.write.set([1n, operator]);
    await operators.write.set([2n, operator]);
    await rate(1, 2, 10);
    expect(await ledger.read.pairOf([TOPIC, 1, 2])).to.deep.equal([20, 0]);
    await goTo(world, 2n);
    await rate(1, 2, 10);
    expect(await ledger.read.pairOf([TOPIC, 1, 2])).to.deep.equal([20, 0]);
  });

  it("is not stopped by operators that burn all their gas, and counts the pair", async () => {
    const { ledger, viem, accounts, world } = await load();
    const operators = await viem.deployContract("OperatorTable");
    await ledger.write.setOperators([operators.address]);
    await operators.write.setFailing([true]);
    // As much as the escrows give, and no more.
    const hash = await ledger.write.record([TOPIC, 1, 2, 80, 0], { account: accounts.recorder, gas: 321_000n });
    expect((await world.client.getTransactionReceipt({ hash })).status).to.equal("success");
    expect(await ledger.read.pairOf([TOPIC, 1, 2])).to.deep.equal([80, 0]);
  });

  it("lets the deployer name the operators once, and a contract only", async () => {
    const { ledger, viem, accounts } = await load();
    const operators = await viem.deployContract("OperatorTable");
    const by = { account: accounts.stranger };
    expect(await nameOfError(ledger.simulate.setOperators([operators.address], by))).to.equal("TrustLedgerNotDeployer");
    expect(await nameOfError(ledger.simulate.setOperators([accounts.stranger]))).to.equal("TrustLedgerNoOperators");
    await ledger.write.setOperators([operators.address]);
    expect(getAddress(await ledger.read.operators())).to.equal(getAddress(operators.address));
    expect(await nameOfError(ledger.simulate.setOperators([operators.address]))).to.equal("TrustLedgerOperatorsSet");
  });
});
