// Every attack that was ever found, as a regression suite: rules may change only where none of them hurts more than before.
import { attackKeyOf, type Attack } from "./attack.ts";
import type { Rules } from "./clauses.ts";
import type { Evaluator } from "./evaluate.ts";

/** One case of the suite. */
export interface ArchivedAttack {
  readonly attack: Attack;
  /** Iteration that found it, from 0. */
  readonly iteration: number;
  /** What it cost under the rules that it was found against. */
  readonly foundLossWei: bigint;
  /**
   * What it cost under the rules that answered it, plus ε: the case of the suite is this bound, as a test is written with
   * its fix. Undefined while no edit has answered it.
   */
  readonly limitWei: bigint | undefined;
}

export type Archive = readonly ArchivedAttack[];

export function addAttack(archive: Archive, attack: Attack, iteration: number, foundLossWei: bigint): Archive {
  const key = attackKeyOf(attack);
  if (archive.some((entry) => attackKeyOf(entry.attack) === key)) return archive;
  return [...archive, { attack, iteration, foundLossWei, limitWei: undefined }];
}

/** Sets the bound of every attack that has none yet, once an edit was accepted. */
export function fixLimits(archive: Archive, evaluator: Evaluator, rules: Rules, toleranceWei: bigint): Archive {
  return archive.map((entry) =>
    entry.limitWei === undefined
      ? { ...entry, limitWei: evaluator.run(rules, entry.attack).lossWei + toleranceWei }
      : entry,
  );
}

/** Why an edit is refused. */
export interface Regression {
  readonly attack: Attack;
  readonly beforeWei: bigint;
  readonly afterWei: bigint;
}

/**
 * The first archived attack that new rules let hurt more than ε beyond the present ones: L(M', φ) ≤ L(M, φ) + ε fails. Undefined if all hold.
 */
export async function findRegression(
  archive: Archive,
  evaluator: Evaluator,
  rules: { readonly before: Rules; readonly after: Rules },
  toleranceWei: bigint,
  signal: AbortSignal,
): Promise<Regression | undefined> {
  for (const { attack, limitWei } of archive) {
    await evaluator.breathe(signal);
    const beforeWei = evaluator.run(rules.before, attack).lossWei;
    const afterWei = evaluator.run(rules.after, attack).lossWei;
    // Small steps do not add up either: what an edit has answered stays answered.
    if (afterWei > beforeWei + toleranceWei || (limitWei !== undefined && afterWei > limitWei)) {
      return { attack, beforeWei, afterWei };
    }
  }
  return undefined;
}

/** Share of the suite's cases whose bound holds under rules; 1 for an empty suite. */
export function passRate(archive: Archive, evaluator: Evaluator, rules: Rules): number {
  const cases = archive.filter(({ limitWei }) => limitWei !== undefined);
  if (cases.length === 0) return 1;
  const passed = cases.filter(({ attack, limitWei }) => evaluator.run(rules, attack).lossWei <= (limitWei as bigint));
  return passed.length / cases.length;
}

/** The largest loss that any archived attack causes. */
export function worstLoss(archive: Archive, evaluator: Evaluator, rules: Rules): bigint {
  return archive
    .map(({ attack }) => evaluator.run(rules, attack).lossWei)
    .reduce((most, loss) => (loss > most ? loss : most), 0n);
}
