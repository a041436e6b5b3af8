// The semantic-gradient loop (arXiv 2606.17368 eq. 20–25): M(k) → φ*(M(k)) → attribution → edit → M(k+1), one iteration a step. The
// state is plain values, so that a run can be stopped, stored and resumed anywhere between two steps.
import { addAttack, findRegression, fixLimits, worstLoss, type Archive, type Regression } from "./archive.ts";
import { noAttack, type Attack } from "./attack.ts";
import { applyEdits, changesOf, type Edit, type Proposal, type Rules } from "./clauses.ts";
import { createEvaluator, type Evaluator } from "./evaluate.ts";
import type { Attribution, Attributor, FoundAttack, MechanismGenerator, StrategyExplorer } from "./ports.ts";
import type { MarketScenario } from "./scenario.ts";
import { collateralShortfall } from "./solver.ts";

export interface LoopPorts {
  readonly explorer: StrategyExplorer;
  readonly attributor: Attributor;
  readonly generator: MechanismGenerator;
}

/** What happened in one iteration. */
export interface Iteration {
  readonly attack: Attack;
  /** Under the rules of its start. */
  readonly lossWei: bigint;
  readonly attackerWei: bigint;
  readonly attributions: readonly Attribution[];
  readonly proposed: number;
  /** Proposals that helped against this attack and were refused because an archived one came back. */
  readonly regressions: number;
  /** Undefined where no proposal passed. */
  readonly accepted: { readonly edits: readonly Edit[]; readonly origin: string; readonly reason: string } | undefined;
  /** The largest loss of the archive, after the iteration. */
  readonly worstWei: bigint;
}

export interface LoopState {
  readonly scenario: string;
  readonly seed: number;
  readonly initial: Rules;
  readonly rules: Rules;
  readonly archive: Archive;
  readonly iterations: readonly Iteration[];
  readonly isFinished: boolean;
}

export interface LoopOptions {
  readonly maxIterations: number;
  /** Iterations without an accepted edit, or without a better worst case, until the loop ends. */
  readonly patience: number;
}

export const defaultLoopOptions: LoopOptions = { maxIterations: 24, patience: 3 };

/** ε: a twentieth of the first best, about what it costs to examine every delivery: less is friction, not an attack that came back. */
const TOLERANCE_SHARE = [5n, 100n] as const;
/** Proposals that go through the whole suite, best against the attack at hand first. */
const MAX_SUITE_RUNS = 24;

export function createLoopState(scenario: MarketScenario, seed: number, initial: Rules = scenario.initial): LoopState {
  return { scenario: scenario.name, seed, initial, rules: initial, archive: [], iterations: [], isFinished: false };
}

export function toleranceOf(evaluator: Evaluator, rules: Rules): bigint {
  return (evaluator.run(rules, noAttack).firstBestWei * TOLERANCE_SHARE[0]) / TOLERANCE_SHARE[1];
}

/** One iteration. The same state, ports and seed give the same next state. */
export async function stepLoop(
  state: LoopState,
  evaluator: Evaluator,
  ports: LoopPorts,
  options: LoopOptions,
  signal: AbortSignal,
): Promise<LoopState> {
  const { rules } = state;
  const number = state.iterations.length;
  const seed = state.seed * 1_000 + number;
  const known = state.archive.map(({ attack }) => attack);
  const found = await ports.explorer.explore({ evaluator, rules, known, seed }, signal);
  const archive = addAttack(state.archive, found.attack, number, found.outcome.lossWei);
  const attributions = await ports.attributor.attribute({ ...found, evaluator, rules }, signal);
  const stand: Stand = { evaluator, rules, archive, found };
  const effort = 1 + stallOf(state.iterations);
  const { scenario } = evaluator;
  const proposals = await ports.generator.propose(
    { ...found, evaluator, rules, attributions, seed, scenario, effort },
    signal,
  );
  const first = await chooseEdit(proposals, stand, signal);
  const choice = first.rules === undefined ? await repair(first, stand, ports, { seed, effort }, signal) : first;
  const next = choice.rules ?? rules;
  const tolerance = toleranceOf(evaluator, next);
  const iteration: Iteration = {
    ...{ attack: found.attack, lossWei: found.outcome.lossWei, attackerWei: found.outcome.attackerWei, attributions },
    ...{ proposed: choice.proposed, regressions: choice.regressions, accepted: choice.accepted },
    worstWei: worstLoss(archive, evaluator, next),
  };
  const iterations = [...state.iterations, iteration];
  return {
    ...{ ...state, rules: next, iterations },
    archive: choice.rules === undefined ? archive : fixLimits(archive, evaluator, next, tolerance),
    isFinished: iterations.length >= options.maxIterations || stallOf(iterations) >= options.patience,
  };
}

/** How many iterations in a row, up to now, accepted nothing. */
function stallOf(iterations: readonly Iteration[]): number {
  return iterations.length - 1 - iterations.findLastIndex(({ accepted }) => accepted !== undefined);
}

interface Choice {
  readonly rules: Rules | undefined;
  readonly accepted: Iteration["accepted"];
  readonly proposed: number;
  readonly regressions: number;
  /** What helped against the attack at hand and let another one back in, most helpful first. */
  readonly refused: readonly Refused[];
}

interface Refused {
  readonly proposal: Proposal;
  readonly next: Rules;
  readonly regression: Regression;
}

interface Stand {
  readonly evaluator: Evaluator;
  readonly rules: Rules;
  readonly archive: Archive;
  readonly found: FoundAttack;
}

/**
 * Among the proposals that hurt the attack at hand most, the one under which the worst of the archive is least. Solver and suite decide: an edit is
 * refused if it leaves a bond that does not cover a fault where the present one does, or if an archived attack comes back.
 */
async function chooseEdit(proposals: readonly Proposal[], stand: Stand, signal: AbortSignal): Promise<Choice> {
  const { evaluator, rules, archive, found } = stand;
  const tolerance = toleranceOf(evaluator, rules);
  const shortfall = collateralShortfall(rules);
  const present = evaluator.glance(rules, found.attack);
  const candidates: { proposal: Proposal; next: Rules; lossWei: bigint }[] = [];
  for (const proposal of proposals) {
    await evaluator.breathe(signal);
    const next = applyEdits(rules, proposal.edits);
    if (collateralShortfall(next) > shortfall) continue;
    const lossWei = evaluator.glance(next, found.attack);
    if (lossWei < present) candidates.push({ proposal, next, lossWei });
  }
  candidates.sort((a, b) => (a.lossWei === b.lossWei ? 0 : a.lossWei < b.lossWei ? -1 : 1));
  const refused: Refused[] = [];
  let best: { proposal: Proposal; next: Rules; worstWei: bigint; sumWei: bigint } | undefined;
  for (const { proposal, next } of candidates.slice(0, MAX_SUITE_RUNS)) {
    const regression = await findRegression(archive, evaluator, { before: rules, after: next }, tolerance, signal);
    if (regression !== undefined) {
      refused.push({ proposal, next, regression });
      continue;
    }
    const losses = archive.map(({ attack }) => evaluator.run(next, attack).lossWei);
    const worstWei = losses.reduce((most, loss) => (loss > most ? loss : most));
    const sumWei = losses.reduce((sum, loss) => sum + loss, 0n);
    if (best === undefined || worstWei < best.worstWei || (worstWei === best.worstWei && sumWei < best.sumWei)) {
      best = { proposal, next, worstWei, sumWei };
    }
  }
  const counts = { proposed: proposals.length, regressions: refused.length, refused };
  if (best === undefined) return { ...counts, rules: undefined, accepted: undefined };
  const { origin, reason } = best.proposal;
  return { ...counts, rules: best.next, accepted: { edits: changesOf(rules, best.next), origin, reason } };
}

/** Refused edits that are followed up: each costs an attribution and a round of proposals. */
const MAX_REPAIRS = 2;

/**
 * Nothing passed: the refusals name the attacks that came back. Each of the most helpful edits is attributed under that attack and
 * edited further, and what comes of both together is judged as any proposal is.
 */
async function repair(
  first: Choice,
  stand: Stand,
  ports: LoopPorts,
  { seed, effort }: { readonly seed: number; readonly effort: number },
  signal: AbortSignal,
): Promise<Choice> {
  const { evaluator, rules } = stand;
  let { proposed, regressions } = first;
  for (const { proposal, next, regression } of first.refused.slice(0, MAX_REPAIRS)) {
    const back = { attack: regression.attack, outcome: evaluator.run(next, regression.attack), evaluator, rules: next };
    const attributions = await ports.attributor.attribute(back, signal);
    const input = { ...back, attributions, seed: seed + 500, scenario: evaluator.scenario, effort };
    const follow = await ports.generator.propose(input, signal);
    const joint = follow.map((more) => ({
      edits: changesOf(rules, applyEdits(next, more.edits)),
      origin: `${proposal.origin}, repaired by ${more.origin}`,
      reason: `${proposal.reason}; then against what came back: ${more.reason}`,
    }));
    const choice = await chooseEdit(joint, stand, signal);
    proposed += choice.proposed;
    regressions += choice.regressions;
    if (choice.rules !== undefined) return { ...choice, proposed, regressions };
  }
  return { ...first, proposed, regressions };
}

/** Runs to the end. `onStep` is awaited after each iteration: to show it, and to store the state. */
export async function runLoop(
  start: LoopState,
  scenario: MarketScenario,
  ports: LoopPorts,
  options: LoopOptions,
  signal: AbortSignal,
  onStep: (state: LoopState, evaluator: Evaluator) => void | Promise<void> = () => undefined,
): Promise<LoopState> {
  const evaluator = createEvaluator(scenario, start.seed);
  let state = start;
  while (!state.isFinished) {
    state = await stepLoop(state, evaluator, ports, options, signal);
    await onStep(state, evaluator);
  }
  return state;
}
