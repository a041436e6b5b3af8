import { expect } from "chai";
import { adoptLaw, createPosterior, observeOutcome, pessimisticLaw, type Posterior } from "#protocol";

const UNIT = 1_000_000n;
const FULL = 10_000n;
const learn = (outcomes: readonly number[], price = FULL): Posterior =>
  outcomes.reduce((posterior, outcome) => observeOutcome(posterior, outcome, price, FULL), createPosterior(3));
const repeat = (outcome: number, times: number) => Array.from({ length: times }, () => outcome);
const expected = (law: readonly bigint[]) => law.reduce((sum, part, o) => sum + Number(part) * o, 0) / Number(UNIT);

describe("learning from receipts", () => {
  it("reckons with the worst of whom it knows nothing", () => {
    expect(pessimisticLaw(createPosterior(3), UNIT, 0.05)).to.deep.equal([UNIT, 0n, 0n]);
  });

  it("comes closer to the mean with more evidence, from below, and stays a law", () => {
    const means = [10, 100, 1_000, 10_000].map((times) => {
      const law = pessimisticLaw(learn([...repeat(2, times * 0.8), ...repeat(0, times * 0.2)]), UNIT, 0.05);
      expect(law.reduce((sum, part) => sum + part, 0n)).to.equal(UNIT);
      expect(law.every((part) => part >= 0n)).to.equal(true);
      return expected(law);
    });
    means.forEach((mean, i) => expect(mean).to.be.above(means[i - 1] ?? -1));
    expect(means.at(-1)).to.be.within(1.55, 1.6);
  });

  it("learns as much from ten deals at a tenth of the full price as from one in full, and no more from a dearer one", () => {
    expect(learn(repeat(2, 10), FULL / 10n).evidence).to.deep.equal(learn([2]).evidence);
    expect(learn([2], FULL * 50n).evidence).to.deep.equal(learn([2]).evidence);
  });

  it("forgets what was won at small prices when a deal is much dearer", () => {
    const cheap = learn(repeat(2, 100_000), FULL / 100n);
    const policy = { errorChance: 0.05, priceFactor: 4n };
    expect(expected(adoptLaw(cheap, FULL / 100n, UNIT, policy))).to.be.above(1.5);
    expect(adoptLaw(cheap, FULL, UNIT, policy)).to.deep.equal([UNIT, 0n, 0n]);
  });

  it("is too hopeful for at most the share of worlds that it names", () => {
    let state = 7;
    const chance = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
    const truth = [0.3, 0.2, 0.5];
    const worlds = 400;
    let hopeful = 0;
    for (let world = 0; world < worlds; world++) {
      const outcomes = Array.from({ length: 60 }, () => {
        const drawn = chance();
        return drawn < 0.3 ? 0 : drawn < 0.5 ? 1 : 2;
      });
      const law = pessimisticLaw(learn(outcomes), UNIT, 0.1);
      if (expected(law) > truth.reduce((sum, part, o) => sum + part * o, 0)) hopeful++;
    }
    expect(hopeful / worlds).to.be.below(0.1);
  });
});
