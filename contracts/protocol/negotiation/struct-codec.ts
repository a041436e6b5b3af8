import { bytesToBigInt, bytesToHex, getAddress, hexToBytes, numberToBytes } from "viem";
import { accept, reject, type Verdict } from "../errors.ts";
import { structTypes, type Structs } from "../generated/structs.ts";

const WORD = 32;

/**
 * A struct on the wire is its ABI encoding: one 32-byte word a field. It is the preimage of the struct hash and what the
 * contract takes, so that signing, sending and calling share one byte form. @throws when a value exceeds its type
 */
export function encodeStruct<K extends keyof Structs>(name: K, value: Structs[K]): Uint8Array {
  const fields = structTypes[name];
  const bytes = new Uint8Array(fields.length * WORD);
  const values = value as unknown as Record<string, string | number | bigint | boolean>;
  fields.forEach((field, i) => bytes.set(encodeWord(field.type, values[field.name] ?? ""), i * WORD));
  return bytes;
}

/** The struct of these bytes, if each word is in range of its type. */
export function decodeStruct<K extends keyof Structs>(name: K, bytes: Uint8Array): Verdict<Structs[K]> {
  const fields = structTypes[name];
  if (bytes.length !== fields.length * WORD) {
    return reject("STRUCT_LENGTH", `${name} has ${fields.length * WORD} bytes, not ${bytes.length}`);
  }
  const value: Record<string, unknown> = {};
  for (const [i, field] of fields.entries()) {
    const decoded = decodeWord(field.type, bytes.subarray(i * WORD, (i + 1) * WORD));
    if (decoded === undefined) return reject("STRUCT_RANGE", `${name}.${field.name} is out of range of ${field.type}`);
    value[field.name] = decoded;
  }
  return accept(value as unknown as Structs[K]);
}

function encodeWord(type: string, value: string | number | bigint | boolean): Uint8Array {
  if (typeof value !== "string") return numberToBytes(BigInt(value), { size: WORD, signed: type.startsWith("int") });
  const word = new Uint8Array(WORD);
  const given = hexToBytes(value as `0x${string}`);
  word.set(given, type === "address" ? WORD - given.length : 0);
  return word;
}

function decodeWord(type: string, word: Uint8Array): unknown {
  if (type === "bytes32") return bytesToHex(word);
  const value = bytesToBigInt(word);
  if (type === "address") return value >> 160n === 0n ? getAddress(bytesToHex(word.subarray(12))) : undefined;
  if (type === "bool") return value > 1n ? undefined : value === 1n;
  if (type.startsWith("int")) {
    const signed = BigInt.asIntN(256, value);
    const bits = Number(type.slice("int".length));
    return BigInt.asIntN(bits, signed) === signed ? (bits <= 48 ? Number(signed) : signed) : undefined;
  }
  const bits = Number(type.slice("uint".length));
  if (value >> BigInt(bits) !== 0n) return undefined;
  return bits <= 48 ? Number(value) : value;
}
