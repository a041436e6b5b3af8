// Edits by solver and search: along the attributed gradients, single and together; exact payments and bonds; and small random steps.
import {
  applyEdits,
  boundsOf,
  changesOf,
  clausePaths,
  clauses,
  stepClause,
  type Edit,
  type Proposal,
  type Rules,
} from "./clauses.ts";
import { createStream } from "./draw.ts";
import type { Attributed, Attribution, MechanismGenerator } from "./ports.ts";
import { enforceFaults, solvePayments } from "./solver.ts";

/** Gradients that are followed. */
const MAX_GRADIENTS = 8;
/** Gradients that are combined with each other. */
const MAX_COMBINED = 5;
const ZEROTH_ORDER_STEPS = 8;
/** Clauses that move in one random step. */
const PERTURBED = 3;
const FAR = 100;

export function createSolverGenerator(): MechanismGenerator {
  return {
    propose(input) {
      const { rules, scenario } = input;
      const proposals = [...fromSolver(input), ...fromGradients(input), ...atRandom(input)];
      // Payments follow the other clauses: each proposal also comes with the payments that its rules need.
      const solved = proposals.flatMap((proposal) => {
        const next = applyEdits(rules, proposal.edits);
        const payments = solvePayments(scenario, next);
        if (payments === undefined) return [];
        const edits = changesOf(rules, applyEdits(next, payments));
        return [{ edits, origin: `${proposal.origin} + payments`, reason: proposal.reason }];
      });
      return Promise.resolve(distinct(rules, [...proposals, ...solved]));
    },
  };
}

function fromSolver({ rules, scenario }: Attributed): Proposal[] {
  const enforced = enforceFaults(rules);
  const proposals: Proposal[] = [
    {
      edits: enforced,
      origin: "solver",
      reason: "a proven fault has to cost at least what it brings: λ·q_min ≥ G_max",
    },
  ];
  const payments = solvePayments(scenario, rules);
  if (payments !== undefined) {
    proposals.push({ edits: payments, origin: "solver", reason: "least payments under which care is a best response" });
  }
  return proposals;
}

function fromGradients({ rules, attributions }: Attributed): Proposal[] {
  const gradients = attributions.slice(0, MAX_GRADIENTS);
  const single = gradients.flatMap((gradient) =>
    [1, 2, 4, FAR].map((rungs) => ({
      edits: [move(rules, gradient, rungs)],
      origin: "gradient",
      reason: gradient.evidence,
    })),
  );
  const top = gradients.slice(0, MAX_COMBINED);
  const pairs = top.flatMap((first, i) =>
    top.slice(i + 1).flatMap((second) =>
      [1, 3].map((rungs) => ({
        edits: [move(rules, first, rungs), move(rules, second, rungs)],
        origin: "gradients together",
        reason: `${first.evidence}; ${second.evidence}`,
      })),
    ),
  );
  const bundles = [3, 5, 8].flatMap((count) =>
    [1, 2, 4].map((rungs) => ({
      edits: [...enforceFaults(rules), ...gradients.slice(0, count).map((gradient) => move(rules, gradient, rungs))],
      origin: "gradients together",
      reason: `the ${count} strongest gradients, with faults enforced`,
    })),
  );
  return [...single, ...pairs, ...bundles];
}

function move(rules: Rules, { clause, direction }: Attribution, rungs: number): Edit {
  return { clause, value: stepClause(clause, rules[clause], direction === "raise" ? rungs : -rungs) };
}

/** A zeroth-order step: a few clauses move by a draw each, up to a fifth of their range; whether it helps, the runs say. */
function atRandom({ rules, seed, effort }: Attributed): Proposal[] {
  const random = createStream(seed, 77);
  return Array.from({ length: ZEROTH_ORDER_STEPS * effort }, () => {
    const edits = Array.from({ length: PERTURBED }, () => {
      const clause = clausePaths[random(clausePaths.length)] as (typeof clausePaths)[number];
      const isUp = random(2) === 1;
      if (clauses[clause].unit === "count") return { clause, value: stepClause(clause, rules[clause], isUp ? 1 : -1) };
      const [min, max] = boundsOf(clause);
      const step = ((max - min) * BigInt(random(1_000) + 1)) / 5_000n;
      return { clause, value: isUp ? rules[clause] + step : rules[clause] - step };
    });
    return { edits, origin: "zeroth order", reason: "a random step" };
  });
}

/** Without proposals that change nothing or come to the same rules as another. */
function distinct(rules: Rules, proposals: readonly Proposal[]): Proposal[] {
  const seen = new Set<string>();
  return proposals.flatMap((proposal) => {
    const edits = changesOf(rules, applyEdits(rules, proposal.edits));
    const key = edits.map(({ clause, value }) => `${clause}=${value}`).join();
    if (edits.length === 0 || seen.has(key)) return [];
    seen.add(key);
    return [{ ...proposal, edits }];
  });
}
