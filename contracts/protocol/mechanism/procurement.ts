import { add, compare, divide, fraction, max, min, multiply, subtract, zero, type Fraction } from "./fraction.ts";

/** A follower's bid under a budget: what it asks and what it is worth to the leader, both positive. */
export interface Offer {
  readonly cost: Fraction;
  readonly value: Fraction;
}

/**
 * Proportional share (Singer, FOCS 2010; the additive case after Chen, Gravin, Lu 2011): by value for money, followers are
 * taken while each asks no more than its proportional share of the budget, and each is paid the highest price at
 * which it would still have been taken. Truthful, individually rational, and never above the budget.
 *
 * @returns each follower's payment, zero for those who are not taken. Ties in value for money go to the lower index.
 */
export function payProportionally(offers: readonly Offer[], budget: Fraction): readonly Fraction[] {
  const order = offers.map((_, i) => i).sort((a, b) => compareRatio(offers, a, b) || a - b);
  const taken: number[] = [];
  let total = zero;
  for (const i of order) {
    const { cost, value } = offers[i] as Offer;
    const share = divide(multiply(value, budget), add(total, value));
    if (compare(cost, share) > 0) break;
    taken.push(i);
    total = add(total, value);
  }
  const payments = offers.map(() => zero);
  const next = order[taken.length];
  for (const i of taken) {
    const { value } = offers[i] as Offer;
    const share = divide(multiply(value, budget), total);
    const rival = next === undefined ? undefined : (offers[next] as Offer);
    payments[i] = rival === undefined ? share : min(share, divide(multiply(value, rival.cost), rival.value));
  }
  return payments;
}

const compareRatio = (offers: readonly Offer[], a: number, b: number) => {
  const [left, right] = [offers[a] as Offer, offers[b] as Offer];
  return compare(multiply(left.cost, right.value), multiply(right.cost, left.value));
};

/** A follower's type in a screening problem: what a unit is worth to it, and how likely it is. Chances sum to one. */
export interface ScreenedType {
  readonly worth: Fraction;
  readonly chance: Fraction;
}

/** What a type is sold, and for how much. */
export interface MenuItem {
  readonly quality: Fraction;
  readonly price: Fraction;
}

/**
 * The optimal menu for discrete types, in ascending order of worth, at production cost quality²/2 (Mussa, Rosen, JET
 * 1978). Quality is the virtual worth θ_i − (1 − P_i)/p_i·(θ_{i+1} − θ_i), ironed where it does not rise (Myerson 1981), nothing
 * below zero; prices leave each type just indifferent to the item below its own.
 */
export function chooseMenu(types: readonly ScreenedType[]): readonly MenuItem[] {
  const qualities = ironedWorths(types).map((worth) => max(worth, zero));
  const items: MenuItem[] = [];
  for (const [i, quality] of qualities.entries()) {
    const below = items.at(-1) ?? { quality: zero, price: zero };
    const worth = (types[i] as ScreenedType).worth;
    items.push({ quality, price: add(below.price, multiply(worth, subtract(quality, below.quality))) });
  }
  return items;
}

/** Virtual worths, pooled from below until they rise (adjacent violators, weighted by chance). */
function ironedWorths(types: readonly ScreenedType[]): readonly Fraction[] {
  let above = types.reduce((sum, { chance }) => add(sum, chance), zero);
  const pools: { mass: Fraction; weighted: Fraction; size: number }[] = [];
  for (const [i, { worth, chance }] of types.entries()) {
    above = subtract(above, chance);
    const next = types[i + 1];
    const rent = next === undefined ? zero : multiply(divide(above, chance), subtract(next.worth, worth));
    let pool = { mass: chance, weighted: multiply(chance, subtract(worth, rent)), size: 1 };
    for (let last = pools.at(-1); last !== undefined && compare(meanOf(last), meanOf(pool)) > 0; last = pools.at(-1)) {
      pools.pop();
      pool = {
        mass: add(last.mass, pool.mass),
        weighted: add(last.weighted, pool.weighted),
        size: last.size + pool.size,
      };
    }
    pools.push(pool);
  }
  return pools.flatMap((pool) => Array.from({ length: pool.size }, () => meanOf(pool)));
}

const meanOf = ({ mass, weighted }: { mass: Fraction; weighted: Fraction }) => divide(weighted, mass);

/** Myerson's virtual cost c + F(c)/f(c) of a cost that is uniform on [low, high]: what a procurer counts a bid as. */
export function virtualCost(cost: Fraction, low: Fraction): Fraction {
  return subtract(multiply(fraction(2n), cost), low);
}

/** Rubinstein's (Econometrica 50, 1982) share of who proposes first, with discount factors of both. */
export function firstProposerShare(proposer: Fraction, responder: Fraction): Fraction {
  const one = fraction(1n);
  return divide(subtract(one, responder), subtract(one, multiply(proposer, responder)));
}
