// What the loop may change of a mechanism: one integer a clause, on a ladder of steps. Everything else of a document (topics,
// token, texts) stays as its author wrote it.

/** Where a clause stands in a mechanism, and how far it goes. Units: the token's smallest, seconds, 1/1,000,000, 1/2^16. */
export interface Clause {
  readonly unit: "token" | "second" | "millionth" | "score" | "count";
  /** Ascending; an edit moves by rungs, a zeroth-order step anywhere between the ends. */
  readonly ladder: readonly bigint[];
  readonly says: string;
}

const percent = (...values: number[]) => values.map((value) => BigInt(Math.round(value * 10_000)));
const hours = (...values: number[]) => values.map((value) => BigInt(Math.round(value * 3_600)));
const score = (...values: number[]) => values.map((value) => BigInt(Math.round(value * 65_536)));
/** Whole tokens of 6 decimals. */
const tokens = (...values: number[]) => values.map((value) => BigInt(Math.round(value * 1_000_000)));

const clauseTable = {
  "admission.credentialLevel": clause(
    "count",
    [0n, 1n, 2n, 3n],
    "credential that an agent shows before its first deal",
  ),
  "admission.minScore": clause(
    "score",
    score(0, 0.02, 0.05, 0.1, 0.2, 0.5, 1),
    "least score, in multiples of the uniform share",
  ),
  "bond.slashShare": clause(
    "score",
    score(0, 0.5, 0.75, 1),
    "λ: share of a bond that a proven fault costs; 0 = no bond",
  ),
  "bond.factorAtZero": clause(
    "score",
    score(1, 1.25, 1.5, 2, 3, 4, 8),
    "how many times the floor an agent without score puts up",
  ),
  "bond.halfScore": clause(
    "score",
    score(0.05, 0.1, 0.25, 0.5, 1, 2),
    "score at which half of what exceeds the floor has gone",
  ),
  "bond.least": clause(
    "token",
    tokens(0, 1, 2, 4, 6, 8, 12, 16, 24, 32),
    "provider's bond whatever the score, per unit of size",
  ),
  "bond.exposure": clause(
    "token",
    tokens(0, 1, 2, 4, 6, 8, 12, 16, 24, 32),
    "harm beyond the price that the curve covers, per unit of size",
  ),
  "bond.client": clause(
    "token",
    tokens(0, 0.25, 0.5, 1, 2, 3, 4, 6, 8, 12),
    "what a client puts up against idle disputes, per unit of size",
  ),
  "payment.good": clause(
    "token",
    tokens(1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    "pay of a good delivery, per unit of size: the price",
  ),
  "payment.partial": clause(
    "token",
    tokens(0, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10),
    "pay of a partial delivery, per unit of size",
  ),
  "deadline.submit": clause("second", hours(6, 12, 24, 36, 48, 72, 120), "from opening to the latest delivery"),
  "deadline.review": clause(
    "second",
    hours(1, 6, 12, 24, 36, 48, 72, 120, 168),
    "how long silence does not yet pay the provider",
  ),
  "deadline.arbitration": clause(
    "second",
    hours(12, 24, 48, 96, 168, 336),
    "from the end of review to the latest ruling",
  ),
  "review.share": clause(
    "millionth",
    percent(0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100),
    "share of deliveries that the client examines",
  ),
  "appeal.court": clause("count", [0n, 1n], "0: nobody rules, and there is no dispute; 1: a court of jurors"),
  "appeal.maxAppeals": clause(
    "count",
    [0n, 1n, 2n, 3n],
    "appeals; each panel has twice the jurors of the one before and one more",
  ),
  "learning.entryPrice": clause(
    "token",
    tokens(0, 5, 10, 20, 50, 100, 200, 400, 1_000),
    "dearest deal of a provider of whom nothing is known",
  ),
  "learning.priceFactor": clause(
    "count",
    [1n, 2n, 3n, 4n, 8n, 16n, 64n, 1_000n],
    "how many times dearer than the dearest good deal the next may be",
  ),
  "learning.minClientScore": clause(
    "score",
    score(0, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5),
    "score that a client needs for its receipts to count as evidence",
  ),
  "tab.unitsPerVoucher": clause(
    "count",
    [1n, 2n, 3n, 5n, 10n, 20n, 50n, 100n],
    "units paid ahead by one voucher of a tab",
  ),
  "tab.challengePeriod": clause(
    "second",
    hours(1, 6, 12, 24, 36, 48, 72, 120, 168),
    "how long a provider may still claim after a client wishes to close",
  ),
} as const satisfies Record<string, Clause>;

function clause(unit: Clause["unit"], ladder: readonly bigint[], says: string): Clause {
  return { unit, ladder, says };
}

export type ClausePath = keyof typeof clauseTable;
export const clauses: Readonly<Record<ClausePath, Clause>> = clauseTable;
export const clausePaths = Object.keys(clauseTable) as readonly ClausePath[];

/** The changeable part of a mechanism. */
export type Rules = Readonly<Record<ClausePath, bigint>>;

export type Direction = "raise" | "lower";

/** A structured edit: a clause and its new value. */
export interface Edit {
  readonly clause: ClausePath;
  readonly value: bigint;
}

/** What was proposed, by whom, and why, in the order in which the edits apply. */
export interface Proposal {
  readonly edits: readonly Edit[];
  /** Which part of a generator made it; shown in the report. */
  readonly origin: string;
  readonly reason: string;
}

export function isClausePath(name: string): name is ClausePath {
  return Object.hasOwn(clauseTable, name);
}

export function boundsOf(name: ClausePath): readonly [min: bigint, max: bigint] {
  const { ladder } = clauses[name];
  return [ladder[0] as bigint, ladder[ladder.length - 1] as bigint];
}

/** The value some rungs away, at least one rung unless the end is reached; values between rungs count as the lower one. */
export function stepClause(name: ClausePath, value: bigint, rungs: number): bigint {
  const { ladder } = clauses[name];
  const above = ladder.findIndex((rung) => rung > value);
  const at = above === -1 ? ladder.length - 1 : Math.max(0, above - 1);
  // From between two rungs, the first step down is to the rung below.
  const isBetween = ladder[at] !== value && rungs < 0;
  const next = Math.min(ladder.length - 1, Math.max(0, at + rungs + (isBetween ? 1 : 0)));
  return ladder[next] as bigint;
}

/** Rules with the edits applied, each clamped to its clause's bounds; a partial delivery never pays more than a good one. */
export function applyEdits(rules: Rules, edits: readonly Edit[]): Rules {
  const next: Record<ClausePath, bigint> = { ...rules };
  for (const { clause: name, value } of edits) {
    const [min, max] = boundsOf(name);
    next[name] = value < min ? min : value > max ? max : value;
  }
  if (next["payment.partial"] > next["payment.good"]) next["payment.partial"] = next["payment.good"];
  return next;
}

/** Edits without those that change nothing. */
export function changesOf(before: Rules, after: Rules): readonly Edit[] {
  return clausePaths
    .filter((name) => before[name] !== after[name])
    .map((name) => ({ clause: name, value: after[name] }));
}

/** A value for people. */
export function describeValue(name: ClausePath, value: bigint): string {
  const amount = Number(value);
  switch (clauses[name].unit) {
    case "token":
      return `${amount / 1_000_000}`;
    case "second":
      return `${Math.round(amount / 360) / 10} h`;
    case "millionth":
      return `${Math.round(amount / 100) / 100} %`;
    case "score":
      return `${Math.round((amount / 65_536) * 1_000) / 1_000}`;
    case "count":
      return `${amount}`;
  }
}
