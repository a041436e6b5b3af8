// A run as text, to be stored after each iteration and taken up again. Money is decimal text; what is read is checked as a stranger's file is.
import { accept, reject, type Verdict } from "#protocol";
import { attackFamilies, genes, type Attack } from "./attack.ts";
import { clausePaths, type Rules } from "./clauses.ts";
import type { Iteration, LoopState } from "./loop.ts";

const KIND = "surety-mechanism-run";
/** Iterations and archived attacks of one run stay far below; a file with more was not written here. */
const MAX_ENTRIES = 1_000;

/** Every bigint is text with an n at its end, so that it comes back as one. */
export function encodeLoopState(state: LoopState): string {
  const text = JSON.stringify({ kind: KIND, version: 1, state }, (_, value: unknown) =>
    typeof value === "bigint" ? `${value}n` : value,
  );
  return `${text}\n`;
}

/** Rejects RUN_FORM: no JSON, another kind or version, rules or attacks that are none. */
export function decodeLoopState(text: string): Verdict<LoopState> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text, (_, value: unknown) =>
      typeof value === "string" && /^-?\d{1,78}n$/.test(value) ? BigInt(value.slice(0, -1)) : value,
    );
  } catch {
    return reject("RUN_FORM", "not JSON");
  }
  const { kind, version, state } = (parsed ?? {}) as Record<string, unknown>;
  if (kind !== KIND || version !== 1)
    return reject("RUN_FORM", `kind ${String(kind).slice(0, 32)}, version ${String(version).slice(0, 8)}`);
  const fault = faultOf(state);
  return fault === undefined ? accept(state as LoopState) : reject("RUN_FORM", fault);
}

function faultOf(state: unknown): string | undefined {
  const { scenario, seed, initial, rules, archive, iterations, isFinished } = (state ?? {}) as Record<string, unknown>;
  if (typeof scenario !== "string" || !Number.isSafeInteger(seed) || typeof isFinished !== "boolean")
    return "scenario, seed or isFinished";
  if (!isRules(initial) || !isRules(rules)) return "rules";
  if (!isListOf(archive, isArchived)) return "archive";
  return isListOf(iterations, isIteration) ? undefined : "iterations";
}

const isListOf = (value: unknown, isEntry: (entry: Record<string, unknown>) => boolean) =>
  Array.isArray(value) &&
  value.length <= MAX_ENTRIES &&
  value.every((entry) => typeof entry === "object" && entry !== null && isEntry(entry as Record<string, unknown>));

function isRules(value: unknown): value is Rules {
  if (typeof value !== "object" || value === null) return false;
  const record = value as Record<string, unknown>;
  return (
    Object.keys(record).length === clausePaths.length && clausePaths.every((path) => typeof record[path] === "bigint")
  );
}

export function isAttack(value: unknown): value is Attack {
  if (typeof value !== "object" || value === null) return false;
  const record = value as Record<string, unknown>;
  return (
    attackFamilies.includes(record["family"] as never) &&
    genes.every((gene) => Number.isSafeInteger(record[gene]) && (record[gene] as number) >= 0)
  );
}

function isArchived({ attack, iteration, foundLossWei, limitWei }: Record<string, unknown>): boolean {
  const hasLimit = limitWei === undefined || typeof limitWei === "bigint";
  return isAttack(attack) && Number.isSafeInteger(iteration) && typeof foundLossWei === "bigint" && hasLimit;
}

function isIteration(entry: Record<string, unknown>): boolean {
  const { attack, lossWei, attackerWei, worstWei, attributions, proposed, regressions } = entry as Partial<
    Record<keyof Iteration, unknown>
  >;
  return (
    isAttack(attack) &&
    [lossWei, attackerWei, worstWei].every((amount) => typeof amount === "bigint") &&
    Array.isArray(attributions) &&
    [proposed, regressions].every(Number.isSafeInteger)
  );
}
