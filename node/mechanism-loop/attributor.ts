// Which clause let an attack through: what the machines booked at each step, then each suspect moved alone in the same run.
import { boundsOf, clauses, describeValue, stepClause, type ClausePath } from "./clauses.ts";
import type { LossEntry } from "./losses.ts";
import type { Attribution, Attributor, Found } from "./ports.ts";

/** Suspects that are tried one by one: two runs each. */
const MAX_TRIED = 12;

export function createCounterfactualAttributor(): Attributor {
  return {
    async attribute(found, signal) {
      const suspects = groupByClause(found.outcome.losses).filter((suspect) => canMove(found, suspect));
      const tried: Attribution[] = [];
      for (const [k, suspect] of suspects.entries()) {
        await found.evaluator.breathe(signal);
        tried.push(k < MAX_TRIED ? tryAlone(found, suspect) : suspect);
      }
      const gainOf = ({ gainWei }: Attribution) => gainWei ?? 0n;
      return tried.sort((a, b) => {
        if (gainOf(a) !== gainOf(b)) return gainOf(a) > gainOf(b) ? -1 : 1;
        return a.bookedWei === b.bookedWei ? 0 : a.bookedWei > b.bookedWei ? -1 : 1;
      });
    },
  };
}

function groupByClause(losses: readonly LossEntry[]): Attribution[] {
  const groups = new Map<string, LossEntry[]>();
  for (const entry of losses) {
    const key = `${entry.direction} ${entry.clause}`;
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  return [...groups.values()]
    .map((entries) => {
      const [{ clause, direction }] = entries as [LossEntry];
      const bookedWei = entries.reduce((sum, { lossWei }) => sum + lossWei, 0n);
      const steps = [...new Set(entries.map(({ step }) => step))];
      const times = entries.reduce((sum, { count }) => sum + count, 0);
      const evidence = `${Number(bookedWei) / 1e6} lost at ${steps.join(", ")}, in ${times} cases`;
      return { clause, direction, steps, bookedWei, gainWei: undefined, evidence };
    })
    .sort((a, b) => (a.bookedWei === b.bookedWei ? 0 : a.bookedWei > b.bookedWei ? -1 : 1));
}

function canMove({ rules }: Found, { clause, direction }: Attribution): boolean {
  const [min, max] = boundsOf(clause);
  return direction === "raise" ? rules[clause] < max : rules[clause] > min;
}

/** By how much the loss falls when one clause goes one rung, or all the way, and nothing else changes. */
function tryAlone({ evaluator, rules, attack, outcome }: Found, suspect: Attribution): Attribution {
  const { clause, direction } = suspect;
  const rungs = direction === "raise" ? 1 : -1;
  const candidates = [
    stepClause(clause, rules[clause], rungs),
    stepClause(clause, rules[clause], rungs * clauses[clause].ladder.length),
  ];
  const gains = candidates.map((value) => ({
    value,
    gainWei: outcome.lossWei - evaluator.run({ ...rules, [clause]: value }, attack).lossWei,
  }));
  const best = gains.reduce((most, next) => (next.gainWei > most.gainWei ? next : most));
  return {
    ...suspect,
    gainWei: best.gainWei,
    evidence: `${suspect.evidence}; ${describeMove(clause, rules[clause], best.value)} alone changes the loss by ${Number(-best.gainWei) / 1e6}`,
  };
}

export function describeMove(clause: ClausePath, from: bigint, to: bigint): string {
  return `${clause} ${describeValue(clause, from)} → ${describeValue(clause, to)}`;
}
