import { accept, ignore, reject, type Verdict } from "../errors.ts";
import { MAX_MECHANISM_BYTES } from "./limits.ts";
import { checkKeys, decodeStrictCborMap, encodeStrictCbor } from "./strict-cbor.ts";

/**
 * The leader's published rules. Its canonical bytes are hashed into the call and into the deal, so that nobody can be
 * held to rules that it has not seen. Version 1 knows one kind: the scored second price (Che 1993) over integers.
 */
export interface Mechanism {
  readonly kind: "scored-second-price";
  readonly version: 1;
  /** What one unit of quality is worth to the leader, in the token's smallest unit. score = valuePerQuality * quality - price. */
  readonly valuePerQuality: bigint;
  /** Bids of less quality do not count. */
  readonly minQuality: bigint;
  /** Bids of more do not count either: a claim beyond it buys nothing. */
  readonly maxQuality: bigint;
}

/** Keeps every score within 193 bits and a sign, whatever a stranger publishes. */
const MAX_VALUE_PER_QUALITY = 2n ** 128n - 1n;
const MAX_QUALITY = 2n ** 64n - 1n;
const KEYS = ["kind", "version", "valuePerQuality", "minQuality", "maxQuality"];

/** Canonical bytes. Integers are decimal strings, because dag-cbor ends at 64 bits and readers of JSON at 53. */
export function encodeMechanism(mechanism: Mechanism): Uint8Array {
  return encodeStrictCbor({
    kind: mechanism.kind,
    version: mechanism.version,
    valuePerQuality: mechanism.valuePerQuality.toString(),
    minQuality: mechanism.minQuality.toString(),
    maxQuality: mechanism.maxQuality.toString(),
  });
}

export function decodeMechanism(bytes: Uint8Array): Verdict<Mechanism> {
  const map = decodeStrictCborMap(bytes, MAX_MECHANISM_BYTES);
  if (map.kind !== "accept") return map;
  const keyFault = checkKeys(map.value, KEYS);
  if (keyFault !== undefined) return keyFault;
  const { kind, version } = map.value;
  // Rules that we do not know are no fault of the sender: a later version speaks them.
  if (kind !== "scored-second-price" || version !== 1) {
    return ignore("MECHANISM_UNKNOWN", `${String(kind).slice(0, 32)} ${String(version).slice(0, 8)}`);
  }
  const valuePerQuality = parseUint(map.value["valuePerQuality"], MAX_VALUE_PER_QUALITY);
  const minQuality = parseUint(map.value["minQuality"], MAX_QUALITY);
  const maxQuality = parseUint(map.value["maxQuality"], MAX_QUALITY);
  if (valuePerQuality === undefined || minQuality === undefined || maxQuality === undefined) {
    return reject("MECHANISM_INTEGER", "a weight is not a decimal integer in range");
  }
  if (minQuality > maxQuality) return reject("MECHANISM_RANGE", `minQuality ${minQuality} is above ${maxQuality}`);
  return accept({ kind, version, valuePerQuality, minQuality, maxQuality });
}

function parseUint(value: unknown, max: bigint): bigint | undefined {
  if (typeof value !== "string" || !/^(0|[1-9][0-9]{0,77})$/.test(value)) return undefined;
  const parsed = BigInt(value);
  return parsed <= max ? parsed : undefined;
}
