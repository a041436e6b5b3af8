import { createReadStream, existsSync } from "node:fs";
import { parseRatings, type ImportedRating } from "../node/reputation/import.ts";
import { createRatingGraph, type RatingGraph } from "../node/reputation/rating-graph.ts";
import { badShareOf, HALF_LIFE_SECONDS, readRisk, voicesOf, type Opinion } from "../node/reputation/risk.ts";
import { solveReal } from "../node/reputation/solver/solve.ts";
import type { Bench, Result } from "./harness/report.ts";

const ALPHA = "../shared/data/alpha/soc-sign-bitcoinalpha.csv";
/** Shares of the ratings, by time, that are known when the others are to be foretold. */
const SPLITS = [0.5, 0.7, 0.85] as const;
const SEEDS = 10;
/** Half-lives were chosen on these windows, of a twentieth each, in the first half: before all that is reported. */
const WINDOWS = [0.2, 0.25, 0.3, 0.35, 0.4, 0.45] as const;
const WINDOW = 0.05;
const DAY_SECONDS = 86_400;
const HALF_LIVES_DAYS = [7, 15, 30, 60, 120, 240, Infinity] as const;
/** r = (P + 1.9)/(P + 4N + 2), as the simulation scores by, to the power of 8. */
const [PRIOR_GOOD, PRIOR_COUNT, NEGATIVE_WEIGHT, EXPONENT] = [1.9, 2, 4, 8];

/** `surety reputation explain`'s reading. */
const OURS = "risk";

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
    const at = (share: number) => Math.floor(ratings.length * share);
    const results: Result[] = [];
    for (const split of SPLITS)
      results.push(...(await compare(ratings.slice(0, at(split)), ratings.slice(at(split)), split)));
    const windows = [];
    for (const from of WINDOWS)
      windows.push([ratings.slice(0, at(from)), ratings.slice(at(from), at(from + WINDOW))] as const);
    return [...results, ...(await tune(windows))];
  },
};

/** Later ratings of people of whom the known ones say something. */
function askedOf(known: readonly ImportedRating[], later: readonly ImportedRating[]) {
  const rated = new Set(known.map(({ target }) => target));
  const asked = later.filter(({ target }) => rated.has(target));
  return { targets: asked.map(({ target }) => target), labels: asked.map(({ rating }) => rating > 0) };
}

async function compare(
  known: readonly ImportedRating[],
  later: readonly ImportedRating[],
  split: number,
): Promise<Result[]> {
  const { targets, labels } = askedOf(known, later);
  const predictors = await createPredictors(known);
  const areas = Object.fromEntries(
    Object.entries(predictors).map(([name, predict]) => [name, areaUnderCurve(targets.map(predict), labels)]),
  );
  const { [OURS]: ours, ...peers } = areas as Record<string, number>;
  const negatives = labels.filter((isGood) => !isGood).length;
  return [
    {
      id: `AUC of 1 - ${OURS}, first ${split * 100} % known`,
      unit: "",
      value: round(ours as number),
      goal: round(Math.max(...Object.values(peers))),
      better: "higher",
      peers: Object.fromEntries(Object.entries(peers).map(([name, area]) => [name, round(area)])),
      ratio: null,
      note: `${labels.length} later ratings, ${negatives} of them negative; the goal is the best of the others`,
    },
  ];
}

/** What each half-life would have foretold in the first half. */
async function tune(windows: readonly (readonly [ImportedRating[], ImportedRating[]])[]): Promise<Result[]> {
  const sums = HALF_LIVES_DAYS.map(() => 0);
  for (const [known, later] of windows) {
    const { targets, labels } = askedOf(known, later);
    const riskOf = await createRisk(known);
    for (const [k, days] of HALF_LIVES_DAYS.entries()) {
      const area = areaUnderCurve(
        targets.map((person) => -riskOf(person, days * DAY_SECONDS)),
        labels,
      );
      sums[k] = (sums[k] as number) + area / windows.length;
    }
  }
  return HALF_LIVES_DAYS.map((days, k) => ({
    ...{
      id: `tuning: half-life of ${days === Infinity ? "none" : `${days} days`}`,
      unit: "",
      value: round(sums[k] as number),
    },
    ...{ goal: null, better: "higher" as const, peers: {}, ratio: null },
    note: `mean AUC of ${windows.length} windows in the first half${days * DAY_SECONDS === HALF_LIFE_SECONDS ? "; the one in use" : ""}`,
  }));
}

/** The reading of the known ratings, ages counted from the last of them. */
async function createRisk(
  known: readonly ImportedRating[],
): Promise<(person: number, halfLifeSeconds?: number) => number> {
  const { graph, people } = createRatingGraph(known, SEEDS);
  const voices = voicesOf((await solveReal(graph)).scores);
  const seats = new Map(people.map((person, seat) => [person, seat]));
  const now = known.at(-1)?.timestamp ?? 0;
  const opinions = Map.groupBy(
    known.map(({ source, target, rating, timestamp }): Opinion & { readonly target: number } => ({
      client: seats.get(source) as number,
      target,
      isPraise: rating > 0,
      ageSeconds: now - (timestamp ?? now),
    })),
    ({ target }) => target,
  );
  const badShare = badShareOf([...opinions.values()].flat());
  return (person, halfLifeSeconds) =>
    readRisk(opinions.get(person) ?? [], (seat) => voices[seat] as number, badShare, halfLifeSeconds).risk;
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
  const risk = await createRisk(known);
  const goodness = goodnessOf(known, received);
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
    "goodness (Kumar et al. 2016)": (person) => goodness.get(person) ?? 0,
    "(P+1.9)/(P+4N+2), trust-weighted": ratio,
    "EigenTrust × that ratio^8": (person) => own(person) * ratio(person) ** EXPONENT,
    [OURS]: (person) => -risk(person),
  };
}

async function trustOf({ graph, people }: RatingGraph): Promise<Map<number, number>> {
  const { scores } = await solveReal(graph);
  return new Map(people.slice(1).map((person, k) => [person, scores[k + 1] as number]));
}

/** Their iteration converges by halving the error each time. */
const GOODNESS_ROUNDS = 50;

/**
 * Goodness and fairness (Kumar, Spezzano, Subrahmanian and Faloutsos, ICDM 2016, where these ratings are from): a person is as good as the
 * fair rate it, and as fair as its ratings are near the goodness of whom it rates.
 */
function goodnessOf(
  known: readonly ImportedRating[],
  received: ReadonlyMap<number, readonly ImportedRating[]>,
): ReadonlyMap<number, number> {
  const given = Map.groupBy(known, ({ source }) => source);
  const mean = (list: readonly ImportedRating[], of: (one: ImportedRating) => number) =>
    list.reduce((sum, one) => sum + of(one), 0) / list.length;
  let goodness = new Map<number, number>();
  let fairness = new Map([...given.keys()].map((person) => [person, 1]));
  for (let k = 0; k < GOODNESS_ROUNDS; k++) {
    goodness = new Map(
      [...received].map(([person, list]) => [
        person,
        mean(list, ({ source, rating }) => ((fairness.get(source) as number) * rating) / 100),
      ]),
    );
    fairness = new Map(
      [...given].map(([person, list]) => [
        person,
        1 - mean(list, ({ target, rating }) => Math.abs(rating / 100 - (goodness.get(target) as number)) / 2),
      ]),
    );
  }
  return goodness;
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
