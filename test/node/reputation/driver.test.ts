// Publisher and watcher on a chain with the real contracts, each with a key of its own: nobody tells them what to do.
import { expect } from "chai";
import { network } from "hardhat";
import { bytesToHex, custom, numberToHex, type Hex } from "viem";
import {
  challengeCalls,
  encodeLeaves,
  faults,
  packLeaf,
  packScoreQuery,
  reputationEpochsAbi,
  SHARE_ONE,
  SuretyError,
  topicIdOf,
  unpackLeaf,
  type Challenge,
  type Leaf,
} from "#protocol";
import { createChainClient } from "../../../node/chain/connect.ts";
import { watchHeads } from "../../../node/chain/heads.ts";
import { createSender } from "../../../node/chain/sender.ts";
import type { Heads } from "../../../node/chain/port.ts";
import { createReputationChain } from "../../../node/reputation/chain.ts";
import { ReputationDriver, type DriverOptions, type RoleReport } from "../../../node/reputation/driver.ts";
import { computeEpoch, type ComputedTopic } from "../../../node/reputation/engine.ts";
import { coupleTopics } from "../../../node/reputation/coupled.ts";
import { graphsAtClose } from "../../../node/reputation/graph.ts";
import type { LeafExchange } from "../../../node/reputation/port.ts";
import { findFault, MAX_ROW_EDGES_PER_CALL } from "../../../node/reputation/verify.ts";
import {
  deployWorld,
  EPOCH_LENGTH,
  goTo,
  PUBLISHER_BOND,
  registerAgents,
  stake,
} from "../../reputation-contracts/world.ts";
import { testSigner } from "../chain/test-chain.ts";
import { createRandom } from "./graphs.ts";
import { shiftOnePercent, withLeaves } from "../../fixtures/forgery.ts";
import { testDeployment } from "../../fixtures/deployment.ts";

const AGENTS = 12;
const [PUBLISHER, RIVAL] = [AGENTS + 1, AGENTS + 2];
/** Accounts of Hardhat's public test mnemonic, in the order of test/reputation-contracts/world.ts. */
const signers = { publisher: 3, rival: 4, challenger: 5, stranger: 6 } as const;
const topics = ["code_generation", "data_analysis"].map(topicIdOf).sort((a, b) => (a < b ? -1 : 1));
/** From the second epoch after the first finalized one on, each topic counts half in the other. */
const couplings = {
  minClients: 2,
  maxShare: SHARE_ONE / 2,
  links: [topics, topics.toReversed()].map(([to = 0n, from = 0n]) => ({ to, from, omega: SHARE_ONE / 2 })),
};
const never = new AbortController().signal;

/** Epoch 1 with ratings in two topics; what epoch 2 brings must not matter. */
async function createScene() {
  const chain = await network.create();
  const world = await deployWorld(chain, couplings);
  await registerAgents(world, world.accounts.owner, AGENTS);
  await registerAgents(world, world.accounts.publisher, 1);
  await registerAgents(world, world.accounts.rival, 1);
  const random = createRandom(11);
  const rate = async (topic: bigint, count: number) => {
    for (let k = 0; k < count; k++) {
      const [client, provider] = [1 + Math.floor(random() * AGENTS), 1 + Math.floor(random() ** 2 * AGENTS)];
      const args = [topic, client, provider, Math.floor(random() * 101), Math.floor(random() * 50)] as const;
      await world.ledger.write.record(args, { account: world.accounts.recorder });
    }
  };
  for (const agentId of [1, 2, 5, 7]) await stake(world, agentId, BigInt(agentId) * 1_000n);
  for (const agentId of [PUBLISHER, RIVAL]) await stake(world, agentId, 4n * PUBLISHER_BOND);
  for (const topic of topics) await rate(topic, 50);
  const deployment = testDeployment({
    ...{ identityRegistry: world.registry.address, stakeVault: world.vault.address },
    ...{ trustLedger: world.ledger.address, reputationEpochs: world.epochs.address, token: world.token.address },
    dealEscrow: world.accounts.recorder,
  });
  const client = createChainClient(custom(chain.provider, { retryCount: 0 }), 31_337);
  return { chain, world, client, deployment, rate };
}

type Scene = Awaited<ReturnType<typeof createScene>>;

describe("publisher and watcher on a chain", function () {
  this.timeout(180_000);
  let scene: Scene;
  let heads: Heads;
  let reports: RoleReport[];
  let running: Promise<void>[];
  let stop: AbortController;
  let waiting: (() => void)[];

  beforeEach(async () => {
    scene = await createScene();
    heads = await watchHeads({ client: scene.client, pollIntervalMs: 10 }, never);
    [reports, running, stop, waiting] = [[], [], new AbortController(), []];
  });
  afterEach(async () => {
    stop.abort();
    await Promise.all(running);
    heads.stop();
    await scene.chain.close();
  });

  const chainOf = (account: keyof typeof signers) => {
    const { client, deployment } = scene;
    const sender = createSender({ client, heads, signer: testSigner(signers[account]) });
    return createReputationChain({ client, deployment, heads, sender });
  };
  const start = (
    account: keyof typeof signers,
    options: Omit<DriverOptions, "chain" | "onReport">,
    chain = chainOf(account),
  ) => {
    const onReport = (report: RoleReport) => {
      reports.push(report);
      waiting.splice(0).forEach((wake) => wake());
    };
    const driver = new ReputationDriver({ chain, onReport, ...options });
    running.push(driver.run(stop.signal));
    return driver;
  };
  /** Waits for the next report of this kind of effect; what failed instead fails the test. */
  const reported = async (kind: RoleReport["effect"]["kind"], count = 1) => {
    for (;;) {
      const failed = reports.find(({ error }) => error !== undefined);
      if (failed?.error !== undefined) throw failed.error;
      if (reports.filter(({ effect }) => effect.kind === kind).length >= count) return;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };
  /** New blocks until a condition of the chain holds: what failed is tried again with the next block. */
  const until = async (condition: () => Promise<boolean>) => {
    while (!(await condition())) {
      await scene.world.networkHelpers.mine();
      await new Promise(setImmediate);
    }
  };
  const kindsOf = (role: RoleReport["role"]) =>
    new Set(reports.filter((r) => r.role === role).map((r) => r.effect.kind));
  const publisher = { agentId: PUBLISHER, rank: 0, isReleasing: true };

  const readGraphs = async (epoch: number) => {
    const to = await scene.client.getBlockNumber();
    const logs = await chainOf("rival").readLogs(0n, to, never);
    return graphsAtClose(
      logs.flatMap((log) => (log.source === "trust" ? [log.event] : [])),
      epoch,
    );
  };
  /** What an honest publisher of epoch 1 computes: nothing was finalized yet. */
  const computeFirst = async () => {
    const graphs = await readGraphs(1);
    return { graphs, computed: await computeEpoch(graphs) };
  };
  /** Epoch 3 by the graphs at its close and epoch 1 as the base, and what it were without any. */
  const computeThird = async () => {
    const [{ computed: first }, graphs] = [await computeFirst(), await readGraphs(3)];
    const bases = first.map(({ tree, ...topic }) => ({ ...topic, epoch: 1, leafCount: tree.leafCount }));
    const coupled = coupleTopics(graphs, couplings, new Map(bases.map((base) => [base.topic, base])));
    return { computed: await computeEpoch(coupled), plain: await computeEpoch(graphs) };
  };
  const commitAs = async (agentId: number, account: Hex, given: readonly ComputedTopic[], leaves: Hex) => {
    const roots = given.map(({ topic, root, multiplier, shift }) => ({ topic, root, multiplier, shift }));
    await scene.world.epochs.write.commit([agentId, numberToHex(1, { size: 32 }), roots, leaves], { account });
  };

  it("folds events to exactly what the ledger says of every agent at the close", async () => {
    const { world, rate } = scene;
    // A saturating row: 2^24 - 1 twice is more than a row sum holds.
    for (const provider of [2, 3]) {
      await world.ledger.write.record([topics[0] as bigint, 1, provider, 2 ** 24 - 1, 0], {
        account: world.accounts.recorder,
      });
    }
    await goTo(world, 2n);
    for (const topic of topics) await rate(topic, 20);
    await stake(world, 9, 77n);
    const { graphs } = await computeFirst();
    for (const graph of graphs) {
      expect(await world.ledger.read.seatsAt([graph.topic])).to.equal(graph.seatCount);
      for (let seat = 1; seat < graph.seatCount; seat++) {
        const agentId = graph.agentIds[seat] as number;
        const [start, end] = [graph.inStart[seat] as number, graph.inStart[seat + 1] as number];
        const node = [seat, graph.rowSums[seat], end - start];
        expect(await world.ledger.read.nodeAt([graph.topic, agentId])).to.deep.equal(node);
        const [, , edges] = await world.ledger.read.rowAt([graph.topic, agentId, 0n, 1n << 32n]);
        const own = [...graph.inSeats.subarray(start, end)].map(
          (client, k) => (BigInt(client) << 48n) | BigInt(graph.inWeights[start + k] as number),
        );
        expect(edges).to.deep.equal(own);
        expect(await world.vault.read.stakeAt([agentId])).to.equal(BigInt(graph.priors[seat] as number));
      }
    }
    expect(graphs.some(({ rowSums }) => rowSums.includes(2 ** 24))).to.equal(true);
  });

  it("commits an honest epoch, watches it in silence, finalizes it, and a marketplace verifies a score", async () => {
    const { world } = scene;
    start("publisher", { publisher });
    start("challenger", { isWatching: true });
    await goTo(world, 2n);
    await reported("commit");
    await reported("inspect");
    await goTo(world, 3n);
    await reported("finalize");
    await reported("release");
    expect([...kindsOf("watcher")].sort()).to.deep.equal(["compute", "inspect"]);
    const { computed } = await computeFirst();
    for (const { topic, tree, leaves } of computed) {
      for (const [index, leaf] of leaves.entries()) {
        const { agentId, score } = unpackLeaf(leaf);
        const query = packScoreQuery({ topic, epoch: 1, index });
        expect(await world.epochs.read.verifyScore([query, leaf, tree.proof(index)])).to.deep.equal([agentId, score]);
      }
    }
    // Epoch 2 has the same graphs; its candidate may hold a bond by now, that of epoch 1 is free.
    const [, , , , isReleased] = await world.epochs.read.candidateOf([1n << 32n]);
    expect(isReleased).to.equal(true);
  });

  it("strikes a publisher that shifts 1% of one agent's score, and the second publisher's epoch is finalized", async () => {
    const { world } = scene;
    await goTo(world, 2n);
    const { computed } = await computeFirst();
    const forged = computed.map((topic, k) => (k === 0 ? shiftOnePercent(topic) : topic));
    const leaves = bytesToHex(encodeLeaves(forged.flatMap((topic) => topic.leaves)));
    await commitAs(PUBLISHER, world.accounts.publisher, forged, leaves);
    const before = await world.token.read.balanceOf([world.accounts.challenger]);
    start("challenger", { isWatching: true });
    start("rival", { publisher: { ...publisher, agentId: RIVAL, rank: 1 } });
    await reported("challenge");
    const [, , , fault] = await world.epochs.read.candidateOf([1n << 32n]);
    expect(fault).to.equal(1);
    expect((await world.token.read.balanceOf([world.accounts.challenger])) - before).to.equal(PUBLISHER_BOND / 2n);
    await goTo(world, 2n, 2n);
    await reported("commit");
    await goTo(world, 3n);
    await reported("finalize");
    for (const { topic, root } of computed) {
      const [finalRoot, epoch, , , candidateId] = await world.epochs.read.finalizedOf([topic]);
      expect([finalRoot, epoch, candidateId]).to.deep.equal([root, 1, (1n << 32n) + 1n]);
    }
  });

  it("asks for leaves that nobody published, strikes when they do not come, and takes its fee back", async () => {
    const { world } = scene;
    await goTo(world, 2n);
    const { computed } = await computeFirst();
    const hidden = computed.map((topic) => ({ ...topic, root: `0x${"ab".repeat(32)}` as const }));
    await commitAs(PUBLISHER, world.accounts.publisher, hidden, "0x");
    start("challenger", { isWatching: true });
    await reported("request");
    await goTo(world, 2n, 3n);
    await reported("strike");
    const [, , , fault] = await world.epochs.read.candidateOf([1n << 32n]);
    expect(fault).to.equal(6);
    await reported("reclaim");
    expect(await world.client.getBalance({ address: world.epochs.address })).to.equal(0n);
  });

  it("answers a request for leaves and stays in good standing; a driver that starts afterwards goes on from there", async () => {
    const { world } = scene;
    await goTo(world, 2n);
    const { computed } = await computeFirst();
    await commitAs(PUBLISHER, world.accounts.publisher, computed, "0x");
    const candidateId = 1n << 32n;
    const topic = topics[0] as bigint;
    const value = 2n * (await chainOf("stranger").requestFeeWei(never));
    await world.epochs.write.requestLeaves([candidateId, topic, 0n], { account: world.accounts.stranger, value });
    start("publisher", { publisher });
    start("challenger", { isWatching: true });
    await reported("answer");
    const [, , , fault, , openRequests] = await world.epochs.read.candidateOf([candidateId]);
    expect([fault, openRequests]).to.deep.equal([0, 0]);
    await goTo(world, 3n);
    await reported("finalize");
    expect(kindsOf("watcher")).not.to.include("challenge");
    const commits = reports.filter(({ effect }) => effect.kind === "commit" && effect.epoch === 1);
    expect(commits).to.deep.equal([]);
    expect((await world.epochs.read.finalizedOf([topic]))[1]).to.equal(1);
  });

  it("starts at the chain's own head, however old the one that it is told of", async () => {
    const { world, client } = scene;
    await goTo(world, 2n);
    heads.stop();
    heads = await watchHeads({ client, pollIntervalMs: 3_600_000 }, never);
    const { computed } = await computeFirst();
    await commitAs(PUBLISHER, world.accounts.publisher, computed, "0x");
    const driver = start("publisher", { publisher });
    await reported("compute");
    await driver.settle();
    expect([...kindsOf("publisher")]).to.deep.equal(["compute"]);
  });

  it("makes challenges of every kind that the contract itself accepts, in as many transactions as a row needs", async () => {
    const { world, client } = scene;
    await stake(world, PUBLISHER, 4n * PUBLISHER_BOND);
    // In a topic of its own: agent 500, in seat 2, is rated by one client more than fits a transaction, and rates nobody.
    const crowded = 1n;
    for (let k = 0; k <= MAX_ROW_EDGES_PER_CALL; k++) {
      const args = [crowded, k === 0 ? 1 : 1_000 + k, 500, 10, 0] as const;
      await world.ledger.write.record(args, { account: world.accounts.recorder });
    }
    await goTo(world, 2n);
    const { graphs, computed } = await computeFirst();
    const strike = async (candidateId: bigint, challenge: Challenge) => {
      const gasUsed: bigint[] = [];
      for (const call of challengeCalls(candidateId, challenge)) {
        const { functionName, args } = call as { functionName: "challengeRow"; args: never };
        const request = { address: world.epochs.address, abi: reputationEpochsAbi, functionName, args };
        const hash = await world.challenger.writeContract(request);
        gasUsed.push((await client.getTransactionReceipt({ hash })).gasUsed);
      }
      return gasUsed;
    };
    const candidateOf = async (topic: ComputedTopic) => {
      await commitAs(PUBLISHER, world.accounts.publisher, [topic], "0x");
      const [count] = await world.epochs.read.candidateCountOf([1]);
      return (1n << 32n) + BigInt(count - 1);
    };
    const struckFor: string[] = [];
    const expectStruck = async (forged: ComputedTopic) => {
      const finding = findFault([forged], graphs);
      if (finding.kind !== "challenge") throw new Error(finding.kind);
      const candidateId = await candidateOf(forged);
      const gasUsed = await strike(candidateId, finding.challenge);
      const [, , , fault] = await world.epochs.read.candidateOf([candidateId]);
      struckFor.push(`${finding.challenge.kind}: ${faults[fault]}`);
      return gasUsed;
    };
    const honest = computed[1] as ComputedTopic;
    for (const [field, seat] of [
      ["cum", 0],
      ["cum", 5],
      ["rowSum", 4],
      ["agentId", 4],
      ["prior", 4],
    ] as const) {
      const leaf = unpackLeaf(honest.leaves[seat] as bigint);
      const changed = field === "agentId" ? leaf.agentId + 1 : leaf[field] + 1n;
      await expectStruck(withLeaves(honest, honest.leaves.with(seat, packLeaf({ ...leaf, [field]: changed }))));
    }
    const [dust, first, rated, ...rest] = (computed[0] as ComputedTopic).leaves.map(unpackLeaf) as [Leaf, Leaf, Leaf];
    const moved = [
      { ...dust, score: dust.score - 1n },
      { ...first, cum: first.cum - 1n },
      { ...rated, cum: rated.cum - 1n, score: rated.score + 1n },
      ...rest,
    ];
    const longRow = withLeaves(computed[0] as ComputedTopic, moved.map(packLeaf));
    const gasUsed = await expectStruck(longRow);
    expect(struckFor).to.deep.equal([
      "edge: edge",
      "sum: sum",
      "seat: seat",
      "seat: seat",
      "prior: prior",
      "longRow: row",
    ]);
    console.log(`      gas of a row of ${MAX_ROW_EDGES_PER_CALL + 1} in-edges, part by part: ${gasUsed.join(", ")}`);

    // A watcher that died after the first part takes up where it was.
    const { challenge } = findFault([longRow], graphs) as { challenge: Challenge & { kind: "longRow" } };
    await commitAs(PUBLISHER, world.accounts.publisher, [longRow], bytesToHex(encodeLeaves(longRow.leaves)));
    const last = (1n << 32n) + 6n;
    const [firstPart] = challengeCalls(last, challenge) as [{ functionName: string; args: readonly unknown[] }];
    await chainOf("challenger").send(firstPart, never);
    start("challenger", { isWatching: true });
    await reported("challenge");
    expect((await world.epochs.read.candidateOf([last]))[3]).to.equal(1);
  });

  it("commits and finalizes over a server that fails every other time", async () => {
    const { world, rate } = scene;
    const chain = chainOf("publisher");
    let failureCount = 0;
    const failEverySecond = <A extends unknown[], R>(work: (...args: A) => Promise<R>) => {
      let count = 0;
      return async (...args: A): Promise<R> => {
        if (count++ % 2 === 0) return await work(...args);
        failureCount++;
        throw new SuretyError("CHAIN_UNREACHABLE", "The chain did not answer.", { next: "Wait.", isRetryable: true });
      };
    };
    chain.readLogs = failEverySecond(chain.readLogs.bind(chain));
    chain.hashAt = failEverySecond(chain.hashAt.bind(chain));
    chain.closingHash = failEverySecond(chain.closingHash.bind(chain));
    start("publisher", { publisher }, chain);
    await goTo(world, 2n);
    for (let k = 0; k < 5; k++) await rate(topics[1] as bigint, 1);
    await until(async () => (await world.epochs.read.candidateCountOf([1]))[0] > 0);
    await goTo(world, 3n);
    await until(async () => (await world.epochs.read.finalizedOf([topics[0] as bigint]))[1] === 1);
    expect(await world.epochs.read.candidateCountOf([1])).to.deep.equal([1, 1]);
    expect(failureCount).to.be.above(3);
    expect(reports.filter(({ error }) => error !== undefined && !error.isRetryable)).to.deep.equal([]);
  });

  it("forgets what a reorg took back, and judges by the chain that stands", async () => {
    const { world, rate } = scene;
    const fork = await world.networkHelpers.takeSnapshot();
    await rate(topics[0] as bigint, 10);
    start("challenger", { isWatching: true });
    await goTo(world, 2n);
    await reported("compute");
    await fork.restore();
    await goTo(world, 2n);
    const { computed } = await computeFirst();
    await commitAs(PUBLISHER, world.accounts.publisher, computed, "0x");
    await reported("compute", 2);
    await reported("inspect");
    await goTo(world, 3n, 3n);
    await reported("finalize");
    expect(kindsOf("watcher")).not.to.include.members(["challenge"]);
    expect((await world.epochs.read.finalizedOf([topics[0] as bigint]))[0]).to.equal(computed[0]?.root);
  });

  it("commits what reputation elsewhere adds to a stake, and strikes who leaves it out, for the prior", async () => {
    const { world, rate } = scene;
    start("publisher", { publisher });
    start("challenger", { isWatching: true });
    await goTo(world, 2n);
    await reported("commit");
    await goTo(world, 3n);
    await reported("finalize");
    await reported("commit", 2);
    for (const topic of topics) await rate(topic, 5);
    await goTo(world, 4n);
    await reported("commit", 3);
    await reported("inspect", 3);
    const { computed, plain } = await computeThird();
    const [candidateId, liar] = [3n << 32n, (3n << 32n) + 1n];
    let bridged = 0;
    for (const [k, { topic, root, leaves }] of computed.entries()) {
      expect((await world.epochs.read.topicOf([candidateId, topic]))[0]).to.equal(root);
      const without = (plain[k] as ComputedTopic).leaves;
      bridged += leaves.filter(
        (leaf, seat) => unpackLeaf(leaf).prior > unpackLeaf(without[seat] as bigint).prior,
      ).length;
    }
    expect(bridged).to.be.above(2);
    expect([...kindsOf("watcher")]).not.to.include("challenge");
    const leaves = bytesToHex(encodeLeaves(plain.flatMap((topic) => topic.leaves)));
    await commitAs(RIVAL, world.accounts.rival, plain, leaves);
    await reported("challenge");
    expect((await world.epochs.read.candidateOf([liar]))[3]).to.equal(faults.indexOf("prior"));
    expect((await world.epochs.read.candidateOf([candidateId]))[3]).to.equal(0);
  });

  it("neither commits nor challenges where a base's leaves are unreadable, says so, and goes on once it has them", async () => {
    const { world } = scene;
    await goTo(world, 2n);
    const { computed: first } = await computeFirst();
    await commitAs(PUBLISHER, world.accounts.publisher, first, "0x");
    await goTo(world, 3n);
    await world.epochs.write.finalize([1, topics]);
    await goTo(world, 4n);
    const { computed } = await computeThird();
    await commitAs(
      PUBLISHER,
      world.accounts.publisher,
      computed,
      bytesToHex(encodeLeaves(computed.flatMap((t) => t.leaves))),
    );
    let isReadable = false;
    const leaves: LeafExchange = {
      keep: () => undefined,
      find: ({ root }) =>
        Promise.resolve([isReadable ? first.find((topic) => topic.root === root)?.leaves : undefined]),
    };
    start("rival", { publisher: { ...publisher, agentId: RIVAL }, isWatching: true, leaves });
    while (reports.length < 4) {
      await world.networkHelpers.mine();
      await new Promise(setImmediate);
    }
    expect(
      new Set(reports.map(({ effect, error }) => `${effect.kind}: ${error?.code} ${error?.isRetryable}`)),
    ).to.deep.equal(new Set(["compute: BASE_UNREADABLE true"]));
    isReadable = true;
    await until(() => Promise.resolve(kindsOf("watcher").has("inspect")));
    const done = reports.filter(({ error }) => error === undefined).map(({ effect }) => effect.kind);
    expect(new Set(done)).to.deep.equal(new Set(["compute", "inspect"]));
    expect(await world.epochs.read.candidateCountOf([3])).to.deep.equal([1, 1]);
  });

  it("names the last block before the close as the closing one", async () => {
    const { world, client } = scene;
    await goTo(world, 2n);
    await world.networkHelpers.mine(3);
    const head = await heads.refresh(never);
    const hash = await chainOf("rival").closingHash(1, head, never);
    const { number, timestamp } = await client.getBlock({ blockHash: hash });
    const next = await client.getBlock({ blockNumber: number + 1n });
    const closesAt = world.genesis + EPOCH_LENGTH;
    expect(timestamp < closesAt && next.timestamp >= closesAt).to.equal(true);
  });
});
