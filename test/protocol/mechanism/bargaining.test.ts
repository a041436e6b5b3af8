import { expect } from "chai";
import fc from "fast-check";
import { bargain, chooseNash, createConcession, negotiate, type Side } from "#protocol";

const OUTCOMES = 40;
const sideOf = (outcomes: number) =>
  fc.record({
    worths: fc.array(fc.bigInt({ min: 0n, max: 1_000n }), { minLength: outcomes, maxLength: outcomes }),
    reservation: fc.bigInt({ min: 0n, max: 500n }),
  });
const gain = ({ worths, reservation }: Side, outcome: number) => (worths[outcome] ?? 0n) - reservation;
const isDominated = (left: Side, right: Side, chosen: number) =>
  left.worths.some((_, other) => {
    const [a, b] = [gain(left, other) - gain(left, chosen), gain(right, other) - gain(right, chosen)];
    return a >= 0n && b >= 0n && a + b > 0n;
  });

describe("bargaining", () => {
  it("mediated, is efficient and suits both, and fails only where nothing suits both", () => {
    fc.assert(
      fc.property(sideOf(OUTCOMES), sideOf(OUTCOMES), (left, right) => {
        const chosen = chooseNash(left, right);
        const suitable = left.worths.some((_, o) => gain(left, o) >= 0n && gain(right, o) >= 0n);
        expect(chosen !== undefined).to.equal(suitable);
        if (chosen === undefined) return;
        expect(gain(left, chosen) >= 0n && gain(right, chosen) >= 0n).to.equal(true);
        expect(isDominated(left, right, chosen)).to.equal(false);
      }),
    );
  });

  it("unmediated, ends, and never below a reservation", () => {
    fc.assert(
      fc.property(sideOf(OUTCOMES), sideOf(OUTCOMES), (left, right) => {
        const { outcome, offers } = bargain(left, right);
        expect(offers).to.be.at.most(2 * OUTCOMES + 2);
        if (outcome === undefined) return;
        expect(gain(left, outcome) >= 0n && gain(right, outcome) >= 0n).to.equal(true);
      }),
    );
  });

  it("unmediated, finds an agreement wherever one suits both within as many steps as both can concede", () => {
    let found = 0;
    fc.assert(
      fc.property(sideOf(OUTCOMES), sideOf(OUTCOMES), (left, right) => {
        const ladders = [left, right].map((side) => createConcession(side).ladder);
        const steps = Math.min(...ladders.map(({ length }) => length));
        const [mine = [], theirs = []] = ladders.map((ladder) => ladder.slice(0, steps));
        if (!mine.some((outcome) => theirs.includes(outcome))) return;
        expect(bargain(left, right).outcome).to.not.equal(undefined);
        found++;
      }),
    );
    expect(found).to.be.greaterThan(0);
  });

  it("unmediated, parts from a side that has one outcome to offer and repeats it, although it would suit both", () => {
    const left: Side = { worths: [10n, 9n, 8n, 7n, 6n, 5n], reservation: 0n };
    const right: Side = { worths: [0n, 0n, 0n, 0n, 0n, 3n], reservation: 1n };
    for (const [first, second] of [[left, right] as const, [right, left] as const]) {
      expect(bargain(first, second).outcome).to.equal(undefined);
      expect(chooseNash(first, second)).to.equal(5);
    }
  });

  it("concedes nothing to a side that repeats itself or names outcomes that are none", () => {
    const side: Side = { worths: [10n, 9n, 8n, 7n, 1n], reservation: 0n };
    let [state] = negotiate(createConcession(side));
    const outcomes: number[] = [];
    for (const heard of [4, 4, 99, -1, 4]) {
      const [next, move] = negotiate(state, heard);
      state = next;
      if (move.kind === "offer") outcomes.push(move.outcome);
    }
    expect(outcomes).to.deep.equal([1, 1, 1, 1, 1]);
  });
});
