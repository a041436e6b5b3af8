import { expect } from "chai";
import {
  applyEdits,
  attackFamilies,
  clausePaths,
  clauses,
  createEvaluator,
  drawAttack,
  marketScenarios,
  noAttack,
  simulate,
  type Attack,
  type MarketScenario,
  type Rules,
} from "../../../node/mechanism-loop/index.ts";
import { createStream } from "../../../node/mechanism-loop/draw.ts";
import { bitsOf, createWatch, ReadMemo } from "../../../node/mechanism-loop/read-memo.ts";
import { enforceFaults } from "../../../node/mechanism-loop/solver.ts";
import { isNightly } from "../../fixtures/profile.ts";

const questions = isNightly ? 3_000 : 240;

/** Rules and attacks of a walk on which one clause, one gene or nothing changes at a time: most of a loop's questions are like that. */
function* walk(scenario: MarketScenario, seed: number): Generator<readonly [Rules, Attack]> {
  const random = createStream(seed, 5);
  let [rules, attack] = [scenario.initial, noAttack];
  for (;;) {
    const act = random(8);
    if (act === 0) rules = applyEdits(rules, enforceFaults(rules));
    else if (act < 4) {
      const clause = clausePaths[random(clausePaths.length)] as (typeof clausePaths)[number];
      const { ladder } = clauses[clause];
      rules = applyEdits(rules, [{ clause, value: ladder[random(ladder.length)] as bigint }]);
    } else if (act === 4) rules = scenario.initial;
    else if (act === 5) {
      attack = drawAttack(
        attackFamilies[random(attackFamilies.length)] as (typeof attackFamilies)[number],
        scenario,
        random,
      );
    } else {
      const other = drawAttack(attack.family, scenario, random);
      const names = Object.keys(other) as (keyof Attack)[];
      const name = names[random(names.length)] as keyof Attack;
      attack = { ...attack, [name]: other[name] };
    }
    yield [rules, attack];
  }
}

describe("evaluator", function () {
  this.timeout(240_000);

  for (const [k, whole] of marketScenarios.entries()) {
    it(`answers from memory to the unit what the market itself answers: ${whole.name}`, () => {
      const scenario = { ...whole, rounds: 4 };
      const evaluator = createEvaluator(scenario, 7 + k, 1);
      let asked = 0;
      for (const [rules, attack] of walk(scenario, k)) {
        expect(evaluator.run(rules, attack)).to.deep.equal(simulate(scenario, rules, attack, (7 + k) * 1_000));
        if (++asked === questions / marketScenarios.length) break;
      }
      expect(evaluator.runs).to.be.lessThan(asked);
    });
  }
});

describe("memory by what was read", () => {
  it("answers whoever agrees in the fields that were read, and nobody else", () => {
    const memo = new ReadMemo<string>(10);
    memo.keep(["1", "2", "3"], [0, 2], "answer");
    expect(memo.find(["1", "9", "3"])).to.equal("answer");
    expect(memo.find(["1", "2", "4"])).to.equal(undefined);
    memo.keep(["1", "2", "4"], [1], "by the second alone");
    expect(memo.find(["7", "2", "7"])).to.equal("by the second alone");
  });

  it("does not take one field's value for another's", () => {
    const memo = new ReadMemo<string>(10);
    memo.keep(["5", "6"], [0], "first");
    memo.keep(["6", "5"], [1], "second");
    expect(memo.find(["6", "6"])).to.equal(undefined);
    expect(memo.find(["5", "5"])).to.be.oneOf(["first", "second"]);
  });

  it("forgets the oldest answer when it is full", () => {
    const memo = new ReadMemo<number>(2);
    for (const k of [1, 2, 3]) memo.keep([`${k}`], [0], k);
    expect([1, 2, 3].map((k) => memo.find([`${k}`]))).to.deep.equal([undefined, 2, 3]);
  });

  it("notes each field that is looked at, once, and no other", () => {
    const { view, seen } = createWatch<"a" | "b" | "c", number>(["a", "b", "c"])({ a: 1, b: 2, c: 3 });
    expect(view.c + view.a + view.c).to.equal(7);
    expect(bitsOf(seen(), 10)).to.deep.equal([10, 12]);
    expect(() => createWatch(Array.from({ length: 32 }, (_, k) => `${k}`))).to.throw(RangeError);
  });
});
