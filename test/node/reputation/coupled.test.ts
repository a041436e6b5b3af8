import { expect } from "chai";
import {
  bridgedBy,
  budgetOf,
  coupledPriorOf,
  judgeChallenge,
  LeafTree,
  noCouplings,
  packLeaf,
  requireCouplings,
  SCORE_SUM,
  settlingFactor,
  SHARE_ONE,
  SuretyError,
  unpackLeaf,
  type Challenge,
  type Couplings,
} from "#protocol";
import { countedSourcesOf, coupleTopics } from "../../../node/reputation/coupled.ts";
import { computeEpoch, type ComputedTopic } from "../../../node/reputation/engine.ts";
import { graphsAtClose, type Base, type TopicGraph } from "../../../node/reputation/graph.ts";
import { findFault, truthOf } from "../../../node/reputation/verify.ts";
import { createRandom, eventsOf, randomGraph, type Edge } from "./graphs.ts";
import { isNightly } from "../../fixtures/profile.ts";

const codeOf = (work: () => unknown): unknown => {
  try {
    work();
    return undefined;
  } catch (error) {
    return error instanceof SuretyError ? error.code : error;
  }
};

const baseOf = ({ topic, root, multiplier, shift, leaves }: ComputedTopic, epoch = 1): Base => {
  return { topic, root, multiplier, shift, leafCount: leaves.length, epoch, leaves };
};
const basesOf = (computed: readonly ComputedTopic[]) => new Map(computed.map((topic) => [topic.topic, baseOf(topic)]));

/** Links between random pairs of topics, with random omegas of one at most into each. */
function randomCouplings(random: () => number, topics: readonly bigint[]): Couplings {
  const links = topics.flatMap((to) => {
    const sources = topics.filter((from) => from !== to && random() < 0.7);
    return sources.map((from) => ({ to, from, omega: 1 + Math.floor((random() * SHARE_ONE) / sources.length) - 1 }));
  });
  const taken = links.filter(({ omega }) => omega > 0);
  const couplings = {
    minClients: Math.floor(random() * 3),
    maxShare: Math.floor(random() * SHARE_ONE * 0.9),
    links: taken,
  };
  requireCouplings(couplings);
  return couplings;
}

/** Topics 1, 2, 3 over some of the same agents, each with trust of its own, and one more deal each in a later epoch. */
function randomTopics(seed: number): TopicGraph[] {
  return [1n, 2n, 3n].map((topic, k) => ({ ...randomGraph(3 * seed + k, 16), topic }));
}

async function coupledEpoch(seed: number) {
  const random = createRandom(seed);
  const stakes = randomTopics(seed);
  // Stake belongs to the agent: the same in all its topics.
  const [first] = stakes as [TopicGraph];
  const graphs = stakes.map((graph) => ({
    ...graph,
    priors: graph.priors.map((_, seat) =>
      seat === 0 ? 0 : (first.priors[1 + ((seat - 1) % (first.seatCount - 1))] as number),
    ),
  }));
  const earlier = await computeEpoch(graphs);
  // The bases are of an earlier epoch: some have fewer seats, some topics none at all.
  const bases = basesOf(earlier.filter(() => random() < 0.9));
  const couplings = randomCouplings(random, [1n, 2n, 3n]);
  const coupled = coupleTopics(graphs, couplings, bases);
  return { graphs, coupled, couplings, bases, computed: await computeEpoch(coupled) };
}

describe("coupled priors", () => {
  const stakes = [100_000, 200_000];
  const graphOn = (topic: bigint, edges: Edge[]) =>
    graphsAtClose(eventsOf(2, edges, stakes, topic), 1)[0] as TopicGraph;
  const leaf = (agentId: number, score: bigint) => packLeaf({ agentId, score, cum: 0n, prior: 0n, rowSum: 0n });
  const couplings: Couplings = {
    minClients: 1,
    maxShare: SHARE_ONE / 2,
    links: [{ to: 1n, from: 2n, omega: SHARE_ONE / 4 }],
  };
  /** Half, and a quarter, of topic 2 in the base; λ = 9830·2^46 / 400,000: a budget of 400,000. */
  const leaves = [leaf(0, 0n), leaf(1, SCORE_SUM / 2n), leaf(2, SCORE_SUM / 4n)];
  const lambda = { multiplier: (9830n << 46n) / 400_000n, shift: 0 };
  const source: Base = {
    topic: 2n,
    epoch: 3,
    root: new LeafTree(leaves).root,
    leafCount: 3,
    multiplier: 1n,
    shift: 0,
    leaves,
  };
  const target: Base = { ...source, ...lambda, topic: 1n, leaves: undefined };
  const bothRated: Edge[] = [
    [1, 2, 5],
    [2, 1, 5],
  ];
  const priorsWith = (change: { bases?: readonly Base[]; edges?: Edge[]; couplings?: Partial<Couplings> } = {}) => {
    const { bases = [source, target], edges = bothRated } = change;
    const byTopic = new Map(bases.map((base) => [base.topic, base]));
    const all = { ...couplings, ...change.couplings };
    return [...(coupleTopics([graphOn(1n, []), graphOn(2n, edges)], all, byTopic)[0] as TopicGraph).priors];
  };

  it("add what a pencil adds: the score's share of the budget, by similarity, up to a share of the stake", () => {
    expect(budgetOf(lambda)).to.equal(400_000n);
    // ½ · ¼ of 400,000 is 50,000, just half of the stake; ¼ · ¼ is 25,000.
    expect(priorsWith()).to.deep.equal([0, 150_000, 225_000]);
    expect(priorsWith({ couplings: { maxShare: SHARE_ONE / 4 } })).to.deep.equal([0, 125_000, 225_000]);
    expect(coupledPriorOf((1n << 48n) - 1n, 1n << 80n, SHARE_ONE / 2)).to.equal((1n << 48n) - 1n);
    expect(bridgedBy(SCORE_SUM, SHARE_ONE, 7n) >> 16n).to.equal(7n);
  });

  it("add nothing without enough clients there, a seat in the base, a base of either topic, or a stake", () => {
    const alone = [0, ...stakes];
    expect(priorsWith({ couplings: { minClients: 2 } })).to.deep.equal(alone);
    expect(priorsWith({ edges: [[1, 2, 5]] }), "nobody rated agent 1").to.deep.equal([0, 100_000, 225_000]);
    expect(priorsWith({ bases: [{ ...source, leafCount: 2 }, target] }), "came later").to.deep.equal([
      0, 150_000, 200_000,
    ]);
    expect(priorsWith({ bases: [source] })).to.deep.equal(alone);
    expect(priorsWith({ bases: [target] })).to.deep.equal(alone);
    const [burned] = coupleTopics(
      [{ ...graphOn(1n, []), priors: Float64Array.of(0, 0, 200_000) }, graphOn(2n, bothRated)],
      couplings,
      new Map([source, target].map((base) => [base.topic, base])),
    );
    expect([...(burned as TopicGraph).priors]).to.deep.equal([0, 0, 225_000]);
  });

  it("stay unknown, by a name that a retry may mend, while a base's leaves are not at hand", () => {
    const hidden = { ...source, leaves: undefined };
    expect(codeOf(() => priorsWith({ bases: [hidden, target] }))).to.equal("BASE_UNREADABLE");
    expect(
      codeOf(() => priorsWith({ bases: [hidden, target], couplings: { minClients: 2 } })),
      "not needed",
    ).to.equal(undefined);
  });

  const epochCount = isNightly ? 20_000 : 60;
  it(`of ${epochCount} random coupled epochs are never slashable, and each one moved by a unit is struck`, async function () {
    this.timeout(isNightly ? 7_200_000 : 120_000);
    let bridgedCount = 0;
    let ignoredCount = 0;
    for (let seed = 1; seed <= epochCount; seed++) {
      const { graphs, coupled, computed } = await coupledEpoch(seed);
      expect(findFault(computed, coupled), `seed ${seed}`).to.deep.equal({ kind: "none" });
      for (const honest of computed) {
        const graph = coupled.find(({ topic }) => topic === honest.topic) as TopicGraph;
        const plain = graphs.find(({ topic }) => topic === honest.topic) as TopicGraph;
        for (let seat = 1; seat < graph.seatCount; seat++) {
          const prior = BigInt(graph.priors[seat] as number);
          const stake = BigInt(plain.priors[seat] as number);
          const claims = [prior + 1n, prior - 1n, stake].filter(
            (claim) => claim !== prior && claim >= 0n && claim < 1n << 48n,
          );
          if (prior > stake) bridgedCount++;
          if (claims.includes(stake)) ignoredCount++;
          for (const claim of claims) expectPriorStruck(graph, honest, seat, claim, `seed ${seed}`);
          expectHolds(graph, honest, seat, `seed ${seed}`);
        }
      }
    }
    expect(bridgedCount).to.be.above(epochCount);
    expect(ignoredCount).to.be.above(epochCount);
  });

  it("judge a challenge that shows too much, too little or another's leaf as the contract does", async () => {
    let judged = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const { coupled, computed } = await coupledEpoch(seed);
      for (const honest of computed) {
        const graph = coupled.find(({ topic }) => topic === honest.topic) as TopicGraph;
        const seat = Array.from({ length: graph.seatCount }, (_, k) => k).find(
          (k) => countedSourcesOf(graph, k).length > 0,
        );
        if (seat === undefined) continue;
        const challenge = priorChallenge(graph, honest, seat, honest.leaves, honest.tree);
        const judge = (sources: typeof challenge.sources) =>
          judgeChallenge(honest, truthOf(graph), { ...challenge, sources });
        const [shown, ...others] = challenge.sources;
        if (shown === undefined) throw new Error("counted sources are shown");
        expect(judge(challenge.sources)).to.include({ code: "CHALLENGE_HOLDS" });
        expect(judge(challenge.sources.slice(1)))
          .to.include({ kind: "reject" })
          .and.not.include({ code: "CHALLENGE_HOLDS" });
        expect(judge([...challenge.sources, shown])).to.include({ code: "CHALLENGE_BAD" });
        expect(judge([{ ...shown, leaf: shown.leaf + (1n << 160n) }, ...others])).to.include({
          code: "CHALLENGE_PROOF",
        });
        judged++;
      }
    }
    expect(judged).to.be.above(10);
  });
});

function priorChallenge(
  graph: TopicGraph,
  { topic }: ComputedTopic,
  seat: number,
  words: readonly bigint[],
  tree: LeafTree,
) {
  const sources = countedSourcesOf(graph, seat).map(({ source, seat: at, leaf }) => ({
    leaf,
    proof: new LeafTree(source.base.leaves ?? []).proof(at),
  }));
  const agentId = graph.agentIds[seat] as number;
  return { kind: "prior", topic, agentId, leaf: words[seat] as bigint, proof: tree.proof(seat), sources } as const;
}

function expectHolds(graph: TopicGraph, honest: ComputedTopic, seat: number, label: string): void {
  const challenge: Challenge = priorChallenge(graph, honest, seat, honest.leaves, honest.tree);
  expect(judgeChallenge(honest, truthOf(graph), challenge), label).to.include({ code: "CHALLENGE_HOLDS" });
}

function expectPriorStruck(graph: TopicGraph, honest: ComputedTopic, seat: number, prior: bigint, label: string): void {
  const words = honest.leaves.with(seat, packLeaf({ ...unpackLeaf(honest.leaves[seat] as bigint), prior }));
  const tree = new LeafTree(words);
  const forged = { ...honest, root: tree.root };
  const challenge = priorChallenge(graph, honest, seat, words, tree);
  expect(judgeChallenge(forged, truthOf(graph), challenge), `${label}, seat ${seat}`).to.deep.equal({
    kind: "accept",
    value: "prior",
  });
}

describe("couplings", () => {
  const link = (to: bigint, from: bigint, omega: number) => ({ to, from, omega });
  const outcome = (change: Partial<Couplings>) => codeOf(() => requireCouplings({ ...noCouplings, ...change }));

  it("settle if reputation elsewhere adds less than the stake, and are refused with the factor where they need not", () => {
    expect(settlingFactor(SHARE_ONE / 2) / SHARE_ONE).to.be.closeTo(2 / 3, 1e-4);
    expect(outcome({ maxShare: SHARE_ONE / 2 })).to.equal(undefined);
    expect([65_534, 65_535, SHARE_ONE, -1, 0.5].map((maxShare) => outcome({ maxShare }))).to.deep.equal([
      undefined,
      ...Array<string>(4).fill("COUPLING_UNSTABLE"),
    ]);
  });

  it("are refused out of order, twice, into the topic itself, above one, or from more than eight topics", () => {
    const good = [link(1n, 2n, 30_000), link(1n, 3n, 35_536), link(2n, 1n, 65_536)];
    expect(outcome({ links: good })).to.equal(undefined);
    const nine = (count: number) => Array.from({ length: count }, (_, k) => link(1n, BigInt(k + 2), 100));
    expect(outcome({ links: nine(8) })).to.equal(undefined);
    for (const links of [
      good.toReversed(),
      [link(1n, 2n, 1), link(1n, 2n, 1)],
      [link(1n, 1n, 1)],
      [link(1n, 2n, 0)],
      [link(0n, 2n, 1)],
      [link(1n, 2n, 65_537)],
      [link(1n, 2n, 30_000), link(1n, 3n, 35_537)],
      nine(9),
    ]) {
      expect(
        outcome({ links }),
        JSON.stringify(links, (_, value: unknown) => String(value)),
      ).to.equal("COUPLING_LINK");
    }
  });
});

describe("coupled epochs", () => {
  /** max(0, max ln a/b) + max(0, max ln b/a) over agents with stake, the metric of docs/reputation-argument.md. */
  const distance = (a: TopicGraph, b: TopicGraph) => {
    let [up, down] = [0, 0];
    a.priors.forEach((prior, seat) => {
      if (prior === 0) return;
      const ratio = Math.log(prior / (b.priors[seat] as number));
      [up, down] = [Math.max(up, ratio), Math.max(down, -ratio)];
    });
    return up + down;
  };

  it("forget where they began: two histories come closer by the factor in each epoch that reads the one before", async () => {
    const couplings: Couplings = {
      minClients: 0,
      maxShare: SHARE_ONE / 2,
      links: [1n, 2n, 3n].flatMap((to) =>
        [1n, 2n, 3n].filter((from) => from !== to).map((from) => ({ to, from, omega: SHARE_ONE / 2 })),
      ),
    };
    let largest = 0;
    for (let seed = 1; seed <= 8; seed++) {
      const random = createRandom(seed);
      const graphs = randomTopics(seed).map((graph) => ({
        ...graph,
        priors: graph.priors.map((_, seat) => (seat === 0 ? 0 : 1_000_000_000 + (seat % 5) * 300_000_000)),
      }));
      const start = () =>
        graphs.map((graph) => ({
          ...graph,
          priors: graph.priors.map((stake) => Math.floor(stake * (1 + random() / 2))),
        }));
      let [one, other] = [start(), start()] as [TopicGraph[], TopicGraph[]];
      for (let epoch = 0; epoch < 4; epoch++) {
        const before = Math.max(...one.map((graph, k) => distance(graph, other[k] as TopicGraph)));
        const next = async (history: TopicGraph[]) =>
          coupleTopics(graphs, couplings, basesOf(await computeEpoch(history)));
        [one, other] = [await next(one), await next(other)];
        const after = Math.max(...one.map((graph, k) => distance(graph, other[k] as TopicGraph)));
        // Whole units and the dust are below 2^-24 of these priors.
        expect(after, `seed ${seed}, epoch ${epoch}`).to.be.below(
          (before * settlingFactor(couplings.maxShare)) / SHARE_ONE + 2 ** -24,
        );
        if (epoch === 0) largest = Math.max(largest, after / before);
      }
    }
    expect(largest, "something moved at all").to.be.above(0);
  });
});
