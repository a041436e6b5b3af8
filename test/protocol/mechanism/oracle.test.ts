import { expect } from "chai";
import highs from "highs";
import {
  certifyImplementation,
  chooseLinearContract,
  checkOptimality,
  estimatePayments,
  fractions,
  implementAction,
  selectWithinBudget,
  type Agency,
} from "#protocol";
import { createDie } from "../../fixtures/random.ts";
import { isNightly } from "../../fixtures/profile.ts";

// The package types its ES module as CommonJS: what runs is the default export itself.
const loadHighs = highs as unknown as typeof highs.default;

const INSTANCES = isNightly ? 10_000 : 1_000;

/** What whole units cost above the least payment, nearly always; laws that are almost alike can make it more. */
const USUAL_LOSS = fractions.fraction(64n);

function randomAgency(random: (bound: number) => number): Agency {
  const [actions, outcomes] = [1 + random(6), 1 + random(5)];
  const laws = Array.from({ length: actions }, () => {
    const cuts = Array.from({ length: outcomes - 1 }, () => BigInt(random(1_001))).sort((a, b) => (a < b ? -1 : 1));
    return [...cuts, 1_000n].map((cut, i) => cut - (cuts[i - 1] ?? 0n));
  });
  return {
    laws,
    lawUnit: 1_000n,
    costs: laws.map((_, action) => (action === 0 ? 0n : BigInt(random(100_000)))),
    outside: BigInt(random(10_000)),
    bond: BigInt(random(3) === 0 ? 0 : random(50_000)),
    reputationWorth: Array.from({ length: outcomes }, () => BigInt(random(3) === 0 ? random(20_000) - 10_000 : 0)),
  };
}

/** The same program as text for an independent solver, in payments rather than shifted by the bond. */
function textOf({ laws, lawUnit, costs, outside, bond, reputationWorth }: Agency, action: number): string {
  const term = (part: bigint, o: number) => `${part < 0n ? "-" : "+"} ${part < 0n ? -part : part} t${o}`;
  const law = laws[action] ?? [];
  const constraints = laws.map((other, k) => {
    const row = k === action ? law : law.map((part, o) => part - (other[o] ?? 0n));
    const worth = row.reduce((sum, part, o) => sum + part * (reputationWorth[o] ?? 0n), 0n);
    const gain = k === action ? (costs[action] ?? 0n) + outside : (costs[action] ?? 0n) - (costs[k] ?? 0n);
    return ` c${k}: ${row.map(term).join(" ")} >= ${gain * lawUnit - worth}`;
  });
  const bounds = law.map((_, o) => ` ${-bond} <= t${o} <= 1e15`);
  return `Minimize\n obj: ${law.map(term).join(" ")}\nSubject To\n${constraints.join("\n")}\nBounds\n${bounds.join("\n")}\nEnd\n`;
}

describe("the implementation program against HiGHS", () => {
  it(`agrees on ${INSTANCES} random instances, and proves each solution to the follower`, async function () {
    this.timeout(isNightly ? 600_000 : 60_000);
    const solver = await loadHighs();
    let [feasible, infeasible, rounded, dear] = [0, 0, 0, 0];
    for (let instance = 0; instance < INSTANCES; instance++) {
      const agency = randomAgency(createDie(instance));
      const action = agency.laws.length - 1;
      const oracle = solver.solve(textOf(agency, action), { output_flag: false, presolve: "off" });
      const found = implementAction(agency, action);
      if (oracle.Status === "Infeasible") {
        infeasible++;
        expect(estimatePayments(agency)[action] ?? NaN, `instance ${instance}`).to.equal(Infinity);
        expect(found, `instance ${instance}`).to.equal(undefined);
        continue;
      }
      expect(oracle.Status, `instance ${instance}`).to.equal("Optimal");
      feasible++;
      const least = oracle.ObjectiveValue / 1_000;
      const scale = Math.max(1, Math.abs(least));
      expect(Math.abs((estimatePayments(agency)[action] ?? NaN) - least) / scale, `instance ${instance}`).to.be.below(
        1e-9,
      );
      if (found === undefined) continue;
      rounded++;
      expect(Math.abs(fractions.toNumber(found.leastPayment) - least) / scale, `instance ${instance}`).to.be.below(
        1e-9,
      );
      const loss = fractions.subtract(found.expectedPayment, found.leastPayment);
      if (fractions.compare(loss, USUAL_LOSS) > 0) dear++;
      const verdict = checkOptimality(agency, certifyImplementation(found), loss);
      const said = JSON.stringify(verdict.kind === "accept" ? "" : verdict);
      expect(verdict.kind, `instance ${instance}: ${said}`).to.equal("accept");
    }
    // A generator that reaches only one side would show nothing.
    expect(infeasible).to.be.above(INSTANCES / 20);
    expect(feasible).to.be.above(INSTANCES / 5);
    expect(rounded / feasible).to.be.above(0.99);
    expect(dear / rounded).to.be.below(0.001);
  });
});

describe("a certificate of optimality", () => {
  const agency: Agency = {
    laws: [
      [72n, 18n, 8n, 2n],
      [12n, 48n, 32n, 8n],
      [0n, 40n, 0n, 60n],
    ],
    ...{ lawUnit: 100n, costs: [0n, 1_000_000n, 2_000_000n], outside: 0n, bond: 0n, reputationWorth: [0n, 0n, 0n, 0n] },
  };
  const found = implementAction(agency, 2);
  const certificate = found && certifyImplementation(found);
  const gap = fractions.fraction(2n);
  if (certificate === undefined) throw new Error("the golden case has a solution");

  it("is accepted as it is", () => expect(checkOptimality(agency, certificate, gap).kind).to.equal("accept"));

  const forgeries = [
    [
      "pays three units less where it counts",
      { payments: certificate.payments.map((t, o) => (o === 3 ? t - 3n : t)) },
      "OPTIMALITY_NOT_IMPLEMENTED",
    ],
    ["pays more than rounding explains", { payments: certificate.payments.map((t) => t + 5n) }, "OPTIMALITY_GAP"],
    [
      "pays below the bond",
      { payments: certificate.payments.map((t, o) => (o === 0 ? -1n : t)) },
      "OPTIMALITY_NOT_IMPLEMENTED",
    ],
    [
      "has a dual value too high",
      { dual: { ...certificate.dual, numerators: certificate.dual.numerators.map((y) => y * 2n) } },
      "OPTIMALITY_DUAL",
    ],
    [
      "has a negative dual value",
      { dual: { ...certificate.dual, numerators: certificate.dual.numerators.map(() => -1n) } },
      "OPTIMALITY_DUAL",
    ],
    ["names an action that is none", { action: 7 }, "OPTIMALITY_ACTION"],
    ["lacks a payment", { payments: certificate.payments.slice(1) }, "OPTIMALITY_PAYMENTS"],
  ] as const;
  for (const [what, change, code] of forgeries) {
    it(`is refused when it ${what}`, () => {
      expect(checkOptimality(agency, { ...certificate, ...change }, gap)).to.include({ kind: "reject", code });
    });
  }
});

describe("selection under a budget", () => {
  it("equals enumeration on 300 random instances", () => {
    for (let instance = 0; instance < 300; instance++) {
      const random = createDie(instance);
      const followers = Array.from({ length: 1 + random(4) }, () =>
        Array.from({ length: random(4) }, () => ({ cost: random(12), worth: random(30) - 4 })),
      );
      const budget = random(25);
      const found = selectWithinBudget(followers, budget);
      const enumerate = (index: number, left: number): number => {
        const options = followers[index];
        if (options === undefined) return 0;
        const taken = options.map(({ cost, worth }) =>
          cost > left ? -Infinity : worth + enumerate(index + 1, left - cost),
        );
        return Math.max(enumerate(index + 1, left), ...taken);
      };
      expect(found.worth, `instance ${instance}`).to.equal(enumerate(0, budget));
      const spent = found.chosen.reduce((sum, option, i) => sum + (followers[i]?.[option]?.cost ?? 0), 0);
      expect(spent).to.equal(found.cost);
      expect(spent).to.be.at.most(budget);
    }
  });
});

describe("one linear contract for all", () => {
  it("equals the best of all breakpoints, tried one by one, on 500 random instances", () => {
    const { add, compare, fraction, multiply, subtract, zero } = fractions;
    for (let instance = 0; instance < 500; instance++) {
      const random = createDie(instance);
      const followers = Array.from({ length: 1 + random(5) }, () => [
        { reward: 0n, cost: 0n },
        ...Array.from({ length: random(5) }, () => ({ reward: BigInt(random(40)), cost: BigInt(random(30)) })),
      ]);
      const shares = followers.flatMap((options) =>
        options.flatMap((a) => options.map((b) => ({ rise: a.reward - b.reward, run: a.cost - b.cost }))),
      );
      const candidates = shares
        .filter(({ rise, run }) => rise > 0n && run >= 0n && run <= rise)
        .map(({ rise, run }) => fraction(run, rise));
      const surplusAt = (share: fractions.Fraction) => {
        const rewards = followers.map((options) => {
          const worths = options.map(({ reward, cost }) => subtract(multiply(share, fraction(reward)), fraction(cost)));
          const most = worths.reduce(fractions.max);
          const best = options
            .filter((_, i) => compare(worths[i] ?? zero, most) === 0)
            .map(({ reward }) => fraction(reward));
          return best.reduce(fractions.max);
        });
        return multiply(subtract(fraction(1n), share), rewards.reduce(add));
      };
      const best = [zero, ...candidates].map(surplusAt).reduce(fractions.max);
      const found = chooseLinearContract(followers);
      expect(found.surplus, `instance ${instance}`).to.deep.equal(best);
      expect(surplusAt(found.share), `instance ${instance}`).to.deep.equal(best);
    }
  });
});
