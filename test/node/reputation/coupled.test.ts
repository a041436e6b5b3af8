import { expect } from "chai";
import { SCORE_SUM, SuretyError } from "#protocol";
import {
  boundContraction,
  coupledPriors,
  halvings,
  log2Q16,
  Q16,
  solveCoupled,
  type Coupling,
  type ScoredTopic,
} from "../../../node/reputation/coupled.ts";
import { graphsAtClose, type TopicGraph } from "../../../node/reputation/graph.ts";
import { RESTART } from "../../../node/reputation/solver/float.ts";
import { createRandom, eventsOf, toReal, type Edge } from "./graphs.ts";

const coupling: Coupling = {
  stakeShare: 0.75 * Q16,
  similarity: (to, from) => Math.floor((to + from === 3n ? 0.8 : 0.5) * Q16),
  minClients: 1,
  isFraudulent: () => false,
  stakeUnitWei: 100n,
  minStakeWei: 1n,
  floor: 0,
  penalty: undefined,
};

/** Topics 1…count over the same agents, each with its own random trust. */
function createTopics(count: number, agentCount: number, seed: number): TopicGraph[] {
  const random = createRandom(seed);
  const stakes = Array.from({ length: agentCount }, () => 50 + Math.floor(random() * 100));
  return Array.from({ length: count }, (_, index) => {
    const edges: Edge[] = [];
    for (let client = 1; client <= agentCount; client++) {
      const provider = 1 + Math.floor(random() ** 2 * agentCount);
      if (provider !== client) edges.push([client, provider, 1 + Math.floor(random() * 9)]);
    }
    return graphsAtClose(eventsOf(agentCount, edges, stakes, BigInt(index + 1)), 1)[0] as TopicGraph;
  });
}

const sharesOf = (...shares: number[]) =>
  BigUint64Array.from(shares, (share) => BigInt(Math.round(share * 2 ** 20)) * (SCORE_SUM >> 20n));
const codeOf = (work: () => unknown): unknown => {
  try {
    work();
    return undefined;
  } catch (error) {
    return error instanceof SuretyError ? error.code : error;
  }
};

describe("coupled priors", () => {
  const first = createTopics(1, 2, 1)[0] as TopicGraph;
  const pair = (edges: Edge[]) => graphsAtClose(eventsOf(2, edges, [100, 200], 2n), 1)[0] as TopicGraph;
  const staked = { ...first, priors: Float64Array.of(0, 100, 200) };

  it("are eq. 12 to the unit: stake and the other topic's relative score, by share and similarity", () => {
    const topics: ScoredTopic[] = [
      { graph: staked, lastScores: undefined },
      { graph: pair([[1, 2, 1]]), lastScores: sharesOf(0, 0.25, 0.75) },
    ];
    const [priors] = coupledPriors(topics, coupling);
    // Agent 1 has no client in topic 2, so no bridge. Agent 2: r = .75 · 2 agents = 1.5, ω = .8 rounded down to 52428/65536.
    const bridged = Math.floor((Math.floor(0.8 * Q16) * 1.5 * Q16) / Q16);
    const expected = Math.floor((0.75 * Q16 * 2 * Q16 + 0.25 * Q16 * bridged) / Q16);
    expect([...(priors as Float64Array)]).to.deep.equal([0, 0.75 * Q16, expected]);
  });

  it("are the same by doubles and by bigints, on both sides of where doubles end", () => {
    const graph = pair([[1, 2, 1]]);
    const lastScores = sharesOf(0, 0.3, 0.7);
    for (const stake of [2 ** 36 - 1, 2 ** 36, 2 ** 36 + 1, 2 ** 46]) {
      const parts = [
        { graph: { ...staked, priors: Float64Array.of(0, 1, stake) }, lastScores: undefined },
        { graph: { ...graph, priors: Float64Array.of(0, 2 ** 40, 2 ** 40) }, lastScores },
      ];
      const [priors] = coupledPriors(parts, { ...coupling, stakeUnitWei: BigInt(Q16) });
      const [omega, r] = [BigInt(Math.floor(0.8 * Q16)), ((lastScores[2] as bigint) * 2n) >> 46n];
      const share = BigInt(coupling.stakeShare);
      const expected = (share * BigInt(stake) + (65_536n - share) * ((omega * r) >> 16n)) >> 16n;
      expect(priors?.[2], `${stake}`).to.equal(Number(expected));
    }
  });

  it("count no bridge of a proven fraud, of too few clients, or of a topic without scores yet", () => {
    const graph = pair([[1, 2, 1]]);
    const lastScores = sharesOf(0, 0.25, 0.75);
    const priorsWith = (change: Partial<Coupling>, scores: BigUint64Array | undefined = lastScores) => {
      const parts = [
        { graph: staked, lastScores: undefined },
        { graph, lastScores: scores },
      ];
      return [...(coupledPriors(parts, { ...coupling, ...change })[0] as Float64Array)];
    };
    const alone = [0, 0.75 * Q16, 1.5 * Q16];
    expect(priorsWith({})).to.not.deep.equal(alone);
    expect(priorsWith({ isFraudulent: (agentId) => agentId === 2 })).to.deep.equal(alone);
    expect(priorsWith({ minClients: 2 })).to.deep.equal(alone);
    expect(priorsWith({}, new BigUint64Array(0))).to.deep.equal(alone);
  });

  it("are cut down for a variance between topics: all of it, or the bridged part, and less by log2 than linearly", () => {
    const graph = pair([[1, 2, 1]]);
    const parts = [
      { graph: { ...staked, inStart: graph.inStart }, lastScores: sharesOf(0, 0.9, 0.1) },
      { graph, lastScores: sharesOf(0, 0.1, 0.9) },
    ];
    const priorWith = (penalty: Coupling["penalty"]) =>
      (coupledPriors(parts, { ...coupling, floor: 100_000 * Q16, penalty })[0] as Float64Array)[2] as number;
    const penalty = { betaLog2: Q16 / 64, of: "linear", covers: "all" } as const;
    const [none, all, bridges, log2] = [
      priorWith(undefined),
      priorWith(penalty),
      priorWith({ ...penalty, covers: "bridges" }),
      priorWith({ ...penalty, of: "log2" }),
    ];
    expect(all).to.be.below(bridges).and.below(log2);
    expect(bridges).to.be.below(none);
    expect(log2).to.be.below(none);
  });

  it("are refused, with the bound, where coupled epochs need not settle", () => {
    const topics = createTopics(3, 30, 4).map((graph) => ({ graph, lastScores: undefined }));
    const weak = { ...coupling, stakeShare: 0.3 * Q16 };
    expect(codeOf(() => coupledPriors(topics, weak))).to.equal("COUPLING_UNSTABLE");
    expect(() => boundContraction(topics, weak)).to.throw(/\(1-α\) \+ α·L_P = 1\.\d+/);
    const penalty = { betaLog2: Q16, of: "linear", covers: "all" } as const;
    expect(codeOf(() => boundContraction(topics, { ...coupling, penalty }))).to.equal("COUPLING_UNSTABLE");
    const { lipschitz, bound } = boundContraction(topics, coupling);
    expect(bound)
      .to.be.closeTo(1 - RESTART + RESTART * lipschitz, 1e-15)
      .and.below(1);
  });

  it("never accept similarities without any prior that scores cannot take away", () => {
    const topics = createTopics(2, 5, 2).map((graph) => ({ graph, lastScores: undefined }));
    expect(codeOf(() => boundContraction(topics, { ...coupling, stakeShare: 0 }))).to.equal("COUPLING_UNSTABLE");
    expect(boundContraction(topics, { ...coupling, stakeShare: 0, similarity: () => 0 }).bound).to.be.below(1);
  });

  it("let epochs settle: each moves all topics by at most L_P times what the one before did, in the largest L1", async () => {
    for (const seed of [1, 2, 3]) {
      const graphs = createTopics(3, 40, seed);
      const { lipschitz } = boundContraction(
        graphs.map((graph) => ({ graph, lastScores: undefined })),
        coupling,
      );
      let last = new Map<bigint, BigUint64Array>();
      let movedBefore = Infinity;
      for (let epoch = 0; epoch < 6; epoch++) {
        const topics = graphs.map((graph) => ({ graph, lastScores: last.get(graph.topic) }));
        const solved = await solveCoupled(topics, coupling);
        const moved = Math.max(
          ...[...solved].map(([topic, { scores }]) => {
            const before = toReal(last.get(topic) ?? scores);
            return toReal(scores).reduce((sum, share, seat) => sum + Math.abs(share - (before[seat] as number)), 0);
          }),
        );
        // The first epoch has nothing before it, the second is the first with bridges.
        if (epoch >= 2)
          expect(moved, `seed ${seed}, epoch ${epoch}`).to.be.at.most(lipschitz * movedBefore + 1e-3 / Q16);
        if (epoch >= 1) movedBefore = moved;
        last = new Map([...solved].map(([topic, { scores }]) => [topic, scores]));
      }
      expect(movedBefore).to.be.below(0.01);
    }
  });
});

describe("whole-number functions of the prior", () => {
  it("halve within 6e-6, never rise, and end at 0", () => {
    let before = halvings(0);
    expect(before).to.equal(1n << 32n);
    for (let y = 1; y < 6 * Q16; y += 101) {
      const value = halvings(y);
      expect(value <= before, `${y}`).to.equal(true);
      expect(Math.abs((Number(value) / 2 ** 32) * 2 ** (y / Q16) - 1), `${y}`).to.be.below(6e-6);
      before = value;
    }
    expect(halvings(41 * Q16)).to.equal(0n);
    expect(halvings(3 * Q16)).to.equal(1n << 29n);
  });

  it("take logarithms to the last of 16 bits, rounded down", () => {
    for (let x = Q16; x < 65 * Q16; x += 1_237) {
      const exact = Math.log2(x / Q16) * Q16;
      expect(log2Q16(x), `${x}`).to.be.within(Math.floor(exact) - 1, Math.floor(exact));
    }
    expect(log2Q16(Q16)).to.equal(0);
    expect(log2Q16(64 * Q16)).to.equal(6 * Q16);
  });
});
