// The strongest attack by search: draws in every family, then ascent along single genes from the best of them.
import {
  attackFamilies,
  attackKeyOf,
  drawAttack,
  familyRanges,
  genes,
  noAttack,
  withGene,
  type Attack,
} from "./attack.ts";
import { createStream } from "./draw.ts";
import type { Exploration, FoundAttack, StrategyExplorer } from "./ports.ts";

export interface SearchEffort {
  /** Draws in each family. */
  readonly draws: number;
  /** Starts from which genes are climbed: the best of different families. */
  readonly climbs: number;
  /** Passes over all genes of a climb; it ends earlier at a top. */
  readonly passes: number;
}

/** The strongest attack of each family that was found, strongest first: what a report compares before and after. */
export async function surveyFamilies(
  input: Exploration,
  effort: SearchEffort,
  signal: AbortSignal,
): Promise<readonly FoundAttack[]> {
  const best = bestOfFamilies(await draw(input, effort.draws, signal));
  const climbed: FoundAttack[] = [];
  for (const [k, start] of best.entries())
    climbed.push(k < effort.climbs ? await climb(input, start, effort.passes, signal) : start);
  return climbed.sort(byLoss);
}

export const defaultEffort: SearchEffort = { draws: 8, climbs: 2, passes: 1 };

export function createSearchExplorer(effort: SearchEffort = defaultEffort): StrategyExplorer {
  return {
    async explore(input, signal) {
      const starts = await draw(input, effort.draws, signal);
      let best = starts[0] as FoundAttack;
      for (const start of bestOfFamilies(starts).slice(0, effort.climbs)) {
        const top = await climb(input, start, effort.passes, signal);
        if (top.outcome.lossWei > best.outcome.lossWei) best = top;
      }
      return best;
    },
  };
}

/** Every start, strongest first: nobody attacking, what is known, and draws. */
async function draw({ evaluator, rules, known, seed }: Exploration, draws: number, signal: AbortSignal) {
  const found = new Map<string, FoundAttack>();
  const attempt = async (attack: Attack) => {
    const key = attackKeyOf(attack);
    if (found.has(key)) return;
    await evaluator.breathe(signal);
    found.set(key, { attack, outcome: evaluator.run(rules, attack) });
  };
  for (const attack of [noAttack, ...known]) await attempt(attack);
  for (const [k, family] of attackFamilies.entries()) {
    if (family === "none") continue;
    const random = createStream(seed, k);
    for (let n = 0; n < draws; n++) await attempt(drawAttack(family, evaluator.scenario, random));
  }
  return [...found.values()].sort(byLoss);
}

const byLoss = (a: FoundAttack, b: FoundAttack) =>
  a.outcome.lossWei === b.outcome.lossWei
    ? attackKeyOf(a.attack) < attackKeyOf(b.attack)
      ? -1
      : 1
    : a.outcome.lossWei > b.outcome.lossWei
      ? -1
      : 1;

function bestOfFamilies(sorted: readonly FoundAttack[]): readonly FoundAttack[] {
  const seen = new Set<string>();
  return sorted.filter(({ attack: { family } }) => family !== "none" && !seen.has(family) && seen.add(family));
}

/** One gene at a time to its best value within the family, until a pass changes nothing. */
async function climb(
  { evaluator, rules }: Exploration,
  start: FoundAttack,
  passes: number,
  signal: AbortSignal,
): Promise<FoundAttack> {
  const { scenario } = evaluator;
  const ranges = familyRanges(start.attack.family, scenario);
  let best = start;
  for (let pass = 0; pass < passes; pass++) {
    const before = best.outcome.lossWei;
    for (const gene of genes) {
      for (const value of ranges[gene]) {
        if (value === best.attack[gene]) continue;
        await evaluator.breathe(signal);
        const attack = withGene(best.attack, gene, value, scenario);
        const outcome = evaluator.run(rules, attack);
        if (outcome.lossWei > best.outcome.lossWei) best = { attack, outcome };
      }
    }
    if (best.outcome.lossWei === before) break;
  }
  return best;
}
