import { expect } from "chai";
import fc from "fast-check";
import {
  attributeBySampling,
  attributeExactly,
  attributeSymmetrically,
  chooseMenu,
  divideByShares,
  fractions,
  payProportionally,
  virtualCost,
} from "#protocol";

const { add, compare, fraction, multiply, subtract, toNumber, zero } = fractions;
const worths = fc.array(fc.bigInt({ min: 0n, max: 10n ** 9n }), { minLength: 16, maxLength: 16 });
/** A worth for each set of four; the empty set is worth nothing. */
const gameOf = (table: readonly bigint[]) => (coalition: number) => (coalition === 0 ? 0n : (table[coalition] ?? 0n));

describe("Shapley attribution", () => {
  it("shares out exactly what all together are worth", () => {
    fc.assert(
      fc.property(worths, (table) => {
        const values = attributeExactly(4, gameOf(table));
        expect(values.reduce(add, zero)).to.deep.equal(fraction(table[15] ?? 0n));
      }),
    );
  });

  it("gives a player who adds nothing nothing, and equals the same", () => {
    const values = attributeExactly(4, (coalition) => ((coalition & 0b011) === 0b011 ? 100n : 0n));
    expect(values).to.deep.equal([fraction(50n), fraction(50n), zero, zero]);
    expect(attributeSymmetrically(2, 100n)).to.deep.equal(values.slice(0, 2));
  });

  it("comes within the promised half width by sampling", () => {
    let state = 1;
    const random = (bound: number) => (state = (state * 48_271) % 2_147_483_647) % bound;
    const needs = [8n, 11n, 13n, 18n];
    const costOf = (coalition: ReadonlySet<number>) =>
      [...coalition].reduce((most, player) => ((needs[player] ?? 0n) > most ? (needs[player] ?? 0n) : most), 0n);
    const { values, halfWidth } = attributeBySampling(4, costOf, {
      samples: 4_000,
      range: 18n,
      errorChance: 1e-6,
      random,
    });
    [2, 3, 4, 9].forEach((share, player) => {
      expect(Math.abs(toNumber(values[player] ?? zero) - share)).to.be.below(halfWidth);
    });
    expect(halfWidth).to.be.below(1);
  });

  it("divides whole units without losing one, whatever the shares", () => {
    const share = fc.bigInt({ min: -5n, max: 1_000n }).map((numerator) => fraction(numerator, 7n));
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 12n }), fc.array(share, { maxLength: 9 }), (total, shares) => {
        const units = divideByShares(total, shares);
        const sum = units.reduce((a, b) => a + b, 0n);
        expect(sum).to.equal(shares.some(({ numerator }) => numerator > 0n) ? total : 0n);
        units.forEach((unit, i) => expect(unit === 0n || (shares[i]?.numerator ?? 0n) > 0n).to.equal(true));
      }),
    );
  });
});

describe("procurement", () => {
  const cost = fc.integer({ min: 1, max: 60 }).map((n) => fraction(BigInt(n)));
  const offers = fc.array(fc.record({ cost, value: cost }), { minLength: 1, maxLength: 8 });

  it("stays within the budget, pays nobody below its cost, and a lie gains nothing", () => {
    fc.assert(
      fc.property(offers, cost, cost, (honest, budget, lie) => {
        const payments = payProportionally(honest, budget);
        expect(compare(payments.reduce(add, zero), budget)).to.be.at.most(0);
        for (const [i, { cost: own, value }] of honest.entries()) {
          const payment = payments[i] ?? zero;
          const gain = compare(payment, zero) === 0 ? zero : subtract(payment, own);
          expect(compare(gain, zero)).to.be.at.least(0);
          const bent = honest.map((offer, k) => (k === i ? { cost: lie, value } : offer));
          const other = payProportionally(bent, budget)[i] ?? zero;
          const gainByLie = compare(other, zero) === 0 ? zero : subtract(other, own);
          expect(compare(gainByLie, gain)).to.be.at.most(0);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("counts a cost that is uniform from 10 on as twice itself less 10", () => {
    expect(virtualCost(fraction(25n), fraction(10n))).to.deep.equal(fraction(40n));
  });

  it("offers a menu whose qualities rise and from which no type wants another's item", () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(steps, (drawn) => {
        const mass = drawn.reduce((sum, [, weight]) => sum + weight, 0);
        let worth = 0;
        const types = drawn.map(([step, weight]) => ({
          worth: fraction(BigInt((worth += step))),
          chance: fraction(BigInt(weight), BigInt(mass)),
        }));
        const menu = chooseMenu(types);
        for (const [i, type] of types.entries()) {
          const utilities = menu.map(({ quality, price }) => subtract(multiply(type.worth, quality), price));
          const own = utilities[i] ?? zero;
          expect(compare(own, zero)).to.be.at.least(0);
          utilities.forEach((other) => expect(compare(own, other)).to.be.at.least(0));
        }
      }),
    );
  });
});
