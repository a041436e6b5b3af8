// Between a mechanism document and what the loop moves. A document speaks of a task of size one; for a task of size s the leader posts it
// with every amount times s. What a leader decides for itself and no follower has to check (how much it examines, whom it lets begin
// with which price, the vouchers of its tabs) is its policy, beside the document.
import { zeroAddress, type Address } from "viem";
import { draftMechanism, SuretyError, type MechanismDocument, type OutcomeClause } from "#protocol";
import { boundsOf, clauses, type ClausePath, type Rules } from "./clauses.ts";
import { FIRST_PANEL, judgedShare, panelError } from "./follower.ts";
import { LAW_UNIT, outcomes as outcomeNames, type MarketScenario } from "./scenario.ts";

/** Clauses of the leader's policy; all others stand in the document. */
export const policyPaths = [
  "review.share",
  "learning.entryPrice",
  "learning.minClientScore",
  "tab.unitsPerVoucher",
  "tab.challengePeriod",
] as const satisfies readonly ClausePath[];
export type Policy = Readonly<Record<(typeof policyPaths)[number], bigint>>;

export function policyOf(rules: Rules): Policy {
  return Object.fromEntries(policyPaths.map((path) => [path, rules[path]])) as Policy;
}

const WHOLE = 1_000_000n;

/**
 * The document of rules in a scenario, with its hidden action stated as the payments see it. `base` keeps its name, purpose, topics,
 * award and splits. A court's address is `arbiter`, or else the base's; where neither names one it stays zero, and the linter says so.
 */
export function documentOf(
  scenario: MarketScenario,
  rules: Rules,
  base: MechanismDocument = draftOf(scenario, rules),
  arbiter: Address = base.appeal.arbiter,
): MechanismDocument {
  const hasCourt = rules["appeal.court"] === 1n;
  const outcomes = hasCourt ? courtOutcomes(scenario, rules) : plainOutcomes(scenario, rules);
  return {
    ...base,
    admission: {
      ...base.admission,
      credentialLevel: Number(rules["admission.credentialLevel"]),
      minScore: rules["admission.minScore"],
    },
    outcomes,
    agency: agencyClause(scenario, rules, outcomes),
    bond: {
      leastWei: rules["bond.least"],
      curve: {
        slashShare: Number(rules["bond.slashShare"]),
        factorAtZero: Number(rules["bond.factorAtZero"]),
        halfScore: rules["bond.halfScore"],
      },
      exposureWei: rules["bond.exposure"],
      // A provider that betrays keeps the price.
      maxGainWei: rules["payment.good"],
      clientBondWei: rules["bond.client"],
    },
    deadlines: { ...base.deadlines, submitWithinS: Number(rules["deadline.submit"]) },
    review: { ...base.review, periodS: Number(rules["deadline.review"]) },
    penalties: base.penalties.length === 0 || !hasCourt ? base.penalties : withRulings(base.penalties),
    appeal: hasCourt
      ? {
          ...{ arbiter, court: "erc792", withinS: Number(rules["deadline.arbitration"]) },
          maxAppeals: Number(rules["appeal.maxAppeals"]),
        }
      : { arbiter: zeroAddress, court: "none", withinS: 0, maxAppeals: 0 },
    evidence: {
      ...base.evidence,
      fullPriceWei: rules["payment.good"],
      priceFactor: rules["learning.priceFactor"],
    },
  };
}

function draftOf({ name, title }: MarketScenario, rules: Rules): MechanismDocument {
  const draft = draftMechanism({ name: title, topics: [name], rule: "posted-price", priceWei: rules["payment.good"] });
  return { ...draft, purpose: "Amounts are those of a task of size one; a larger task multiplies them by its size." };
}

function outcomeClause(
  name: string,
  [observer, settlement]: readonly [OutcomeClause["observer"], OutcomeClause["settlement"]],
  payment: OutcomeClause["payment"],
  rewardWei = 0n,
): OutcomeClause {
  return { name, observer, settlement, payment, rewardWei, reputationWorthWei: 0n };
}

const wei = (amount: bigint) => ({ unit: "wei", amount }) as const;
const wholeBond = { unit: "bond", amount: -WHOLE } as const;
const late = outcomeClause("late", ["chain", "refund"], wholeBond);

function plainOutcomes(scenario: MarketScenario, rules: Rules): OutcomeClause[] {
  return [late, outcomeClause("delivered", ["client", "complete"], wei(rules["payment.good"]), partWorth(scenario, 2))];
}

/** Each ruling, and each way in which client and provider end a deal themselves. */
function courtOutcomes(scenario: MarketScenario, rules: Rules): OutcomeClause[] {
  const price = rules["payment.good"];
  const half = { unit: "price", amount: WHOLE / 2n } as const;
  return [
    late,
    outcomeClause(outcomeNames[0], ["arbiter", "ruling-client"], wholeBond),
    outcomeClause("undecided", ["arbiter", "ruling-even"], half),
    outcomeClause("cleared", ["arbiter", "ruling-provider"], wei(price + rules["bond.client"])),
    outcomeClause(outcomeNames[1], ["client", "split"], wei(rules["payment.partial"]), partWorth(scenario, 1)),
    outcomeClause(outcomeNames[2], ["client", "complete"], wei(price), partWorth(scenario, 2)),
  ];
}

const partWorth = ({ rewardsWei, parts }: MarketScenario, outcome: 1 | 2) => rewardsWei[outcome] / BigInt(parts);

/** Laws over the outcomes that are paid: a fault that nobody notices is paid as good work, a wrong panel clears one. */
function agencyClause(
  scenario: MarketScenario,
  rules: Rules,
  { length }: readonly OutcomeClause[],
): MechanismDocument["agency"] {
  const { actions, outsideWei } = scenario.providers;
  const hasCourt = length > 2;
  const judged = hasCourt ? judgedShare(scenario, rules) : 0n;
  const error = BigInt(panelError(FIRST_PANEL, scenario.juror.errorMillionths));
  const lawUnit = LAW_UNIT ** 3n;
  const stated = actions.map(({ name, costWei, law: [failed, partial] }) => {
    const seenFailed = judged * BigInt(failed);
    const cleared = seenFailed * error;
    const ruledAgainst = seenFailed * (LAW_UNIT - error);
    const split = judged * BigInt(partial) * LAW_UNIT;
    const law = hasCourt
      ? [0n, ruledAgainst, 0n, cleared, split, lawUnit - ruledAgainst - cleared - split]
      : [0n, lawUnit];
    return { name, costWei: costWei + scenario.gasWei, law };
  });
  return { actions: stated, lawUnit, target: actions.length - 1, outsideWei, maxGapWei: WHOLE };
}

function withRulings(penalties: MechanismDocument["penalties"]): MechanismDocument["penalties"] {
  if (penalties.some(({ fault }) => fault === "ruled-against")) return penalties;
  return [...penalties, { fault: "ruled-against", from: "bond", millionths: 1_000_000, unsatisfied: 100 }];
}

/**
 * The rules of a document, in a scenario's market.
 * @throws SuretyError USAGE_MECHANISM_PRICE where nothing completes at an amount: the market posts prices; USAGE_MECHANISM_RANGE beyond what the loop searches
 */
export function rulesOf(document: MechanismDocument, policy: Policy): Rules {
  const { admission, bond, outcomes, deadlines, review, appeal, evidence } = document;
  const price = outcomes.find(({ settlement }) => settlement === "complete")?.payment;
  if (price?.unit !== "wei") {
    throw new SuretyError("USAGE_MECHANISM_PRICE", "The market needs a posted price, and these rules pay by bids.", {
      values: { name: document.name },
      next: "Give the completing outcome a payment in wei, or begin with `surety mechanism improve --scenario NAME`.",
    });
  }
  const split = outcomes.find(({ settlement }) => settlement === "split")?.payment;
  const partial =
    split === undefined ? price.amount : split.unit === "wei" ? split.amount : (split.amount * price.amount) / WHOLE;
  const hasCourt = appeal.court !== "none";
  const rules: Rules = {
    "admission.credentialLevel": BigInt(admission.credentialLevel),
    "admission.minScore": admission.minScore,
    "bond.slashShare": BigInt(bond.curve.slashShare),
    "bond.factorAtZero": BigInt(bond.curve.factorAtZero),
    "bond.halfScore": bond.curve.halfScore,
    "bond.least": bond.leastWei,
    "bond.exposure": bond.exposureWei,
    "bond.client": bond.clientBondWei,
    "payment.good": price.amount,
    "payment.partial": partial,
    "deadline.submit": BigInt(deadlines.submitWithinS),
    "deadline.review": BigInt(review.periodS),
    // Without a court nobody waits for one: the loop's own default, should an edit name one.
    "deadline.arbitration": hasCourt ? BigInt(appeal.withinS) : DEFAULT_ARBITRATION_S,
    "appeal.court": hasCourt ? 1n : 0n,
    "appeal.maxAppeals": BigInt(appeal.maxAppeals),
    "learning.priceFactor": evidence.priceFactor,
    ...policy,
  };
  requireInRange(rules);
  return rules;
}

const DEFAULT_ARBITRATION_S = 172_800n;

function requireInRange(rules: Rules): void {
  for (const [path, value] of Object.entries(rules) as [ClausePath, bigint][]) {
    const [min, max] = boundsOf(path);
    // Without a curve, its other fields say nothing.
    if (value >= min && value <= max) continue;
    if (path.startsWith("bond.half") && rules["bond.slashShare"] === 0n) continue;
    throw new SuretyError("USAGE_MECHANISM_RANGE", `${path} is ${value}, and the market knows ${min} to ${max}.`, {
      values: { path, value, min, max },
      next: `It is ${clauses[path].says}; amounts are in units of a token with 6 decimals, per unit of a task's size.`,
    });
  }
}
