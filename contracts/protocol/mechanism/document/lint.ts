import type { Finding, LintContext } from "./finding.ts";
import { lintBond } from "./lint-bond.ts";
import { lintCourt, lintDeadlines, lintPenalties, lintReview, lintSplit } from "./lint-clauses.ts";
import { lintAward, lintOutcomes } from "./lint-outcomes.ts";
import type { MechanismDocument } from "./schema.ts";

/** Every finding, clause by clause in the document's order; errors and warnings. */
export function lintMechanism(document: MechanismDocument, context: LintContext = {}): readonly Finding[] {
  return [
    ...lintAdmission(document),
    ...lintAward(document),
    ...lintOutcomes(document),
    ...lintBond(document, context),
    ...lintDeadlines(document, context),
    ...lintReview(document),
    ...lintSplit(document),
    ...lintPenalties(document),
    ...lintCourt(document),
    ...lintEvidence(document),
  ];
}

/** Whether rules may be published: nothing but warnings. */
export const isSound = (findings: readonly Finding[]): boolean => findings.every(({ isWarning }) => isWarning);

function lintAdmission({ admission }: MechanismDocument): Finding[] {
  const { topics } = admission;
  if (topics.length === 0)
    return [
      {
        ...{
          clause: "admission",
          path: "admission.topics",
          kind: "ambiguous",
          code: "ADMISSION_NO_TOPIC",
          isWarning: false,
        },
        reason: "no topic is named: no reader can tell which deals these rules govern, nor whose score admits",
        next: "Name at least one topic.",
      },
    ];
  if (new Set(topics).size === topics.length && !topics.includes("")) return [];
  return [
    {
      ...{
        clause: "admission",
        path: "admission.topics",
        kind: "ambiguous",
        code: "ADMISSION_TOPIC_TWICE",
        isWarning: false,
      },
      reason: "a topic is empty or named twice",
      next: "Name each topic once.",
    },
  ];
}

function lintEvidence({ evidence }: MechanismDocument): Finding[] {
  if (evidence.errorMillionths > 0) return [];
  return [
    {
      ...{
        clause: "evidence",
        path: "evidence.errorMillionths",
        kind: "ambiguous",
        code: "EVIDENCE_CERTAIN",
        isWarning: true,
      },
      reason: "no finite number of receipts makes a law certain: with no room for error nothing is ever learnt",
      next: "Allow an error, 50000 of a million for one in twenty.",
    },
  ];
}
