import { expect } from "chai";
import { badShareOf, HALF_LIFE_SECONDS, readRisk, voicesOf, type Opinion } from "../../../node/reputation/risk.ts";

const opinion = (isPraise: boolean, client = 1, ageSeconds = 0): Opinion => ({ client, isPraise, ageSeconds });
const loud = () => 1;

describe("risk reading", () => {
  it("is the topic's average for a stranger, falls with praise, and rises with complaints", () => {
    const risks = [
      [opinion(true), opinion(true)],
      [opinion(true)],
      [],
      [opinion(true), opinion(false)],
      [opinion(false)],
      [opinion(false), opinion(false)],
    ].map((opinions) => readRisk(opinions, loud, 0.1).risk);
    expect(risks[2]).to.equal(0.1);
    expect(risks).to.deep.equal(risks.toSorted((a, b) => a - b));
    expect(new Set(risks).size).to.equal(6);
    expect(readRisk([opinion(false)], loud, 0.1)).to.deep.include({ praise: 0, complaints: 1, risk: 1.2 / 3 });
  });

  it("counts an opinion half after each half-life", () => {
    const aged = [opinion(false, 1, HALF_LIFE_SECONDS), opinion(true, 1, 2 * HALF_LIFE_SECONDS)];
    expect(readRisk(aged, loud, 0.5)).to.deep.include({ complaints: 0.5, praise: 0.25 });
    expect(readRisk(aged, loud, 0.5, Infinity)).to.deep.include({ complaints: 1, praise: 1 });
  });

  it("hears nobody without a score, so that a thousand new identities neither praise nor ruin anybody", () => {
    const voices = voicesOf([5, 40, 10, 0]);
    expect([...voices]).to.deep.equal([0, 1, 0.6, 0]);
    const own = [opinion(true, 1), opinion(false, 2)];
    const flood = Array.from({ length: 1_000 }, (_, k) => opinion(k % 3 === 0, k % 2 === 0 ? 3 : 0));
    const heard = (opinions: readonly Opinion[]) => readRisk(opinions, (seat) => voices[seat] as number, 0.1);
    expect(heard([...own, ...flood])).to.deep.equal(heard(own));
    expect([...voicesOf([7, 0, 0])]).to.deep.equal([0, 0, 0]);
  });

  it("knows an average within (0, 1) whatever was said", () => {
    expect(badShareOf([])).to.equal(0.5);
    expect(badShareOf([opinion(true), opinion(true), opinion(false)])).to.equal(1.5 / 4);
    expect(badShareOf(Array.from({ length: 99 }, () => opinion(true)))).to.equal(0.005);
  });
});
