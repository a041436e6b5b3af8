import { expect } from "chai";
import {
  addAttack,
  attackKeyOf,
  createCounterfactualAttributor,
  createEvaluator,
  createLoopState,
  createReport,
  createSearchExplorer,
  createSolverGenerator,
  decodeLoopState,
  documentOf,
  encodeLoopState,
  findRegression,
  judgeRun,
  marketScenarios,
  noAttack,
  plotFamilies,
  plotLoss,
  renderReport,
  runLoop,
  stepLoop,
  toleranceOf,
  type LoopPorts,
  type LoopState,
  type MarketScenario,
} from "../../../node/mechanism-loop/index.ts";
import { changesOf } from "../../../node/mechanism-loop/clauses.ts";
import { collateralShortfall } from "../../../node/mechanism-loop/solver.ts";

const effort = { draws: 2, climbs: 1, passes: 1 };
const options = { maxIterations: 2, patience: 2 };
const scenario: MarketScenario = { ...(marketScenarios[0] as MarketScenario), rounds: 6 };
const ports: LoopPorts = {
  explorer: createSearchExplorer(effort),
  attributor: createCounterfactualAttributor(),
  generator: createSolverGenerator(),
};
const { signal } = new AbortController();

describe("semantic-gradient loop", function () {
  this.timeout(240_000);
  let end: LoopState;

  before(async () => {
    end = await runLoop(createLoopState(scenario, 3), scenario, ports, options, signal);
  });

  it("lowers the loss of every attack that it found, and leaves no bond below what a fault brings", () => {
    const evaluator = createEvaluator(scenario, 3);
    expect(end.iterations[0]?.accepted).to.not.equal(undefined);
    for (const { attack, foundLossWei } of end.archive) {
      expect(evaluator.run(end.rules, attack).lossWei <= foundLossWei + toleranceOf(evaluator, end.rules)).to.equal(
        true,
      );
    }
    const first = end.archive[0];
    expect(first !== undefined && evaluator.run(end.rules, first.attack).lossWei * 2n < first.foundLossWei).to.equal(
      true,
    );
    expect(collateralShortfall(end.rules) <= collateralShortfall(end.initial)).to.equal(true);
  });

  it("comes to the same rules when it is stopped after an iteration, stored and taken up again", async () => {
    const evaluator = createEvaluator(scenario, 3);
    const once = await stepLoop(createLoopState(scenario, 3), evaluator, ports, options, signal);
    const stored = decodeLoopState(encodeLoopState(once));
    if (stored.kind !== "accept") throw new Error(stored.detail);
    const resumed = await runLoop(stored.value, scenario, ports, options, signal);
    expect(resumed).to.deep.equal(end);
  });

  it("refuses edits under which an archived attack comes back, whoever proposes them", async () => {
    const evaluator = createEvaluator(scenario, 3);
    const attack = end.iterations[0]?.attack ?? noAttack;
    const archive = addAttack([], attack, 0, 0n);
    const rules = { before: end.rules, after: end.initial };
    const regression = await findRegression(archive, evaluator, rules, toleranceOf(evaluator, end.rules), signal);
    expect(regression?.attack).to.deep.equal(attack);
    const edits = changesOf(end.rules, end.initial);
    const generator = { propose: () => Promise.resolve([{ edits, origin: "a model", reason: "trust me" }]) };
    const next = await stepLoop(end, evaluator, { ...ports, generator }, options, signal);
    expect(next.iterations.at(-1)?.proposed).to.be.above(0);
    expect(next.iterations.at(-1)?.accepted).to.equal(undefined);
    expect(next.rules).to.deep.equal(end.rules);
  });

  it("finds with the same seed the same attack, at least as strong as every draw that it began with", async () => {
    const evaluator = createEvaluator(scenario, 3);
    const input = { evaluator, rules: scenario.initial, known: [], seed: 8 };
    const found = await ports.explorer.explore(input, signal);
    const again = await ports.explorer.explore({ ...input, evaluator: createEvaluator(scenario, 3) }, signal);
    expect(attackKeyOf(again.attack)).to.equal(attackKeyOf(found.attack));
    const without = await createSearchExplorer({ ...effort, climbs: 0 }).explore(input, signal);
    expect(found.outcome.lossWei >= without.outcome.lossWei).to.equal(true);
  });

  it("stops with the signal's reason", async () => {
    const reason = new Error("enough");
    const run = runLoop(createLoopState(scenario, 3), scenario, ports, options, AbortSignal.abort(reason));
    expect(await run.catch((error: unknown) => error)).to.equal(reason);
  });

  it("reports both ends of a run, with plots that are SVG and text that names every archived family", async () => {
    const judgement = await judgeRun(end, scenario, ports, options, signal, effort);
    const documents = { initial: documentOf(scenario, end.initial), final: documentOf(scenario, end.rules) };
    const report = createReport(scenario, end, judgement, { loopMs: 1_000, markets: 10 }, documents);
    const text = renderReport(scenario, report);
    expect(judgement.passAfter).to.equal(1);
    expect(report.lossRatio).to.be.below(1);
    for (const { attack } of end.iterations) expect(text).to.include(attack.family);
    for (const plot of [plotLoss(report), plotFamilies(report)]) {
      expect(plot).to.match(/^<svg [^]*<\/svg>\n$/);
      expect(plot).to.not.match(/NaN|undefined|Infinity|<script/);
    }
  });
});
