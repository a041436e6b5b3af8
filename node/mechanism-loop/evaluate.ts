import { setImmediate as nextTurn } from "node:timers/promises";
import { attackKeyOf, genes, type Attack, type Gene } from "./attack.ts";
import { clausePaths, type ClausePath, type Rules } from "./clauses.ts";
import { mergeLosses } from "./losses.ts";
import { simulate, type MarketOutcome } from "./market.ts";
import { bitsOf, createWatch, ReadMemo } from "./read-memo.ts";
import type { MarketScenario } from "./scenario.ts";

/** Runs kept of each world, so that the archive is not simulated again for rules that stayed: some 3 KB each. */
const MAX_KEPT = 20_000;
/** Seeds of worlds of different runs do not meet. */
const WORLD_STRIDE = 1_000;
/** Simulations, a few milliseconds each, before other work of the process gets its turn. */
const RUNS_PER_TURN = 8;

/** Worlds in which every run is repeated: one alone is learnt by heart (measured: rules fitted to one kept 78 % of the initial loss in another). */
export const WORLDS = 3;

/** L(M, φ), summed over some worlds: the same rules, attack and seed give the same money. */
export interface Evaluator {
  readonly scenario: MarketScenario;
  run(rules: Rules, attack: Attack): MarketOutcome;
  /** The loss in the first world alone, for putting many candidates in order. */
  glance(rules: Rules, attack: Attack): bigint;
  /** To be awaited between runs: gives way, and throws the signal's reason. */
  breathe(signal: AbortSignal): Promise<void>;
  /** Markets simulated so far, answers from memory left out. */
  readonly runs: number;
}

export function createEvaluator(scenario: MarketScenario, seed: number, worlds = WORLDS): Evaluator {
  const kept = new Map<string, MarketOutcome>();
  const memos = Array.from({ length: worlds }, () => new ReadMemo<MarketOutcome>(MAX_KEPT));
  let runs = 0;
  let lastTurn = 0;
  const remember = (key: string, outcome: MarketOutcome) => {
    if (kept.size >= MAX_KEPT) kept.delete(kept.keys().next().value as string);
    kept.set(key, outcome);
    return outcome;
  };
  const runWorld = (rules: Rules, attack: Attack, world: number) => {
    const memo = memos[world] as ReadMemo<MarketOutcome>;
    const fields = [...clausePaths.map((name) => `${rules[name]}`), ...genes.map((gene) => `${attack[gene]}`)];
    const known = memo.find(fields);
    if (known !== undefined) return known;
    runs++;
    const [ruled, attacked] = [watchRules(rules), watchAttack(attack)];
    const outcome = simulate(scenario, ruled.view, attacked.view, seed * WORLD_STRIDE + world);
    memo.keep(fields, [...bitsOf(ruled.seen()), ...bitsOf(attacked.seen(), clausePaths.length)], outcome);
    return outcome;
  };
  return {
    scenario,
    run(rules, attack) {
      const key = keyOf(rules, attack, -1);
      return (
        kept.get(key) ??
        remember(key, sumOutcomes(Array.from({ length: worlds }, (_, world) => runWorld(rules, attack, world))))
      );
    },
    glance: (rules, attack) => runWorld(rules, attack, 0).lossWei,
    async breathe(signal) {
      signal.throwIfAborted();
      if (runs - lastTurn < RUNS_PER_TURN) return;
      lastTurn = runs;
      await nextTurn();
      signal.throwIfAborted();
    },
    get runs() {
      return runs;
    },
  };
}

const watchRules = createWatch<ClausePath, bigint>(clausePaths);
const watchAttack = createWatch<Gene, number>(genes);
const keyOf = (rules: Rules, attack: Attack, world: number) => `${world}|${rulesKeyOf(rules)}|${attackKeyOf(attack)}`;

function sumOutcomes(outcomes: readonly MarketOutcome[]): MarketOutcome {
  const [first, ...rest] = outcomes as readonly [MarketOutcome, ...MarketOutcome[]];
  return rest.reduce(
    (sum, next) => ({
      lossWei: sum.lossWei + next.lossWei,
      firstBestWei: sum.firstBestWei + next.firstBestWei,
      honestWei: sum.honestWei + next.honestWei,
      attackerWei: sum.attackerWei + next.attackerWei,
      irViolationWei: sum.irViolationWei + next.irViolationWei,
      incumbentsWei: sum.incumbentsWei.map((wei, k) => wei + (next.incumbentsWei[k] as bigint)),
      losses: mergeLosses(sum.losses, next.losses),
      deals: sum.deals + next.deals,
      newcomerDeals: sum.newcomerDeals + next.newcomerDeals,
      worlds: sum.worlds + next.worlds,
      betrayed: sum.betrayed + next.betrayed,
      unmatched: sum.unmatched + next.unmatched,
    }),
    first,
  );
}

export function rulesKeyOf(rules: Rules): string {
  return clausePaths.map((name) => rules[name]).join(",");
}
