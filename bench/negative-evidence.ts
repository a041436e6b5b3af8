import { createReadStream, existsSync } from "node:fs";
import { parseRatings, type ImportedRating } from "../node/reputation/import.ts";
import { createRatingGraph, type RatingGraph } from "../node/reputation/rating-graph.ts";
import { solveReal } from "../node/reputation/solver/solve.ts";
import type { Bench, Result } from "./harness/report.ts";

const ALPHA = "../shared/data/alpha/soc-sign-bitcoinalpha.csv";
/** Shares of the ratings, by time, that are known when the others are to be foretold. */
const SPLITS = [0.5, 0.7, 0.85] as const;
const SEEDS = 10;
/** r = (P + 1.9)/(P + 4N + 2), as in the simulation. */
const [PRIOR_GOOD, PRIOR_COUNT, NEGATIVE_WEIGHT] = [1.9, 2, 4];

/** What the simulation scores by. */
const OURS = "EigenTrust × ratio^4";
/** Seen to foretell better, but on these very ratings: a peer like the others until other ratings confirm it. */
const RATIO_ALONE = "(P+1.9)/(P+4N+2), trust-weighted";

/** Score by person, of whom the known ratings say something. */
type Predictor = (person: number) => number;

export const bench: Bench = {
  profile: "Bitcoin Alpha: is a later rating negative? AUC over later ratings of people who were rated before",
  async run() {
    if (!existsSync(ALPHA)) throw new Error(`bench: ${ALPHA} is absent`);
    const ratings: ImportedRating[] = [];
    for await (const verdict of parseRatings(createReadStream(ALPHA))) {
      if (verdict.kind === "accept") ratings.push(verdict.value);
    }
    ratings.sort((a, b) => (a.timestamp ?? 0) - (b.timestamp ?? 0));
    const results: Result[] = [];
    for (const split of SPLITS) {
      const cut = Math.floor(ratings.length * split);
      results.push(...(await compare(ratings.slice(0, cut), ratings.slice(cut), split)));
    }
    return results;
  },
};

async function compare(
  known: readonly ImportedRating[],
  later: readonly ImportedRating[],
  split: number,
): Promise<Result[]> {
  const rated = new Set(known.map(({ target }) => target));
  const asked = later.filter(({ target }) => rated.has(target));
  const labels = asked.map(({ rating }) => rating > 0);
  const predictors = await createPredictors(known);
  const areas = Object.fromEntries(
    Object.entries(predictors).map(([name, predict]) => [
      name,
      areaUnderCurve(
        asked.map(({ target }) => predict(target)),
        labels,
      ),
    ]),
  );
  const { [OURS]: ours, ...peers } = areas as Record<string, number>;
  const negatives = labels.filter((isGood) => !isGood).length;
  return [
    {
      id: `AUC, first ${split * 100} % known`,
      unit: "",
      value: round(ours as number),
      goal: round(Math.max(...Object.values(peers))),
      better: "higher",
      peers: Object.fromEntries(Object.entries(peers).map(([name, area]) => [name, round(area)])),
      ratio: null,
      note: `${asked.length} later ratings, ${negatives} of them negative; the goal is the best of the others`,
    },
  ];
}

async function createPredictors(known: readonly ImportedRating[]): Promise<Record<string, Predictor>> {
  const plain = createRatingGraph(known, SEEDS);
  const trust = await trustOf(plain);
  const similar = await trustOf(weighBySimilarity(plain, known));
  const received = Map.groupBy(known, ({ target }) => target);
  const sums = (person: number, weightOf: (rater: number) => number) => {
    let [good, bad] = [0, 0];
    for (const { source, rating } of received.get(person) ?? []) {
      if (rating > 0) good += weightOf(source) * rating;
      else bad -= weightOf(source) * rating;
    }
    return { good, bad };
  };
  const count = trust.size;
  // In multiples of the average, at most 1, as the simulation weighs raters; ratings in tenths, as their authors gave them.
  const voice = (rater: number) => Math.min(1, (trust.get(rater) ?? 0) * count) / 10;
  const ratio = (person: number) => {
    const { good, bad } = sums(person, voice);
    return (good + PRIOR_GOOD) / (good + NEGATIVE_WEIGHT * bad + PRIOR_COUNT);
  };
  const own = (person: number) => trust.get(person) ?? 0;
  return {
    EigenTrust: own,
    "EigenTrust++": (person) => similar.get(person) ?? 0,
    "mean rating": (person) => {
      const list = received.get(person) ?? [];
      return list.reduce((sum, { rating }) => sum + rating, 0) / Math.max(1, list.length);
    },
    "trust-weighted (P-N)/(P+N)": (person) => {
      const { good, bad } = sums(person, (rater) => trust.get(rater) ?? 0);
      return good + bad === 0 ? 0 : (good - bad) / (good + bad);
    },
    [RATIO_ALONE]: ratio,
    [OURS]: (person) => own(person) * ratio(person) ** 4,
  };
}

async function trustOf({ graph, people }: RatingGraph): Promise<Map<number, number>> {
  const { scores } = await solveReal(graph);
  return new Map(people.slice(1).map((person, k) => [person, scores[k + 1] as number]));
}

/**
 * EigenTrust++ (Fan, Liu, Li and Su 2012) weighs what a client says by how alike client and provider rate others: 1 less the
 * root mean square of their differences over whom both rated, in shares of the range.
 */
function weighBySimilarity({ graph, people }: RatingGraph, known: readonly ImportedRating[]): RatingGraph {
  const given = new Map<number, Map<number, number>>();
  for (const { source, target, rating } of known) {
    const row = given.get(source) ?? new Map<number, number>();
    given.set(source, row.set(target, rating / 200));
  }
  const inWeights = graph.inWeights.slice();
  const rowSums = new Uint32Array(graph.seatCount);
  for (let seat = 0; seat < graph.seatCount; seat++) {
    for (let edge = graph.inStart[seat] as number; edge < (graph.inStart[seat + 1] as number); edge++) {
      const client = graph.inSeats[edge] as number;
      const alike = similarity(given.get(people[client] as number), given.get(people[seat] as number));
      inWeights[edge] = Math.round((inWeights[edge] as number) * 100 * alike);
      rowSums[client] = (rowSums[client] as number) + (inWeights[edge] as number);
    }
  }
  return { graph: { ...graph, inWeights, rowSums }, people };
}

function similarity(a: ReadonlyMap<number, number> | undefined, b: ReadonlyMap<number, number> | undefined): number {
  let [count, squares] = [0, 0];
  for (const [target, rating] of a ?? []) {
    const other = b?.get(target);
    if (other === undefined) continue;
    count++;
    squares += (rating - other) ** 2;
  }
  // Nobody in common says nothing: half.
  return count === 0 ? 0.5 : 1 - Math.sqrt(squares / count);
}

/** Chance that a rating that turns out well had the higher score of two; ties count half. */
export function areaUnderCurve(scores: readonly number[], labels: readonly boolean[]): number {
  const order = scores.map((score, k) => ({ score, isGood: labels[k] === true })).sort((a, b) => a.score - b.score);
  let [rankSum, goodCount] = [0, 0];
  for (let from = 0; from < order.length;) {
    let to = from;
    while (to < order.length && order[to]?.score === order[from]?.score) to++;
    // Ranks from 1; ties share the middle one.
    for (let k = from; k < to; k++)
      if (order[k]?.isGood === true) [rankSum, goodCount] = [rankSum + (from + to + 1) / 2, goodCount + 1];
    from = to;
  }
  return (rankSum - (goodCount * (goodCount + 1)) / 2) / (goodCount * (order.length - goodCount));
}

const round = (value: number) => Math.round(value * 10_000) / 10_000;
