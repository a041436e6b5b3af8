import { ALPHA } from "#protocol";
import type { TopicGraph } from "./graph.ts";

/** α as a real number. */
export const RESTART = Number(ALPHA) / 65536;

/** Scores that sum to 1, and how far one more sweep still moved them. */
export interface FloatScores {
  readonly scores: Float64Array;
  /** ‖x - F(x)‖₁ */
  readonly residual: number;
  readonly sweepCount: number;
}

/** Scratch and state of one power iteration: x ← (1-α)·Cᵀx + λ·p̃, with λ chosen anew so that the scores sum to 1. */
export class PowerIteration {
  readonly #graph: TopicGraph;
  readonly #priorSum: number;
  readonly #gifts: Float64Array;
  #scores: Float64Array;
  #next: Float64Array;

  /** @param graph with at least one prior above 0 */
  constructor(graph: TopicGraph) {
    this.#graph = graph;
    this.#priorSum = graph.priors.reduce((sum, prior) => sum + prior, 0);
    this.#gifts = new Float64Array(graph.seatCount);
    this.#scores = graph.priors.map((prior) => prior / this.#priorSum);
    this.#next = new Float64Array(graph.seatCount);
  }

  get scores(): Float64Array {
    return this.#scores;
  }

  /**
   * One sweep. The map contracts by 1 - α in L1 (rows without trust give to the prior), so that
   * ‖x - x*‖₁ ≤ residual / α. @returns the residual ‖x - F(x)‖₁
   */
  sweep(): number {
    const { inStart, inSeats, inWeights, rowSums, priors, seatCount } = this.#graph;
    const [scores, next, gifts] = [this.#scores, this.#next, this.#gifts];
    for (let seat = 0; seat < seatCount; seat++) {
      const rowSum = rowSums[seat] as number;
      gifts[seat] = rowSum === 0 ? 0 : ((1 - RESTART) * (scores[seat] as number)) / rowSum;
    }
    let total = 0;
    for (let seat = 0; seat < seatCount; seat++) {
      let received = 0;
      const end = inStart[seat + 1] as number;
      for (let edge = inStart[seat] as number; edge < end; edge++) {
        received += (inWeights[edge] as number) * (gifts[inSeats[edge] as number] as number);
      }
      next[seat] = received;
      total += received;
    }
    const lambda = (1 - total) / this.#priorSum;
    let residual = 0;
    for (let seat = 0; seat < seatCount; seat++) {
      const score = (next[seat] as number) + lambda * (priors[seat] as number);
      next[seat] = score;
      residual += Math.abs(score - (scores[seat] as number));
    }
    this.#scores = next;
    this.#next = scores;
    return residual;
  }
}
