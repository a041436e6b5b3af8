import { decode, encode } from "@ipld/dag-cbor";
import { sha256, type Hex } from "viem";
import { accept, reject, type Verdict } from "../errors.ts";

/** Content (specifications, rules, certificates, deliverables) is addressed by sha2-256, as log bodies are. */
export function contentHashOf(content: Uint8Array): Hex {
  return sha256(content);
}

/** Canonical dag-cbor: one value has one byte form. */
export function encodeStrictCbor(value: unknown): Uint8Array {
  return encode(value);
}

/**
 * Decodes dag-cbor that is a map in its canonical form. The decoder itself lets map keys come in any order, so the
 * value is encoded again and compared: two byte strings never mean the same value.
 */
export function decodeStrictCborMap(bytes: Uint8Array, maxBytes: number): Verdict<Readonly<Record<string, unknown>>> {
  if (bytes.length > maxBytes) return reject("CBOR_TOO_LONG", `${bytes.length} bytes, at most ${maxBytes}`);
  try {
    const value: unknown = decode(bytes);
    if (!isPlainMap(value)) return reject("CBOR_NOT_MAP", "the outermost value is not a map");
    if (!areEqualBytes(encode(value), bytes))
      return reject("CBOR_NOT_CANONICAL", "the bytes are not in canonical form");
    return accept(value);
  } catch (cause) {
    return reject("CBOR_INVALID", cause instanceof Error ? cause.message : String(cause));
  }
}

/** The first key that is missing or not expected, as a reject; undefined if the keys are exactly these. */
export function checkKeys(map: Readonly<Record<string, unknown>>, keys: readonly string[]): Verdict<never> | undefined {
  const missing = keys.find((key) => !Object.hasOwn(map, key));
  if (missing !== undefined) return reject("FIELD_MISSING", `${missing} is missing`);
  const extra = Object.keys(map).find((key) => !keys.includes(key));
  return extra === undefined ? undefined : reject("FIELD_UNKNOWN", `${extra.slice(0, 32)} is not a field`);
}

export function areEqualBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function isPlainMap(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype;
}
