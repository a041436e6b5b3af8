// What a mechanism is worth when nobody tunes it any more: the same search, before and after, over worlds that the loop never saw.
import { noAttack, type Attack } from "./attack.ts";
import type { Archive } from "./archive.ts";
import { passRate } from "./archive.ts";
import { createEvaluator, type Evaluator } from "./evaluate.ts";
import { surveyFamilies, type SearchEffort } from "./explorer.ts";
import { stepLoop, type LoopOptions, type LoopPorts, type LoopState } from "./loop.ts";
import type { Rules } from "./clauses.ts";
import type { FoundAttack, StrategyExplorer } from "./ports.ts";
import type { MarketScenario } from "./scenario.ts";
import { collateralShortfall, violationsOf } from "./solver.ts";

/** Added to the loop's seed: worlds, and draws of the search, that no edit was chosen by. */
const HELD_OUT = 500_009;
/** Wider than the search inside the loop, so that the judge is not the weaker attacker. */
export const judgeEffort: SearchEffort = { draws: 12, climbs: 3, passes: 2 };

/** One mechanism, judged. Money is summed over the evaluator's worlds. */
export interface Judgement {
  readonly rules: Rules;
  readonly firstBestWei: bigint;
  /** L(M, φ*): the system loss under the strongest attack found. */
  readonly systemLossWei: bigint;
  /** L(M, ∅): what the rules cost when nobody attacks. */
  readonly frictionWei: bigint;
  /** What the best paid attack found brings its attacker beyond honest play; 0 = nobody gains. */
  readonly icViolationWei: bigint;
  /** What honest participants lose in all, each against staying away, under the strongest attack. */
  readonly irViolationWei: bigint;
  /** Exact, of one deal in expectation: the best deviation's gain, and what staying away brings more. */
  readonly dealIcGapWei: bigint;
  readonly dealIrGapWei: bigint;
  readonly collateralShortfallWei: bigint;
  readonly strongest: Attack;
  readonly families: readonly { readonly attack: Attack; readonly lossWei: bigint; readonly gainWei: bigint }[];
}

/** @param known attacks to start from besides draws: the same list for every mechanism that is compared */
export async function judgeRules(
  evaluator: Evaluator,
  rules: Rules,
  known: readonly Attack[],
  seed: number,
  signal: AbortSignal,
  effort: SearchEffort = judgeEffort,
): Promise<Judgement> {
  const { scenario } = evaluator;
  const quiet = evaluator.run(rules, noAttack);
  const found = await surveyFamilies({ evaluator, rules, known, seed }, effort, signal);
  const families = found.map((each) => ({
    attack: each.attack,
    lossWei: each.outcome.lossWei,
    gainWei: gainOf(each, quiet.incumbentsWei),
  }));
  const strongest = found[0] as FoundAttack;
  const isHarmful = strongest.outcome.lossWei > quiet.lossWei;
  const { icWei, irWei } = violationsOf(scenario, rules);
  return {
    rules,
    firstBestWei: quiet.firstBestWei,
    systemLossWei: isHarmful ? strongest.outcome.lossWei : quiet.lossWei,
    frictionWei: quiet.lossWei,
    icViolationWei: families.reduce((most, { gainWei }) => (gainWei > most ? gainWei : most), 0n),
    irViolationWei: (isHarmful ? strongest.outcome : quiet).irViolationWei,
    ...{ dealIcGapWei: icWei, dealIrGapWei: irWei, collateralShortfallWei: collateralShortfall(rules) },
    strongest: isHarmful ? strongest.attack : noAttack,
    families,
  };
}

/** What an attacker has more than it would have had honestly: turncoats would have earned, fresh identities nothing. */
function gainOf({ attack, outcome }: FoundAttack, incumbentsWei: readonly bigint[]): bigint {
  return incumbentsWei.slice(0, attack.turncoats).reduce((gain, honest) => gain - honest, outcome.attackerWei);
}

/** Both ends of a run, and the baselines, judged alike. */
export interface RunJudgement {
  readonly heldOut: { readonly before: Judgement; readonly after: Judgement };
  /** Single-level tuning: edits against the first attack only, which never adapts. */
  readonly singleLevel: Judgement;
  readonly passBefore: number;
  readonly passAfter: number;
  readonly worlds: number;
}

export async function judgeRun(
  state: LoopState,
  scenario: MarketScenario,
  ports: LoopPorts,
  options: LoopOptions,
  signal: AbortSignal,
  effort: SearchEffort = judgeEffort,
): Promise<RunJudgement> {
  const seen = createEvaluator(scenario, state.seed);
  const heldOut = createEvaluator(scenario, state.seed + HELD_OUT);
  const known = attacksOf(state.archive);
  const judge = (rules: Rules) => judgeRules(heldOut, rules, known, state.seed + HELD_OUT, signal, effort);
  const tuned = await tuneSingleLevel(state, seen, ports, options, signal);
  return {
    heldOut: { before: await judge(state.initial), after: await judge(state.rules) },
    singleLevel: await judge(tuned),
    passBefore: passRate(state.archive, seen, state.initial),
    passAfter: passRate(state.archive, seen, state.rules),
    worlds: heldOut.run(state.initial, noAttack).worlds,
  };
}

const attacksOf = (archive: Archive) => archive.map(({ attack }) => attack);

/** The loop without its fast half: the strongest attack on the first rules is all that the edits ever see. */
async function tuneSingleLevel(
  { scenario, seed, initial, iterations }: LoopState,
  evaluator: Evaluator,
  ports: LoopPorts,
  options: LoopOptions,
  signal: AbortSignal,
): Promise<Rules> {
  const attack = iterations[0]?.attack ?? noAttack;
  const explorer: StrategyExplorer = {
    explore: (input) => Promise.resolve({ attack, outcome: input.evaluator.run(input.rules, attack) }),
  };
  let state: LoopState = { scenario, seed, initial, rules: initial, archive: [], iterations: [], isFinished: false };
  while (!state.isFinished) state = await stepLoop(state, evaluator, { ...ports, explorer }, options, signal);
  return state.rules;
}
