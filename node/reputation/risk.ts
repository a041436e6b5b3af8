/** What somebody said of an agent by one settled deal. */
export interface Opinion {
  /** Seat of who says it. */
  readonly client: number;
  readonly isPraise: boolean;
  readonly ageSeconds: number;
}

/** How an agent's next deal may turn out, by what trusted clients said of late. No part of the committed score. */
export interface RiskReading {
  /** Expected share of bad deals, in (0, 1). */
  readonly risk: number;
  /** Opinions, each worth its client's voice and its age. */
  readonly praise: number;
  readonly complaints: number;
}

const DAY_SECONDS = 86_400;
/**
 * After so long an opinion counts half. Of 7, 15, 30, 60, 120, 240 days and no forgetting the best, with no forgetting close
 * behind, on windows of the first half of Bitcoin Alpha (`npm run bench -- negative-evidence`); agents change hands and models.
 */
export const HALF_LIFE_SECONDS = 60 * DAY_SECONDS;
/** Opinions that a stranger is taken to have, as good as the topic's average: one complaint does not condemn. */
export const PRIOR_OPINIONS = 2;

/**
 * (N + k·b) / (P + N + k), with P and N weighed by voice and age. That is how trust in deals can fall below nothing, which
 * EigenTrust cannot express: there a pair's complaints at most take its praise away.
 * @param voiceOf seat → how much a client's word counts, 0…1: see `voicesOf`
 * @param badShare b in (0, 1), the topic's share of complaints
 */
export function readRisk(
  opinions: Iterable<Opinion>,
  voiceOf: (seat: number) => number,
  badShare: number,
  halfLifeSeconds: number = HALF_LIFE_SECONDS,
): RiskReading {
  let [praise, complaints] = [0, 0];
  for (const { client, isPraise, ageSeconds } of opinions) {
    const weight = voiceOf(client) * 0.5 ** (ageSeconds / halfLifeSeconds);
    if (isPraise) praise += weight;
    else complaints += weight;
  }
  const risk = (complaints + PRIOR_OPINIONS * badShare) / (praise + complaints + PRIOR_OPINIONS);
  return { risk, praise, complaints };
}

/**
 * A client's word counts in proportion to its score, and fully from the average on: newcomers without trust cannot talk a
 * provider up or down, and nobody's word counts twice.
 * @param scores by seat, any scale; seat 0 is the dust and nobody
 */
export function voicesOf(scores: ArrayLike<number>): Float64Array {
  let sum = 0;
  for (let seat = 1; seat < scores.length; seat++) sum += scores[seat] as number;
  const average = sum / Math.max(1, scores.length - 1);
  return Float64Array.from(scores, (score, seat) => (seat === 0 || average === 0 ? 0 : Math.min(1, score / average)));
}

/** Share of complaints among opinions, with half an opinion of each kind more, so that it is neither 0 nor 1. */
export function badShareOf(opinions: readonly Pick<Opinion, "isPraise">[]): number {
  const complaints = opinions.filter(({ isPraise }) => !isPraise).length;
  return (complaints + 0.5) / (opinions.length + 1);
}
