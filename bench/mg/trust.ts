import type { Method } from "./method.ts";

/** Ratings between agents of one topic, client · (number of agents) + provider. */
export interface Ratings {
  readonly positive: Float64Array;
  readonly negative: Float64Array;
}

/** What `scoreMembers` needs of the moment. */
export interface Scene {
  readonly method: Pick<Method, "alpha" | "edgeCap" | "negative" | "praiseCap">;
  /** All that there are: members are below this. */
  readonly agentCount: number;
  readonly members: readonly number[];
  readonly isFrozen: (agent: number) => boolean;
  /** Added up over these: one topic, or all for the public graph. */
  readonly ratings: readonly Ratings[];
  /** By member, any scale. */
  readonly prior: Float64Array;
  /** By agent: the scores of the epoch before, for a warm start and for weighing raters. */
  readonly lastTrust: Float64Array;
  readonly lastScores: Float64Array;
}

/** By agent. */
export interface Scores {
  /** EigenTrust, sum 1. */
  readonly trust: Float64Array;
  /** What selection goes by: trust × ratio^negative. */
  readonly score: Float64Array;
}

const MAX_SWEEPS = 80;
const TOLERANCE = 1e-7;
/** Prior of the ratio: two services of which 1.9 were good; a bad one counts as four; three of one rater are enough. */
const [PRIOR_GOOD, PRIOR_COUNT, NEGATIVE_WEIGHT, COMPLAINT_CAP] = [1.9, 2, 4, 3];

/** Local trust → EigenTrust → scores, dense: a topic has at most AGENTS members. */
export function scoreMembers(scene: Scene): Scores {
  const { members, method, lastTrust } = scene;
  const n = members.length;
  const prior = normalised(scene.prior);
  const { rows, spread } = buildRows(scene);
  let trust = normalised(Float64Array.from(members, (agent, x) => lastTrust[agent] || (prior[x] as number)));
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    const next = new Float64Array(n);
    let toPrior = 0;
    for (let x = 0; x < n; x++) {
      const own = trust[x] as number;
      toPrior += own * (spread[x] as number);
      for (let y = 0; y < n; y++) next[y] = (next[y] as number) + own * (rows[x * n + y] as number);
    }
    let moved = 0;
    for (let y = 0; y < n; y++) {
      const p = prior[y] as number;
      next[y] = (1 - method.alpha) * ((next[y] as number) + toPrior * p) + method.alpha * p;
      moved += Math.abs((next[y] as number) - (trust[y] as number));
    }
    trust = next;
    if (moved < TOLERANCE) break;
  }
  return weighEvidence(scene, trust, prior);
}

function normalised(values: Float64Array): Float64Array {
  const sum = values.reduce((a, b) => a + b, 0);
  return values.map((value) => value / sum);
}

/** Row-stochastic trust, but for the share of each row that goes to the prior: all of it for silent rows. */
function buildRows({ members, method, agentCount, isFrozen, ratings }: Scene) {
  const n = members.length;
  const rows = new Float64Array(n * n);
  const spread = new Float64Array(n).fill(1);
  for (let x = 0; x < n; x++) {
    const client = members[x] as number;
    if (isFrozen(client)) continue;
    let sum = 0;
    for (let y = 0; y < n; y++) {
      const provider = members[y] as number;
      if (client === provider || isFrozen(provider)) continue;
      const at = client * agentCount + provider;
      const balance = ratings.reduce(
        (total, { positive, negative }) => total + (positive[at] as number) - (negative[at] as number),
        0,
      );
      rows[x * n + y] = Math.max(0, balance);
      sum += Math.max(0, balance);
    }
    if (sum === 0) continue;
    let kept = 0;
    for (let y = 0; y < n; y++) {
      const share = Math.min(method.edgeCap, (rows[x * n + y] as number) / sum);
      rows[x * n + y] = share;
      kept += share;
    }
    spread[x] = 1 - kept;
  }
  return { rows, spread };
}

function weighEvidence(scene: Scene, trust: Float64Array, prior: Float64Array): Scores {
  const { members, method, agentCount, isFrozen, ratings, lastScores } = scene;
  const n = members.length;
  const result: Scores = { trust: new Float64Array(agentCount), score: new Float64Array(agentCount) };
  const lastSum = lastScores.reduce((a, b) => a + b, 0);
  const voice = members.map((rater, y) => {
    if (isFrozen(rater)) return 0;
    const last = lastScores[rater] as number;
    const standing =
      lastSum > 0 && last > 0 ? last / lastSum : Math.min(trust[y] as number, method.alpha * (prior[y] as number));
    return Math.min(1, standing * n);
  });
  members.forEach((agent, x) => {
    let [good, bad] = [0, 0];
    members.forEach((rater, y) => {
      const at = rater * agentCount + agent;
      for (const { positive, negative } of ratings) {
        good += (voice[y] as number) * Math.min(method.praiseCap, positive[at] as number);
        bad += (voice[y] as number) * Math.min(COMPLAINT_CAP, negative[at] as number);
      }
    });
    const ratio = (good + PRIOR_GOOD) / (good + NEGATIVE_WEIGHT * bad + PRIOR_COUNT);
    result.trust[agent] = trust[x] as number;
    result.score[agent] = (trust[x] as number) * ratio ** method.negative;
  });
  return result;
}
