import {
  createCounterfactualAttributor,
  createEvaluator,
  createLoopState,
  createReport,
  createSearchExplorer,
  createSolverGenerator,
  defaultLoopOptions,
  documentOf,
  judgeRun,
  marketScenarios,
  runLoop,
  type LoopPorts,
  type MarketScenario,
} from "../node/mechanism-loop/index.ts";
import type { Bench, Result } from "./harness/report.ts";

const SEED = 1;
const GOAL_LOSS = 10;
const GOAL_SECONDS = 60;
/** Enough for a quick run to show that it works; its figures are not those of the design. */
const QUICK_ITERATIONS = 3;

export const bench: Bench = {
  profile: "none",
  async run({ isQuick }) {
    const results: Result[] = [];
    for (const scenario of marketScenarios) results.push(...(await measure(scenario, isQuick)));
    return results;
  },
};

async function measure(scenario: MarketScenario, isQuick: boolean): Promise<Result[]> {
  const ports: LoopPorts = {
    explorer: createSearchExplorer(),
    attributor: createCounterfactualAttributor(),
    generator: createSolverGenerator(),
  };
  const options = isQuick ? { ...defaultLoopOptions, maxIterations: QUICK_ITERATIONS } : defaultLoopOptions;
  const { signal } = new AbortController();
  const startMs = performance.now();
  let markets = 0;
  const state = await runLoop(createLoopState(scenario, SEED), scenario, ports, options, signal, (_, { runs }) => {
    markets = runs;
  });
  const loopMs = performance.now() - startMs;
  const judgement = await judgeRun(state, scenario, ports, options, signal);
  const documents = { initial: documentOf(scenario, state.initial), final: documentOf(scenario, state.rules) };
  const report = createReport(scenario, state, judgement, { loopMs, markets }, documents);
  const { before, after } = judgement.heldOut;
  const tokens = (wei: bigint) => Math.round(Number(wei) / 1e4) / 100;
  const share = (part: bigint) => Math.round((Number(part) / Number(before.systemLossWei)) * 1_000) / 10;
  const figure = (
    id: string,
    unit: string,
    value: number,
    goal: number | null,
    note: string,
    better: Result["better"] = "lower",
  ): Result => ({ ...{ id: `${scenario.name}: ${id}`, unit, value, goal, better, note }, peers: {}, ratio: null });
  const first = createEvaluator(scenario, SEED);
  const lost = first.run(state.rules, state.iterations[0]?.attack ?? before.strongest).lossWei;
  return [
    figure(
      "system loss, of the initial",
      "%",
      Math.round(report.lossRatio * 1_000) / 10,
      GOAL_LOSS,
      heldOutNote(report.worlds),
    ),
    figure("regression pass rate", "", judgement.passAfter, 1, `${judgement.passBefore} before`, "higher"),
    figure(
      "loop",
      "s",
      Math.round(loopMs / 100) / 10,
      GOAL_SECONDS,
      `${state.iterations.length} iterations, ${markets} markets`,
    ),
    figure("system loss before", "tokens", tokens(before.systemLossWei), null, before.strongest.family),
    figure("system loss after", "tokens", tokens(after.systemLossWei), null, after.strongest.family),
    figure("first attack after", "tokens", tokens(lost), null, "in the loop's own markets"),
    figure("single-level tuning, of the initial", "%", share(judgement.singleLevel.systemLossWei), null, "baseline"),
    figure(
      "IC violation after",
      "tokens",
      tokens(after.icViolationWei),
      null,
      `${tokens(before.icViolationWei)} before`,
    ),
    figure(
      "IR violation after",
      "tokens",
      tokens(after.irViolationWei),
      null,
      `${tokens(before.irViolationWei)} before`,
    ),
  ];
}

const heldOutNote = (worlds: number) => `strongest attack of a search with another seed in ${worlds} unseen markets`;
