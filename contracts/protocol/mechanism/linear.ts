import { add, compare, divide, fraction, multiply, subtract, zero, type Fraction } from "./fraction.ts";

/** An action as a linear contract sees it: its expected reward and its cost. */
export interface LinearAction {
  readonly reward: Fraction;
  readonly cost: Fraction;
}

/** One share for all followers, and what follows. */
export interface LinearContract {
  /** Of the leader's reward, paid to each follower. */
  readonly share: Fraction;
  /** Each follower's best response; ties in the leader's favour. */
  readonly actions: readonly number[];
  readonly surplus: Fraction;
}

interface Step {
  readonly share: Fraction;
  readonly follower: number;
  readonly action: number;
}

/**
 * The best single share α for all followers together. Each follower's response to α is the upper envelope of
 * α·reward − cost, so that the leader's surplus (1 − α)·Σ reward falls between breakpoints: the best α is 0 or a
 * breakpoint, and one sweep over the sorted breakpoints finds it, O(N log N) for N actions in all.
 */
export function chooseLinearContract(followers: readonly (readonly LinearAction[])[]): LinearContract {
  const actions: number[] = [];
  const steps: Step[] = [];
  let reward = zero;
  for (const [follower, options] of followers.entries()) {
    const [first, ...rest] = envelopeOf(options);
    actions.push(first?.action ?? -1);
    if (first !== undefined) reward = add(reward, (options[first.action] as LinearAction).reward);
    for (const { share, action } of rest) steps.push({ share, follower, action });
  }
  steps.sort((a, b) => compare(a.share, b.share) || a.follower - b.follower);
  let best: LinearContract = { share: zero, actions: [...actions], surplus: reward };
  for (const [i, { share, follower, action }] of steps.entries()) {
    const options = followers[follower] as readonly LinearAction[];
    reward = subtract(reward, (options[actions[follower] as number] as LinearAction).reward);
    reward = add(reward, (options[action] as LinearAction).reward);
    actions[follower] = action;
    // Followers with the same breakpoint step together.
    if (steps[i + 1] !== undefined && compare((steps[i + 1] as Step).share, share) === 0) continue;
    const surplus = multiply(subtract(fraction(1n), share), reward);
    if (compare(surplus, best.surplus) > 0) best = { share, actions: [...actions], surplus };
  }
  return best;
}

/** Where a follower changes its action as α rises from 0 to 1: the upper envelope of its lines, ties to more reward. */
function envelopeOf(options: readonly LinearAction[]): { readonly share: Fraction; readonly action: number }[] {
  const order = options.map((_, action) => action).sort((a, b) => compareLines(options, a, b));
  const hull: { share: Fraction; action: number }[] = [];
  for (const action of order) {
    const line = options[action] as LinearAction;
    for (;;) {
      const top = hull.at(-1);
      if (top === undefined) {
        hull.push({ share: zero, action });
        break;
      }
      const under = options[top.action] as LinearAction;
      if (compare(line.reward, under.reward) === 0) break;
      const crossing = divide(subtract(line.cost, under.cost), subtract(line.reward, under.reward));
      if (compare(crossing, top.share) <= 0) {
        hull.pop();
        continue;
      }
      if (compare(crossing, fraction(1n)) <= 0) hull.push({ share: crossing, action });
      break;
    }
  }
  return hull;
}

/** By slope, then the cheaper first: of parallel lines only the upper one counts. */
function compareLines(options: readonly LinearAction[], a: number, b: number): number {
  const [left, right] = [options[a] as LinearAction, options[b] as LinearAction];
  return compare(left.reward, right.reward) || compare(left.cost, right.cost) || a - b;
}
