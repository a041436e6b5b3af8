// A court of jurors as JurorPanel.sol runs it: panels of 3, 7, 15, 31, each appeal drawing a new one, the last ruling counts.
import { FIRST_PANEL, panelError, panelSizes } from "./follower.ts";
import type { Rules } from "./clauses.ts";
import type { Outcome } from "./scenario.ts";

/** Numbers of ERC-792 rulings: rulings[] of deal-state.ts. */
export const rulingNumbers = { even: 0, forClient: 1, forProvider: 2 } as const;
/** Draw, vote and reveal of one panel. */
const PANEL_S = 12 * 3_600;
const MILLION = 1_000_000;

export interface Court {
  readonly ruling: number;
  readonly isRight: boolean;
  readonly jurors: number;
  readonly durationS: number;
}

export interface Case {
  readonly trueOutcome: Outcome;
  /** Who appeals against a ruling that it does not like, right or not. */
  readonly contests: "client" | "provider" | "nobody";
  readonly errorMillionths: number;
  /** A draw below a million for a round of appeals. */
  readonly draw: (round: number) => number;
}

/** Honest sides appeal against wrong rulings, contesting ones against every ruling that is not theirs. */
export function judge(rules: Rules, { trueOutcome, contests, errorMillionths, draw }: Case): Court {
  const right = [rulingNumbers.forClient, rulingNumbers.even, rulingNumbers.forProvider][trueOutcome] as number;
  const panels = panelSizes(rules);
  let jurors = 0;
  for (const [round, size] of panels.entries()) {
    jurors += size;
    const chance = panelError(size, errorMillionths);
    const drawn = draw(round);
    const isRight = drawn >= chance;
    // Of a wrong ruling over a partial delivery, half go either way.
    const wrong = trueOutcome === 1 ? (drawn % 2 === 0 ? 1 : 2) : right === 1 ? 2 : 1;
    const ruling = isRight ? right : wrong;
    const dissatisfied =
      (contests === "client" && ruling !== rulingNumbers.forClient) ||
      (contests === "provider" && ruling !== rulingNumbers.forProvider);
    const isLast = round === panels.length - 1;
    if (isLast || (isRight && !dissatisfied)) return { ruling, isRight, jurors, durationS: PANEL_S * (round + 1) };
  }
  throw new RangeError("a court has at least one panel");
}

/** Chance that the first panel errs, as a share. */
export function firstError(errorMillionths: number): number {
  return panelError(FIRST_PANEL, errorMillionths) / MILLION;
}
