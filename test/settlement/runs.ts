import { isNightly } from "../fixtures/profile.ts";
const SEED = 20_261_121;
/** A step on a loaded machine. */
const SLOWEST_RUN_MS = 15_000;

/**
 * How many random sequences a differential test runs. The ordinary profile repeats one seed, so that what it reaches can be asserted; the
 * nightly one explores. SURETY_RUNS=n runs n sequences; SURETY_BATCH=k gives the batches of one large count seeds of their own, so
 * that 100,000 sequences are a hundred processes with SURETY_RUNS=1000 and SURETY_BATCH=0..99.
 */
export function randomRuns(ordinary: number, nightly: number) {
  const numRuns = Number(process.env["SURETY_RUNS"] ?? (isNightly ? nightly : ordinary));
  const batch = process.env["SURETY_BATCH"];
  const isRepeated = batch !== undefined || !isNightly;
  return {
    timeoutMs: Math.max(180_000, numRuns * SLOWEST_RUN_MS),
    // No shrinking: the chain remembers what a failed run has left.
    parameters: { numRuns, endOnFailure: true, ...(isRepeated ? { seed: SEED + Number(batch ?? 0) } : {}) },
  };
}
