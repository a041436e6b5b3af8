import type { Method } from "./method.ts";
import { scoreMembers, type Ratings } from "./trust.ts";
import {
  AGENTS,
  CANDIDATES,
  EPOCHS,
  membersOf,
  NEVER,
  PRE_TRUSTED,
  QUERIES,
  roles,
  SIMILARITY,
  SOURCE,
  TARGET,
  TOPICS,
  type World,
  type WorldParameters,
} from "./world.ts";

/** One run. */
export interface Task {
  readonly world: WorldParameters;
  readonly method: Method;
  readonly seed: number;
}

/** What one run with one seed came to. Shares are of the queries in the target topic from the attack on, unless said otherwise. */
export interface Outcome {
  /** Bad services by malicious providers. */
  readonly attackSuccess: number;
  /** Gain ÷ (entry cost + burned) - 1; entry cost is a twentieth of those queries. */
  readonly roi: number;
  /** Malicious members of the target topic at the end that are frozen or below .95 of the mean score, and honest ones. */
  readonly detection: number;
  readonly falsePositives: number;
  /** By evidence alone: malicious identities that were frozen, of all that there were, and honest agents. */
  readonly provenDetection: number;
  readonly provenFalsePositives: number;
  readonly goodService: number;
  /** Share of the queries that agents new to the topic served. */
  readonly newcomerShare: number;
  /** Mean trust of a newcomer in its second epoch. */
  readonly newcomerTrust: number;
  /** Honest failures that left a proof, of the honest services. */
  readonly provableHonestFailures: number;
  readonly identities: number;
}

const DISTINCT_QUERY = 9973;
const WARY_SCORE = 0.95;

export function simulate(world: World, method: Method): Outcome {
  return new Simulation(world, method).run();
}

const table = (): Float64Array[] => Array.from({ length: TOPICS }, () => new Float64Array(AGENTS));

class Simulation {
  readonly #world: World;
  readonly #method: Method;
  /** One graph over all topics, or one a topic. */
  readonly #layers: number;
  readonly #ratings: Ratings[] = Array.from({ length: TOPICS }, () => ({
    positive: new Float64Array(AGENTS * AGENTS),
    negative: new Float64Array(AGENTS * AGENTS),
  }));
  readonly #raters = Array.from({ length: TOPICS }, () => Array.from({ length: AGENTS }, () => new Set<number>()));
  readonly #trust = table();
  readonly #score = table();
  readonly #frozen = new Uint8Array(AGENTS);
  readonly #proofs = new Float64Array(AGENTS);
  readonly #suspicion: Float64Array;
  readonly #bornAt = new Uint8Array(AGENTS);
  readonly #count = {
    ...{ queries: 0, bad: 0, good: 0, newcomers: 0, burned: 0, caught: 0, reentries: 0 },
    ...{ honestServed: 0, honestProofs: 0, coldTrust: 0, coldCount: 0 },
  };

  constructor(world: World, method: Method) {
    this.#world = world;
    this.#method = method;
    this.#layers = method.kind === "public" ? 1 : TOPICS;
    this.#suspicion = new Float64Array(AGENTS).fill(this.#start);
  }

  get #start(): number {
    return this.#method.slashing.rule === "sequential" ? this.#method.slashing.start : 0;
  }

  run(): Outcome {
    this.#rescore(0);
    for (let epoch = 0, query = 0; epoch < EPOCHS; epoch++) {
      if (epoch > 0) this.#rescore(epoch);
      if (epoch === this.#world.newcomersAt + 1) this.#noteNewcomers();
      for (let topic = 0; topic < TOPICS; topic++) {
        for (let k = 0; k < QUERIES; k++) this.#serve(query++, topic, epoch);
      }
      this.#collude(epoch);
      this.#reenter(epoch);
    }
    return this.#outcome();
  }

  #isMalicious(agent: number): boolean {
    const role = this.#world.role[agent];
    return role === roles.attacker || role === roles.whitewasher;
  }

  #isAttack(topic: number, epoch: number): boolean {
    return topic === TARGET && epoch >= this.#world.parameters.attackAt;
  }

  #rescore(epoch: number): void {
    const { kind } = this.#method;
    if (kind === "random") return;
    for (let topic = 0; topic < this.#layers; topic++) {
      const members =
        kind === "public"
          ? Array.from({ length: AGENTS }, (_, k) => k).filter((agent) =>
              this.#world.joins.some((from) => (from[agent] as number) <= epoch),
            )
          : membersOf(this.#world, topic, epoch);
      const scores = scoreMembers({
        method: this.#method,
        agentCount: AGENTS,
        members,
        isFrozen: (agent) => this.#frozen[agent] === 1,
        ratings: kind === "public" ? this.#ratings : [this.#ratings[topic] as Ratings],
        prior:
          kind === "mg"
            ? this.#bridgedPrior(topic, epoch, members)
            : Float64Array.from(members, (agent) => (agent < PRE_TRUSTED ? 1 : 0)),
        lastTrust: this.#trust[topic] as Float64Array,
        lastScores: this.#score[topic] as Float64Array,
      });
      this.#trust[topic] = scores.trust;
      this.#score[topic] = scores.score;
    }
  }

  /** Eq. 12 with floor mass and consistency gate. Topics rescored before this one in the epoch count with their new scores. */
  #bridgedPrior(topic: number, epoch: number, members: readonly number[]): Float64Array {
    const { floor, stakeShare, beta, isGated, bridgeRaters, bridgeCap } = this.#method;
    const sizes = this.#world.joins.map((_, other) => membersOf(this.#world, other, epoch).length);
    const n = members.length;
    return Float64Array.from(members, (agent) => {
      if (this.#frozen[agent] === 1) return 0;
      let [bridged, sum, squares, count] = [0, 0, 0, 0];
      for (let other = 0; other < TOPICS; other++) {
        const joined = this.#world.joins[other]?.[agent] ?? NEVER;
        if (joined > epoch) continue;
        const trust = this.#trust[other]?.[agent] as number;
        const relative = trust * (sizes[other] as number);
        if (joined < epoch) {
          sum += relative;
          squares += relative * relative;
          count++;
        }
        const isBridge = other !== topic && (this.#raters[other]?.[agent]?.size ?? 0) >= bridgeRaters;
        if (isBridge) bridged += ((SIMILARITY[topic]?.[other] ?? 0) * relative) / n;
      }
      const variance = count > 1 ? Math.max(0, squares / count - (sum / count) ** 2) : 0;
      const own = floor / n + stakeShare / n + (1 - stakeShare) * Math.min(bridged, bridgeCap / n);
      return own * Math.exp((-beta * variance) / 100) * (isGated && variance > 20 ? 0.5 : 1);
    });
  }

  #serve(query: number, topic: number, epoch: number): void {
    const { client, fate, draws, candidates, parameters, role } = this.#world;
    const isAttack = this.#isAttack(topic, epoch);
    if (isAttack) this.#count.queries++;
    const asker = client[query] as number;
    const place = this.#choose(query, topic);
    if (place < 0) return;
    const at = query * CANDIDATES + place;
    const provider = candidates[at] as number;
    const isAttacker = this.#isMalicious(provider) && isAttack;
    const isGood = isAttacker
      ? (fate[at] as number) >= parameters.badRate
      : (fate[at] as number) < parameters.honestQuality;
    if (isAttacker && !isGood) this.#count.bad++;
    if (isAttack && isGood) this.#count.good++;
    if (isAttack && role[provider] === roles.coldStart) this.#count.newcomers++;
    const isPraise = this.#rating(asker, provider, isGood, draws[query * 3 + 2] as number);
    this.#rate(topic, asker, provider, isPraise ? 1 : -1, 1);
    if (topic === TARGET) this.#weighProof(provider, isGood, fate[at] as number, epoch);
  }

  /** Malicious clients praise their own and sometimes lie about others; spies praise the malicious. */
  #rating(asker: number, provider: number, isGood: boolean, draw: number): boolean {
    if (this.#isMalicious(asker)) {
      return this.#isMalicious(provider) || (isGood && draw >= this.#world.parameters.badmouth);
    }
    return (this.#world.role[asker] === roles.spy && this.#isMalicious(provider)) || isGood;
  }

  #rate(topic: number, rater: number, ratee: number, sign: 1 | -1, weight: number): void {
    const { positive, negative } = this.#ratings[topic] as Ratings;
    const at = rater * AGENTS + ratee;
    if (sign > 0) {
      positive[at] = (positive[at] as number) + weight;
      this.#raters[topic]?.[ratee]?.add(rater);
    } else negative[at] = (negative[at] as number) + weight;
  }

  /** @returns place among the candidates, or -1 if all are frozen */
  #choose(query: number, topic: number): number {
    const { candidates, draws } = this.#world;
    const { kind, explore, roulette } = this.#method;
    const draw = draws[query * 3] as number;
    if (kind === "random") return Math.floor(draw * CANDIDATES);
    const providers = [...candidates.subarray(query * CANDIDATES, (query + 1) * CANDIDATES)];
    const scores = this.#score[kind === "public" ? 0 : topic] as Float64Array;
    return choose(
      providers.map((provider) => (this.#frozen[provider] === 1 ? -1 : (scores[provider] as number))),
      (draws[query * 3 + 1] as number) < explore ? 0 : roulette,
      draw,
    );
  }

  /** Bad service of anybody leaves a proof with the chance that the evidence's coverage gives. */
  #weighProof(provider: number, isGood: boolean, fate: number, epoch: number): void {
    const { slashing, coverage, honestCoverage, kind } = this.#method;
    const isMalicious = this.#isMalicious(provider);
    const isProof = !isGood && (fate * DISTINCT_QUERY) % 1 < coverage * (isMalicious ? 1 : honestCoverage);
    if (!isMalicious) {
      this.#count.honestServed++;
      if (isProof) this.#count.honestProofs++;
    }
    if (isProof) this.#proofs[provider] = (this.#proofs[provider] as number) + 1;
    if (slashing.rule === "sequential") {
      const [p1, p0] = [slashing.p1 * coverage, slashing.p0 * coverage];
      const step = isProof ? Math.log(p1 / p0) : Math.log((1 - p1) / (1 - p0));
      this.#suspicion[provider] = Math.max(0, (this.#suspicion[provider] as number) + step);
    }
    if (kind !== "mg" || slashing.rule === "none" || epoch < this.#world.parameters.attackAt) return;
    const isGuilty =
      slashing.rule === "count"
        ? (this.#proofs[provider] as number) >= slashing.proofs
        : (this.#suspicion[provider] as number) >= slashing.freezeAt;
    if (isGuilty) this.#freeze(provider);
  }

  #freeze(agent: number): void {
    if (this.#frozen[agent] === 1) return;
    this.#frozen[agent] = 1;
    if (!this.#isMalicious(agent)) return;
    this.#count.burned += this.#method.burn;
    this.#count.caught++;
  }

  #collude(epoch: number): void {
    const { parameters, role, ringOf, malicious } = this.#world;
    const { fakes, targetFakes, spyFakes, attackAt } = parameters;
    const isOn = epoch >= attackAt;
    ringOf.forEach((ring, attacker) => {
      if (this.#frozen[attacker] === 1) return;
      for (const partner of ring) {
        this.#rate(SOURCE, attacker, partner, 1, fakes);
        if (isOn && targetFakes > 0) this.#rate(TARGET, attacker, partner, 1, targetFakes);
      }
    });
    role.forEach((kind, spy) => {
      if (kind !== roles.spy || this.#frozen[spy] === 1) return;
      for (const agent of malicious) {
        if (this.#frozen[agent] === 1) continue;
        if (role[agent] === roles.attacker) this.#rate(SOURCE, spy, agent, 1, spyFakes);
        if (isOn && spyFakes > 0) this.#rate(TARGET, spy, agent, 1, spyFakes);
      }
    });
  }

  #reenter(epoch: number): void {
    const { attackAt, reentryPeriod, isReenteringAtWill, reentryBudget, targetSize } = this.#world.parameters;
    if (epoch < attackAt) return;
    const total = (this.#score[TARGET] as Float64Array).reduce((a, b) => a + b, 0);
    for (const agent of this.#world.malicious) {
      if (this.#count.reentries >= reentryBudget) return;
      const isWhitewasher = this.#world.role[agent] === roles.whitewasher;
      if (!isWhitewasher && !isReenteringAtWill) continue;
      const isDue = isWhitewasher && reentryPeriod > 0 && (epoch - attackAt) % reentryPeriod === agent % reentryPeriod;
      const isOld = epoch > attackAt && epoch - (this.#bornAt[agent] as number) >= 3;
      const isLow = isOld && (this.#score[TARGET]?.[agent] as number) * targetSize < 0.2 * total;
      if (isDue || (isReenteringAtWill && (isLow || this.#frozen[agent] === 1))) this.#renew(agent, epoch);
    }
  }

  /** A new identity in the same place: nothing about the old one is known of it. */
  #renew(agent: number, epoch: number): void {
    for (let topic = 0; topic < TOPICS; topic++) {
      for (const side of [this.#ratings[topic]?.positive, this.#ratings[topic]?.negative] as Float64Array[]) {
        for (let other = 0; other < AGENTS; other++) side[agent * AGENTS + other] = side[other * AGENTS + agent] = 0;
      }
      this.#raters[topic]?.[agent]?.clear();
      for (const row of [this.#trust[topic], this.#score[topic]] as Float64Array[]) row[agent] = 0;
    }
    this.#frozen[agent] = 0;
    this.#proofs[agent] = 0;
    this.#suspicion[agent] = this.#start;
    this.#bornAt[agent] = epoch;
    this.#count.reentries++;
  }

  #noteNewcomers(): void {
    const layer = this.#layers === 1 ? 0 : TARGET;
    this.#world.role.forEach((role, agent) => {
      if (role !== roles.coldStart) return;
      this.#count.coldTrust += this.#trust[layer]?.[agent] as number;
      this.#count.coldCount++;
    });
  }

  #outcome(): Outcome {
    const { queries, bad, good, newcomers, burned, caught, reentries, honestServed, honestProofs } = this.#count;
    const members = membersOf(this.#world, TARGET, EPOCHS - 1);
    const trust = this.#trust[this.#layers === 1 ? 0 : TARGET] as Float64Array;
    const mean = members.reduce((sum, agent) => sum + (trust[agent] as number), 0) / members.length;
    const share = (agents: readonly number[], isHit: (agent: number) => boolean) =>
      agents.filter(isHit).length / agents.length;
    const isFrozen = (agent: number) => this.#frozen[agent] === 1;
    const isLow = (agent: number) => isFrozen(agent) || (trust[agent] as number) < WARY_SCORE * mean;
    const malicious = members.filter((agent) => this.#isMalicious(agent));
    const honest = members.filter((agent) => !this.#isMalicious(agent));
    const identities = this.#world.malicious.length + reentries;
    return {
      attackSuccess: bad / queries,
      roi: bad / (queries / 20 + burned) - 1,
      detection: share(malicious, isLow),
      falsePositives: share(honest, isLow),
      provenDetection: caught / identities,
      provenFalsePositives: share(honest, isFrozen),
      goodService: good / queries,
      newcomerShare: newcomers / queries,
      newcomerTrust: this.#count.coldTrust / this.#count.coldCount,
      provableHonestFailures: honestProofs / Math.max(1, honestServed),
      identities,
    };
  }
}

/**
 * Roulette over score^exponent; everybody alike for exponent 0 or where nobody has a score.
 * @param scores below 0 = not to be chosen @param draw in [0, 1) @returns place, or -1 if there is none
 */
export function choose(scores: readonly number[], exponent: number, draw: number): number {
  const best = Math.max(...scores);
  if (best < 0) return -1;
  if (best === 0 || exponent === 0)
    return spin(
      scores.map((score) => (score >= 0 ? 1 : 0)),
      draw,
    );
  return spin(
    scores.map((score) => (score > 0 ? (score / best) ** exponent : 0)),
    draw,
  );
}

/** Roulette over weights. */
function spin(weights: readonly number[], draw: number): number {
  let rest = draw * weights.reduce((a, b) => a + b, 0);
  for (const [place, weight] of weights.entries()) {
    rest -= weight;
    if (rest < 0) return place;
  }
  return weights.findLastIndex((weight) => weight > 0);
}
