import { expect } from "chai";
import fc from "fast-check";
import { lintMechanism, mechanismHashOf } from "#protocol";
import {
  applyEdits,
  attackFamilies,
  changesOf,
  createLoopState,
  decodeLoopState,
  documentOf,
  drawAttack,
  encodeLoopState,
  marketScenarios,
  noAttack,
  policyOf,
  rulesOf,
  simulate,
  type Attack,
  type MarketScenario,
} from "../../../node/mechanism-loop/index.ts";
import { panelError } from "../../../node/mechanism-loop/follower.ts";
import {
  collateralShortfall,
  enforceFaults,
  solvePayments,
  violationsOf,
} from "../../../node/mechanism-loop/solver.ts";
import { createDraw, createStream } from "../../../node/mechanism-loop/draw.ts";

const runs = Number(process.env["SURETY_LOOP_RUNS"] ?? 12);
const scenario = marketScenarios[0] as MarketScenario;
const small = (each: MarketScenario): MarketScenario => ({ ...each, rounds: 6 });
const junk: Attack = { ...noAttack, family: "shirking", turncoats: 3, betrayal: 0 };
const reviewed = applyEdits(scenario.initial, [
  ...enforceFaults(scenario.initial),
  { clause: "review.share", value: 1_000_000n },
  { clause: "deadline.review", value: 259_200n },
]);

describe("simulated market", function () {
  this.timeout(60_000);

  it("gives the same money to the unit for the same rules, attack and seed, and other money for another seed", () => {
    const once = simulate(small(scenario), scenario.initial, junk, 5);
    expect(simulate(small(scenario), scenario.initial, junk, 5)).to.deep.equal(once);
    expect(simulate(small(scenario), scenario.initial, junk, 6).firstBestWei).to.not.equal(once.firstBestWei);
  });

  it("creates no money: what the honest and the attacker have never exceeds the first best", () => {
    const attacks = fc.integer({ min: 0, max: 2 ** 31 - 1 });
    const families = fc.constantFrom(...attackFamilies);
    const markets = fc.constantFrom(...marketScenarios.map(small));
    fc.assert(
      fc.property(markets, families, attacks, (market, family, seed) => {
        const attack = drawAttack(family, market, createStream(seed, 1));
        // Real harm and real worth are not money: without them, all that parties have is what moved between them.
        const worthless = { ...market, rewardsWei: [0n, 0n, 0n] as const, examineCostWei: 0n };
        const { honestWei, attackerWei } = simulate(worthless, market.initial, attack, seed % 1_000);
        expect(honestWei + attackerWei <= 0n).to.equal(true);
      }),
      { numRuns: runs },
    );
  });

  it("lets unexamined junk be paid, and takes the bond of those who are caught", () => {
    const before = simulate(scenario, scenario.initial, junk, 3);
    const after = simulate(scenario, reviewed, junk, 3);
    expect(before.attackerWei > 0n).to.equal(true);
    expect(after.attackerWei < 0n).to.equal(true);
    expect(after.lossWei < before.lossWei).to.equal(true);
  });

  it("books what unexamined junk cost on the clauses that let it through", () => {
    const { losses } = simulate(scenario, scenario.initial, junk, 3);
    const names = losses.slice(0, 4).map(({ step, direction, clause }) => `${step} ${direction} ${clause}`);
    expect(names).to.include("complete raise review.share");
  });

  it("pays nobody for a review that ends while the client is away", () => {
    const sniped = { ...junk, isSniping: 1 };
    const short = applyEdits(reviewed, [{ clause: "deadline.review", value: 21_600n }]);
    const missed = simulate(scenario, short, sniped, 3);
    const caught = simulate(scenario, reviewed, sniped, 3);
    expect(missed.lossWei > caught.lossWei * 2n).to.equal(true);
    expect(missed.losses.some(({ step, clause }) => step === "release" && clause === "deadline.review")).to.equal(true);
  });

  it("loses a tab that is closed while its provider is away, unless the challenge period outlasts it", () => {
    const exchange = marketScenarios[2] as MarketScenario;
    const attack: Attack = {
      ...noAttack,
      family: "deadline-sniping",
      buyers: 3,
      buyerAct: 4,
      buyerTasks: 2,
      buyerSize: 10,
    };
    const patient = applyEdits(exchange.initial, [{ clause: "tab.challengePeriod", value: 86_400n }]);
    const robbed = simulate(exchange, exchange.initial, attack, 3);
    const safe = simulate(exchange, patient, attack, 3);
    expect(robbed.losses[0]).to.include({ step: "close", clause: "tab.challengePeriod", direction: "raise" });
    expect(safe.lossWei < 0n || safe.lossWei * 10n < robbed.lossWei).to.equal(true);
  });

  it("draws by address: what was drawn before changes nothing", () => {
    const draw = createDraw(9);
    const first = draw(1, 2, 3, 1_000_000);
    for (let k = 0; k < 50; k++) draw(k, k, k, 10);
    expect(draw(1, 2, 3, 1_000_000)).to.equal(first);
  });
});

describe("rules of a market", () => {
  it("states the initial rules' faults by the linter, and none once payments and bonds are solved", () => {
    for (const market of marketScenarios) {
      const arbiter = "0x1111111111111111111111111111111111111111";
      const codes = lintMechanism(documentOf(market, market.initial)).map(({ code }) => code);
      expect(codes).to.include.members(["BOND_BELOW_GAIN", "BREAKS_IC"]);
      const enforced = applyEdits(market.initial, [
        ...enforceFaults(market.initial),
        { clause: "review.share", value: 800_000n },
        { clause: "deadline.review", value: 432_000n },
      ]);
      const solved = applyEdits(enforced, solvePayments(market, enforced) ?? []);
      expect(violationsOf(market, solved)).to.deep.equal({ icWei: 0n, irWei: 0n });
      expect(collateralShortfall(market.initial)).to.equal(market.initial["payment.good"]);
      expect(collateralShortfall(solved)).to.equal(0n);
      const errorsOf = (court?: typeof arbiter) =>
        lintMechanism(documentOf(market, solved, undefined, court)).filter(({ isWarning }) => !isWarning);
      expect(errorsOf(arbiter)).to.deep.equal([]);
      const unnamed = new Set(errorsOf().map(({ code }) => code));
      expect([...unnamed].sort(), "a court without an address").to.deep.equal(
        solved["appeal.court"] === 1n ? ["COURT_UNCLEAR"] : [],
      );
    }
  });

  it("finds the least price: one grain less and care is no best response any more", () => {
    const payments = solvePayments(scenario, reviewed) ?? [];
    const solved = applyEdits(reviewed, payments);
    const less = applyEdits(solved, [{ clause: "payment.good", value: solved["payment.good"] - 1_000n }]);
    const { icWei, irWei } = violationsOf(scenario, less);
    expect(icWei + irWei > 0n).to.equal(true);
  });

  it("reads back from a document and its policy what it wrote", () => {
    for (const market of marketScenarios) {
      const rules = applyEdits(reviewed, [{ clause: "payment.good", value: market.initial["payment.good"] }]);
      for (const each of [market.initial, rules]) {
        const document = documentOf(market, each);
        expect(changesOf(each, rulesOf(document, policyOf(each)))).to.deep.equal([]);
        expect(mechanismHashOf(document)).to.match(/^0x[0-9a-f]{64}$/);
      }
    }
  });

  it("reckons a panel's error exactly: three jurors of 15 % err in 6.075 %, and each appeal errs less", () => {
    expect(panelError(3, 150_000)).to.equal(60_750);
    expect([3, 7, 15, 31].map((jurors) => panelError(jurors, 150_000))).to.satisfy((errors: number[]) =>
      errors.every((error, k) => k === 0 || error < (errors[k - 1] as number)),
    );
  });

  it("stores a run as text and refuses what is none", () => {
    const state = createLoopState(scenario, 4);
    const decoded = decodeLoopState(encodeLoopState(state));
    expect(decoded).to.deep.equal({ kind: "accept", value: state });
    const text = encodeLoopState(state);
    for (const wrong of [
      "",
      "[]",
      "{}",
      text.replace('"seed":4', '"seed":"4"'),
      text.replace("review.share", "review.shares"),
    ]) {
      expect(decodeLoopState(wrong).kind, wrong.slice(0, 40)).to.equal("reject");
    }
  });
});
