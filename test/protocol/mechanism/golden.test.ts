import { expect } from "chai";
import {
  attributeAirport,
  attributeExactly,
  chooseAction,
  chooseCommitment,
  chooseLinearContract,
  chooseMenu,
  choosePurePlan,
  chooseTeam,
  criticalSpread,
  firstProposerShare,
  fractions,
  implementAction,
  payProportionally,
  surplusOf,
  type Agency,
  type Fraction,
} from "#protocol";

const { add, fraction, multiply, subtract, toNumber, zero } = fractions;
const f = fraction;

function expectExactly(actual: Fraction | undefined, numerator: bigint, denominator = 1n) {
  expect(actual).to.deep.equal(f(numerator, denominator));
}

/** A multiple of 29, 3 and 2, so that each golden payment is whole. */
const UNIT = 1_740_000n;
const rewards = [0n, 3n, 7n, 10n].map((reward) => reward * UNIT);
const textbook = (bond: bigint): Agency => ({
  laws: [
    [72n, 18n, 8n, 2n],
    [12n, 48n, 32n, 8n],
    [0n, 40n, 0n, 60n],
  ],
  lawUnit: 100n,
  costs: [0n, UNIT, 2n * UNIT],
  ...{ outside: 0n, bond, reputationWorth: [0n, 0n, 0n, 0n] },
});
const rewardOf = (agency: Agency, action: number) =>
  f(
    (agency.laws[action] ?? []).reduce((sum, part, o) => sum + part * (rewards[o] as bigint), 0n),
    agency.lawUnit,
  );

describe("golden cases of mechanism design", () => {
  describe("commitment to a mixed strategy", () => {
    const cases = [
      {
        name: "both rows half",
        leader: [
          [2, 4],
          [1, 3],
        ],
        follower: [
          [1, 0],
          [0, 1],
        ],
        plan: [1 / 2, 1 / 2],
        value: 3.5,
      },
      {
        name: "less reward",
        leader: [
          [1, 3],
          [0, 2],
        ],
        follower: [
          [1, 0],
          [0, 1],
        ],
        plan: [1 / 2, 1 / 2],
        value: 2.5,
      },
      {
        name: "an eager follower",
        leader: [
          [2, 4],
          [1, 3],
        ],
        follower: [
          [1, 0],
          [0, 2],
        ],
        plan: [2 / 3, 1 / 3],
        value: 11 / 3,
      },
    ];
    for (const { name, leader, follower, plan, value } of cases) {
      it(`finds the plan of "${name}"`, () => {
        const found = chooseCommitment(leader, follower);
        expect(found.value).to.be.closeTo(value, 1e-12);
        plan.forEach((share, row) => expect(found.plan[row]).to.be.closeTo(share, 1e-12));
      });
    }

    it("leads Stackelberg's duopoly with twice the follower's quantity", () => {
      const quantities = Array.from({ length: 121 }, (_, q) => q);
      const halves = Array.from({ length: 241 }, (_, q) => q / 2);
      const price = (a: number, b: number) => Math.max(0, 120 - a - b);
      const found = choosePurePlan(
        quantities,
        halves,
        (leader, follower) => leader * price(leader, follower),
        (leader, follower) => follower * price(leader, follower),
      );
      expect(found).to.deep.equal({ plan: 60, response: 30, value: 1_800 });
      expect(price(60, 30)).to.equal(30);
      expect(30 * price(60, 30)).to.equal(900);
    });
  });

  describe("hidden action with four outcomes", () => {
    it("pays nothing for the free action", () => expectExactly(implementAction(textbook(0n), 0)?.leastPayment, 0n));

    it("pays 4/3 in expectation for the middle one, 25/6 on the third outcome", () => {
      const found = implementAction(textbook(0n), 1);
      expectExactly(found?.leastPayment, (4n * UNIT) / 3n);
      expect(found?.payments).to.deep.equal([0n, 0n, (25n * UNIT) / 6n, 0n]);
    });

    it("pays 60/29 for the best one, 100/29 on the fourth outcome, and keeps 744/145", () => {
      const found = implementAction(textbook(0n), 2);
      expectExactly(found?.expectedPayment, (60n * UNIT) / 29n);
      expect(found?.payments).to.deep.equal([0n, 0n, 0n, (100n * UNIT) / 29n]);
      const best = chooseAction(textbook(0n), rewards, zero);
      expect(best?.action).to.equal(2);
      expectExactly(best && surplusOf(rewardOf(textbook(0n), 2), best), 744n * UNIT, 145n);
    });

    it("reaches the first best from a bond of 2/29 on, and not one unit below", () => {
      const critical = (2n * UNIT) / 29n;
      expectExactly(implementAction(textbook(critical), 2)?.leastPayment, 2n * UNIT);
      expectExactly(implementAction(textbook(critical * 2n), 2)?.leastPayment, 2n * UNIT);
      const short = implementAction(textbook(critical - 1n), 2)?.leastPayment;
      expect(fractions.compare(short ?? zero, f(2n * UNIT))).to.equal(1);
    });

    it("earns 4.552941 with the best linear contract, a share of 25/68", () => {
      const agency = textbook(0n);
      const options = agency.laws.map((law, action) => ({
        reward: law.reduce((sum, part, o) => sum + part * (rewards[o] ?? 0n), 0n),
        cost: (agency.costs[action] ?? 0n) * agency.lawUnit,
      }));
      const found = chooseLinearContract([options]);
      expectExactly(found.share, 25n, 68n);
      expect(toNumber(found.surplus) / Number(UNIT * agency.lawUnit)).to.be.closeTo(4.552941, 5e-7);
    });
  });

  it("shows that linear contracts lose a factor that grows with the actions", () => {
    const unit = 10n ** 18n;
    const inverse = 1_000n;
    const ratios = [2, 3, 4, 5].map((actions) => {
      const rewardsByAction = Array.from({ length: actions }, (_, i) => inverse ** BigInt(i) * unit);
      const costs = rewardsByAction.map((reward, i) => reward - BigInt(i + 1) * unit + (BigInt(i) * unit) / inverse);
      const agency: Agency = {
        laws: costs.map((_, action) => costs.map((__, o) => (o === action ? 1n : 0n))),
        ...{ lawUnit: 1n, costs, outside: 0n, bond: 0n, reputationWorth: costs.map(() => 0n) },
      };
      const best = chooseAction(agency, rewardsByAction, zero);
      const optimal = best && surplusOf(f(rewardsByAction[best.action] ?? 0n), best);
      const linear = chooseLinearContract([costs.map((cost, i) => ({ reward: rewardsByAction[i] ?? 0n, cost }))]);
      return toNumber(optimal ?? zero) / toNumber(linear.surplus);
    });
    [1.999, 2.998, 3.997, 4.996].forEach((ratio, i) => expect(ratios[i]).to.be.closeTo(ratio, 5e-4));
  });

  describe("combinatorial agency of two with γ = 1/4", () => {
    const team = (members: number) => [members & 1, members >> 1].map((works) => (works === 1 ? f(3n, 4n) : f(1n, 4n)));
    const and = (members: number) => team(members).reduce(multiply, f(1n));
    const or = (members: number) =>
      subtract(
        f(1n),
        team(members)
          .map((chance) => subtract(f(1n), chance))
          .reduce(multiply, f(1n)),
      );
    const sizeAt = (chanceOf: (members: number) => Fraction, value: Fraction) => {
      const { members } = chooseTeam([f(1n), f(1n)], value, chanceOf);
      return (members & 1) + (members >> 1);
    };
    const epsilon = f(1n, 1_000_000n);
    const switches = [
      { name: "AND hires both at 6", chanceOf: and, value: f(6n), sizes: [0, 2] },
      { name: "OR hires one at 52/9", chanceOf: or, value: f(52n, 9n), sizes: [0, 1] },
      { name: "OR hires both at 308/3", chanceOf: or, value: f(308n, 3n), sizes: [1, 2] },
    ];
    for (const { name, chanceOf, value, sizes } of switches) {
      it(name, () => {
        expect([sizeAt(chanceOf, subtract(value, epsilon)), sizeAt(chanceOf, add(value, epsilon))]).to.deep.equal(
          sizes,
        );
      });
    }
  });

  it("pays each of three winners 10/3 by proportional share", () => {
    const offers = [1n, 2n, 3n, 4n, 5n, 6n].map((cost) => ({ cost: f(cost), value: f(1n) }));
    const payments = payProportionally(offers, f(10n));
    expect(payments).to.deep.equal([f(10n, 3n), f(10n, 3n), f(10n, 3n), zero, zero, zero]);
  });

  it("screens two types with qualities 2/3 and 2 at prices 2/3 and 10/3", () => {
    const menu = chooseMenu([
      { worth: f(1n), chance: f(3n, 4n) },
      { worth: f(2n), chance: f(1n, 4n) },
    ]);
    expect(menu).to.deep.equal([
      { quality: f(2n, 3n), price: f(2n, 3n) },
      { quality: f(2n), price: f(10n, 3n) },
    ]);
    const profit = menu.map(({ quality, price }) => subtract(price, multiply(multiply(quality, quality), f(1n, 2n))));
    expectExactly(add(multiply(f(3n, 4n), profit[0] ?? zero), multiply(f(1n, 4n), profit[1] ?? zero)), 2n, 3n);
  });

  it("gives the first proposer 5/7 under discount factors .9 and .8", () => {
    expectExactly(firstProposerShare(f(9n, 10n), f(8n, 10n)), 5n, 7n);
  });

  describe("Shapley values", () => {
    it("gives the left glove two thirds", () => {
      const values = attributeExactly(3, (coalition) => ((coalition & 1) !== 0 && coalition > 1 ? 1n : 0n));
      expect(values).to.deep.equal([f(2n, 3n), f(1n, 6n), f(1n, 6n)]);
    });

    it("shares an airport 8/11/13/18 as 2, 3, 4 and 9, by both ways", () => {
      const needs = [8n, 11n, 13n, 18n];
      const shares = [f(2n), f(3n), f(4n), f(9n)];
      expect(attributeAirport(needs)).to.deep.equal(shares);
      const costOf = (coalition: number) =>
        needs.reduce((most, need, i) => ((coalition & (1 << i)) !== 0 && need > most ? need : most), 0n);
      expect(attributeExactly(4, costOf)).to.deep.equal(shares);
    });

    it("weighs the Security Council 421/2145 and 4/2145", () => {
      const vetoes = 0b11111;
      const passes = (coalition: number) => {
        let votes = 0;
        for (let rest = coalition; rest !== 0; rest &= rest - 1) votes++;
        return (coalition & vetoes) === vetoes && votes >= 9 ? 1n : 0n;
      };
      const values = attributeExactly(15, passes);
      expectExactly(values[0], 421n, 2145n);
      expectExactly(values[14], 4n, 2145n);
    });
  });

  it("needs a spread of the largest incremental cost, and none where a likelier action is relatively cheaper", () => {
    const ladder = [
      { chance: f(1n, 10n), cost: zero },
      { chance: f(1n, 2n), cost: f(2n) },
      { chance: f(9n, 10n), cost: f(3n) },
    ];
    expectExactly(criticalSpread(ladder, 2), 15n, 4n);
    expect(criticalSpread(ladder, 1)).to.equal(undefined);
  });
});
