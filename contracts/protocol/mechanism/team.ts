import { add, divide, compare, multiply, subtract, zero, type Fraction } from "./fraction.ts";

/** More members than this, and 2^n sets would be too many. */
export const MAX_TEAM = 16;

/** Whose effort a leader buys, what each is paid on success, and what is left to the leader. */
export interface TeamContract {
  /** Bit i = member i is paid. */
  readonly members: number;
  readonly payments: readonly Fraction[];
  readonly surplus: Fraction;
}

/**
 * Combinatorial agency (Babaioff, Feldman, Nisan, EC 2006): the team succeeds with `chanceOf(set of members that exert
 * effort)`, only the joint outcome is seen, and a member who is to exert effort at cost c is paid c / its marginal
 * chance on success. The best set for the leader, by enumeration; ties go to the smaller set number.
 *
 * @throws RangeError beyond MAX_TEAM members
 */
export function chooseTeam(
  costs: readonly Fraction[],
  value: Fraction,
  chanceOf: (members: number) => Fraction,
): TeamContract {
  if (costs.length > MAX_TEAM) throw new RangeError(`${costs.length} members, at most ${MAX_TEAM}`);
  let best: TeamContract | undefined;
  for (let members = 0; members < 2 ** costs.length; members++) {
    const contract = payTeam(costs, value, chanceOf, members);
    if (contract !== undefined && (best === undefined || compare(contract.surplus, best.surplus) > 0)) best = contract;
  }
  return best as TeamContract;
}

function payTeam(
  costs: readonly Fraction[],
  value: Fraction,
  chanceOf: (members: number) => Fraction,
  members: number,
): TeamContract | undefined {
  const chance = chanceOf(members);
  const payments: Fraction[] = [];
  let paid = zero;
  for (const [i, cost] of costs.entries()) {
    if ((members & (1 << i)) === 0) {
      payments.push(zero);
      continue;
    }
    const marginal = subtract(chance, chanceOf(members & ~(1 << i)));
    if (compare(marginal, zero) <= 0) return undefined;
    const payment = divide(cost, marginal);
    payments.push(payment);
    paid = add(paid, payment);
  }
  return { members, payments, surplus: multiply(chance, subtract(value, paid)) };
}
