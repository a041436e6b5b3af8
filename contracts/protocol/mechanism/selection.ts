/** What taking one action of one follower would cost out of the budget and be worth beyond that, both in whole units. */
export interface Option {
  readonly cost: number;
  readonly worth: number;
}

/** The chosen option of each follower (−1 = none), and what all are worth together. */
export interface Selection {
  readonly chosen: readonly number[];
  readonly worth: number;
  readonly cost: number;
}

/** followers × budget cells stay below 64 MB of Int8 choices and two rows of doubles. */
export const MAX_SELECTION_CELLS = 2 ** 26;

/**
 * At most one option of each follower, of most worth within the budget: the multiple-choice knapsack, exactly, by
 * dynamic programming over whole units of budget. Ties go to the earlier option and, before that, to none.
 *
 * @throws RangeError beyond MAX_SELECTION_CELLS or 127 options a follower, or for a budget that is no whole number
 */
export function selectWithinBudget(followers: readonly (readonly Option[])[], budget: number): Selection {
  if (!Number.isSafeInteger(budget) || budget < 0) throw new RangeError(`budget ${budget} is no whole number`);
  const width = budget + 1;
  if (followers.length * width > MAX_SELECTION_CELLS) throw new RangeError("budget in coarser units, please");
  const choices = new Int8Array(followers.length * width).fill(-1);
  let best = new Float64Array(width);
  for (const [follower, options] of followers.entries()) {
    if (options.length > 127) throw new RangeError(`follower ${follower} has ${options.length} options`);
    const next = best.slice();
    for (const [index, { cost, worth }] of options.entries()) {
      for (let units = cost; units < width; units++) {
        const total = (best[units - cost] as number) + worth;
        if (total > (next[units] as number)) {
          next[units] = total;
          choices[follower * width + units] = index;
        }
      }
    }
    best = next;
  }
  return readBack(followers, choices, width, best);
}

function readBack(followers: readonly (readonly Option[])[], choices: Int8Array, width: number, best: Float64Array) {
  const chosen: number[] = followers.map(() => -1);
  let units = width - 1;
  for (let follower = followers.length - 1; follower >= 0; follower--) {
    const index = choices[follower * width + units] as number;
    chosen[follower] = index;
    if (index >= 0) units -= followers[follower]?.[index]?.cost as number;
  }
  return { chosen, worth: best[width - 1] as number, cost: width - 1 - units };
}
