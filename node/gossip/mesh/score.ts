/** On-chain reputation moves a score by at most this much: it can neither excuse a flooder nor cut off a newcomer. */
export const MAX_REPUTATION = 10;
/** Scores lie in here, whatever happens. */
export const MIN_SCORE = -100;
export const MAX_SCORE = 20;
/** Below: not in a mesh. One broken promise is no reason yet. */
export const MESH_SCORE = -5;
/** At or below: cut off. Five invalid messages within a minute, with a good name and good work to their credit. */
export const CUT_SCORE = -50;

/** Points that a fault takes. */
export const FAULT = {
  /** A header that its judge rejected, or bytes that are no frame. */
  invalid: 15,
  /** Other bytes under a body's hash. */
  falseBody: 30,
  /** Announced, asked for, and not delivered in time. */
  brokenPromise: 2,
  /** A body, or part of one, that nobody asked for. */
  unasked: 5,
  /** A frame or an ask beyond the budget, or a graft within its backoff. */
  excess: 0.5,
} as const;

const DELIVERY_POINTS = 0.2;
const MAX_DELIVERY_POINTS = 10;
const MAX_FAULT_POINTS = 120;
const DELIVERIES_HALF_LIFE_MS = 60_000;
const FAULTS_HALF_LIFE_MS = 120_000;

/** What a peer is worth to us. */
export interface Score {
  /** It was the first to bring a valid header. */
  credit(nowMs: number): void;
  blame(points: number, nowMs: number): void;
  /** @param points any number; cut to ±MAX_REPUTATION, and to 0 where it is none */
  repute(points: number): void;
  at(nowMs: number): number;
}

/** Both sums fade by half-lives and are bounded; time comes with each call. */
export function createScore(): Score {
  let deliveries = 0;
  let faults = 0;
  let reputation = 0;
  let sinceMs = 0;
  const fade = (nowMs: number): void => {
    const elapsedMs = Math.max(0, nowMs - sinceMs);
    if (elapsedMs > 0 && deliveries > 0) deliveries *= 2 ** (-elapsedMs / DELIVERIES_HALF_LIFE_MS);
    if (elapsedMs > 0 && faults > 0) faults *= 2 ** (-elapsedMs / FAULTS_HALF_LIFE_MS);
    sinceMs = nowMs;
  };
  return {
    credit(nowMs) {
      fade(nowMs);
      deliveries = Math.min(MAX_DELIVERY_POINTS, deliveries + DELIVERY_POINTS);
    },
    blame(points, nowMs) {
      fade(nowMs);
      faults = Math.min(MAX_FAULT_POINTS, faults + points);
    },
    repute(points) {
      reputation = Number.isNaN(points) ? 0 : Math.max(-MAX_REPUTATION, Math.min(MAX_REPUTATION, points));
    },
    at(nowMs) {
      fade(nowMs);
      return Math.max(MIN_SCORE, Math.min(MAX_SCORE, deliveries + reputation - faults));
    },
  };
}
