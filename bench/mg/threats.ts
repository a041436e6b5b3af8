// The threat models of the EigenTrust paper (Kamvar, Schlosser and Garcia-Molina 2003, section 7) in a file-sharing network.
import { createRandom } from "../reputation/random-graph.ts";
import { ourMethod, type Method } from "./method.ts";
import { choose } from "./simulate.ts";
import { scoreMembers } from "./trust.ts";

/** Who the malicious are: alone (A), a collective (B), one with camouflage (C), or one with spies (D). */
export type ThreatModel = "A" | "B" | "C" | "D";
/** Who is chosen of those that answer: anybody, by EigenTrust as its paper says, or by our score. */
export type Chooser = "none" | "eigentrust" | "ours";

export interface ThreatTask {
  readonly model: ThreatModel;
  readonly chooser: Chooser;
  readonly malicious: number;
  /** Share of authentic answers that type C gives. */
  readonly camouflage: number;
  /** Of the malicious, so many are spies: they serve well and praise the others. */
  readonly spies: number;
  readonly seed: number;
}

/** Of the paper as we know it; who has which file, and uptimes, are drawn where it took measured distributions. */
export const threatParameters = {
  goodPeers: 60,
  preTrusted: 3,
  /** Simulation cycles, query cycles in each; trust is computed after each simulation cycle. */
  ...{ cycles: 30, queryCycles: 50 },
  /** The first half is not counted: nobody knows anybody then. */
  countedShare: 0.5,
  /** Good peers' own failures. */
  inauthenticShare: 0.05,
  /** Of EigenTrust's choices, those among peers without any trust. */
  zeroTrustShare: 0.1,
  alpha: 0.118,
  /** Categories by Zipf; a good peer keeps at least four; a file of rank r is with a peer of its category with chance r^-0.5. */
  ...{ categories: 20, leastCategories: 4, files: 100, rarity: 0.5 },
  /** Malicious peers answer for so much of the categories and files, the most popular first; spies for less. */
  ...{ maliciousReach: 0.2, spyReach: 0.05 },
  /** Good peers are up for a share of the time drawn from [0, 1), pre-trusted and malicious ones always. */
  leastUp: 0,
} as const;

const EIGENTRUST: Pick<Method, "alpha" | "edgeCap" | "negative" | "praiseCap"> = {
  alpha: threatParameters.alpha,
  ...{ edgeCap: 1, negative: 0, praiseCap: 0 },
};
/** A service that a spy or a colluder claims to have had, at the end of each cycle. */
const CLAIM = 1;

interface Peer {
  readonly isGood: boolean;
  readonly isSpy: boolean;
  readonly up: number;
  readonly categories: ReadonlySet<number>;
}

/** @returns share of the good peers' downloads that were inauthentic */
export function simulateThreat(task: ThreatTask, cycles: number = threatParameters.cycles): number {
  const network = new FileNetwork(task);
  for (let cycle = 0; cycle < cycles; cycle++) network.runCycle(cycle >= cycles * (1 - threatParameters.countedShare));
  return network.inauthenticShare;
}

class FileNetwork {
  readonly #task: ThreatTask;
  readonly #random: () => number;
  readonly #peers: readonly Peer[];
  readonly #positive: Float64Array;
  readonly #negative: Float64Array;
  readonly #popular: readonly number[];
  readonly #ranked: readonly number[];
  /** Who answers for a file, by category · files + rank. */
  readonly #holders: readonly (readonly number[])[];
  #trust: Float64Array;
  #score: Float64Array;
  #downloads = 0;
  #bad = 0;

  constructor(task: ThreatTask) {
    this.#task = task;
    this.#random = createRandom(task.seed * 1000 + 29);
    this.#popular = cumulate(threatParameters.categories);
    this.#ranked = cumulate(threatParameters.files);
    const { goodPeers, preTrusted } = threatParameters;
    const count = goodPeers + preTrusted + task.malicious;
    this.#peers = Array.from({ length: count }, (_, peer) => this.#createPeer(peer));
    this.#holders = Array.from({ length: threatParameters.categories * threatParameters.files }, (_, file) =>
      [...this.#peers.keys()].filter((peer) =>
        this.#hasFile(peer, Math.floor(file / threatParameters.files), file % threatParameters.files),
      ),
    );
    this.#positive = new Float64Array(count * count);
    this.#negative = new Float64Array(count * count);
    this.#trust = new Float64Array(count);
    this.#score = new Float64Array(count);
  }

  get inauthenticShare(): number {
    return this.#bad / this.#downloads;
  }

  runCycle(isCounted: boolean): void {
    for (let query = 0; query < threatParameters.queryCycles; query++) {
      const isUp = this.#peers.map(({ up }) => this.#random() < up);
      for (const [asker, { isGood }] of this.#peers.entries()) {
        // What a member of a collective downloads changes nothing: it says nothing about it.
        const isHeard = isGood || this.#task.model === "A";
        if (isHeard && isUp[asker] === true) this.#download(asker, isUp, isCounted && isGood);
      }
    }
    this.#collude();
    if (this.#task.chooser !== "none") this.#rescore();
  }

  #createPeer(peer: number): Peer {
    const { goodPeers, preTrusted, leastCategories, categories, leastUp } = threatParameters;
    const isGood = peer < goodPeers + preTrusted;
    const isSpy = !isGood && peer >= this.#peerCount - this.#task.spies;
    const own = new Set<number>();
    const wanted = isGood ? leastCategories + Math.floor(this.#random() * (categories / 2 - leastCategories)) : 0;
    while (own.size < wanted) own.add(draw(this.#popular, this.#random()));
    const isAlwaysUp = !isGood || peer < preTrusted;
    return { isGood, isSpy, categories: own, up: isAlwaysUp ? 1 : leastUp + (1 - leastUp) * this.#random() };
  }

  get #peerCount(): number {
    return threatParameters.goodPeers + threatParameters.preTrusted + this.#task.malicious;
  }

  #download(asker: number, isUp: readonly boolean[], isCounted: boolean): void {
    const { categories } = this.#peers[asker] as Peer;
    let category = draw(this.#popular, this.#random());
    while (categories.size > 0 && !categories.has(category)) category = draw(this.#popular, this.#random());
    const rank = draw(this.#ranked, this.#random());
    const holders = this.#holders[category * threatParameters.files + rank] as readonly number[];
    const answers = holders.filter((peer) => peer !== asker && isUp[peer] === true);
    if (answers.length === 0) return;
    const provider = this.#choose(answers);
    const isAuthentic = this.#serves(provider);
    if (isCounted) {
      this.#downloads++;
      if (!isAuthentic) this.#bad++;
    }
    this.#judge(asker, provider, isAuthentic);
  }

  #hasFile(peer: number, category: number, rank: number): boolean {
    const { isGood, isSpy, categories } = this.#peers[peer] as Peer;
    const { rarity, maliciousReach, spyReach, categories: categoryCount, files } = threatParameters;
    if (isGood) return categories.has(category) && hash(peer, category, rank) < (rank + 1) ** -rarity;
    const reach = isSpy ? spyReach : maliciousReach;
    return category < reach * categoryCount && rank < reach * files;
  }

  #choose(answers: readonly number[]): number {
    const { chooser } = this.#task;
    const [explores, spun] = [this.#random(), this.#random()];
    const scores = answers.map((peer) => this.#score[peer] as number);
    const unknown = answers.filter((peer) => this.#score[peer] === 0);
    if (chooser === "eigentrust" && unknown.length > 0 && explores < threatParameters.zeroTrustShare) {
      return unknown[Math.floor(spun * unknown.length)] as number;
    }
    const exponent = { none: 0, eigentrust: 1, ours: explores < ourMethod.explore ? 0 : ourMethod.roulette }[chooser];
    return answers[choose(scores, exponent, spun)] as number;
  }

  #serves(provider: number): boolean {
    const { isGood, isSpy } = this.#peers[provider] as Peer;
    const drawn = this.#random();
    if (isGood || isSpy) return drawn >= threatParameters.inauthenticShare;
    return drawn < this.#task.camouflage;
  }

  /** Type A says the reverse of what it saw. */
  #judge(asker: number, provider: number, isAuthentic: boolean): void {
    const { isGood } = this.#peers[asker] as Peer;
    const side = isAuthentic === isGood ? this.#positive : this.#negative;
    const at = asker * this.#peers.length + provider;
    side[at] = (side[at] as number) + 1;
  }

  #collude(): void {
    if (this.#task.model === "A") return;
    const { length } = this.#peers;
    for (const [client, one] of this.#peers.entries()) {
      for (const [provider, other] of this.#peers.entries()) {
        if (one.isGood || other.isGood || client === provider || other.isSpy) continue;
        const at = client * length + provider;
        this.#positive[at] = (this.#positive[at] as number) + CLAIM;
      }
    }
  }

  #rescore(): void {
    const members = [...this.#peers.keys()];
    const isOurs = this.#task.chooser === "ours";
    const { trust, score } = scoreMembers({
      method: isOurs ? ourMethod : EIGENTRUST,
      agentCount: members.length,
      members,
      isFrozen: () => false,
      ratings: [{ positive: this.#positive, negative: this.#negative }],
      prior: Float64Array.from(members, (peer) => (peer < threatParameters.preTrusted ? 1 : 0)),
      lastTrust: this.#trust,
      lastScores: this.#score,
    });
    this.#trust = trust;
    this.#score = score;
  }
}

/** Zipf's law: running shares of 1/rank. */
function cumulate(count: number): number[] {
  const weights = Array.from({ length: count }, (_, rank) => 1 / (rank + 1));
  const sum = weights.reduce((a, b) => a + b, 0);
  let total = 0;
  return weights.map((weight) => (total += weight) / sum);
}

function draw(cumulated: readonly number[], drawn: number): number {
  const found = cumulated.findIndex((share) => drawn < share);
  return found < 0 ? cumulated.length - 1 : found;
}

/** Who has which file does not change. @returns a number in [0, 1) */
function hash(peer: number, category: number, rank: number): number {
  let x = Math.imul(peer + 1, 0x9e3779b1) ^ Math.imul(category + 1, 0x85ebca6b) ^ Math.imul(rank + 1, 0xc2b2ae35);
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  x = Math.imul(x ^ (x >>> 12), 0x297a2d39);
  return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
}
