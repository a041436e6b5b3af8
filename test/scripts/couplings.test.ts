import { expect } from "chai";
import fc from "fast-check";
import { requireCouplings, SHARE_ONE, SuretyError, topicIdOf } from "#protocol";
import { parseCouplings } from "../../scripts/couplings.ts";
import { builtinScenario } from "../../scripts/scenarios/builtin.ts";

const outcomeOf = (text: string): unknown => {
  try {
    return parseCouplings(text);
  } catch (error) {
    return error instanceof SuretyError ? error.code : error;
  }
};
const link = { to: "a", from: "b", similarity: 0.5 };
const write = (change: object) => JSON.stringify({ minClients: 2, maxShare: 0.5, links: [link], ...change });

describe("a file of couplings", () => {
  it("becomes what the contract takes: topics by id, in its order, shares in 2^-16, rounded down", () => {
    const links = [link, { ...link, from: "c", similarity: 0.1 }, { to: "b", from: "a", similarity: 1 }];
    const couplings = parseCouplings(write({ links }));
    requireCouplings(couplings);
    expect(couplings).to.include({ minClients: 2, maxShare: SHARE_ONE / 2 });
    const expected = links.map(({ to, from, similarity }) => [
      topicIdOf(to),
      topicIdOf(from),
      Math.floor(similarity * SHARE_ONE),
    ]);
    expect(couplings.links.map(({ to, from, omega }) => [to, from, omega])).to.have.deep.members(expected);
  });

  it("is refused by name where it cannot be read, and where the contract would refuse it", () => {
    const unreadable = [
      "",
      "[]",
      "{}",
      write({ x: 1 }),
      write({ minClients: "2" }),
      write({ links: 3 }),
      write({ links: [{}] }),
    ];
    expect(unreadable.map(outcomeOf)).to.deep.equal(unreadable.map(() => "COUPLINGS_INVALID"));
    expect(outcomeOf(write({ maxShare: 1 }))).to.equal("COUPLING_UNSTABLE");
    for (const similarity of [0, -1, 1.1, 1e300]) {
      expect(outcomeOf(write({ links: [{ ...link, similarity }] })), `${similarity}`).to.equal("COUPLING_LINK");
    }
    expect(outcomeOf(write({ links: [link, link] }))).to.equal("COUPLING_LINK");
  });

  it("never makes the reader fail otherwise, whatever it holds", () => {
    const value = fc.oneof(
      fc.jsonValue(),
      fc.record({ minClients: fc.double(), maxShare: fc.double(), links: fc.array(fc.jsonValue()) }),
    );
    fc.assert(
      fc.property(value, (json) => {
        const outcome = outcomeOf(JSON.stringify(json));
        expect(outcome instanceof Error ? outcome.message : "known").to.equal("known");
      }),
    );
  });

  it("of the built-in scenario names topics that it deals in, and agents that join one hold a score in another", () => {
    const { couplings, topics, agents } = builtinScenario;
    expect(couplings?.links.flatMap(({ to, from }) => [to, from]).every((topic) => topics.includes(topic))).to.equal(
      true,
    );
    expect(agents.flatMap(({ joins = [] }) => joins)).to.have.lengthOf(1);
  });
});
