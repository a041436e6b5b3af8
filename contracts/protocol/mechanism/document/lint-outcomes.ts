import { dealLimits } from "../../deal-state.ts";
import type { Finding, FindingKind } from "./finding.ts";
import type { MechanismDocument, OutcomeClause } from "./schema.ts";

const WHOLE = 1_000_000n;

type Draft = Pick<Finding, "code" | "reason" | "next">;

/** What decides the price and the winner. */
export function lintAward({ award, outcomes, deadlines, appeal }: MechanismDocument): Finding[] {
  const findings: Finding[] = [];
  const add = (field: string, kind: FindingKind, draft: Draft, isWarning = false) =>
    findings.push({ clause: "award", path: `award.${field}`, kind, isWarning, ...draft });
  const completing = outcomes.filter(({ settlement }) => settlement === "complete");
  const isFixed = completing.some(({ payment }) => payment.unit === "wei");
  if (award.rule === "posted-price" && !isFixed)
    add("rule", "ambiguous", {
      code: "AWARD_NO_PRICE",
      reason: "a posted price is what the completing outcome pays, and none pays an amount",
      next: "Give one outcome the settlement complete and a payment in wei.",
    });
  if (award.rule === "scored-second-price" && isFixed)
    add("rule", "ambiguous", {
      code: "AWARD_PRICE_TWICE",
      reason: "the price comes from the bids, and the completing outcome names another",
      next: "Pay 1000000 of the price there, or post the price.",
    });
  if (award.isSealed && deadlines.revealWithinMs === 0)
    add("isSealed", "ambiguous", {
      code: "AWARD_NEVER_OPENED",
      reason: "bids are sealed and no time is given to open them: no bid would ever count",
      next: "Set deadlines.revealWithinMs.",
    });
  if (award.rule === "scored-second-price" && !award.isSealed)
    add(
      "isSealed",
      "unenforceable",
      {
        code: "AWARD_OPEN_BIDS",
        reason: "the leader sees bids before the last one is in and could have a friend underbid the runner-up",
        next: "Seal the bids.",
      },
      true,
    );
  const isQualityPaid = award.valuePerQuality > 0n;
  const isQualitySeen = appeal.court !== "none" || outcomes.some(({ settlement }) => settlement === "split");
  if (isQualityPaid && !isQualitySeen)
    add(
      "valuePerQuality",
      "unenforceable",
      {
        code: "AWARD_QUALITY_UNSEEN",
        reason:
          "promised quality wins awards, and no outcome depends on what was delivered: only the rating answers it",
        next: "Name an arbiter, or give quality no weight.",
      },
      true,
    );
  return findings;
}

/** What the escrow pays, and who sees it. */
export function lintOutcomes(document: MechanismDocument): Finding[] {
  const findings = document.outcomes.flatMap((outcome, index) => lintOutcome(document, outcome, index));
  const settled = new Set(document.outcomes.map(({ settlement }) => settlement));
  const missing = (settlement: OutcomeClause["settlement"], what: string) => {
    if (settled.has(settlement)) return;
    findings.push({
      ...{ clause: "outcomes", path: "outcomes", kind: "ambiguous", code: "OUTCOMES_INCOMPLETE", isWarning: false },
      reason: `${what}, and no outcome says so`,
      next: `Add an outcome that settles by ${settlement}.`,
    });
  };
  missing("complete", "a delivery that nobody objects to is paid in full");
  missing("refund", "a deal that nobody delivers is refunded, and costs the bond");
  const prices = new Set(
    document.outcomes.filter(({ settlement }) => settlement === "complete").map(({ payment }) => describe(payment)),
  );
  if (prices.size > 1)
    findings.push({
      ...{ clause: "outcomes", path: "outcomes", kind: "unenforceable", code: "OUTCOMES_TWO_PRICES", isWarning: false },
      reason: "two outcomes complete at different payments; the escrow completes a deal in one way, at its one price",
      next: "Settle the lesser one by a split before an arbiter.",
    });
  return findings;
}

const describe = ({ unit, amount }: OutcomeClause["payment"]) => `${amount} ${unit}`;

function lintOutcome(document: MechanismDocument, outcome: OutcomeClause, index: number): Finding[] {
  const findings: Finding[] = [];
  const { name, observer, settlement, payment } = outcome;
  const add = (field: string, code: string, reason: string, next: string) =>
    findings.push({
      ...{ clause: "outcomes", path: `outcomes[${index}].${field}`, kind: "unenforceable", isWarning: false },
      ...{ code, reason: `"${name}": ${reason}`, next },
    });
  if (observer === "nobody" && settlement !== "complete")
    add(
      "observer",
      "OUTCOME_UNOBSERVED",
      "nobody observes it, so nobody can ask the escrow for its payment; silence pays the price",
      "Name who observes it, or pay it as a delivery.",
    );
  if (settlement.startsWith("ruling-") && document.appeal.court === "none")
    add("settlement", "OUTCOME_NO_ARBITER", "a ruling needs an arbiter, and appeal names none", "Set appeal.arbiter.");
  if (settlement.startsWith("ruling-") && observer !== "arbiter" && observer !== "nobody")
    add(
      "observer",
      "OUTCOME_OTHER_JUDGE",
      `only the arbiter rules, not the ${observer}`,
      "Let the arbiter observe it.",
    );
  if (settlement === "refund" && observer !== "chain")
    add("observer", "OUTCOME_OTHER_JUDGE", "only the chain's clock refunds a late deal", "Let the chain observe it.");
  const wrong = faultOfPayment(document, outcome);
  if (wrong !== undefined) add("payment", ...wrong);
  else if (abs(payment.amount) > dealLimits.maxAmount)
    add("payment", "PAYMENT_TOO_LARGE", "the escrow holds at most 2^128 - 1", "Name a smaller amount.");
  return findings;
}

type PaymentFault = readonly [code: string, reason: string, next: string];

/** Why the escrow cannot make this payment; undefined if it can. */
function faultOfPayment(document: MechanismDocument, { settlement, payment }: OutcomeClause): PaymentFault | undefined {
  const { unit, amount } = payment;
  const { bond } = document;
  const price = document.outcomes.find((outcome) => outcome.settlement === "complete")?.payment;
  switch (settlement) {
    case "refund":
    case "ruling-client": {
      const isWholeBond = unit === "bond" && amount === -WHOLE;
      const isFixed = unit === "wei" && amount === -bond.leastWei && bond.curve.slashShare === 0;
      if (isWholeBond || isFixed) return undefined;
      return [
        "PAYMENT_NOT_ESCROWS",
        "the escrow gives the client the whole bond, no more and no less",
        "Pay -1000000 of the bond.",
      ];
    }
    case "complete":
      if (amount > 0n && (unit === "wei" || (unit === "price" && amount === WHOLE))) return undefined;
      return [
        "PAYMENT_NOT_ESCROWS",
        "a completed deal pays its whole price, and that is above zero",
        "Pay 1000000 of the price, or an amount.",
      ];
    case "ruling-provider":
      if (isSame(payment, price, bond.clientBondWei)) return undefined;
      return [
        "PAYMENT_NOT_ESCROWS",
        "a ruling for the provider pays the price and the client's bond",
        "Pay the price and bond.clientBondWei.",
      ];
    case "ruling-even":
      if (unit === "price" && amount === WHOLE / 2n) return undefined;
      return [
        "PAYMENT_NOT_ESCROWS",
        "an even ruling pays half of the price, the odd unit to the provider",
        "Pay 500000 of the price.",
      ];
    case "cancel":
      if (amount === 0n) return undefined;
      return ["PAYMENT_NOT_ESCROWS", "a cancelled deal returns everything to both sides", "Pay 0."];
    case "none":
      if (amount === 0n) return undefined;
      return [
        "PAYMENT_NO_STEP",
        "no step of the escrow makes this payment",
        "Choose the settlement that pays it, or pay 0.",
      ];
    case "split":
      return faultOfSplit(document, payment, price);
  }
}

function faultOfSplit(
  { appeal }: MechanismDocument,
  { unit, amount }: OutcomeClause["payment"],
  price: OutcomeClause["payment"] | undefined,
): PaymentFault | undefined {
  if (appeal.court === "none")
    return [
      "SPLIT_UNENFORCEABLE",
      "a split takes both signatures: without an arbiter the provider refuses it and silence pays the price",
      "Name an arbiter, or pay the price.",
    ];
  const isPart = unit === "price" && amount >= 0n && amount <= WHOLE;
  const isAmount = unit === "wei" && amount >= 0n && price?.unit === "wei" && amount <= price.amount;
  if (isPart || isAmount) return undefined;
  return [
    "PAYMENT_ABOVE_PRICE",
    "a split shares the price that the escrow holds, no more",
    "Pay between 0 and the price.",
  ];
}

function isSame(
  payment: OutcomeClause["payment"],
  price: OutcomeClause["payment"] | undefined,
  clientBond: bigint,
): boolean {
  if (price?.unit === "wei") return payment.unit === "wei" && payment.amount === price.amount + clientBond;
  return payment.unit === "price" && payment.amount === WHOLE && clientBond === 0n;
}

const abs = (amount: bigint) => (amount < 0n ? -amount : amount);
