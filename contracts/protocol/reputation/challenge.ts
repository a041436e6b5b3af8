import { bytesToHex, hexToBytes, type Hex } from "viem";
import { accept, reject, type Verdict } from "../errors.ts";
import type { TopicRoot } from "./commit.ts";
import { bridgedBy, coupledPriorOf, type BaseRoot, type SourceLeaf } from "./coupling.ts";
import { unpackLeaf } from "./leaf.ts";
import { MAX_DUST, rowValue, SCORE_SUM, type InEdge } from "./map.ts";
import { verifyMultiproof, verifyProof, type PlacedLeaf } from "./tree.ts";

/** The enum Fault of IReputationEpochs, in its order. */
export const faults = ["none", "row", "sum", "edge", "seat", "prior", "unavailable"] as const;
export type Fault = (typeof faults)[number];

/** Some in-neighbours of a row, or all of them with j. */
export interface RowLeaves {
  /** Ascending by seat. */
  readonly leaves: readonly bigint[];
  /** One uint16 a leaf: its index in the ledger's row (or in the part of it), OWN_POSITION for j. */
  readonly positions: Hex;
  readonly proof: readonly Hex[];
}

interface OnAgent {
  readonly topic: bigint;
  readonly agentId: number;
  readonly leaf: bigint;
  readonly proof: readonly Hex[];
}

/** Arguments of one challenge, complete but for the candidate. */
export type Challenge =
  | {
      readonly kind: "edge";
      readonly topic: bigint;
      readonly isLast: boolean;
      readonly leaf: bigint;
      readonly proof: readonly Hex[];
    }
  | ({ readonly kind: "seat" } & OnAgent)
  | {
      readonly kind: "sum";
      readonly topic: bigint;
      readonly index: number;
      readonly leaf: bigint;
      readonly nextLeaf: bigint;
      readonly proof: readonly Hex[];
      readonly nextProof: readonly Hex[];
    }
  /** `sources`: one leaf of each source that counts for the agent, in the order of the links. */
  | ({ readonly kind: "prior"; readonly sources: readonly SourceLeaf[] } & OnAgent)
  | ({ readonly kind: "row"; readonly topic: bigint; readonly agentId: number } & RowLeaves)
  /** A row that does not fit one transaction: its parts, then j itself. */
  | ({ readonly kind: "longRow"; readonly parts: readonly RowLeaves[] } & OnAgent);

/** In `positions`: the leaf of j itself. */
export const OWN_POSITION = 0xffff;

/** What the ledger and the vault say of one agent at the close of the epoch. */
export interface AgentTruth {
  readonly seat: number;
  readonly rowSum: bigint;
  readonly stakeWei: bigint;
  /** Sources that count for the agent, in the order of the links; none without stake or budget. */
  readonly sources: readonly SourceTruth[];
  /** In the ledger's order of listing. */
  readonly inEdges: readonly { readonly seat: number; readonly weight: bigint }[];
}

/** A score of an agent in another topic, that the contract takes for its prior. */
export interface SourceTruth {
  readonly omega: number;
  /** The agent's, in the base. */
  readonly seat: number;
  readonly base: BaseRoot;
}

/** One topic at the close of the epoch. */
export interface TopicTruth {
  /** `budgetOf` the topic's own base; 0 = it has none, or no sources. */
  readonly budget: bigint;
  /** Of the couplings. */
  readonly maxShare: number;
  /** `seatsAt` */
  readonly leafCount: number;
  /** undefined: the agent had no seat */
  agent(agentId: number): AgentTruth | undefined;
}

/** One call of IReputationEpochs. */
export interface EpochsCall {
  readonly functionName: string;
  readonly args: readonly unknown[];
}

/** The transactions of a challenge, in order; the last one strikes. */
export function challengeCalls(candidateId: bigint, challenge: Challenge): EpochsCall[] {
  const { topic } = challenge;
  const call = (functionName: string, ...args: unknown[]) => ({ functionName, args: [candidateId, topic, ...args] });
  switch (challenge.kind) {
    case "edge":
      return [call("challengeEdge", challenge.isLast, challenge.leaf, challenge.proof)];
    case "sum": {
      const { index, leaf, nextLeaf, proof, nextProof } = challenge;
      return [call("challengeSum", BigInt(index), leaf, nextLeaf, proof, nextProof)];
    }
    case "seat":
      return [call("challengeSeat", challenge.agentId, challenge.leaf, challenge.proof)];
    case "prior":
      return [call("challengePrior", challenge.agentId, challenge.leaf, challenge.proof, challenge.sources)];
    case "row": {
      const { agentId, leaves, positions, proof } = challenge;
      return [call("challengeRow", agentId, leaves, positions, proof)];
    }
    case "longRow": {
      const { agentId, parts, leaf, proof } = challenge;
      return [
        ...parts.map((part) => call("addRowPart", agentId, part.leaves, part.positions, part.proof)),
        call("challengeLongRow", agentId, leaf, proof),
      ];
    }
  }
}

/**
 * Decides a challenge as ReputationEpochs does, so that nobody pays for one that fails.
 * @returns the fault that the candidate is struck for; rejects CHALLENGE_BAD, CHALLENGE_PROOF or CHALLENGE_HOLDS, as the
 * contract reverts with BadChallenge, BadProof or Holds
 */
export function judgeChallenge(committed: TopicRoot, truth: TopicTruth, challenge: Challenge): Verdict<Fault> {
  if (challenge.kind === "edge") return judgeEdge(committed, truth, challenge);
  if (challenge.kind === "sum") return judgeSum(committed, truth, challenge);
  const agent = truth.agent(challenge.agentId);
  if (agent === undefined) return reject("CHALLENGE_BAD", `agent ${challenge.agentId} has no seat`);
  if (challenge.kind === "row") return judgeRow(committed, truth, agent, challenge);
  const own = { index: agent.seat, word: challenge.leaf };
  if (!verifyProof(committed.root, truth.leafCount, own, challenge.proof)) return badProof(agent.seat);
  if (challenge.kind === "longRow") return judgeLongRow(committed, truth, agent, challenge);
  const leaf = unpackLeaf(challenge.leaf);
  if (challenge.kind === "prior") return judgePrior(truth, agent, challenge);
  const isHeld = leaf.agentId === challenge.agentId && leaf.rowSum === agent.rowSum;
  return isHeld ? holds("seat") : accept("seat");
}

function judgePrior(
  { budget, maxShare }: TopicTruth,
  { stakeWei, sources }: AgentTruth,
  challenge: Challenge & { kind: "prior" },
): Verdict<Fault> {
  let bridged = 0n;
  for (const [k, { omega, seat, base }] of sources.entries()) {
    const shown = challenge.sources[k];
    if (shown === undefined) return reject("CHALLENGE_BAD", "a source that counts is not shown");
    const { leaf, proof } = shown;
    if (!verifyProof(base.root, base.leafCount, { index: seat, word: leaf }, proof)) return badProof(seat);
    bridged += bridgedBy(unpackLeaf(leaf).score, omega, budget);
  }
  if (challenge.sources.length > sources.length)
    return reject("CHALLENGE_BAD", "a source that does not count is shown");
  return unlessEqual("prior", unpackLeaf(challenge.leaf).prior, coupledPriorOf(stakeWei, bridged, maxShare));
}

function judgeEdge(
  committed: TopicRoot,
  truth: TopicTruth,
  { isLast, leaf, proof }: Challenge & { kind: "edge" },
): Verdict<Fault> {
  const index = isLast ? truth.leafCount - 1 : 0;
  if (!verifyProof(committed.root, truth.leafCount, { index, word: leaf }, proof)) return badProof(index);
  const { agentId, score, cum, prior, rowSum } = unpackLeaf(leaf);
  if (isLast) return unlessEqual("edge", cum + score, SCORE_SUM);
  const isClean = agentId === 0 && cum === 0n && prior === 0n && rowSum === 0n && score <= MAX_DUST;
  return isClean ? holds("edge") : accept("edge");
}

function judgeSum(committed: TopicRoot, truth: TopicTruth, challenge: Challenge & { kind: "sum" }): Verdict<Fault> {
  const { index, leaf, nextLeaf, proof, nextProof } = challenge;
  const { root } = committed;
  if (!verifyProof(root, truth.leafCount, { index, word: leaf }, proof)) return badProof(index);
  const next = { index: index + 1, word: nextLeaf };
  if (!verifyProof(root, truth.leafCount, next, nextProof)) return badProof(index + 1);
  const { cum, score } = unpackLeaf(leaf);
  return unlessEqual("sum", unpackLeaf(nextLeaf).cum, cum + score);
}

function judgeRow(
  committed: TopicRoot,
  truth: TopicTruth,
  agent: AgentTruth,
  challenge: Challenge & { kind: "row" },
): Verdict<Fault> {
  if (challenge.leaves.length !== agent.inEdges.length + 1) return reject("CHALLENGE_BAD", "not the whole row");
  const placed = placeLeaves(challenge, agent.inEdges, agent.seat);
  if (!verifyMultiproof(committed.root, truth.leafCount, placed, challenge.proof)) return badProof(agent.seat);
  const own = placed.find(({ index }) => index === agent.seat);
  if (own === undefined) return badProof(agent.seat);
  return judgeValue(committed, own.word, inEdgesOf(placed));
}

function judgeLongRow(
  committed: TopicRoot,
  truth: TopicTruth,
  agent: AgentTruth,
  challenge: Challenge & { kind: "longRow" },
): Verdict<Fault> {
  const inEdges: InEdge[] = [];
  for (const part of challenge.parts) {
    const edges = agent.inEdges.slice(inEdges.length, inEdges.length + part.leaves.length);
    const placed = placeLeaves(part, edges, 0);
    if (!verifyMultiproof(committed.root, truth.leafCount, placed, part.proof)) return badProof(inEdges.length);
    inEdges.push(...inEdgesOf(placed));
  }
  if (inEdges.length !== agent.inEdges.length) return reject("CHALLENGE_BAD", "not the whole row");
  return judgeValue(committed, challenge.leaf, inEdges);
}

function judgeValue(committed: TopicRoot, ownWord: bigint, inEdges: readonly InEdge[]): Verdict<Fault> {
  const own = unpackLeaf(ownWord);
  return unlessEqual("row", own.score, rowValue(inEdges, committed, own.prior));
}

interface EdgeLeaf extends PlacedLeaf {
  readonly weight: bigint;
}

/** Seat 0 stands for a position past the row: it never ascends, so that no proof verifies. */
function placeLeaves(row: RowLeaves, edges: AgentTruth["inEdges"], ownSeat: number): EdgeLeaf[] {
  const positions = decodePositions(row.positions);
  if (positions.length !== row.leaves.length) return [];
  const placed = row.leaves.map((word, k) => {
    const position = positions[k] as number;
    if (position === OWN_POSITION) return { index: ownSeat, word, weight: 0n };
    const edge = edges[position];
    return { index: edge?.seat ?? 0, word, weight: edge?.weight ?? 0n };
  });
  return placed.some(({ index }) => index === 0) ? [] : placed;
}

function inEdgesOf(placed: readonly EdgeLeaf[]): InEdge[] {
  return placed.map(({ word, weight }) => {
    const { score, rowSum } = unpackLeaf(word);
    return { weight, score, rowSum };
  });
}

export function encodePositions(positions: readonly number[]): Hex {
  return bytesToHex(Uint8Array.from(positions.flatMap((position) => [position >> 8, position & 0xff])));
}

function decodePositions(positions: Hex): number[] {
  const bytes = hexToBytes(positions);
  if (bytes.length % 2 !== 0) return [];
  return Array.from(
    { length: bytes.length / 2 },
    (_, k) => ((bytes[2 * k] as number) << 8) | (bytes[2 * k + 1] as number),
  );
}

function unlessEqual(fault: Fault, claimed: bigint, computed: bigint): Verdict<Fault> {
  return claimed === computed ? holds(fault) : accept(fault);
}

function holds(fault: Fault): Verdict<never> {
  return reject("CHALLENGE_HOLDS", `the candidate's ${fault} is right`);
}

function badProof(index: number): Verdict<never> {
  return reject("CHALLENGE_PROOF", `the leaf at ${index} is not under the root`);
}
