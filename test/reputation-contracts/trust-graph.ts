// What the tests expect of the chain, computed a second time: the ledger's closed state from the recorded ratings, and the
// exact fixed point by plain sweeps. Nothing here asks a contract.
import {
  LeafTree,
  MAX_DUST,
  packLeaf,
  priorOf,
  rowValue,
  SCORE_SUM,
  unpackLeaf,
  type Couplings,
  type Lambda,
  type SourceLeaf,
} from "#protocol";

export interface Edge {
  readonly clientSeat: number;
  readonly weight: bigint;
}

/** One topic at the close of an epoch, everything by seat; seat 0 is dust. */
export interface Snapshot {
  readonly topic: bigint;
  readonly agents: readonly number[];
  readonly rowSums: readonly bigint[];
  readonly rows: readonly (readonly Edge[])[];
  readonly priors: readonly bigint[];
  /** What `challengePrior` has to be shown beside the agent's own leaf. */
  readonly sourceLeaves: readonly (readonly SourceLeaf[])[];
}

export interface Epoch {
  readonly snapshot: Snapshot;
  readonly lambda: Lambda;
  readonly words: readonly bigint[];
  readonly tree: LeafTree;
}

/** Ratings of one topic, with seats and in-neighbours in the ledger's order. */
export class TrustGraph {
  readonly topic: bigint;
  readonly #agents: number[] = [0];
  readonly #seatOf = new Map<number, number>();
  readonly #sums = new Map<string, { satisfied: bigint; unsatisfied: bigint }>();
  readonly #inNeighbours = new Map<number, number[]>();

  constructor(topic: bigint) {
    this.topic = topic;
  }

  record(client: number, provider: number, satisfied: number, unsatisfied: number): void {
    const [i, j] = [this.#takeSeat(client), this.#takeSeat(provider)];
    const sums = this.#sums.get(`${i},${j}`) ?? { satisfied: 0n, unsatisfied: 0n };
    sums.satisfied += BigInt(satisfied);
    sums.unsatisfied += BigInt(unsatisfied);
    this.#sums.set(`${i},${j}`, sums);
    const row = this.#inNeighbours.get(j) ?? [];
    if (sums.satisfied > sums.unsatisfied && !row.includes(i)) row.push(i);
    this.#inNeighbours.set(j, row);
  }

  /** @param stakeOf stake of an agent at the close, in the token's smallest unit */
  close(stakeOf: (agentId: number) => bigint): Snapshot {
    const rowSums = this.#agents.map(() => 0n);
    const rows = this.#agents.map((_, j) =>
      (this.#inNeighbours.get(j) ?? []).map((i) => ({ clientSeat: i, weight: this.#weight(i, j) })),
    );
    for (const { clientSeat, weight } of rows.flat()) rowSums[clientSeat] = at(rowSums, clientSeat) + weight;
    const priors = this.#agents.map((agentId, seat) => (seat === 0 ? 0n : priorOf(stakeOf(agentId))));
    const sourceLeaves = this.#agents.map(() => []);
    return { topic: this.topic, agents: [...this.#agents], rowSums, rows, priors, sourceLeaves };
  }

  #takeSeat(agentId: number): number {
    const seat = this.#seatOf.get(agentId) ?? this.#agents.length;
    if (seat === this.#agents.length) this.#agents.push(agentId);
    this.#seatOf.set(agentId, seat);
    return seat;
  }

  #weight(i: number, j: number): bigint {
    const { satisfied, unsatisfied } = this.#sums.get(`${i},${j}`) ?? { satisfied: 0n, unsatisfied: 0n };
    return satisfied > unsatisfied ? satisfied - unsatisfied : 0n;
  }
}

/**
 * The same topics with what reputation elsewhere adds to the stakes, from the definition in IReputationEpochs.
 * @param bases the epochs that were finalized before the one after the close began
 */
export function coupleSnapshots(
  snapshots: readonly Snapshot[],
  { minClients, maxShare, links }: Couplings,
  bases: ReadonlyMap<bigint, Epoch>,
): Snapshot[] {
  return snapshots.map((snapshot) => {
    const own = bases.get(snapshot.topic);
    if (own === undefined) return snapshot;
    const budget = ((9_830n << 46n) << BigInt(own.lambda.shift)) / own.lambda.multiplier;
    const bridged = snapshot.agents.map((agentId, seat) => {
      const stake = at(snapshot.priors, seat);
      const leaves: SourceLeaf[] = [];
      let sum = 0n;
      for (const { to, from, omega } of links) {
        const [source, base] = [snapshots.find(({ topic }) => topic === from), bases.get(from)];
        const there = source === undefined || agentId === 0 ? -1 : source.agents.indexOf(agentId);
        if (to !== snapshot.topic || base === undefined || there < 1 || there >= base.words.length) continue;
        if (stake === 0n || budget === 0n || at(source?.rows ?? [], there).length < minClients) continue;
        leaves.push({ leaf: at(base.words, there), proof: base.tree.proof(there) });
        sum += BigInt(omega) * ((unpackLeaf(at(base.words, there)).score * budget) >> 62n);
      }
      const most = (stake * BigInt(maxShare)) >> 16n;
      return { prior: priorOf(stake + (sum >> 16n < most ? sum >> 16n : most)), leaves };
    });
    return {
      ...snapshot,
      priors: bridged.map(({ prior }) => prior),
      sourceLeaves: bridged.map(({ leaves }) => leaves),
    };
  });
}

const SWEEPS = 300;

/** The honest epoch of a topic: λ so that the scores fill S, then the exact fixed point from above and from below. */
export function solveHonestly(snapshot: Snapshot): Epoch {
  const priorSum = snapshot.priors.reduce((sum, prior) => sum + prior);
  const none: Lambda = { multiplier: 0n, shift: 0 };
  let scores: readonly bigint[] = snapshot.agents.map(() => SCORE_SUM / BigInt(snapshot.agents.length));
  let missing = 0n;
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const flows = applyMap(snapshot, none, scores);
    missing = SCORE_SUM - flows.reduce((sum, flow) => sum + flow);
    scores = flows.map((flow, seat) => flow + (missing * at(snapshot.priors, seat)) / priorSum);
  }
  const lambda = lambdaOf(missing, priorSum);
  scores = untilUnchanged(scores, (t) => applyMap(snapshot, lambda, t).map((f, k) => (f < at(t, k) ? f : at(t, k))));
  scores = untilUnchanged(scores, (t) => applyMap(snapshot, lambda, t));
  const dust = SCORE_SUM - scores.reduce((sum, score) => sum + score);
  if (dust < 0n || dust > MAX_DUST) throw new Error(`the reference solver left ${dust} to the dust seat`);
  return buildEpoch(snapshot, lambda, [dust, ...scores.slice(1)]);
}

function lambdaOf(missing: bigint, priorSum: bigint): Lambda {
  let shift = 0;
  while ((missing << BigInt(shift + 1)) / priorSum < 1n << 63n) shift++;
  const multiplier = (missing << BigInt(shift)) / priorSum;
  return { multiplier: multiplier - (multiplier >> 30n), shift };
}

/** F, with 0 for the dust seat. */
export function applyMap(snapshot: Snapshot, lambda: Lambda, scores: readonly bigint[]): bigint[] {
  return snapshot.rows.map((row, seat) => {
    if (seat === 0) return 0n;
    const inEdges = row.map(({ clientSeat, weight }) => ({
      weight,
      score: at(scores, clientSeat),
      rowSum: at(snapshot.rowSums, clientSeat),
    }));
    return rowValue(inEdges, lambda, at(snapshot.priors, seat));
  });
}

export function buildEpoch(snapshot: Snapshot, lambda: Lambda, scores: readonly bigint[]): Epoch {
  let cum = 0n;
  const words = snapshot.agents.map((agentId, seat) => {
    const score = at(scores, seat);
    const leaf = { agentId, score, cum, prior: at(snapshot.priors, seat), rowSum: at(snapshot.rowSums, seat) };
    cum += score;
    return packLeaf(leaf);
  });
  return { snapshot, lambda, words, tree: new LeafTree(words) };
}

/** The same epoch with other leaves. */
export function withWords(epoch: Epoch, words: readonly bigint[]): Epoch {
  return { ...epoch, words, tree: new LeafTree(words) };
}

/** An element that exists. */
export function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`no element ${index}`);
  return item;
}

function untilUnchanged(start: readonly bigint[], step: (t: readonly bigint[]) => bigint[]): readonly bigint[] {
  for (let current = start; ;) {
    const next = step(current);
    if (next.every((value, k) => value === current[k])) return current;
    current = next;
  }
}
