import { expect } from "chai";
import {
  draftMechanism,
  encodeMechanismDocument,
  learnMechanism,
  MAX_DEALS_OF_ONE,
  MAX_LEARNT_DEALS,
  posteriorOf,
  postedPriceOf,
  solveMechanism,
  type EndedDeal,
  type MechanismDocument,
} from "#protocol";
import { createRandom } from "../../fixtures/random.ts";

const UNIT = 1_000_000n;
const FULL = 500n;
/** Idle or work, as the leader believes: work is delivered in 95 of 100 cases. */
function documentOf(chance: number): MechanismDocument {
  const draft = draftMechanism({ name: "Work", topics: ["work"], rule: "posted-price", priceWei: 1n, bondWei: 50n });
  const done = BigInt(Math.round(chance * 1e6));
  const solved = solveMechanism({
    ...draft,
    outcomes: draft.outcomes.map((outcome) => ({
      ...outcome,
      rewardWei: outcome.settlement === "complete" ? 2_000n : 0n,
    })),
    evidence: { ...draft.evidence, fullPriceWei: FULL },
    agency: {
      actions: [
        { name: "idle", costWei: 0n, law: [900_000n, 100_000n] },
        { name: "work", costWei: 400n, law: [UNIT - done, done] },
      ],
      ...{ lawUnit: UNIT, target: 1, outsideWei: 0n, maxGapWei: 1n },
    },
  });
  if (solved.kind !== "accept") throw new Error(solved.detail);
  return solved.value.document;
}
const believed = documentOf(0.95);
const priceOf = (document: MechanismDocument) => Number(postedPriceOf(document));

/** Deals of a world in which so many are delivered, by as many providers as it takes. */
function live(deals: number, chance: number, seed = 7): EndedDeal[] {
  const random = createRandom(seed);
  return Array.from({ length: deals }, (_, k) => ({
    ...{ providerAgentId: BigInt(k % 40), priceWei: FULL, rating: 0 },
    end: random() < chance ? "completed" : "refunded",
  }));
}
function learn(deals: readonly EndedDeal[], document = believed): MechanismDocument {
  const learnt = learnMechanism(document, deals);
  if (learnt.kind !== "accept") throw new Error(learnt.code);
  return learnt.value;
}

describe("a document that learns from deals", () => {
  it("stays as it is without deals, without a law, and where the rules say that nothing is learnt", () => {
    expect(learn([])).to.equal(believed);
    const still = { ...believed, evidence: { ...believed.evidence, fullPriceWei: 0n } };
    expect(learn(live(400, 0.8), still)).to.equal(still);
    const plain = { ...believed, agency: null };
    expect(learn(live(400, 0.8), plain)).to.equal(plain);
  });

  it("pays what work takes in the worst world that the deals leave possible, ever nearer to who knows the true law", () => {
    const oracle = priceOf(documentOf(0.8));
    const regrets = [40, 160, 1_000].map((deals) => priceOf(learn(live(deals, 0.8))) - oracle);
    regrets.forEach((regret, i) => expect(regret).to.be.within(0, regrets[i - 1] ?? oracle));
    expect((regrets.at(-1) ?? oracle) / oracle).to.be.below(0.15);
    // What the leader believed would not have paid for the work.
    expect(priceOf(believed)).to.be.below(oracle);
    expect(() => encodeMechanismDocument(learn(live(160, 0.8)))).not.to.throw();
  });

  it("calls at no price once the deals rule out that anybody works", () => {
    const learnt = learnMechanism(believed, live(200, 0.1));
    expect(learnt).to.include({ kind: "reject", code: "EVIDENCE_AGAINST_RULES" });
    expect(learn(live(2, 0)), "two deals rule out nothing").to.equal(believed);
  });

  it("takes little from cheap deals, no more from one provider than its share, and nothing from cancelled ones", () => {
    const total = (deals: readonly EndedDeal[]) =>
      Number(posteriorOf(believed, deals).evidence.reduce((sum, parts) => sum + parts, 0n)) / 1_000;
    expect(total(live(100, 1).map((deal) => ({ ...deal, priceWei: FULL / 100n })))).to.equal(1);
    expect(total(live(100, 1).map((deal) => ({ ...deal, priceWei: FULL * 100n })))).to.equal(100);
    expect(total(live(900, 1).map((deal) => ({ ...deal, providerAgentId: 1n })))).to.equal(MAX_DEALS_OF_ONE);
    expect(total(live(2 * MAX_LEARNT_DEALS, 1))).to.equal(MAX_LEARNT_DEALS);
    expect(total(live(9, 1).map((deal) => ({ ...deal, end: "cancelled" as const })))).to.equal(0);
    // Won at a hundredth of the price, it is worth nothing at the whole one.
    expect(learn(live(900, 0.9).map((deal) => ({ ...deal, priceWei: 1n })))).to.equal(believed);
  });
});
