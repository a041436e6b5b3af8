// What a follower expects of the rules, exactly: whether the leader's action is a best response (IC) and worth taking part (IR).
import { providerBondFor, type Curve } from "#protocol";
import type { Rules } from "./clauses.ts";
import { LAW_UNIT, type Action, type MarketScenario } from "./scenario.ts";

const UNIT = LAW_UNIT;
const UNIT_SQUARED = UNIT * UNIT;
/** Of `scaledUtility`. */
const SCALE = UNIT * UNIT * UNIT;
const WEEK_S = 7 * 86_400;
const DAY_S = 86_400n;

export function curveOf(rules: Rules): Curve {
  return {
    slashShare: Number(rules["bond.slashShare"]),
    factorAtZero: Number(rules["bond.factorAtZero"]),
    halfScore: rules["bond.halfScore"],
  };
}

/** JurorPanel.sol: whatever appeals there may be. */
export const FIRST_PANEL = 3;
/** Panels of four sizes in a few scenarios: more are not met in one process. */
const MAX_PANELS = 1_000;
const panelErrors = new Map<string, number>();

/**
 * Chance, in millionths, that a panel of so many jurors errs when each errs alone with `errorMillionths`: an exact binomial tail, rounded up.
 * Remembered: reckoned again for every deal it was a twelfth of a market's time.
 */
export function panelError(jurors: number, errorMillionths: number): number {
  const key = `${jurors} ${errorMillionths}`;
  const known = panelErrors.get(key);
  if (known !== undefined) return known;
  if (panelErrors.size >= MAX_PANELS) panelErrors.clear();
  const error = binomialTail(jurors, errorMillionths);
  panelErrors.set(key, error);
  return error;
}

function binomialTail(jurors: number, errorMillionths: number): number {
  const error = BigInt(errorMillionths);
  let tail = 0n;
  let choose = 1n;
  for (let wrong = 0; wrong <= jurors; wrong++) {
    if (wrong * 2 > jurors) tail += choose * error ** BigInt(wrong) * (UNIT - error) ** BigInt(jurors - wrong);
    choose = (choose * BigInt(jurors - wrong)) / BigInt(wrong + 1);
  }
  const scale = UNIT ** BigInt(jurors);
  return Number((tail * UNIT + scale - 1n) / scale);
}

/** Jurors of each panel of a dispute: JurorPanel.sol begins with 3, and each appeal has twice as many and one more. */
export function panelSizes(rules: Rules): readonly number[] {
  return Array.from(
    { length: Number(rules["appeal.maxAppeals"]) + 1 },
    (_, round) => (FIRST_PANEL + 1) * 2 ** round - 1,
  );
}

/** Share of deliveries that an honest client really judges, in millionths: those it examines, unless the review ends while it is away. */
export function judgedShare(scenario: MarketScenario, rules: Rules): bigint {
  const missedS = Math.max(0, scenario.clients.awayS + scenario.clients.responseS - Number(rules["deadline.review"]));
  return (rules["review.share"] * BigInt(WEEK_S - Math.min(missedS, WEEK_S))) / BigInt(WEEK_S);
}

export interface Terms {
  readonly size: bigint;
  readonly providerBondWei: bigint;
}

/** What one deal brings a provider that always takes an action, in wei · LAW_UNIT³. */
function scaledUtility(
  scenario: MarketScenario,
  rules: Rules,
  { size, providerBondWei }: Terms,
  action: Action,
): bigint {
  const judged = judgedShare(scenario, rules);
  const price = rules["payment.good"] * size;
  const partial = rules["payment.partial"] * size;
  const [failedChance, partialChance] = action.law.map(BigInt) as [bigint, bigint, bigint];
  const seenFailed = judged * failedChance;
  const seenPartial = judged * partialChance;
  const error = BigInt(panelError(FIRST_PANEL, scenario.juror.errorMillionths));
  const clientBond = rules["bond.client"] * size;
  // Without a court a failed delivery is paid for: the client can only rate it.
  const failedPay =
    rules["appeal.court"] === 0n ? price * UNIT : error * (price + clientBond) - (UNIT - error) * providerBondWei;
  const unseen = UNIT_SQUARED - seenFailed - seenPartial;
  const income = seenFailed * failedPay + seenPartial * partial * UNIT + unseen * price * UNIT;
  const lockedS = BigInt(scenario.providers.workS) + BigInt(scenario.clients.responseS);
  const capital = (providerBondWei * scenario.capitalPpmPerDay * lockedS * UNIT_SQUARED) / DAY_S;
  const cost = action.costWei * size + scenario.gasWei;
  return income - capital - cost * SCALE;
}

/** Exact expectations of one deal, in wei, rounded down for the target and up for the best deviation. */
export interface Expectation {
  readonly utilityWei: bigint;
  /** What the best other action brings more; ≤ 0 = incentive compatible. */
  readonly icGapWei: bigint;
  /** What staying away brings more; ≤ 0 = individually rational. */
  readonly irGapWei: bigint;
}

export function expectationOf(scenario: MarketScenario, rules: Rules, terms: Terms): Expectation {
  const { actions, outsideWei } = scenario.providers;
  const utilities = actions.map((action) => scaledUtility(scenario, rules, terms, action));
  const target = utilities[utilities.length - 1] as bigint;
  const best = utilities.slice(0, -1).reduce((most, utility) => (utility > most ? utility : most));
  return {
    utilityWei: floorOf(target),
    icGapWei: -floorOf(target - best),
    irGapWei: -floorOf(target - outsideWei * terms.size * SCALE),
  };
}

/** Scaled money in wei, rounded down: without the greatest common divisor that a fraction takes, which was half of an expectation's time. */
function floorOf(scaled: bigint): bigint {
  const wei = scaled / SCALE;
  return scaled % SCALE < 0n ? wei - 1n : wei;
}

/** Individual rationality alone: irGapWei ≤ 0. */
export function isWorthwhile(scenario: MarketScenario, rules: Rules, terms: Terms): boolean {
  const { actions, outsideWei } = scenario.providers;
  const target = actions[actions.length - 1] as Action;
  return scaledUtility(scenario, rules, terms, target) >= outsideWei * terms.size * SCALE;
}

/** The provider's bond for a size at a relative score: what the curve asks, and never less than the least. */
export function bondFor(rules: Rules, size: bigint, relativeScore: bigint): bigint {
  const gain = (rules["payment.good"] + rules["bond.exposure"]) * size;
  const byCurve = providerBondFor(curveOf(rules), gain, relativeScore);
  const least = rules["bond.least"] * size;
  return byCurve > least ? byCurve : least;
}
