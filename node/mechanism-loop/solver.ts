// Edits that need no search: payments that make care a best response and worth it, and bonds that cover what a fault brings.
import { implementAction, providerBondFor, type Agency } from "#protocol";
import { applyEdits, type Edit, type Rules } from "./clauses.ts";
import { bondFor, curveOf, expectationOf, judgedShare } from "./follower.ts";
import { LAW_UNIT, type MarketScenario } from "./scenario.ts";

const ONE = 65_536n;
/** A relative score at which nothing of what exceeds the floor is left. */
const BEST_SCORE = 2n ** 48n - 1n;

/** The hidden action of one unit of work as its payments see it: a fault that nobody notices is paid as good work. */
export function observedAgency(scenario: MarketScenario, rules: Rules): Agency {
  const { actions, outsideWei } = scenario.providers;
  const judged = judgedShare(scenario, rules);
  const laws = actions.map(({ law: [failed, partial] }) => {
    const seenFailed = (BigInt(failed) * judged) / LAW_UNIT;
    const seenPartial = (BigInt(partial) * judged) / LAW_UNIT;
    return [seenFailed, seenPartial, LAW_UNIT - seenFailed - seenPartial];
  });
  return {
    ...{ laws, lawUnit: LAW_UNIT, costs: actions.map(({ costWei }) => costWei + scenario.gasWei), outside: outsideWei },
    bond: rules["appeal.court"] === 1n ? bondFor(rules, 1n, 0n) : 0n,
    reputationWorth: [0n, 0n, 0n],
  };
}

/**
 * The least price, and the pay of a partial delivery, at which care is a best response and worth taking part, exactly. The
 * implementation program gives a start; what it cannot state (a failed delivery costs the whole bond, jurors err) is then
 * checked by follower.ts, and the price raised to the next unit at which all of it holds. Undefined if the clause's bounds
 * end before.
 */
export function solvePayments(scenario: MarketScenario, rules: Rules): readonly Edit[] | undefined {
  const agency = observedAgency(scenario, rules);
  const found = implementAction(agency, agency.laws.length - 1);
  const partials = new Set([
    rules["payment.partial"],
    ...(found === undefined ? [] : [clampZero(found.payments[1] as bigint)]),
  ]);
  const solutions = [...partials].flatMap((partial) => {
    const price = leastPrice(scenario, rules, partial);
    return price === undefined ? [] : [{ price, partial: partial < price ? partial : price }];
  });
  const best = solutions.sort((a, b) => (a.price === b.price ? 0 : a.price < b.price ? -1 : 1))[0];
  if (best === undefined) return undefined;
  return [
    { clause: "payment.good", value: best.price },
    { clause: "payment.partial", value: best.partial },
  ];
}

const clampZero = (value: bigint) => (value < 0n ? 0n : value);
/** A thousandth of a token: prices finer than that decide nothing here. */
const GRAIN_WEI = 1_000n;

function leastPrice(scenario: MarketScenario, rules: Rules, partial: bigint): bigint | undefined {
  let [low, high] = [0n, scenario.rewardsWei[2] / BigInt(scenario.parts) / GRAIN_WEI];
  const holds = (grains: bigint) => isImplemented(scenario, pricedRules(rules, grains * GRAIN_WEI, partial));
  if (!holds(high)) return undefined;
  // More pay for a good delivery never makes care less worth: the condition is monotone in the price.
  while (low < high) {
    const middle = (low + high) / 2n;
    if (holds(middle)) high = middle;
    else low = middle + 1n;
  }
  return high * GRAIN_WEI;
}

const pricedRules = (rules: Rules, price: bigint, partial: bigint) =>
  applyEdits(rules, [
    { clause: "payment.good", value: price },
    { clause: "payment.partial", value: partial < price ? partial : price },
  ]);

/** IC and IR in every size, that of the document included, with the bond of a newcomer and with that of the best score: fixed costs weigh on the small, bonds on the large. */
export function isImplemented(scenario: MarketScenario, rules: Rules): boolean {
  return gapsOf(scenario, rules).every(({ icGapWei, irGapWei }) => icGapWei <= 0n && irGapWei <= 0n);
}

function gapsOf(scenario: MarketScenario, rules: Rules) {
  return [1, ...scenario.sizes.map(({ size }) => size)].flatMap((size) =>
    [0n, BEST_SCORE].map((score) =>
      expectationOf(scenario, rules, { size: BigInt(size), providerBondWei: bondFor(rules, BigInt(size), score) }),
    ),
  );
}

/** Exact violations of one unit of work, in wei; 0 = none. */
export function violationsOf(scenario: MarketScenario, rules: Rules): { icWei: bigint; irWei: bigint } {
  const gaps = gapsOf(scenario, rules);
  const worst = (values: readonly bigint[]) => values.reduce((most, value) => (value > most ? value : most), 0n);
  return { icWei: worst(gaps.map(({ icGapWei }) => icGapWei)), irWei: worst(gaps.map(({ irGapWei }) => irGapWei)) };
}

/**
 * What λ·q_min falls short of G_max in a deal of size one, at any score (eq. 16–17): a provider that betrays keeps the price. Zero with any
 * curve of BondCurve, whose floor is the gain over λ; the whole price without one.
 */
export function collateralShortfall(rules: Rules): bigint {
  const gain = rules["payment.good"];
  if (rules["appeal.court"] === 0n && rules["bond.slashShare"] === 0n && rules["bond.least"] === 0n) return gain;
  const curve = curveOf(rules);
  // The least bond is that of the best score: the curve falls towards its floor.
  const floor = providerBondFor(curve, gain + rules["bond.exposure"], BEST_SCORE);
  const bond = floor > rules["bond.least"] ? floor : rules["bond.least"];
  const share = rules["bond.slashShare"] === 0n ? ONE : rules["bond.slashShare"];
  const covered = (share * bond) / ONE;
  return covered >= gain ? 0n : gain - covered;
}

/** A court, a client's bond, and a provider's bond of at least the price: without all three nothing else is enforced. */
export function enforceFaults(rules: Rules): readonly Edit[] {
  return [
    { clause: "appeal.court", value: 1n },
    ...(rules["bond.slashShare"] === 0n ? [{ clause: "bond.slashShare", value: ONE } as const] : []),
    ...(rules["bond.client"] === 0n ? [{ clause: "bond.client", value: rules["payment.good"] / 4n } as const] : []),
  ];
}
