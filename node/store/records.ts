import { bytesToHex, hexToBytes, type Hex } from "viem";

// State machines keep plain objects with bigints and bytes. On disk they are JSON with both tagged, so that a person can
// read a store; nobody else's bytes are ever parsed here.

/** @returns JSON text that `decodeRecord` turns back into an equal value */
export function encodeRecord(value: object): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, field: unknown) {
    if (typeof field === "bigint") return { $int: field.toString() };
    // A Buffer has become plain JSON of its own by now; what it was still stands in its holder.
    const held = this[key];
    return held instanceof Uint8Array ? { $bytes: bytesToHex(held) } : field;
  });
}

export function decodeRecord<T extends object>(text: string): T {
  return JSON.parse(text, (_, field: unknown) => {
    if (field === null || typeof field !== "object") return field;
    if ("$int" in field) return BigInt(field.$int as string);
    if ("$bytes" in field) return hexToBytes(field.$bytes as Hex);
    return field;
  }) as T;
}
