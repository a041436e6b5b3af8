import canonicalize from "canonicalize";
import { SuretyError } from "../errors.ts";

/** A value that JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** Deeper nesting than any policy has; what follows recurses. */
const MAX_DEPTH = 64;

/**
 * The one text of a JSON value (RFC 8785): sorted names, ECMAScript's shortest numbers, no white space. A number is a
 * double, as RFC 8785 has it: write amounts and other exact integers beyond 2^53 as text.
 * @throws SuretyError JSON_INVALID for what JSON cannot say: undefined, bigint, NaN, a lone surrogate, an object with
 * behaviour
 */
export function canonicalJson(value: unknown): string {
  const fault = faultOf(value, "value", 0);
  if (fault !== undefined) {
    throw new SuretyError("JSON_INVALID", `The value has no canonical JSON: ${fault}.`, {
      values: { fault },
      next: "Write exact numbers as text, and leave out what has no value.",
    });
  }
  return canonicalize(value) as string;
}

/** Whether a value is one that `canonicalJson` takes. */
export const isJson = (value: unknown): value is Json => faultOf(value, "value", 0) === undefined;

function faultOf(value: unknown, path: string, depth: number): string | undefined {
  if (depth > MAX_DEPTH) return `${path} is nested deeper than ${MAX_DEPTH}`;
  if (value === null || typeof value === "boolean") return undefined;
  if (typeof value === "string") return value.isWellFormed() ? undefined : `${path} has a lone surrogate`;
  if (typeof value === "number") return Number.isFinite(value) ? undefined : `${path} is ${value}`;
  if (typeof value !== "object") return `${path} is ${typeof value}`;
  const isList = Array.isArray(value);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (!isList && prototype !== Object.prototype && prototype !== null) return `${path} is not a plain object`;
  for (const [name, item] of isList ? value.entries() : Object.entries(value)) {
    if (typeof name === "string" && !name.isWellFormed()) return `${path} has a name with a lone surrogate`;
    const fault = faultOf(item, isList ? `${path}[${name}]` : `${path}.${name}`, depth + 1);
    if (fault !== undefined) return fault;
  }
  return undefined;
}
