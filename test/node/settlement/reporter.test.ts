// Two headers of one (log, seq), taken by a watcher to the stake of the agent that signed them, on the real contracts.
import { expect } from "chai";
import { keccak256, numberToHex, toHex } from "viem";
import {
  signLogHeader,
  stakeVaultAbi,
  SuretyError,
  testTokenAbi,
  type Deployment,
  type Fork,
  type VerifiedHeader,
} from "#protocol";
import { createSender } from "../../../node/chain/sender.ts";
import type { ChainSender, ContractCall } from "../../../node/chain/port.ts";
import { ForkReporter } from "../../../node/settlement/reporter.ts";
import { openStore } from "../../../node/store/sqlite.ts";
import type { Store } from "../../../node/store/port.ts";
import { headerOf } from "../../fixtures/log.ts";
import { createDealWorld, never, type DealWorld, type TestAgent } from "./deal-world.ts";
import { until } from "./party.ts";

const STAKE = 100_000n;
const PENALTY = 5_000n;
const SEQ = 7;

describe("a watcher's fork reporter", function () {
  this.timeout(90_000);
  let world: DealWorld;
  let deployment: Deployment;
  let vault: Awaited<ReturnType<typeof deploySlasher>>["vault"];
  let store: Store;
  let offender: TestAgent;
  let witness: TestAgent;
  let stops: (() => Promise<void> | void)[];
  let faults: unknown[];
  let reported: string[];
  let salts = 0;

  beforeEach(async () => {
    [stops, faults, reported, store] = [[], [], [], openStore(":memory:")];
    world = await createDealWorld(2);
    [offender, witness] = world.agents as [TestAgent, TestAgent];
    ({ vault, deployment } = await deploySlasher());
    const approval = { functionName: "approve", args: [vault.address, STAKE] };
    await world.sendAs(offender, { address: world.token.address, abi: testTokenAbi, ...approval });
    const stake = { functionName: "stake", args: [Number(offender.agentId), STAKE] };
    await world.sendAs(offender, { address: vault.address, abi: stakeVaultAbi, ...stake });
  });
  afterEach(async () => {
    for (const stop of stops.reverse()) await stop();
    store.close();
    world.stop();
  });

  async function deploySlasher() {
    const { viem } = world.chain;
    const { registry, token, ledger } = world;
    const vault = await viem.deployContract("StakeVault", [token.address, registry.address, ledger.address, 86_400]);
    const evidence = await viem.deployContract("LogEvidence", [registry.address]);
    const slasher = await viem.deployContract("EvidenceSlasher", [vault.address, evidence.address, PENALTY]);
    await vault.write.setModules([[slasher.address]]);
    const contracts = { stakeVault: vault.address, evidenceSlasher: slasher.address };
    return { vault, deployment: { ...world.deployment, contracts: { ...world.deployment.contracts, ...contracts } } };
  }

  /** An entry in the middle of a log; two of them with other bodies are a fork. */
  async function entryOf(body: string, seq = SEQ): Promise<VerifiedHeader> {
    const timeMs = (await world.networkHelpers.time.latest()) * 1_000;
    const fields = { seq, prev: keccak256(toHex("the entry before")), bodyHash: keccak256(toHex(body)), timeMs };
    return signLogHeader(headerOf(offender.signer, fields), offender.signer, world.contracts);
  }
  const forkOf = async (first: string, second: string, seq = SEQ): Promise<Fork> => ({
    ...{ kind: "same-seq", first: await entryOf(first, seq), second: await entryOf(second, seq) },
  });

  /** @param wrap what stands between the reporter and its sender */
  function start(wrap: (sender: ChainSender) => ChainSender = (sender) => sender): ForkReporter {
    const { client, heads } = world;
    const sender = createSender({ client, heads, signer: witness.signer });
    const reporter = new ForkReporter({
      ...{ sender: wrap(sender), heads, deployment, store },
      random: () => numberToHex(++salts, { size: 32 }),
      onFault: (fault) => void faults.push(fault),
      onReported: (log) => void reported.push(log),
    });
    reporter.start();
    stops.push(() => sender.stop());
    stops.push(() => reporter.stop());
    return reporter;
  }
  const isDone = () => store.prepare("SELECT 1 FROM reporter_offence WHERE is_done = 1").get() !== undefined;
  const reach = (condition: () => boolean) =>
    until(async () => {
      await world.networkHelpers.mine();
      await world.heads.refresh(never);
      return condition();
    });
  const stakeOfOffender = async () => (await vault.read.stakeOf([Number(offender.agentId)]))[0];
  const balanceOfWitness = () => world.token.read.balanceOf([witness.signer.address]);

  it("costs the agent its penalty and pays the reporter half, once, however often the fork is shown", async () => {
    const before = await balanceOfWitness();
    const reporter = start();
    const fork = await forkOf("this", "that");
    reporter.add(fork);
    reporter.add(fork);
    reporter.add({ ...fork, first: fork.second, second: fork.first });
    await reach(isDone);
    expect(reported).to.deep.equal([offender.signer.address]);
    expect(await stakeOfOffender()).to.equal(STAKE - PENALTY);
    expect(await balanceOfWitness()).to.equal(before + PENALTY / 2n);
    reporter.add(fork);
    await reach(() => true);
    expect(await stakeOfOffender()).to.equal(STAKE - PENALTY);
  });

  it("reports each sequence number that a log has twice: each is an offence", async () => {
    const reporter = start();
    for (const seq of [SEQ, SEQ + 3]) reporter.add(await forkOf("this", "that", seq));
    const done = "SELECT count(*) AS done FROM reporter_offence WHERE is_done = 1";
    await reach(() => store.prepare<{ done: number }>(done).get()?.done === 2);
    expect(reported).to.deep.equal([offender.signer.address, offender.signer.address]);
    expect(await stakeOfOffender()).to.equal(STAKE - 2n * PENALTY);
  });

  it("takes a fork up again that was on disk when the node stopped between reservation and report", async () => {
    const before = await balanceOfWitness();
    const { promise: isReserved, resolve } = Promise.withResolvers<undefined>();
    // The process dies once the reservation is mined: no report leaves it.
    const dying = (sender: ChainSender): ChainSender => ({
      address: sender.address,
      stop: () => sender.stop(),
      async send(call: ContractCall, signal: AbortSignal) {
        if (call.functionName === "reserve") return await sender.send(call, signal);
        resolve(undefined);
        return await new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error));
        });
      },
    });
    const first = start(dying);
    first.add(await forkOf("this", "that"));
    await isReserved;
    await first.stop();
    expect(reported).to.deep.equal([]);
    expect(await stakeOfOffender()).to.equal(STAKE);
    start();
    await reach(isDone);
    expect(reported).to.deep.equal([offender.signer.address]);
    expect(await stakeOfOffender()).to.equal(STAKE - PENALTY);
    expect(await balanceOfWitness()).to.equal(before + PENALTY / 2n);
  });

  it("finds its report done when the node stopped after it was mined and before it was noted", async () => {
    const first = start();
    first.add(await forkOf("this", "that"));
    await reach(isDone);
    await first.stop();
    store.transaction(() => store.prepare("UPDATE reporter_offence SET is_done = 0").run());
    start();
    await reach(isDone);
    expect(await stakeOfOffender()).to.equal(STAKE - PENALTY);
    const codes = faults.map((fault) => (fault instanceof SuretyError ? fault.code : String(fault)));
    expect(codes.at(-1)).to.equal("CALL_REVERTED_EVIDENCE_SLASHER_PAID");
  });

  it("gives up what the slasher refuses: one header twice is no fork", async () => {
    const reporter = start();
    const entry = await entryOf("this");
    reporter.add({ kind: "same-seq", first: entry, second: entry });
    await reach(isDone);
    expect(faults[0]).to.include({ code: "CALL_REVERTED_LOG_EVIDENCE_SAME_HEADER" });
    expect(reported).to.deep.equal([]);
    expect(await stakeOfOffender()).to.equal(STAKE);
  });

  it("reports no broken link: a gap of the signer's disk is no second history", async () => {
    const reporter = start();
    reporter.add({ kind: "broken-link", first: await entryOf("this"), second: await entryOf("that", SEQ + 1) });
    expect(store.prepare("SELECT 1 FROM reporter_offence").get()).to.equal(undefined);
  });
});
