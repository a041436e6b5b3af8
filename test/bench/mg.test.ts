import { expect } from "chai";
import { ourMethod, paperMethod } from "../../bench/mg/method.ts";
import { simulate } from "../../bench/mg/simulate.ts";
import { simulateThreat, type Chooser } from "../../bench/mg/threats.ts";
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

describe("EigenTrust's threat models", () => {
  const share = (model: "A" | "C", chooser: Chooser, camouflage: number) =>
    simulateThreat({ model, chooser, malicious: 20, camouflage, spies: 0, seed: 3 }, 8);

  it("give a third of inauthentic files without trust, and with trust little more than honest failures", () => {
    const [none, eigentrust, ours] = (["none", "eigentrust", "ours"] as const).map((chooser) => share("A", chooser, 0));
    expect(none).to.be.within(0.25, 0.45);
    expect(eigentrust).to.be.within(0.05, 0.16);
    expect(ours).to.be.within(0.03, eigentrust as number);
  });

  it("show camouflage to work against EigenTrust, and not against complaints", () => {
    expect(share("C", "eigentrust", 0.5)).to.be.above(share("A", "eigentrust", 0));
    expect(share("C", "ours", 0.5)).to.be.below(share("C", "eigentrust", 0.5) / 2);
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
