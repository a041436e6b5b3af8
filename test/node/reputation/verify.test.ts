import { expect } from "chai";
import {
  judgeChallenge,
  LeafTree,
  packLeaf,
  SCORE_SUM,
  unpackLeaf,
  type Challenge,
  type Leaf,
  type TopicRoot,
} from "#protocol";
import { computeEpoch, type ComputedTopic } from "../../../node/reputation/engine.ts";
import type { TopicGraph } from "../../../node/reputation/graph.ts";
import { findFault, findTopicFault, MAX_ROW_EDGES_PER_CALL, truthOf } from "../../../node/reputation/verify.ts";
import { createRandom, graphOf, randomGraph, wrongRows, type Edge } from "./graphs.ts";
import { isNightly } from "../../fixtures/profile.ts";

/** The design's promise is made for 10⁵ graphs. */
const graphCount = isNightly ? 100_000 : 400;

async function computeOne(graph: TopicGraph): Promise<ComputedTopic> {
  return (await computeEpoch([graph]))[0] as ComputedTopic;
}

/** The candidate of a publisher who published these leaves under a root that fits them. */
function claim(honest: TopicRoot, leaves: readonly bigint[]) {
  const { topic, multiplier, shift } = honest;
  return { topic, multiplier, shift, root: new LeafTree(leaves).root, leaves };
}

function expectStruck(graph: TopicGraph, claimed: ReturnType<typeof claim>, label: string): Challenge {
  const finding = findTopicFault(claimed, graph);
  if (finding.kind !== "challenge") throw new Error(`${label}: ${finding.kind}`);
  const verdict = judgeChallenge(claimed, truthOf(graph), finding.challenge);
  expect(verdict, label).to.deep.equal({
    kind: "accept",
    value: finding.challenge.kind === "longRow" ? "row" : finding.challenge.kind,
  });
  return finding.challenge;
}

/** Every change of one unit that fits the field. */
function mutate(leaf: Leaf, random: () => number): Leaf {
  const field = (["agentId", "score", "cum", "prior", "rowSum"] as const)[Math.floor(random() * 5)] as keyof Leaf;
  if (field === "agentId") return { ...leaf, agentId: leaf.agentId === 0 ? 1 : leaf.agentId - 1 };
  const unit = leaf[field] === 0n || random() < 0.5 ? 1n : -1n;
  const wrapped = BigInt.asUintN(field === "prior" || field === "rowSum" ? 48 : 64, leaf[field] + unit);
  return { ...leaf, [field]: wrapped };
}

describe("finding a fault", () => {
  it(`finds none in ${graphCount} honest epochs, and one in each as soon as any field of any leaf moves by one unit`, async function () {
    this.timeout(isNightly ? 7_200_000 : 600_000);
    for (let seed = 1; seed <= graphCount; seed++) {
      const graph = randomGraph(seed, 30);
      const honest = await computeOne(graph);
      expect(findFault([honest], [graph]), `seed ${seed}`).to.deep.equal({ kind: "none" });
      const random = createRandom(seed + 1_000_000);
      const leaves = [...honest.leaves];
      const seat = Math.floor(random() * leaves.length);
      leaves[seat] = packLeaf(mutate(unpackLeaf(leaves[seat] as bigint), random));
      expectStruck(graph, claim(honest, leaves), `seed ${seed}, seat ${seat}`);
    }
  });

  it("strikes each field of each leaf, up and down by one unit, for the fault that it is", async () => {
    const struck = new Map<string, Set<string>>();
    for (let seed = 1; seed <= 8; seed++) {
      const graph = randomGraph(seed, 12);
      const honest = await computeOne(graph);
      honest.leaves.forEach((word, seat) => {
        for (const field of ["agentId", "score", "cum", "prior", "rowSum"] as const) {
          for (const unit of [1, -1]) {
            const leaf = unpackLeaf(word);
            if (leaf[field].toString() === "0" && unit < 0) continue;
            const value = field === "agentId" ? leaf.agentId + unit : leaf[field] + BigInt(unit);
            const leaves = honest.leaves.with(seat, packLeaf({ ...leaf, [field]: value }));
            const { kind } = expectStruck(graph, claim(honest, leaves), `seed ${seed}, seat ${seat}, ${field} ${unit}`);
            struck.set(field, (struck.get(field) ?? new Set()).add(kind));
          }
        }
      });
    }
    expect(Object.fromEntries([...struck].map(([field, kinds]) => [field, [...kinds].sort()]))).to.deep.equal({
      // The dust seat names nobody, holds nothing and begins the sums; the last sum ends them.
      agentId: ["edge", "seat"],
      score: ["edge", "sum"],
      cum: ["edge", "sum"],
      prior: ["edge", "prior"],
      rowSum: ["edge", "seat"],
    });
  });

  it("strikes one unit moved between any two seats although sums and ends are made to fit", async () => {
    let count = 0;
    for (let seed = 1; seed <= 8; seed++) {
      const graph = randomGraph(seed, 10);
      const honest = await computeOne(graph);
      const scores = honest.leaves.map((word) => unpackLeaf(word).score);
      for (let from = 0; from < scores.length; from++) {
        for (let to = 0; to < scores.length; to++) {
          if (from === to || scores[from] === 0n) continue;
          let cum = 0n;
          const leaves = honest.leaves.map((word, seat) => {
            const score = (scores[seat] as bigint) + (seat === to ? 1n : 0n) - (seat === from ? 1n : 0n);
            cum += score;
            return packLeaf({ ...unpackLeaf(word), score, cum: cum - score });
          });
          expect(expectStruck(graph, claim(honest, leaves), `seed ${seed}, ${from} to ${to}`).kind).to.equal("row");
          count++;
        }
      }
    }
    expect(count).to.be.above(100);
  });

  it("finds a wrong row for each λ that moves any row, and nothing where λ ± 1 gives the same map", async () => {
    let struckCount = 0;
    let sameCount = 0;
    for (let seed = 1; seed <= 150; seed++) {
      const graph = randomGraph(seed, 30);
      const honest = await computeOne(graph);
      const scores = honest.leaves.map((word) => unpackLeaf(word).score);
      for (const forged of [
        { ...honest, multiplier: honest.multiplier + 1n },
        { ...honest, multiplier: honest.multiplier - 1n },
        { ...honest, shift: honest.shift + 1 },
        { ...honest, multiplier: honest.multiplier + (honest.multiplier >> 40n) },
      ]) {
        const finding = findTopicFault(forged, graph);
        const isWrong = wrongRows(graph, scores, forged).length > 0;
        expect(finding.kind, `seed ${seed}`).to.equal(isWrong ? "challenge" : "none");
        if (isWrong) struckCount++;
        else sameCount++;
      }
    }
    expect(struckCount).to.be.above(300);
    expect(struckCount + sameCount).to.equal(600);
  });

  it("strikes 1% moved from one agent to another although all sums are right", async () => {
    for (let seed = 1; seed <= 100; seed++) {
      const graph = randomGraph(seed, 30);
      const honest = await computeOne(graph);
      const leaves = honest.leaves.map(unpackLeaf);
      const from = leaves.findIndex(({ score }, seat) => seat > 0 && score >= 100n);
      const to = leaves.length - 1;
      if (from === to) continue;
      const moved = (leaves[from] as Leaf).score / 100n;
      let cum = 0n;
      const forged = leaves.map((leaf, seat) => {
        const score = leaf.score + (seat === to ? moved : 0n) - (seat === from ? moved : 0n);
        cum += score;
        return packLeaf({ ...leaf, score, cum: cum - score });
      });
      expect(cum).to.equal(SCORE_SUM);
      expect(expectStruck(graph, claim(honest, forged), `seed ${seed}`).kind).to.equal("row");
    }
  });

  it("asks for every chunk of leaves that are absent, too few, or not the root's", async () => {
    const graph = graphOf(300, [], Array<number>(300).fill(1));
    const honest = await computeOne(graph);
    const missing = { kind: "unavailable", topic: 1n, chunks: [0, 1] };
    expect(findTopicFault({ ...honest, leaves: undefined }, graph)).to.deep.equal(missing);
    expect(findTopicFault({ ...honest, leaves: honest.leaves.slice(1) }, graph)).to.deep.equal(missing);
    expect(findTopicFault({ ...honest, root: `0x${"11".repeat(32)}` }, graph)).to.deep.equal(missing);
  });

  it("prefers the cheapest proof over all topics", async () => {
    const [a, b] = [randomGraph(3, 20), { ...randomGraph(4, 20), topic: 2n }];
    const [first, second] = (await computeEpoch([a, b])) as [ComputedTopic, ComputedTopic];
    const wrongSeat = [...second.leaves];
    wrongSeat[1] = (second.leaves[1] as bigint) + 1n;
    const finding = findFault([{ ...first, leaves: undefined }, claim(second, wrongSeat)], [a, b]);
    expect(finding).to.have.nested.property("challenge.kind", "seat");
    expect(() => findFault([first], [b]))
      .to.throw()
      .with.property("code", "VERIFY_GRAPH_MISSING");
  });

  it("proves a row that is too long for one transaction in parts", async () => {
    const clients = MAX_ROW_EDGES_PER_CALL + 150;
    const edges = Array.from({ length: clients }, (_, k): Edge => [clients + 1 - k, 1, 1 + (k % 7)]).slice(0, -1);
    const graph = graphOf(clients + 1, edges, Array<number>(clients + 1).fill(9));
    const honest = await computeOne(graph);
    const leaves = honest.leaves.map(unpackLeaf);
    // Score moves between seat 1, the long row, and the dust, so that no other row is wrong: seat 1 gives nothing on.
    const [dust, star, ...rest] = leaves as [Leaf, Leaf, ...Leaf[]];
    const forged = [
      { ...dust, score: dust.score - 1n },
      { ...star, score: star.score + 1n, cum: star.cum - 1n },
      ...rest,
    ];
    const challenge = expectStruck(graph, claim(honest, forged.map(packLeaf)), "long row");
    expect(challenge.kind).to.equal("longRow");
  });

  it("judges every challenge of an honest epoch as the contract does: it holds", async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const graph = randomGraph(seed, 20);
      const honest = await computeOne(graph);
      // A challenge made against a forgery is put to the honest candidate with the honest proofs.
      const forgeries = (["score", "cum", "prior", "rowSum"] as const).map((field) => {
        const seat = graph.seatCount - 1;
        const leaves = [...honest.leaves];
        const leaf = unpackLeaf(leaves[seat] as bigint);
        leaves[seat] = packLeaf({ ...leaf, [field]: leaf[field] + 1n });
        return claim(honest, leaves);
      });
      for (const forged of forgeries) {
        const { challenge } = findTopicFault(forged, graph) as { challenge: Challenge };
        const verdict = judgeChallenge(honest, truthOf(graph), withHonestLeaves(challenge, honest, graph));
        expect(verdict, `seed ${seed}, ${challenge.kind}`).to.include({ kind: "reject", code: "CHALLENGE_HOLDS" });
        expect(judgeChallenge({ ...honest, root: `0x${"22".repeat(32)}` }, truthOf(graph), challenge)).to.include({
          code: "CHALLENGE_PROOF",
        });
      }
    }
  });
});

function withHonestLeaves(challenge: Challenge, { leaves, tree }: ComputedTopic, graph: TopicGraph): Challenge {
  const at = (index: number) => ({ leaf: leaves[index] as bigint, proof: tree.proof(index) });
  switch (challenge.kind) {
    case "edge":
      return { ...challenge, ...at(challenge.isLast ? leaves.length - 1 : 0) };
    case "sum": {
      const { leaf: nextLeaf, proof: nextProof } = at(challenge.index + 1);
      return { ...challenge, ...at(challenge.index), nextLeaf, nextProof };
    }
    case "seat":
    case "prior":
      return { ...challenge, ...at(graph.agentIds.indexOf(challenge.agentId)) };
    default:
      throw new Error(`unexpected ${challenge.kind}`);
  }
}
