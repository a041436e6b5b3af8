import { getAddress, isAddress, type Address } from "viem";
import { SuretyError } from "#protocol";

// Fields of the configuration file: each is of its kind, or USAGE_CONFIG says which is not.

export function invalid(path: string, detail: string, cause?: unknown): SuretyError {
  return new SuretyError("USAGE_CONFIG", `The node's configuration is not valid: ${detail}.`, {
    values: { path, detail },
    next: `Mend ${path}; node/README.md lists every field.`,
    cause,
  });
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export function textOf(json: Record<string, unknown>, field: string, path: string): string {
  const value = json[field];
  if (typeof value !== "string" || value === "") throw invalid(path, `${field} is missing or no text`);
  return value;
}

/** A text: JSON's numbers end at 2^53. */
export function weiOf(json: Record<string, unknown>, field: string, path: string): bigint | undefined {
  const value = json[field];
  if (value === undefined) return undefined;
  if (typeof value === "string" && /^\d{1,27}$/.test(value)) return BigInt(value);
  throw invalid(path, `${field} is not wei as a text of 1 to 27 digits`);
}

export function integerOf(
  json: Record<string, unknown>,
  field: string,
  [min, max]: readonly [number, number],
  fallback: number,
  path: string,
): number {
  const value = json[field] ?? fallback;
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
  throw invalid(path, `${field} is not an integer from ${min} to ${max}`);
}

export function listOf(json: Record<string, unknown>, field: string, path: string): string[] | undefined {
  const value = json[field];
  if (value === undefined) return undefined;
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  throw invalid(path, `${field} is not a list of texts`);
}

/** An arbiter's address, or the deployment's own juror panel by name. */
export type ArbiterName = "panel" | Address;

export function arbiterOf(value: unknown, what: string, path: string): ArbiterName {
  if (value === "panel") return "panel";
  if (typeof value === "string" && isAddress(value)) return getAddress(value);
  throw invalid(path, `${what} is neither "panel" nor an address`);
}
