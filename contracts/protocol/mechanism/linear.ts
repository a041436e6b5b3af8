import { fraction, type Fraction } from "./fraction.ts";

/** An action as a linear contract sees it: expected reward and cost, whole numbers in one unit for all followers. */
export interface LinearAction {
  readonly reward: bigint;
  readonly cost: bigint;
}

/** One share for all followers, and what follows. */
export interface LinearContract {
  /** Of the leader's reward, paid to each follower. */
  readonly share: Fraction;
  /** Each follower's best response; ties in the leader's favour. */
  readonly actions: readonly number[];
  readonly surplus: Fraction;
}

/** numerator / denominator > 0, not reduced; `estimate` is off by a few units in the last place at most. */
interface Share {
  readonly numerator: bigint;
  readonly denominator: bigint;
  readonly estimate: number;
}

interface Step {
  readonly share: Share;
  readonly follower: number;
  readonly action: number;
}

const NOTHING: Share = { numerator: 0n, denominator: 1n, estimate: 0 };
/** Far above the error of an estimate in 0..1: what differs by more needs no exact comparison. Half the sweep's time was that. */
const ESTIMATE_MARGIN = 1e-12;

/**
 * The best single share α for all followers together. Each follower's response to α is the upper envelope of
 * α·reward − cost, so that the leader's surplus (1 − α)·Σ reward falls between breakpoints: the best α is 0 or a
 * breakpoint, and one sweep over the sorted breakpoints finds it, O(N log N) for N actions in all.
 */
export function chooseLinearContract(followers: readonly (readonly LinearAction[])[]): LinearContract {
  const actions: number[] = [];
  const steps: Step[] = [];
  let reward = 0n;
  for (const [follower, options] of followers.entries()) {
    const [first, ...rest] = envelopeOf(options, follower);
    actions.push(first?.action ?? -1);
    reward += first === undefined ? 0n : (options[first.action] as LinearAction).reward;
    steps.push(...rest);
  }
  steps.sort((a, b) => compareShares(a.share, b.share) || a.follower - b.follower);

  // Which step is best, first; what everybody does there, afterwards.
  let best = { share: NOTHING, kept: reward, steps: 0 };
  const current = [...actions];
  for (const [i, { share, follower, action }] of steps.entries()) {
    const options = followers[follower] as readonly LinearAction[];
    reward += (options[action] as LinearAction).reward - (options[current[follower] as number] as LinearAction).reward;
    current[follower] = action;
    // Followers with the same breakpoint step together.
    if (steps[i + 1] !== undefined && compareShares((steps[i + 1] as Step).share, share) === 0) continue;
    const kept = (share.denominator - share.numerator) * reward;
    if (kept * best.share.denominator > best.kept * share.denominator) best = { share, kept, steps: i + 1 };
  }
  for (const { follower, action } of steps.slice(0, best.steps)) actions[follower] = action;
  const { numerator, denominator } = best.share;
  return { share: fraction(numerator, denominator), actions, surplus: fraction(best.kept, denominator) };
}

/** Where a follower changes its action as α rises from 0 to 1: the upper envelope of its lines, ties to more reward. */
function envelopeOf(options: readonly LinearAction[], follower: number): Step[] {
  const order = options.map((_, action) => action).sort((a, b) => compareLines(options, a, b));
  const hull: Step[] = [];
  for (const action of order) {
    const line = options[action] as LinearAction;
    for (;;) {
      const top = hull.at(-1);
      if (top === undefined) {
        hull.push({ share: NOTHING, follower, action });
        break;
      }
      const under = options[top.action] as LinearAction;
      if (line.reward === under.reward) break;
      const crossing = shareOf(line.cost - under.cost, line.reward - under.reward);
      if (compareShares(crossing, top.share) <= 0) {
        hull.pop();
        continue;
      }
      if (crossing.numerator <= crossing.denominator) hull.push({ share: crossing, follower, action });
      break;
    }
  }
  return hull;
}

const shareOf = (numerator: bigint, denominator: bigint): Share => ({
  ...{ numerator, denominator, estimate: Number(numerator) / Number(denominator) },
});

function compareShares(a: Share, b: Share): number {
  const difference = a.estimate - b.estimate;
  // Estimates beyond 1 are never breakpoints; their order is decided as exactly as any other that is close.
  if (Math.abs(difference) > ESTIMATE_MARGIN * Math.max(1, Math.abs(a.estimate), Math.abs(b.estimate))) {
    return difference < 0 ? -1 : 1;
  }
  const exact = a.numerator * b.denominator - b.numerator * a.denominator;
  return exact < 0n ? -1 : exact > 0n ? 1 : 0;
}

/** By slope, then the cheaper first: of parallel lines only the upper one counts. */
function compareLines(options: readonly LinearAction[], a: number, b: number): number {
  const [left, right] = [options[a] as LinearAction, options[b] as LinearAction];
  if (left.reward !== right.reward) return left.reward < right.reward ? -1 : 1;
  if (left.cost !== right.cost) return left.cost < right.cost ? -1 : 1;
  return a - b;
}
