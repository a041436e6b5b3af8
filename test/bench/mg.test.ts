import { expect } from "chai";
import { ourMethod, paperMethod } from "../../bench/mg/method.ts";
import { simulate } from "../../bench/mg/simulate.ts";
import { AGENTS, createWorld, EPOCHS, membersOf, paperWorld, TOPICS } from "../../bench/mg/world.ts";
import { areaUnderCurve } from "../../bench/negative-evidence.ts";

describe("query-cycle simulation", () => {
  it("has the paper's 285 members in all topics together, and the same draws for the same seed", () => {
    const world = createWorld(paperWorld, 3);
    const sizes = Array.from({ length: TOPICS }, (_, topic) => membersOf(world, topic, EPOCHS - 1).length);
    expect(sizes).to.deep.equal([55, 65, 55, 55, 55]);
    expect(world.role).to.have.length(AGENTS);
    expect(createWorld(paperWorld, 3)).to.deep.equal(world);
    expect(createWorld(paperWorld, 4).candidates).to.not.deep.equal(world.candidates);
  });

  it("never has a client among its own candidates, nor a candidate twice", () => {
    const { client, candidates } = createWorld(paperWorld, 1);
    client.forEach((asker, query) => {
      const drawn = [asker, ...candidates.subarray(8 * query, 8 * query + 8)];
      expect(new Set(drawn).size, `query ${query}`).to.equal(9);
    });
  });

  it("shows what the paper claims: coupling with slashing holds, public reputation and no slashing do not", () => {
    const world = createWorld(paperWorld, 101);
    const success = (method: typeof paperMethod) => simulate(world, method).attackSuccess;
    const random = success({ ...paperMethod, kind: "random" });
    expect(success({ ...paperMethod, kind: "public" })).to.be.above(random);
    expect(success(paperMethod)).to.be.below(random / 4);
    expect(success({ ...paperMethod, slashing: { rule: "none" } })).to.be.above(random);
    expect(success(ourMethod)).to.be.below(success(paperMethod));
  });

  it("finds no attack where nobody attacks, and freezes nobody without proofs", () => {
    const peaceful = createWorld({ ...paperWorld, badRate: 0 }, 5);
    const outcome = simulate(peaceful, { ...ourMethod, honestCoverage: 0 });
    expect(outcome.attackSuccess).to.equal(0);
    expect(outcome.provenDetection).to.equal(0);
    expect(outcome.provenFalsePositives).to.equal(0);
    expect(outcome.roi).to.equal(-1);
  });
});

describe("area under the curve", () => {
  it("is 1 for order, 0 for its reverse, one half for ties, and the share of ordered pairs else", () => {
    expect(areaUnderCurve([1, 2, 3, 4], [false, false, true, true])).to.equal(1);
    expect(areaUnderCurve([4, 3, 2, 1], [false, false, true, true])).to.equal(0);
    expect(areaUnderCurve([7, 7, 7], [false, true, true])).to.equal(0.5);
    expect(areaUnderCurve([1, 3, 2, 4], [false, false, true, true])).to.equal(0.75);
  });
});
