import { createReadStream, existsSync } from "node:fs";
import { zeroHash } from "viem";
import { SHARE_ONE } from "#protocol";
import { leavesOf } from "../node/reputation/engine.ts";
import type { Base, TopicGraph } from "../node/reputation/graph.ts";
import { coupleTopics } from "../node/reputation/coupled.ts";
import { parseRatings } from "../node/reputation/import.ts";
import { solveExact } from "../node/reputation/solver/exact.ts";
import { readScores, solveFloat } from "../node/reputation/solver/float.ts";
import { solveTopic, withTeam } from "../node/reputation/solver/solve.ts";
import type { Bench, Result } from "./harness/report.ts";
import { runPeers, type Peers } from "./reputation/peers.ts";
import { createPowerLawEdges, createRandom, graphOfEdges, type EdgeList } from "./reputation/random-graph.ts";

/** What peers solve to. */
const RESIDUAL = 1e-9;
const EXACT_RESIDUAL = 1e-12;
const REPEATS = 3;
const TOPICS = 5;
const EPINIONS = "../shared/data/epinions/soc-Epinions1.txt";

export const bench: Bench = {
  profile: `residual ≤ ${RESIDUAL}, solve only, best of ${REPEATS}`,
  async run({ isQuick }) {
    const [agents, edges] = isQuick ? [100_000, 1_000_000] : [1_000_000, 10_000_000];
    const list = createPowerLawEdges(agents, edges, 1);
    const graph = graphOfEdges(list);
    const peers = runPeers(list);
    const size = `${agents / 1_000}k agents, ${edges / 1_000_000}M edges`;
    const one = await timeSolve(graph, 1);
    const two = await timeSolve(graph, 2);
    if (Buffer.compare(Buffer.from(one.scores.buffer), Buffer.from(two.scores.buffer)) !== 0) {
      throw new Error("bench: two threads gave other bytes than one");
    }
    return [
      timeRow(`1 topic, ${size}, 1 thread`, one, peers, /1 thread|igraph|scipy/, 3),
      timeRow(`1 topic, ${size}, 2 threads`, two, peers, /2 threads|igraph|scipy/, 3),
      ...(await epinionsRows()),
      ...(await partRows(graph, size)),
      await topicsRow(list, size),
    ];
  },
};

interface Solved {
  readonly ms: number;
  readonly scores: Float64Array;
  readonly sweeps: { readonly single: number; readonly double: number };
  readonly residual: number;
}

async function timeSolve(graph: TopicGraph, threadCount: number): Promise<Solved> {
  return await withTeam(graph, { threadCount }, async (layout, team) => {
    let best: Solved | undefined;
    for (let k = 0; k < REPEATS; k++) {
      const startMs = performance.now();
      const result = await solveFloat(graph, layout, team, { residualGoal: RESIDUAL });
      const ms = performance.now() - startMs;
      const { sweeps, residual } = result;
      if (best === undefined || ms < best.ms) best = { ms, scores: readScores(layout, result), sweeps, residual };
    }
    return best as Solved;
  });
}

/** @param goalFactor how many times faster than the first named peer we want to be */
function timeRow(id: string, solved: Solved, { times, absent }: Peers, wanted: RegExp, goalFactor: number): Result {
  const measured = times.filter(({ name }) => wanted.test(name));
  const distances = measured.map(({ name, scores }) => `${name} ${distanceOf(scores, solved.scores).toExponential(1)}`);
  const best = Math.min(...measured.map(({ ms }) => ms));
  return {
    ...{ id, unit: "ms", value: round(solved.ms), better: "lower" },
    goal: measured[0] === undefined ? null : round(measured[0].ms / goalFactor),
    peers: Object.fromEntries(measured.map(({ name, ms }) => [name, ms])),
    ratio: measured.length === 0 ? null : round(best / solved.ms),
    note: [
      `${solved.sweeps.single} sweeps in 32 bits, ${solved.sweeps.double} in 64, residual ${solved.residual.toExponential(1)}`,
      // α is 9830/65536 here and 0.15 there: 7e-6 apart, which moves scores by some 1e-5.
      ...(distances.length === 0 ? [] : [`L1 to ${distances.join(", ")} (their α is .15)`]),
      ...absent,
    ].join("; "),
  };
}

function distanceOf(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += Math.abs((a[k] as number) - (b[k] as number));
  return sum;
}

async function epinionsRows(): Promise<Result[]> {
  if (!existsSync(EPINIONS)) return [];
  const index = new Map<number, number>();
  const numberOf = (person: number) => index.get(person) ?? (index.set(person, index.size), index.size - 1);
  const pairs: [number, number][] = [];
  for await (const verdict of parseRatings(createReadStream(EPINIONS))) {
    if (verdict.kind === "accept") pairs.push([numberOf(verdict.value.source), numberOf(verdict.value.target)]);
  }
  const random = createRandom(2);
  const list: EdgeList = {
    agentCount: index.size,
    sources: Uint32Array.from(pairs, ([source]) => source),
    targets: Uint32Array.from(pairs, ([, target]) => target),
    weights: new Uint8Array(pairs.length).fill(1),
    seeds: Uint32Array.from({ length: 20 }, () => Math.floor(random() * index.size)),
  };
  const peers = runPeers(list);
  const ordered = { ...peers, times: peers.times.toSorted((a) => (a.name.startsWith("igraph") ? -1 : 1)) };
  return [
    timeRow(
      "Epinions (75,879 people), 1 thread",
      await timeSolve(graphOfEdges(list), 1),
      ordered,
      /1 thread|igraph|scipy/,
      5,
    ),
  ];
}

const figure = (id: string, unit: string, value: number, goal: number, note: string): Result => ({
  ...{ id, unit, value: round(value), goal, better: "lower", peers: {}, ratio: null, note },
});

/** What exactness and a next epoch cost, beside the float solve of the same run. */
async function partRows(graph: TopicGraph, size: string): Promise<Result[]> {
  return await withTeam(graph, { threadCount: 2 }, async (layout, team) => {
    const time = async <T>(work: () => Promise<T>): Promise<[number, T]> => {
      const startMs = performance.now();
      const outcome = await work();
      return [performance.now() - startMs, outcome];
    };
    // Threads start with the first operation: that is no part of a solve.
    await solveFloat(graph, layout, team, { residualGoal: RESIDUAL });
    const [floatMs, cold] = await time(() => solveFloat(graph, layout, team, { residualGoal: RESIDUAL }));
    const scores = readScores(layout, cold);
    const [exactMs, exact] = await time(async () =>
      solveExact(
        graph,
        layout,
        team,
        await solveFloat(graph, layout, team, { residualGoal: EXACT_RESIDUAL }),
        () => {},
      ),
    );
    const next = changeWeights(graph);
    const [nextMs, warm] = await withTeam(next, { threadCount: 2 }, async (nextLayout, nextTeam) => {
      await solveFloat(next, nextLayout, nextTeam, { residualGoal: RESIDUAL });
      return await time(() => solveFloat(next, nextLayout, nextTeam, { residualGoal: RESIDUAL, start: scores }));
    });
    const sweeps = `${exact.sweeps.descend} sweeps down, ${exact.sweeps.ascend} up`;
    return [
      figure(
        `exact scores, ${size}`,
        "× float solve",
        exactMs / floatMs,
        1.5,
        `${round(exactMs)} ms in all, ${sweeps}`,
      ),
      figure(
        `next epoch, 0.1% of weights changed, ${size}`,
        "× full solve",
        nextMs / floatMs,
        0.3,
        `${warm.sweeps.single} sweeps in 32 bits instead of ${cold.sweeps.single}`,
      ),
    ];
  });
}

function changeWeights(graph: TopicGraph): TopicGraph {
  const random = createRandom(5);
  const inWeights = graph.inWeights.slice();
  const rowSums = graph.rowSums.slice();
  for (let k = 0; k < inWeights.length / 1_000; k++) {
    const edge = Math.floor(random() * inWeights.length);
    const seat = graph.inSeats[edge] as number;
    const weight = 1 + Math.floor(random() * 100);
    rowSums[seat] = (rowSums[seat] as number) + weight - (inWeights[edge] as number);
    inWeights[edge] = weight;
  }
  return { ...graph, inWeights, rowSums };
}

/** Several topics over the same agents, each with weights of its own, with priors that follow from the others' last scores. */
async function topicsRow(list: EdgeList, size: string): Promise<Result> {
  const stakes = new Float64Array(list.agentCount).fill(100);
  const graphs = Array.from({ length: TOPICS }, (_, index) => ({
    ...graphOfEdges(
      { ...list, targets: list.targets.map((target) => (target + index * 7_919) % list.agentCount) },
      BigInt(index + 1),
    ),
    priors: stakes,
  }));
  await solveTopic(graphs[0] as TopicGraph);
  const startMs = performance.now();
  const first = await solveTopic(graphs[0] as TopicGraph);
  const singleMs = performance.now() - startMs;
  const links = graphs.flatMap(({ topic: to }) =>
    graphs.filter(({ topic }) => topic !== to).map(({ topic: from }) => ({ to, from, omega: SHARE_ONE / 4 })),
  );
  const leaves = leavesOf(graphs[0] as TopicGraph, first.scores);
  const base = { ...first.lambda, root: zeroHash, leafCount: leaves.length, epoch: 1, leaves };
  const bases = new Map(graphs.map(({ topic }): [bigint, Base] => [topic, { ...base, topic }]));
  const allStartMs = performance.now();
  const coupled = coupleTopics(graphs, { minClients: 2, maxShare: SHARE_ONE / 2, links }, bases);
  const priorsMs = performance.now() - allStartMs;
  for (const graph of coupled) await solveTopic(graph);
  const value = (performance.now() - allStartMs) / singleMs;
  return figure(
    `${TOPICS} topics of ${size}, priors included, exact`,
    "× one topic",
    value,
    4,
    `priors ${round(priorsMs)} ms`,
  );
}

const round = (value: number) => Math.round(value * 1_000) / 1_000;
