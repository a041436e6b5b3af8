import { MAX_PRIOR, priorOf, SuretyError } from "#protocol";
import type { TopicGraph } from "./graph.ts";
import { RESTART } from "./solver/float.ts";
import { solveTopic, type SolveOptions, type TopicSolution } from "./solver/solve.ts";

/** Numbers in units of 2^-16, as the contract would read them. */
export const Q16 = 65_536;
/** r = t·n is cut here: 64 times the average. */
const MAX_RELATIVE = 2 ** 22;
/** r from t·n: scores sum to 2^62, and 16 bits stay. */
const RELATIVE_SHIFT = 46n;
/** E(y) is 0 from here on: 2^-41 is below its last bit. */
const MAX_EXPONENT = 41 * Q16;

/** Penalty exp(-β·Var) on agents whose size-normalised scores differ between topics. */
export interface VariancePenalty {
  /** β·log2(e), Q16: the exponent is taken to base 2. */
  readonly betaLog2: number;
  /** Of r, or of log2(1 + r): on power-law graphs the variance of r leaves the top 200 a median factor of 10^-42, this one .38. */
  readonly of: "linear" | "log2";
  /** The whole bracket, as eq. 12 writes it, or the bridged part only. */
  readonly covers: "all" | "bridges";
}

/** What eq. 12 of arXiv 2606.17368 leaves open, fixed. Whole numbers throughout. */
export interface Coupling {
  /** η, Q16. */
  readonly stakeShare: number;
  /** ω_gh, Q16: how much a score in topic `from` counts in topic `to`; 0 = nothing. */
  readonly similarity: (to: bigint, from: bigint) => number;
  /** Clients with trust in h that make an agent's score there a valid bridge. */
  readonly minClients: number;
  /** Agents with proven fraud: no score of theirs bridges. */
  readonly isFraudulent: (agentId: number) => boolean;
  /** Stake that counts as one, in the token's smallest unit. */
  readonly stakeUnitWei: bigint;
  /** Only agents with at least this much count in n_h: seats without stake are free, and would inflate r. */
  readonly minStakeWei: bigint;
  /** Prior of every seat beside what it earns, Q16; never subject to the penalty. */
  readonly floor: number;
  readonly penalty: VariancePenalty | undefined;
}

/** A topic and its scores in the last finalized epoch, by seat; undefined where it has none yet. */
export interface ScoredTopic {
  /** `priors` hold the stake at the close, as TrustFold gives them. */
  readonly graph: TopicGraph;
  readonly lastScores: BigUint64Array | undefined;
}

/** How fast coupled epochs settle: ‖Δt‖ shrinks by this factor from epoch to epoch, or faster (eq. 14). */
export interface ContractionBound {
  /** L_P: how far priors move for a unit of movement of the scores, in the largest L1 norm over topics. */
  readonly lipschitz: number;
  /** (1-α) + α·L_P; below 1. */
  readonly bound: number;
}

/**
 * Priors of eq. 12 from the last epoch's scores in the other topics, whole numbers by seat for each topic:
 * p̃ = (((η·stake + (65536-η)·acc) >> 16)·E(y)) >> 32, + floor, with acc = Σ_h (ω·b·r_h) >> 16 and r_h = min((t·n) >> 46, 2^22).
 * @throws SuretyError COUPLING_UNSTABLE
 */
export function coupledPriors(topics: readonly ScoredTopic[], coupling: Coupling): Float64Array[] {
  boundContraction(topics, coupling);
  const { count, indices } = indexAgents(topics);
  const standing = topics.map((topic, k) => relativeScores(topic, indices[k] as Uint32Array, count, coupling));
  return topics.map(({ graph }, k) => {
    const omegas = topics.map((other, h) => (h === k ? 0 : coupling.similarity(graph.topic, other.graph.topic)));
    const priors = new Float64Array(graph.seatCount);
    for (let seat = 1; seat < graph.seatCount; seat++) {
      const agent = (indices[k] as Uint32Array)[seat] as number;
      priors[seat] = priorFor(agent, stakeOf(graph, seat, coupling), omegas, standing, coupling);
    }
    return priors;
  });
}

/** MG-EigenTrust of one epoch: coupled priors, then the exact fixed point of each topic. A topic without prior is left out. */
export async function solveCoupled(
  topics: readonly ScoredTopic[],
  coupling: Coupling,
  options: SolveOptions = {},
): Promise<Map<bigint, TopicSolution>> {
  const priors = coupledPriors(topics, coupling);
  const solved = new Map<bigint, TopicSolution>();
  for (const [index, { graph }] of topics.entries()) {
    const own = priors[index] as Float64Array;
    if (own.some((prior) => prior > 0)) solved.set(graph.topic, await solveTopic({ ...graph, priors: own }, options));
  }
  return solved;
}

/**
 * A bound of L_P from the parameters and the stakes alone, for any scores. With u = p̃ before normalising and M the part of Σu
 * that no score can take away: scores of a topic sum to a constant, so that a change δ of them moves Σu by at most half of
 * its ‖δ‖₁ and ‖u/Σu - u'/Σu'‖₁ ≤ 3/2·K·‖δ‖₁/M (2·K with a penalty, which is no monotone function of a score).
 * @throws SuretyError COUPLING_UNSTABLE with the bound, if (1-α) + α·L_P is not below 1
 */
export function boundContraction(topics: readonly ScoredTopic[], coupling: Coupling): ContractionBound {
  const lipschitz = Math.max(0, ...topics.map((topic) => lipschitzOf(topic, topics, coupling)));
  const bound = 1 - RESTART + RESTART * lipschitz;
  if (bound < 1) return { lipschitz, bound };
  throw new SuretyError("COUPLING_UNSTABLE", `Coupled epochs need not settle: (1-α) + α·L_P = ${bound}, not below 1.`, {
    values: { bound, lipschitz, alpha: RESTART, stakeShare: coupling.stakeShare / Q16, floor: coupling.floor / Q16 },
    next: "Raise the stake share η or the floor, or lower similarities or the variance penalty's β.",
  });
}

function lipschitzOf({ graph }: ScoredTopic, topics: readonly ScoredTopic[], coupling: Coupling): number {
  const { stakeShare, floor, penalty } = coupling;
  const bridged = 1 - stakeShare / Q16;
  let [stakes, largestStake] = [0, 0];
  for (let seat = 1; seat < graph.seatCount; seat++) {
    const stake = stakeOf(graph, seat, coupling) / Q16;
    stakes += stake;
    largestStake = Math.max(largestStake, stake);
  }
  const own = (stakeShare / Q16) * (penalty?.covers === "all" ? 0 : stakes);
  const safeMass = own + (floor / Q16) * (graph.seatCount - 1);
  const others = topics.filter((topic) => topic.graph.topic !== graph.topic);
  const omega = (topic: ScoredTopic) => coupling.similarity(graph.topic, topic.graph.topic) / Q16;
  const totalOmega = others.reduce((sum, topic) => sum + omega(topic), 0);
  const bracket =
    bridged * totalOmega * (MAX_RELATIVE / Q16) + (penalty?.covers === "all" ? (stakeShare / Q16) * largestStake : 0);
  // |∂exp(-βV)/∂r| ≤ √(2β/(e·c)) for the variance V of c ≥ 2 values, at V = 1/(2β); log2(1 + r) rises by at most log2(e).
  const beta = (penalty?.betaLog2 ?? 0) / Q16 / Math.LOG2E;
  const slope = Math.sqrt(beta / Math.E) * (penalty?.of === "log2" ? Math.LOG2E : 1) * bracket;
  const moved = topics.reduce((sum, topic) => {
    const direct = topic.graph.topic === graph.topic ? 0 : bridged * omega(topic);
    return sum + (direct + slope) * countStaked(topic.graph, coupling);
  }, 0);
  if (moved === 0) return 0;
  return ((slope > 0 ? 2 : 1.5) * moved) / safeMass;
}

/** Numbers the agents of all topics from 0 on. @returns by topic, the number of the agent in each seat */
function indexAgents(topics: readonly ScoredTopic[]): { count: number; indices: Uint32Array[] } {
  const numberOf = new Map<number, number>();
  const indices = topics.map(({ graph }) =>
    graph.agentIds.map((agentId) => {
      const known = numberOf.get(agentId);
      if (known !== undefined) return known;
      numberOf.set(agentId, numberOf.size);
      return numberOf.size - 1;
    }),
  );
  return { count: numberOf.size, indices };
}

/** An agent that has no score in a topic. */
const NO_SCORE = -1;

/** By agent's number. */
interface Standing {
  /** r, Q16, or NO_SCORE. */
  readonly relative: Float64Array;
  /** 1 where r may count elsewhere. */
  readonly isBridging: Uint8Array;
}

function relativeScores(
  { graph, lastScores }: ScoredTopic,
  indices: Uint32Array,
  count: number,
  coupling: Coupling,
): Standing {
  const relative = new Float64Array(count).fill(NO_SCORE);
  const isBridging = new Uint8Array(count);
  const staked = BigInt(countStaked(graph, coupling));
  // Seats taken since then have no score yet.
  for (let seat = 1; seat < Math.min(lastScores?.length ?? 0, graph.seatCount); seat++) {
    const agent = indices[seat] as number;
    const value = ((lastScores?.[seat] ?? 0n) * staked) >> RELATIVE_SHIFT;
    relative[agent] = value < BigInt(MAX_RELATIVE) ? Number(value) : MAX_RELATIVE;
    const isFraudulent = coupling.isFraudulent(graph.agentIds[seat] as number);
    if (!isFraudulent && countClients(graph, seat) >= coupling.minClients) isBridging[agent] = 1;
  }
  return { relative, isBridging };
}

function countClients({ inStart, inWeights }: TopicGraph, seat: number): number {
  let count = 0;
  for (let edge = inStart[seat] as number; edge < (inStart[seat + 1] as number); edge++) {
    if ((inWeights[edge] as number) > 0) count++;
  }
  return count;
}

function countStaked({ priors, seatCount }: TopicGraph, { minStakeWei }: Coupling): number {
  const least = Number(priorOf(minStakeWei));
  let count = 0;
  for (let seat = 1; seat < seatCount; seat++) if ((priors[seat] as number) >= least) count++;
  return count;
}

/** Stake in units, Q16, below 2^47. */
function stakeOf({ priors }: TopicGraph, seat: number, { stakeUnitWei }: Coupling): number {
  const units = (BigInt(priors[seat] as number) * BigInt(Q16)) / stakeUnitWei;
  return units > MAX_PRIOR >> 1n ? Number(MAX_PRIOR >> 1n) : Number(units);
}

/** Below this stake the whole bracket is an integer below 2^53, and doubles compute it exactly, ten times as fast. */
const SMALL_STAKE = 2 ** 36;

function priorFor(
  agent: number,
  stake: number,
  omegas: readonly number[],
  standing: readonly Standing[],
  coupling: Coupling,
): number {
  const { stakeShare, penalty, floor } = coupling;
  let bridged = 0;
  for (let other = 0; other < standing.length; other++) {
    const { relative, isBridging } = standing[other] as Standing;
    // Below 2^16 · 2^22.
    if (isBridging[agent] === 1) bridged += Math.floor(((omegas[other] as number) * (relative[agent] as number)) / Q16);
  }
  if (penalty === undefined && stake < SMALL_STAKE) {
    const value = Math.floor((stakeShare * stake + (Q16 - stakeShare) * bridged) / Q16);
    return Math.min(value + floor, Number(MAX_PRIOR));
  }
  const staked = BigInt(stakeShare) * BigInt(stake);
  const earned = BigInt(Q16 - stakeShare) * BigInt(bridged);
  const factor = penalty === undefined ? ONE_Q32 : penaltyFactor(agent, standing, penalty);
  const value =
    penalty?.covers === "bridges"
      ? (staked >> 16n) + (((earned >> 16n) * factor) >> 32n)
      : (((staked + earned) >> 16n) * factor) >> 32n;
  return Number(priorOf(value + BigInt(floor)));
}

const ONE_Q32 = 1n << 32n;

/** exp(-β·Var) in Q32, over the topics in which the agent has a score. */
function penaltyFactor(agent: number, standing: readonly Standing[], { betaLog2, of }: VariancePenalty): bigint {
  const values = standing.flatMap(({ relative }) => {
    const r = relative[agent] as number;
    return r === NO_SCORE ? [] : [BigInt(of === "log2" ? log2Q16(Q16 + r) : r)];
  });
  const count = BigInt(values.length);
  if (count < 2n) return ONE_Q32;
  const sum = values.reduce((a, b) => a + b, 0n);
  const squares = values.reduce((a, b) => a + b * b, 0n);
  const variance = ((squares * count - sum * sum) / (count * count)) >> 16n;
  const exponent = (variance * BigInt(betaLog2)) >> 16n;
  return halvings(exponent < BigInt(MAX_EXPONENT) ? Number(exponent) : MAX_EXPONENT);
}

/** log2(x) in Q16, rounded down, for x in Q16 of at least 1: squaring yields a bit at a time. */
export function log2Q16(x: number): number {
  const whole = 31 - Math.clz32(x) - 16;
  // The mantissa in [1, 2), 31 bits behind the point.
  let mantissa = (BigInt(x) << 31n) >> BigInt(whole + 16);
  let fraction = 0;
  for (let bit = 15; bit >= 0; bit--) {
    mantissa = (mantissa * mantissa) >> 31n;
    if (mantissa >> 32n === 0n) continue;
    mantissa >>= 1n;
    fraction += 2 ** bit;
  }
  return whole * Q16 + fraction;
}

/** Least squares of 2^-f - (1 - f/2) over f·(1-f)·(1, f, f²), in Q32: both ends exact. */
const FIT = [-829_206_924n, 199_311_586n, -29_391_473n] as const;

/** 2^-y in Q32 for y in Q16; 0 from 41 on. Relative error at most 6·10^-6, never rising. */
export function halvings(y: number): bigint {
  if (y >= MAX_EXPONENT) return 0n;
  const f = BigInt(y % Q16) << 16n;
  const bend = (f * (ONE_Q32 - f)) >> 32n;
  const curve = FIT[0] + ((FIT[1] * f) >> 32n) + ((FIT[2] * ((f * f) >> 32n)) >> 32n);
  return (ONE_Q32 - (f >> 1n) + ((bend * curve) >> 32n)) >> BigInt(Math.floor(y / Q16));
}
