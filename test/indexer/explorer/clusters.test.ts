import { expect } from "chai";
import fc from "fast-check";
import { clustersOf, type TrustEdge } from "../../../indexer/explorer/graph/clusters.ts";

const ring = (first: number, size: number, weight = 100): TrustEdge[] =>
  Array.from({ length: size }, (_, k) => ({
    from: `${first + k}`,
    to: `${first + ((k + 1) % size)}`,
    weight,
  }));

describe("groups of the trust graph", () => {
  it("finds a ring that rates itself apart from a market, and how closed each is", () => {
    const market = Array.from({ length: 12 }, (_, k) => [
      { from: `${1 + k}`, to: `${1 + ((k + 1) % 12)}`, weight: 50 },
      { from: `${1 + k}`, to: `${1 + ((k + 5) % 12)}`, weight: 50 },
    ]).flat();
    const bribe = { from: "1", to: "100", weight: 10 };
    const { clusters, clusterOf } = clustersOf([...market, ...ring(100, 5), bribe]);
    const accomplices = clusters[clusterOf.get("100") ?? -1];
    expect(accomplices?.members).to.deep.equal(["100", "101", "102", "103", "104"]);
    expect(accomplices).to.include({ inside: 500, earnedOutside: 10 });
    expect(accomplices?.closedness).to.be.closeTo(500 / 510, 1e-12);
  });

  it("leaves out whoever trusts only themselves, and says nothing of nobody", () => {
    expect(clustersOf([])).to.deep.equal({ clusters: [], clusterOf: new Map() });
    expect(clustersOf([{ from: "1", to: "1", weight: 9 }]).clusters).to.deep.equal([]);
  });

  it("says the same of the same edges, and counts every earned unit once", () => {
    const edge = fc.record({
      from: fc.nat(30).map(String),
      to: fc.nat(30).map(String),
      weight: fc.integer({ min: 1, max: 100 }),
    });
    fc.assert(
      fc.property(fc.array(edge, { maxLength: 80 }), (edges) => {
        const result = clustersOf(edges);
        expect(clustersOf(edges)).to.deep.equal(result);
        const grouped = edges.filter(({ to }) => result.clusterOf.has(to)).reduce((sum, { weight }) => sum + weight, 0);
        expect(result.clusters.reduce((sum, { inside, earnedOutside }) => sum + inside + earnedOutside, 0)).to.equal(
          grouped,
        );
        for (const { members, closedness } of result.clusters) {
          expect(members.length).to.be.greaterThan(1);
          expect(closedness).to.be.within(0, 1);
        }
      }),
      { numRuns: 100 },
    );
  });
});
