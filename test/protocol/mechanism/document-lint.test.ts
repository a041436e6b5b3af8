import { expect } from "chai";
import fc from "fast-check";
import { zeroAddress } from "viem";
import {
  draftMechanism,
  isSound,
  lintMechanism,
  mechanismHashOf,
  renderMechanismMarkdown,
  renderMechanismText,
  solveMechanism,
  type LintContext,
  type MechanismDocument,
} from "#protocol";
import { anyDocument, textbookDocument } from "../../fixtures/mechanism.ts";

const posted = draftMechanism({ name: "Posted", topics: ["translation"], rule: "posted-price", priceWei: 100n });
const auction = draftMechanism({ name: "Auction", topics: ["translation"], rule: "scored-second-price" });
const solution = solveMechanism(textbookDocument);
if (solution.kind !== "accept") throw new Error(solution.detail);
const solved = solution.value.document;
const ONE = 65_536;

type Edit = { readonly [K in keyof MechanismDocument]?: unknown };
const edit = (document: MechanismDocument, changes: Edit) => {
  const next: Record<string, unknown> = { ...document };
  for (const [clause, change] of Object.entries(changes)) {
    const old = (document as Record<string, unknown>)[clause];
    const isMerged = typeof change === "object" && change !== null && !Array.isArray(change) && old !== null;
    next[clause] = isMerged ? { ...(old as object), ...change } : change;
  }
  return next as MechanismDocument;
};
/** One outcome of a document with some fields changed. */
const outcome = (document: MechanismDocument, index: number, change: object) =>
  edit(document, { outcomes: document.outcomes.map((old, i) => (i === index ? { ...old, ...change } : old)) });
const paid = (amount: bigint, unit = "wei") => ({ payment: { unit, amount } });

const cases: readonly (readonly [name: string, code: string, path: string, MechanismDocument, LintContext?])[] = [
  ["no topic", "ADMISSION_NO_TOPIC", "admission.topics", edit(posted, { admission: { topics: [] } })],
  [
    "a topic named twice",
    "ADMISSION_TOPIC_TWICE",
    "admission.topics",
    edit(posted, { admission: { topics: ["a", "a"] } }),
  ],
  [
    "a posted award without a price",
    "AWARD_NO_PRICE",
    "award.rule",
    edit(auction, { award: { rule: "posted-price" } }),
  ],
  [
    "a price by bids and by rule",
    "AWARD_PRICE_TWICE",
    "award.rule",
    edit(posted, { award: { rule: "scored-second-price" } }),
  ],
  [
    "seals that are never opened",
    "AWARD_NEVER_OPENED",
    "award.isSealed",
    edit(auction, { deadlines: { revealWithinMs: 0 } }),
  ],
  ["open bids", "AWARD_OPEN_BIDS", "award.isSealed", edit(auction, { award: { isSealed: false } })],
  [
    "promised quality that nobody judges",
    "AWARD_QUALITY_UNSEEN",
    "award.valuePerQuality",
    edit(auction, { award: { valuePerQuality: 1n } }),
  ],
  [
    "an outcome nobody observes",
    "OUTCOME_UNOBSERVED",
    "outcomes[2].observer",
    outcome(solved, 2, { observer: "nobody" }),
  ],
  [
    "a ruling without an arbiter",
    "OUTCOME_NO_ARBITER",
    "outcomes[0].settlement",
    outcome(posted, 0, { settlement: "ruling-client" }),
  ],
  [
    "a refund that the client decides",
    "OUTCOME_OTHER_JUDGE",
    "outcomes[0].observer",
    outcome(posted, 0, { observer: "client" }),
  ],
  [
    "a refund that costs half of the bond",
    "PAYMENT_NOT_ESCROWS",
    "outcomes[0].payment",
    outcome(posted, 0, paid(-500_000n, "bond")),
  ],
  ["a delivery paid at nothing", "PAYMENT_NOT_ESCROWS", "outcomes[1].payment", outcome(posted, 1, paid(0n))],
  [
    "a payment without a step",
    "PAYMENT_NO_STEP",
    "outcomes[2].payment",
    outcome(solved, 2, { settlement: "none", ...paid(5n) }),
  ],
  [
    "a split without an arbiter",
    "SPLIT_UNENFORCEABLE",
    "outcomes[1].payment",
    edit(solved, { appeal: { arbiter: zeroAddress, court: "none", withinS: 0 } }),
  ],
  ["a split above the price", "PAYMENT_ABOVE_PRICE", "outcomes[2].payment", outcome(solved, 2, paid(10n ** 12n))],
  [
    "a sum that the escrow cannot hold",
    "PAYMENT_TOO_LARGE",
    "outcomes[1].payment",
    outcome(posted, 1, paid(2n ** 128n)),
  ],
  [
    "two prices of one deal",
    "OUTCOMES_TWO_PRICES",
    "outcomes",
    outcome(solved, 2, { settlement: "complete", ...paid(5n) }),
  ],
  ["no word about lateness", "OUTCOMES_INCOMPLETE", "outcomes", edit(posted, { outcomes: posted.outcomes.slice(1) })],
  [
    "pay below what the effort costs",
    "BREAKS_IR",
    "agency.outsideWei",
    edit(solved, { agency: { outsideWei: 10n ** 9n } }),
  ],
  [
    "pay that makes shirking better",
    "BREAKS_IC",
    "agency.actions[0]",
    edit(outcome(solved, 3, paid(1n)), { agency: { outsideWei: -(10n ** 9n) } }),
  ],
  [
    "a law beside an auction",
    "AGENCY_WITHOUT_PRICE",
    "agency",
    edit(solved, {
      award: { rule: "scored-second-price" },
      outcomes: solved.outcomes.map((o) => (o.settlement === "complete" ? { ...o, ...paid(1_000_000n, "price") } : o)),
    }),
  ],
  [
    "a bond below the gain of a fault",
    "BOND_BELOW_GAIN",
    "bond.leastWei",
    edit(posted, { bond: { leastWei: 99n, maxGainWei: 100n } }),
  ],
  [
    "a bond below the governed curve",
    "BOND_BELOW_CURVE",
    "bond.leastWei",
    edit(posted, { bond: { leastWei: 99n } }),
    { governedCurve: { slashShare: ONE, factorAtZero: ONE, halfScore: 1n } },
  ],
  [
    "a curve that no contract takes",
    "CURVE_RANGE",
    "bond.curve",
    edit(posted, { bond: { curve: { slashShare: 1, factorAtZero: 1, halfScore: 1n } } }),
  ],
  [
    "a deadline beyond uint48",
    "DEADLINE_BEYOND_UINT48",
    "deadlines.submitWithinS",
    edit(posted, { deadlines: { validUntil: 2 ** 48 } }),
  ],
  [
    "a deadline beyond uint48 by now",
    "DEADLINE_BEYOND_UINT48",
    "deadlines.submitWithinS",
    posted,
    { nowS: 2 ** 48 - 10 },
  ],
  [
    "a delivery in two years",
    "DEADLINE_TOO_FAR",
    "deadlines.submitWithinS",
    edit(posted, { deadlines: { submitWithinS: 63_072_000 } }),
  ],
  [
    "a delivery before the award",
    "DEADLINE_BEFORE_AWARD",
    "deadlines.submitWithinS",
    edit(posted, { deadlines: { submitWithinS: 8 } }),
  ],
  [
    "rules that have expired",
    "DEADLINE_PAST",
    "deadlines.validUntil",
    edit(posted, { deadlines: { validUntil: 5 } }),
    { nowS: 6 },
  ],
  [
    "silence that refunds",
    "REVIEW_SILENCE",
    "review.onSilence",
    edit(posted, { review: { onSilence: "refunds-client" } }),
  ],
  ["a review of a year", "REVIEW_TOO_LONG", "review.periodS", edit(posted, { review: { periodS: 31_536_000 } })],
  ["no review", "REVIEW_ZERO", "review.periodS", edit(posted, { review: { periodS: 0 } })],
  ["fixed shares of nobody", "SPLIT_NO_SHARES", "split.shares", edit(posted, { split: { rule: "fixed" } })],
  [
    "shares beside another rule",
    "SPLIT_TWO_RULES",
    "split.shares",
    edit(posted, { split: { shares: [shareOf(5, 1)] } }),
  ],
  [
    "shares above the whole",
    "SPLIT_ABOVE_WHOLE",
    "split.shares",
    edit(posted, { split: { rule: "fixed", shares: [shareOf(5, 600_000), shareOf(6, 600_000)] } }),
  ],
  [
    "a share twice",
    "SPLIT_SHARE",
    "split.shares",
    edit(posted, { split: { rule: "fixed", shares: [shareOf(5, 1), shareOf(5, 1)] } }),
  ],
  [
    "a penalty that the escrow does not know",
    "PENALTY_UNENFORCEABLE",
    "penalties[0]",
    edit(posted, { penalties: [{ fault: "late", from: "bond", millionths: 1, unsatisfied: 100 }] }),
  ],
  [
    "a penalty for what nobody observes",
    "PENALTY_UNENFORCEABLE",
    "penalties[0]",
    edit(posted, { penalties: [{ fault: "collusive-rating", from: "stake", millionths: 1, unsatisfied: 0 }] }),
  ],
  [
    "a penalty twice",
    "PENALTY_TWICE",
    "penalties[1]",
    edit(posted, { penalties: [...posted.penalties, ...posted.penalties] }),
  ],
  ["a court of nobody", "COURT_UNCLEAR", "appeal.arbiter", edit(posted, { appeal: { court: "person" } })],
  ["a court without time", "COURT_TIME", "appeal.withinS", edit(solved, { appeal: { withinS: 0 } })],
  ["appeals to a person", "COURT_NO_APPEAL", "appeal.maxAppeals", edit(solved, { appeal: { maxAppeals: 1 } })],
  ["certainty", "EVIDENCE_CERTAIN", "evidence.errorMillionths", edit(posted, { evidence: { errorMillionths: 0 } })],
];

function shareOf(byte: number, millionths: number) {
  return { account: `0x${byte.toString(16).padStart(40, "0")}`, millionths };
}

describe("the linter of mechanisms", () => {
  for (const [name, document] of [
    ["a posted draft", posted],
    ["an auction's draft", auction],
    ["a solved one", solved],
  ] as const)
    it(`passes ${name}`, () => expect(lintMechanism(document).filter(({ isWarning }) => !isWarning)).to.deep.equal([]));

  for (const [name, code, path, document, context] of cases)
    it(`names ${name}: ${code} at ${path}`, () => {
      const found = lintMechanism(document, context).find((finding) => finding.code === code);
      expect(found, JSON.stringify(lintMechanism(document, context).map((finding) => finding.code))).to.include({
        path,
      });
      expect(found?.reason).to.match(/\w/);
      expect(found?.next).to.match(/\.$/);
    });

  it("accepts a bond at the gain, and at the governed curve", () => {
    const exact = edit(posted, { bond: { leastWei: 100n, maxGainWei: 100n } });
    expect(
      isSound(lintMechanism(exact, { governedCurve: { slashShare: ONE, factorAtZero: ONE, halfScore: 1n } })),
    ).to.equal(true);
  });

  it("has an answer and a rendering for every document that decodes", () => {
    const context = { governedCurve: { slashShare: 100, factorAtZero: 2 * ONE, halfScore: 7n }, nowS: 1_800_000_000 };
    fc.assert(
      fc.property(anyDocument, (document) => {
        const findings = lintMechanism(document, context);
        for (const { reason, next } of findings) expect(`${reason}${next}`).not.to.match(/undefined|NaN/);
        expect(renderMechanismText(document, findings)).to.include(mechanismHashOf(document));
        expect(renderMechanismMarkdown(document, findings)).to.include(mechanismHashOf(document));
      }),
      { numRuns: 300 },
    );
  });
});

describe("a mechanism for people", () => {
  it("says every payment, who sees it and how, in both forms", () => {
    for (const text of [renderMechanismText(solved), renderMechanismMarkdown(solved)]) {
      for (const { name } of solved.outcomes) expect(text).to.include(name);
      expect(text).to.include("6000000").and.to.include("both sides sign a split").and.to.include("100 % of its bond");
    }
  });

  it("carries no markup of its author's into the page", () => {
    const markdown = renderMechanismMarkdown({ ...posted, name: "<script>", purpose: "[click](x)\n# Big" });
    expect(markdown).to.include("\\<script\\>").and.to.include("\\[click\\](x) \\# Big");
  });
});
