import { decode } from "@ipld/dag-cbor";
import { bytesToHex } from "viem";

/** A place in a subtask's input that an earlier deliverable fills. */
interface Placeholder {
  readonly $deliverable: string;
  readonly path?: readonly (string | number)[];
}

/** Deeper inputs are no task's. */
const MAX_DEPTH = 32;

/** Names of the deliverables that an input refers to. */
export function referencesOf(input: unknown, depth = 0): readonly string[] {
  if (typeof input !== "object" || input === null || depth > MAX_DEPTH) return [];
  if (isPlaceholder(input)) return [input.$deliverable];
  return Object.values(input).flatMap((part) => referencesOf(part, depth + 1));
}

/**
 * The input with each placeholder filled: by the value that the deliverable's dag-cbor holds at the path, or by its bytes in
 * hex where it is no dag-cbor or holds what JSON cannot say. A path that leads nowhere gives null.
 */
export function fillInput(input: unknown, deliverableOf: (name: string) => Uint8Array, depth = 0): unknown {
  if (typeof input !== "object" || input === null || depth > MAX_DEPTH) return input;
  if (isPlaceholder(input)) return at(valueOf(deliverableOf(input.$deliverable)), input.path ?? []);
  if (Array.isArray(input)) return input.map((part) => fillInput(part, deliverableOf, depth + 1));
  return Object.fromEntries(
    Object.entries(input).map(([name, part]) => [name, fillInput(part, deliverableOf, depth + 1)]),
  );
}

function isPlaceholder(input: object): input is Placeholder {
  return "$deliverable" in input && typeof input.$deliverable === "string";
}

function valueOf(bytes: Uint8Array): unknown {
  try {
    const value: unknown = decode(bytes);
    return isPlain(value) ? value : bytesToHex(bytes);
  } catch {
    return bytesToHex(bytes);
  }
}

function isPlain(value: unknown, depth = 0): boolean {
  if (value === null || ["string", "boolean"].includes(typeof value)) return true;
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || depth > MAX_DEPTH || value instanceof Uint8Array) return false;
  const isList = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
  return isList && Object.values(value).every((part) => isPlain(part, depth + 1));
}

function at(value: unknown, path: readonly (string | number)[]): unknown {
  let current = value;
  for (const step of path) {
    if (typeof current !== "object" || current === null || !Object.hasOwn(current, step)) return null;
    current = (current as Record<string | number, unknown>)[step];
  }
  return current;
}
