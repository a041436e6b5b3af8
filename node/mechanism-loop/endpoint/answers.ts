// What a model may answer: forms, schemas, and judgement. Fields that are not asked for, numbers out of range, names that no clause has:
// the whole answer is refused, for a model that gets one wrong has no claim on the rest.
import { accept, reject, type Verdict } from "#protocol";
import { attackFamilies, genes, geneRanges, isWithinMeans, type Attack } from "../attack.ts";
import { boundsOf, clausePaths, isClausePath, type ClausePath, type Direction, type Proposal } from "../clauses.ts";
import type { MarketScenario } from "../scenario.ts";

const MAX_ITEMS = 16;
const MAX_EDITS = 8;
const MAX_REASON = 500;

type Item = Readonly<Record<string, unknown>>;

const object = (properties: Record<string, unknown>) => ({
  ...{ type: "object", properties, required: Object.keys(properties), additionalProperties: false },
});
const list = (name: string, items: unknown) => object({ [name]: { type: "array", items } });
const clause = { type: "string", enum: clausePaths };
const reason = { type: "string" };
/** Amounts are decimal text: a model's JSON numbers are doubles. */
const integer = { type: "string", pattern: "^[0-9]{1,30}$" };

export const proposalsSchema = list(
  "proposals",
  object({ reason, edits: { type: "array", items: object({ clause, value: integer }) } }),
);
export const attributionsSchema = list(
  "attributions",
  object({ clause, direction: { type: "string", enum: ["raise", "lower"] }, reason }),
);
export const attacksSchema = list(
  "attacks",
  object({
    family: { type: "string", enum: attackFamilies },
    ...Object.fromEntries(genes.map((gene) => [gene, { type: "integer" }])),
  }),
);

/** Values outside a clause's bounds are refused, not clamped: clamped, they would be the reader's proposal. */
export function readProposals(answer: unknown, origin: string): Verdict<readonly Proposal[]> {
  return readList(answer, "proposals", (item) => {
    const edits = item["edits"];
    if (!hasKeys(item, ["reason", "edits"]) || !isReason(item["reason"])) return undefined;
    if (!Array.isArray(edits) || edits.length === 0 || edits.length > MAX_EDITS) return undefined;
    const read = edits.map(readEdit);
    if (read.includes(undefined)) return undefined;
    return { edits: read as Proposal["edits"], origin, reason: item["reason"] };
  });
}

function readEdit(edit: unknown): Proposal["edits"][number] | undefined {
  if (!isItem(edit) || !hasKeys(edit, ["clause", "value"])) return undefined;
  const { clause: path, value } = edit;
  if (typeof path !== "string" || !isClausePath(path)) return undefined;
  if (typeof value !== "string" || !/^\d{1,30}$/.test(value)) return undefined;
  const [min, max] = boundsOf(path);
  const amount = BigInt(value);
  return amount >= min && amount <= max ? { clause: path, value: amount } : undefined;
}

export interface NamedClause {
  readonly clause: ClausePath;
  readonly direction: Direction;
  readonly reason: string;
}

export function readAttributions(answer: unknown): Verdict<readonly NamedClause[]> {
  return readList(answer, "attributions", (item) => {
    const { clause: path, direction, reason: why } = item;
    if (!hasKeys(item, ["clause", "direction", "reason"]) || !isReason(why)) return undefined;
    if (typeof path !== "string" || !isClausePath(path)) return undefined;
    return direction === "raise" || direction === "lower" ? { clause: path, direction, reason: why } : undefined;
  });
}

export function readAttacks(answer: unknown, scenario: MarketScenario): Verdict<readonly Attack[]> {
  const ranges = geneRanges(scenario);
  return readList(answer, "attacks", (item) => {
    if (!hasKeys(item, ["family", ...genes]) || !attackFamilies.includes(item["family"] as never)) return undefined;
    const isInRange = genes.every((gene) => {
      const value = item[gene];
      const [min, max] = [Math.min(...ranges[gene]), Math.max(...ranges[gene])];
      return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
    });
    const attack = item as unknown as Attack;
    return isInRange && isWithinMeans(attack, scenario) ? { ...attack } : undefined;
  });
}

function readList<T>(answer: unknown, name: string, read: (item: Item) => T | undefined): Verdict<readonly T[]> {
  if (!isItem(answer) || !hasKeys(answer, [name])) return reject("ANSWER_FORM", `not one list of ${name}`);
  const items = answer[name];
  if (!Array.isArray(items) || items.length > MAX_ITEMS)
    return reject("ANSWER_FORM", `not a list of at most ${MAX_ITEMS}`);
  const values: T[] = [];
  for (const [k, item] of items.entries()) {
    const value = isItem(item) ? read(item) : undefined;
    if (value === undefined) return reject("ANSWER_ITEM", `${name}[${k}] is none`);
    values.push(value);
  }
  return accept(values);
}

const isItem = (value: unknown): value is Item => typeof value === "object" && value !== null && !Array.isArray(value);
const isReason = (value: unknown): value is string => typeof value === "string" && value.length <= MAX_REASON;

function hasKeys(item: Item, keys: readonly string[]): boolean {
  const own = Object.keys(item);
  return own.length === keys.length && keys.every((key) => own.includes(key));
}
