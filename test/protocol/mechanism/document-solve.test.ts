import { expect } from "chai";
import highs from "highs";
import {
  agencyOf,
  bondOf,
  checkMechanismProof,
  draftMechanism,
  fractions,
  implementAction,
  isSound,
  lintMechanism,
  postedPriceOf,
  solveMechanism,
  type DealAmounts,
  type Dual,
  type MechanismDocument,
  type OutcomeClause,
  type SolvedMechanism,
} from "#protocol";
import { textbookDocument } from "../../fixtures/mechanism.ts";
import { createDie } from "../../fixtures/random.ts";
import { isNightly } from "../../fixtures/profile.ts";

const { compare, fraction, subtract, toNumber, zero } = fractions;
// The package types its ES module as CommonJS: what runs is the default export itself.
const loadHighs = highs as unknown as typeof highs.default;
const INSTANCES = isNightly ? 5_000 : 400;

function solved(document: MechanismDocument, action?: number): SolvedMechanism {
  const verdict = solveMechanism(document, action);
  if (verdict.kind !== "accept") throw new Error(`${verdict.code}: ${verdict.detail}`);
  return verdict.value;
}

const amountsOf = (document: MechanismDocument): DealAmounts => {
  const priceWei = postedPriceOf(document) ?? 0n;
  return { priceWei, bondWei: bondOf(document, priceWei, 0n) };
};

const codeOf = (document: MechanismDocument, amounts: DealAmounts, dual: Dual | undefined) => {
  const verdict = checkMechanismProof(document, amounts, dual);
  return verdict.kind === "accept" ? "accept" : verdict.code;
};

describe("solving a mechanism document", () => {
  it("finds the textbook's optimum: excel for a price of 100/29, 744/145 for the leader", () => {
    const unit = 1_740_000n;
    const { document, dual, expectedPayment, surplus } = solved(textbookDocument);
    expect(document.agency?.target).to.equal(2);
    expect(postedPriceOf(document)).to.equal((100n * unit) / 29n);
    expect(expectedPayment).to.deep.equal(fraction(60n * unit, 29n));
    expect(surplus).to.deep.equal(fraction(744n * unit, 145n));
    expect(codeOf(document, amountsOf(document), dual)).to.equal("accept");
    expect(isSound(lintMechanism(document))).to.equal(true);
  });

  it("reaches the first best 5.2 from the critical bond of 2/29 on", () => {
    const unit = 1_740_000n;
    const withBond = (leastWei: bigint) => ({ ...textbookDocument, bond: { ...textbookDocument.bond, leastWei } });
    const critical = (2n * unit) / 29n;
    // Here only a late delivery costs the bond, and excel is never late: the law's first outcome separates it from the rest.
    const better = solved(withBond(critical)).surplus;
    expect(compare(better, solved(textbookDocument).surplus)).to.be.greaterThan(0);
    expect(compare(better, fraction(52n * unit, 10n))).to.be.at.most(0);
    const rich = solved(withBond(20n * unit));
    expect(rich.surplus).to.deep.equal(fraction(52n * unit, 10n));
  });

  it("says by name why it cannot solve", () => {
    const code = (document: MechanismDocument, action?: number) => {
      const verdict = solveMechanism(document, action);
      return verdict.kind === "accept" ? "accept" : verdict.code;
    };
    const hopeless = { ...textbookDocument.agency, actions: equalLaws(), target: 1 } as NonNullable<
      MechanismDocument["agency"]
    >;
    expect(code(draftMechanism({ name: "", topics: ["t"], rule: "posted-price" }))).to.equal("SOLVE_NO_AGENCY");
    const auction = { ...textbookDocument.award, rule: "scored-second-price" } as const;
    expect(code({ ...textbookDocument, award: auction })).to.equal("SOLVE_NO_PRICE");
    expect(code(textbookDocument, 3)).to.equal("SOLVE_ACTION");
    expect(code({ ...textbookDocument, agency: hopeless }, 1)).to.equal("SOLVE_INFEASIBLE");
  });

  it(`agrees with HiGHS on ${INSTANCES} random rules, and proves each to the follower`, async function () {
    this.timeout(isNightly ? 600_000 : 60_000);
    const solver = await loadHighs();
    let [feasible, infeasible, dearer] = [0, 0, 0];
    for (let instance = 0; instance < INSTANCES; instance++) {
      const document = randomDocument(createDie(instance));
      const target = (document.agency?.actions.length ?? 1) - 1;
      const oracle = solver.solve(textOf(document, target), { output_flag: false, presolve: "off" });
      const verdict = solveMechanism(document, target);
      const at = `instance ${instance}`;
      if (oracle.Status === "Infeasible") {
        infeasible++;
        expect(verdict.kind, at).to.equal("reject");
        continue;
      }
      if (verdict.kind !== "accept") continue;
      feasible++;
      const { leastPayment, dual, document: priced } = verdict.value;
      const least = oracle.ObjectiveValue / 1_000;
      expect(toNumber(leastPayment), at).to.be.closeTo(least, 1e-9 * Math.max(1, Math.abs(least)) + 1e-6);
      const agency = agencyOf(priced, priced.bond.leastWei);
      const free = agency && implementAction(agency, target);
      // What the escrow cannot pay never makes an action cheaper.
      if (free !== undefined && compare(subtract(leastPayment, free.leastPayment), zero) > 0) dearer++;
      if (free !== undefined) expect(compare(leastPayment, free.leastPayment), at).to.be.at.least(0);
      expect(codeOf(priced, amountsOf(priced), dual), at).to.equal("accept");
      expect(
        lintMechanism(priced).filter(({ code }) => code.startsWith("BREAKS") || code.startsWith("PAYMENT")),
        at,
      ).to.deep.equal([]);
    }
    expect(feasible).to.be.greaterThan(INSTANCES / 10);
    expect(infeasible).to.be.greaterThan(INSTANCES / 100);
    expect(dearer).to.be.greaterThan(0);
  });
});

describe("the follower's check of a proof", () => {
  const { document, dual } = solved(textbookDocument);
  const amounts = amountsOf(document);
  const withPrice = (price: bigint) => edited(document, "whole", { unit: "wei", amount: price });
  const price = amounts.priceWei;

  it("refuses payments that make another action better, by name", () => {
    expect(codeOf(withPrice(price - 1n), { ...amounts, priceWei: price - 1n }, dual)).to.equal("PROOF_NOT_IMPLEMENTED");
  });

  it("refuses payments above the least by more than the rules allow, and none at the limit", () => {
    const gap = document.agency?.maxGapWei ?? 0n;
    // Excel ends whole in 60 of 100.
    const raised = (by: bigint) => codeOf(withPrice(price + by), { ...amounts, priceWei: price + by }, dual);
    expect(raised((gap * 100n) / 60n)).to.equal("accept");
    expect(raised((gap * 100n) / 60n + 1n)).to.equal("PROOF_GAP");
  });

  it("refuses no proof, a dual that is none, and one of monstrous size", () => {
    expect(codeOf(document, amounts, undefined)).to.equal("PROOF_ABSENT");
    const [first = 0n, ...rest] = dual.numerators;
    expect(codeOf(document, amounts, { ...dual, numerators: [first + dual.denominator, ...rest] })).to.equal(
      "PROOF_DUAL",
    );
    expect(codeOf(document, amounts, { ...dual, numerators: rest })).to.equal("PROOF_DUAL");
    expect(codeOf(document, amounts, { ...dual, denominator: 0n })).to.equal("PROOF_DUAL");
    expect(codeOf(document, amounts, { ...dual, numerators: [2n ** 5000n, ...rest] })).to.equal("PROOF_DUAL_SIZE");
  });

  it("asks nothing of rules that state no law", () => {
    const auction = draftMechanism({ name: "a", topics: ["t"], rule: "scored-second-price" });
    expect(codeOf(auction, { priceWei: 5n, bondWei: 0n }, undefined)).to.equal("accept");
  });

  it("judges with the bond of the deal at hand: one that breaks participation is refused", () => {
    const risky = solved(randomDocument(createDie(3), { mustRisk: true }));
    const due = amountsOf(risky.document);
    expect(codeOf(risky.document, due, risky.dual)).to.equal("accept");
    expect(codeOf(risky.document, { ...due, bondWei: due.bondWei + 1_000_000n }, risky.dual)).to.equal(
      "PROOF_NOT_IMPLEMENTED",
    );
  });
});

function edited(document: MechanismDocument, name: string, payment: OutcomeClause["payment"]): MechanismDocument {
  const outcomes = document.outcomes.map((outcome) => (outcome.name === name ? { ...outcome, payment } : outcome));
  return { ...document, outcomes };
}

function equalLaws() {
  const law = [25n, 25n, 25n, 25n];
  return [
    { name: "shirk", costWei: 0n, law },
    { name: "work", costWei: 5n, law },
  ];
}

/** One late, one whole outcome, and up to three that an arbiter sees; laws, costs and bond at random. */
function randomDocument(random: (bound: number) => number, { mustRisk = false } = {}): MechanismDocument {
  const between = (["split", "ruling-even", "ruling-client", "ruling-provider", "cancel"] as const).filter(
    () => random(2) === 0,
  );
  const settlements = ["refund", ...between, "complete"] as const;
  const outcomes = settlements.map((settlement, o): OutcomeClause => ({
    ...{ name: `outcome ${o}`, settlement, payment: { unit: "wei", amount: 0n } },
    observer: settlement === "refund" ? "chain" : settlement === "complete" ? "client" : "arbiter",
    rewardWei: BigInt(random(100_000)),
    reputationWorthWei: BigInt(random(3) === 0 ? random(20_000) - 10_000 : 0),
  }));
  const actions = Array.from({ length: 2 + random(4) }, (_, k) => {
    const cuts = outcomes.slice(1).map(() => BigInt(random(1_001)));
    const sorted = cuts.sort((a, b) => (a < b ? -1 : 1));
    const law = [...sorted, 1_000n].map((cut, i) => cut - (sorted[i - 1] ?? 0n));
    const risky = law.map((part, o) => (o === 0 ? part + 100n : o === law.length - 1 ? part - 100n : part));
    const isFit = mustRisk && (risky.at(-1) ?? 0n) >= 0n;
    return { name: `action ${k}`, costWei: k === 0 ? 0n : BigInt(random(50_000)), law: isFit ? risky : law };
  });
  return {
    ...textbookDocument,
    outcomes,
    bond: { ...textbookDocument.bond, leastWei: BigInt(random(50_000)), clientBondWei: BigInt(random(1_000)) },
    agency: {
      actions,
      lawUnit: 1_000n,
      target: actions.length - 1,
      outsideWei: BigInt(random(5_000)),
      maxGapWei: 1_000n,
    },
  };
}

/** The same program for an independent solver: one payment an outcome, tied as the escrow ties them. */
function textOf({ outcomes, agency, bond }: MechanismDocument, target: number): string {
  if (agency === null) throw new Error("no agency");
  const { actions, lawUnit, outsideWei } = agency;
  const term = (part: bigint, o: number) => `${part < 0n ? "-" : "+"} ${part < 0n ? -part : part} t${o}`;
  const chosen = actions[target];
  if (chosen === undefined) throw new Error("no action");
  const constraints = actions.map((other, k) => {
    const row = k === target ? chosen.law : chosen.law.map((part, o) => part - (other.law[o] ?? 0n));
    const worth = row.reduce((sum, part, o) => sum + part * (outcomes[o]?.reputationWorthWei ?? 0n), 0n);
    const gain = k === target ? chosen.costWei + outsideWei : chosen.costWei - other.costWei;
    return ` c${k}: ${row.map(term).join(" ")} >= ${gain * lawUnit - worth}`;
  });
  const price = outcomes.length - 1;
  const ties = outcomes.flatMap(({ settlement }, o) => {
    if (settlement === "ruling-provider") return [` e${o}: t${o} - t${price} = ${bond.clientBondWei}`];
    if (settlement === "ruling-even") return [` e${o}: 2 t${o} - t${price} = 0`];
    return settlement === "split" ? [` e${o}: t${price} - t${o} >= 0`] : [];
  });
  const bounds = outcomes.map(({ settlement }, o) => {
    if (settlement === "refund" || settlement === "ruling-client") return ` t${o} = ${-bond.leastWei}`;
    return settlement === "cancel" ? ` t${o} = 0` : ` 0 <= t${o} <= 1e15`;
  });
  return `Minimize\n obj: ${chosen.law.map(term).join(" ")}\nSubject To\n${[...constraints, ...ties].join("\n")}\nBounds\n${bounds.join("\n")}\nEnd\n`;
}
