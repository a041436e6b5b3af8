import { compare, divide, fraction, max, min, subtract, type Fraction } from "./fraction.ts";

/** An action that succeeds with probability `chance` and costs `cost`. */
export interface BinaryAction {
  readonly chance: Fraction;
  readonly cost: Fraction;
}

/**
 * The critical spread b of success and failure pay that implements an action: the largest incremental cost per chance
 * over less likely actions. With reputation at stake κ and its change δ by outcome, cash needs only
 * t_s − t_f = b − κ(δ_s − δ_f): reputation replaces cash one for one. Undefined if some likelier action is relatively
 * cheaper, or one of equal chance absolutely: then no pay implements it.
 */
export function criticalSpread(actions: readonly BinaryAction[], index: number): Fraction | undefined {
  const chosen = actions[index] as BinaryAction;
  let least: Fraction | undefined;
  let most: Fraction | undefined;
  for (const [k, other] of actions.entries()) {
    if (k === index) continue;
    const order = compare(other.chance, chosen.chance);
    if (order === 0) {
      if (compare(other.cost, chosen.cost) < 0) return undefined;
      continue;
    }
    const slope = divide(subtract(chosen.cost, other.cost), subtract(chosen.chance, other.chance));
    if (order < 0) least = least === undefined ? slope : max(least, slope);
    else most = most === undefined ? slope : min(most, slope);
  }
  const spread = least ?? (most === undefined ? fraction(0n) : min(most, fraction(0n)));
  return most !== undefined && compare(spread, most) > 0 ? undefined : spread;
}
