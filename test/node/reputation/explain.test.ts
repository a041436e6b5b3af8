import { expect } from "chai";
import { SHARE_ONE, SuretyError } from "#protocol";
import { coupleTopics } from "../../../node/reputation/coupled.ts";
import { computeEpoch, solveTopic } from "../../../node/reputation/engine.ts";
import { explainScore } from "../../../node/reputation/explain.ts";
import { graphsAtClose, type TopicGraph } from "../../../node/reputation/graph.ts";
import { eventsOf, graphOf, randomGraph, type Edge } from "./graphs.ts";

describe("score explanation", () => {
  it("takes every score apart to the unit, with no more than a unit of rounding a client", async () => {
    let clients = 0;
    for (let seed = 1; seed <= 25; seed++) {
      const graph = randomGraph(seed);
      const solution = await solveTopic(graph);
      for (let seat = 1; seat < graph.seatCount; seat++) {
        const { score, fromStake, contributions, rounding } = explainScore(graph, solution, seat);
        expect(score).to.equal(solution.scores[seat]);
        const sum = contributions.reduce((total, { part }) => total + part, fromStake + rounding);
        expect(sum, `seed ${seed}, seat ${seat}`).to.equal(score);
        const inDegree = (graph.inStart[seat + 1] as number) - (graph.inStart[seat] as number);
        expect(Number(rounding), `seed ${seed}, seat ${seat}`).to.be.within(0, inDegree);
        expect(contributions.map(({ part }) => part)).to.deep.equal(
          contributions.map(({ part }) => part).toSorted((a, b) => (a < b ? 1 : a > b ? -1 : 0)),
        );
        clients += contributions.length;
      }
    }
    expect(clients).to.be.above(100);
  });

  it("names stake alone where nobody dealt, ranks, and refuses the dust", async () => {
    const graph = graphOf(3, [[1, 2, 5]], [8, 0, 4]);
    const solution = await solveTopic(graph);
    const third = explainScore(graph, solution, 3);
    expect(third.contributions).to.deep.equal([]);
    expect(third.fromStake).to.equal(third.score);
    expect(third.rank).to.equal(3);
    const second = explainScore(graph, solution, 2);
    expect(second.contributions.map(({ agentId, weight, rowSum }) => [agentId, weight, rowSum])).to.deep.equal([
      [1, 5, 5],
    ]);
    expect(second.fromStake).to.equal(0n);
    for (const seat of [0, 4, -1, 1.5]) {
      expect(() => explainScore(graph, solution, seat))
        .to.throw(SuretyError)
        .with.property("code", "EXPLAIN_NO_SEAT");
    }
  });

  it("takes a bridged prior apart into stake and what each other topic brought, to the unit", async () => {
    const stakes = [600_000, 400_000];
    const on = (topic: bigint, edges: Edge[]) => graphsAtClose(eventsOf(2, edges, stakes, topic), 1)[0] as TopicGraph;
    const graphs = [on(1n, [[1, 2, 5]]), on(2n, [[2, 1, 3]])];
    const bases = (await computeEpoch(graphs)).map(({ tree, ...topic }) => ({
      ...topic,
      epoch: 4,
      leafCount: tree.leafCount,
    }));
    const couplings = { minClients: 1, maxShare: SHARE_ONE / 2, links: [{ to: 1n, from: 2n, omega: SHARE_ONE / 8 }] };
    const [graph] = coupleTopics(graphs, couplings, new Map(bases.map((base) => [base.topic, base])));
    if (graph === undefined) throw new Error("a topic went missing");
    const solution = await solveTopic(graph);
    const first = explainScore(graph, solution, 1);
    const [bridge, ...others] = first.bridges;
    expect(others).to.deep.equal([]);
    expect(bridge).to.include({ topic: 2n, epoch: 4, omega: SHARE_ONE / 8 });
    expect(first.bridgedWei).to.equal(bridge?.broughtWei);
    expect(Number(first.bridgedWei)).to.be.within(10_000, 299_999);
    expect(first.fromStake + first.fromBridges + first.rounding).to.equal(first.score);
    // Both parts are one λ times theirs.
    expect(Number(first.fromBridges) / Number(first.fromStake)).to.be.closeTo(Number(first.bridgedWei) / 600_000, 1e-9);
    const second = explainScore(graph, solution, 2);
    expect([second.bridges, second.fromBridges, second.bridgedWei], "nobody rated it there").to.deep.equal([
      [],
      0n,
      0n,
    ]);
  });
});
