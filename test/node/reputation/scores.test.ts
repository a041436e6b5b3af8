import { expect } from "chai";
import { network } from "hardhat";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Hex } from "viem";
import { packLeaf, topicIdOf, unpackLeaf, type Deployment } from "#protocol";
import { ScoreReader } from "../../../node/reputation/scores.ts";
import { at, solveHonestly, TrustGraph, type Epoch } from "../../reputation-contracts/trust-graph.ts";
import {
  commit,
  deployWorld,
  goTo,
  PUBLISHER_BOND,
  record,
  registerAgents,
  stake,
} from "../../reputation-contracts/world.ts";
import { testDeployment } from "../../fixtures/deployment.ts";

const TOPIC = "data_analysis";
const AGENTS = [1, 2, 3, 4];
const PUBLISHER = 5;
const { signal } = new AbortController();

interface Answer {
  epoch: string;
  index: string;
  leaf: Hex;
  proof: Hex[];
}

describe("scores that a node asks an indexer for", () => {
  let epoch: Epoch;
  let deployment: Deployment;
  let client: Awaited<ReturnType<typeof deployWorld>>["client"];
  let server: Server;
  /** What the indexer answers for an agent; a test bends it. */
  let answerOf: (agentId: number) => Answer | null;
  let status: number;
  let faults: unknown[];

  before(async () => {
    const world = await deployWorld(await network.create());
    await registerAgents(world, world.accounts.owner, AGENTS.length);
    await registerAgents(world, world.accounts.publisher, 1);
    for (const agentId of AGENTS) await stake(world, agentId, BigInt(agentId * 1_000));
    await stake(world, PUBLISHER, 20n * PUBLISHER_BOND);
    const graph = new TrustGraph(topicIdOf(TOPIC));
    for (const [from, to, weight] of [
      [1, 2, 90],
      [2, 3, 60],
      [3, 2, 80],
      [4, 1, 30],
    ] as const) {
      await record(world, graph, [from, to, weight, 0]);
    }
    epoch = solveHonestly(graph.close((agentId) => BigInt(agentId * 1_000)));
    await goTo(world, 2n);
    await commit(world, [epoch], { publisher: PUBLISHER, account: world.accounts.publisher });
    await goTo(world, 3n);
    await world.epochs.write.finalize([1, [epoch.snapshot.topic]]);
    deployment = testDeployment({
      ...{ identityRegistry: world.registry.address, stakeVault: world.vault.address },
      ...{ trustLedger: world.ledger.address, reputationEpochs: world.epochs.address, token: world.token.address },
    });
    client = world.client;
    server = createServer((request, response) => {
      void (async () => {
        const chunks: Buffer[] = [];
        for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
        const { variables } = JSON.parse(Buffer.concat(chunks).toString()) as { variables: { agentId: string } };
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify({ data: { score: answerOf(Number(variables.agentId)) } }));
      })();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });

  beforeEach(() => {
    [answerOf, status, faults] = [honest, 200, []];
  });

  const seatOf = (agentId: number) => epoch.snapshot.agents.indexOf(agentId);

  function honest(agentId: number): Answer | null {
    const seat = seatOf(agentId);
    if (seat < 0) return null;
    const leaf: Hex = `0x${at(epoch.words, seat).toString(16).padStart(64, "0")}`;
    return { epoch: "1", index: seat.toString(), leaf, proof: epoch.tree.proof(seat) };
  }

  /** An indexer that answers for one agent with something else than the truth. */
  const lieAbout = (liedTo: number, lie: (truth: Answer) => Answer) => (agentId: number) => {
    const truth = honest(agentId);
    return truth === null || agentId !== liedTo ? truth : lie(truth);
  };

  function read(agentIds = AGENTS, topic = TOPIC) {
    const { port } = server.address() as AddressInfo;
    const graphqlUrl = `http://127.0.0.1:${port}/graphql`;
    const reader = new ScoreReader({ client, deployment, graphqlUrl, onFault: (fault) => faults.push(fault) });
    return reader.scoresOf(topic, agentIds.map(BigInt), signal);
  }

  const shareOf = (agentId: number) => unpackLeaf(at(epoch.words, seatOf(agentId))).score;

  it("are believed with a proof that holds, each as a share of the highest", async () => {
    const scores = await read();
    const highest = AGENTS.map(shareOf).reduce((a, b) => (a > b ? a : b));
    const expected = AGENTS.filter((agentId) => shareOf(agentId) > 0n).map((agentId) => [
      BigInt(agentId),
      Number((shareOf(agentId) * 1_000_000n) / highest) / 1_000_000,
    ]);
    expect(expected.length).to.be.greaterThan(2);
    expect([...scores].sort(([a], [b]) => Number(a - b))).to.deep.equal(expected);
    expect(Math.max(...scores.values())).to.equal(1);
    expect(faults).to.deep.equal([]);
  });

  it("are not there for an agent without a leaf, nor for a topic that was never finalized", async () => {
    expect((await read([9])).size).to.equal(0);
    expect((await read(AGENTS, "another_topic")).size).to.equal(0);
    expect(faults).to.deep.equal([]);
  });

  const lies: readonly (readonly [what: string, lie: (truth: Answer) => Answer])[] = [
    ["one unit more of score than the leaf that is committed", (truth) => ({ ...truth, leaf: raise(truth.leaf) })],
    ["another agent's leaf with its true proof", () => honest(2) as Answer],
    ["a sibling of the proof replaced", (truth) => ({ ...truth, proof: truth.proof.with(0, `0x${"11".repeat(32)}`) })],
    ["a proof that lacks its last node", (truth) => ({ ...truth, proof: truth.proof.slice(0, -1) })],
    ["the leaf at another seat", (truth) => ({ ...truth, index: (Number(truth.index) ^ 1).toString() })],
    ["a seat beyond the tree", (truth) => ({ ...truth, index: "4096" })],
  ];
  const raise = (leaf: Hex): Hex => {
    const fields = unpackLeaf(BigInt(leaf));
    return `0x${packLeaf({ ...fields, score: fields.score + 1n })
      .toString(16)
      .padStart(64, "0")}`;
  };
  for (const [what, lie] of lies) {
    it(`are not believed, and the lie is told: ${what}`, async () => {
      answerOf = lieAbout(3, lie);
      const scores = await read();
      expect(scores.has(3n)).to.equal(false);
      expect(scores.get(2n)).to.equal(1);
      expect(faults).to.have.length(1);
      expect(String(faults[0])).to.match(/proof of agent 3 .* does not hold/);
    });
  }

  it("of an epoch that is not the last finalized one count for nothing, and are no lie", async () => {
    answerOf = lieAbout(3, (truth) => ({ ...truth, epoch: "2" }));
    expect((await read()).has(3n)).to.equal(false);
    expect(faults).to.deep.equal([]);
  });

  it("are missing while the indexer fails, and the node goes on", async () => {
    status = 500;
    expect((await read()).size).to.equal(0);
    expect(faults).to.have.length(AGENTS.length);
  });
});
