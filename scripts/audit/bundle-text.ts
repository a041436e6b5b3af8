// The forms of what stands in a bundle's text, and the rule that only its canonical text is a bundle.
import { isAddress, type Hex } from "viem";
import { accept, reject, type Verdict } from "#protocol";

/** Sanity bounds of what a stranger hands over: an agent's lifetime of keys, and a deep trie for each. */
export const MAX_SIGNERS = 1_024;
export const MAX_NODES = 100_000;

/** One kind of bundle: its first line's word, and its two directions. */
export interface BundleForm<T> {
  readonly format: string;
  /** Everything but the format, in the order of the text. */
  readonly write: (bundle: T) => Record<string, unknown>;
  readonly parse: (json: Record<string, unknown>) => T | undefined;
}

/** The one text of a bundle: fixed key order, lower-case hex, decimal integers, two spaces. */
export const writeCanonical = <T>({ format, write }: BundleForm<T>, bundle: T): string =>
  `${JSON.stringify({ format, ...write(bundle) }, null, 2)}\n`;

/** Whether a text says in its first line that it is of this kind. */
export const isOfForm = ({ format }: Pick<BundleForm<unknown>, "format">, text: string): boolean =>
  text.startsWith(`{\n  "format": ${JSON.stringify(format)},\n`);

/** Reads a bundle; only its canonical text is one, so that no byte of it is free. */
export function readCanonical<T>(form: BundleForm<T>, text: string): Verdict<T> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return reject("BUNDLE_NOT_JSON", "the bundle is not JSON");
  }
  const bundle = isRecord(json) && json["format"] === form.format ? form.parse(json) : undefined;
  if (bundle === undefined) return reject("BUNDLE_SHAPE", `not an object of the form ${form.format}`);
  if (writeCanonical(form, bundle) !== text) {
    return reject("BUNDLE_NOT_CANONICAL", "the bundle is not in its canonical form");
  }
  return accept(bundle);
}

/** Every entry of a bounded list, or undefined where one is malformed. */
export function parseList<T>(json: unknown, max: number, parse: (entry: unknown) => T | undefined): T[] | undefined {
  if (!Array.isArray(json) || json.length > max) return undefined;
  const parsed = json.map(parse);
  return parsed.every((entry) => entry !== undefined) ? parsed : undefined;
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
export const isBytes = (value: unknown): value is Hex => typeof value === "string" && /^0x([0-9a-f]{2})*$/.test(value);
export const isWord = (value: unknown): value is Hex => isBytes(value) && value.length === 66;
export const isUint = (value: unknown, bits: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < 2 ** bits;
export const isAddressText = (value: unknown): value is string => typeof value === "string" && isAddress(value);
export const isDecimal = (value: unknown): value is string =>
  typeof value === "string" && /^(0|[1-9]\d{0,77})$/.test(value) && BigInt(value) < 1n << 256n;
export const isHexList = (value: unknown, max: number): value is Hex[] =>
  Array.isArray(value) && value.length <= max && value.every(isBytes);
