import { expect } from "chai";
import { topicIdOf } from "#protocol";
import { readBundle, writeBundle } from "../../../scripts/audit/bundle.ts";
import { runChecks } from "../../../scripts/audit/checks.ts";
import { exportBundle, type Export } from "../../../scripts/audit/export.ts";
import { auditScore } from "../../../scripts/audit/score.ts";
import { auditAgent } from "../../../scripts/audit/agent.ts";
import { auditDeal } from "../../../scripts/audit/deal.ts";
import { verifyBundle } from "../../../scripts/audit/verify-bundle.ts";
import { dealEscrowAbi } from "#protocol";
import { startLocalNetwork, type LocalNetwork } from "../../fixtures/local-network.ts";

const topic = topicIdOf("data_analysis");

describe("the auditor", () => {
  let world: LocalNetwork;
  let exported: Export;
  let text: string;

  before(async function () {
    this.timeout(60_000);
    world = await startLocalNetwork(5);
    await world.rate(topic, [
      [0, 1, 100],
      [0, 2, 40],
      [1, 2, 90],
      [3, 1, 10],
      [2, 4, -50],
    ]);
    await world.finalizeEpoch();
    exported = await exportBundle(world.client, world.deployment, 2n);
    text = writeBundle(exported.bundle);
  });
  after(() => world.stop());

  const verdictOf = (bundleText: string) => {
    const bundle = readBundle(bundleText);
    if (bundle.kind !== "accept") return Promise.resolve({ isOk: false, checks: [] });
    return runChecks("bundle", verifyBundle(bundle.value, exported.blockHash));
  };

  it("proves owner, signer, stake and score of an agent offline from a block hash", async () => {
    const verdict = await verdictOf(text);
    expect(verdict.checks.filter(({ isOk }) => !isOk)).to.deep.equal([]);
    expect(exported.bundle.scores).to.have.length(1);
    expect(verdict.checks.map(({ name }) => name)).to.deep.equal([
      "header",
      "owner",
      "wallet",
      "version chain",
      `signer ${exported.bundle.signers[0]}`,
      "stake",
      `score in topic ${topic}`,
      "nodes",
    ]);
  });

  it("refuses the bundle against another block hash", async () => {
    const bundle = readBundle(text);
    if (bundle.kind !== "accept") throw new Error(bundle.detail);
    const other = await world.client.getBlock({ blockNumber: 1n });
    const { isOk, checks } = await runChecks("bundle", verifyBundle(bundle.value, other.hash));
    expect([isOk, checks.at(-1)?.name]).to.deep.equal([false, "header"]);
  });

  it("passes no bundle of which one byte was changed", async function () {
    this.timeout(120_000);
    const passed: number[] = [];
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      // A neighbouring hex digit or decimal where there is one, so that the change is not caught by the form alone.
      const changed = String.fromCharCode(/[0-8a-e]/.test(text[index] as string) ? code + 1 : code ^ 1);
      const verdict = await verdictOf(text.slice(0, index) + changed + text.slice(index + 1));
      if (verdict.isOk) passed.push(index);
    }
    expect(passed).to.deep.equal([]);
  });

  it("re-derives a score from the ledger's events and the published leaves", async () => {
    const claim = { agentId: Number(world.agents[1]?.agentId), topic };
    const verdict = await runChecks("score", auditScore(world.client, world.deployment, claim));
    expect(verdict.checks.filter(({ isOk }) => !isOk)).to.deep.equal([]);
    expect(verdict.checks.at(-1)?.name).to.equal("contract");
    const lie = { ...claim, claimed: 1n };
    const refuted = await runChecks("score", auditScore(world.client, world.deployment, lie));
    expect([refuted.isOk, refuted.checks.at(-1)?.name]).to.deep.equal([false, "claim"]);
  });

  it("re-derives an agent and each of its deals", async () => {
    expect(await runChecks("agent", auditAgent(world.client, world.deployment, 1n))).to.include({ isOk: true });
    expect(await runChecks("agent", auditAgent(world.client, world.deployment, 99n))).to.include({ isOk: false });
    const funded = await world.client.getContractEvents({
      abi: dealEscrowAbi,
      address: world.deployment.contracts.dealEscrow,
      eventName: "DealFunded",
      fromBlock: 0n,
      strict: true,
    });
    expect(funded).to.have.length(5);
    for (const { args } of funded) {
      const verdict = await runChecks("deal", auditDeal(world.client, world.deployment, args.dealId));
      expect(verdict.checks.filter(({ isOk }) => !isOk)).to.deep.equal([]);
      expect(verdict.checks.map(({ name }) => name)).to.include.members([
        "client signature",
        "provider signature",
        "payout",
      ]);
    }
  });
});
