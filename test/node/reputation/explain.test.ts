import { expect } from "chai";
import { SuretyError } from "#protocol";
import { solveTopic } from "../../../node/reputation/engine.ts";
import { explainScore } from "../../../node/reputation/explain.ts";
import { graphOf, randomGraph } from "./graphs.ts";

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
});
