import { bytesToHex, getAddress, hexToBytes, type Address, type Hex } from "viem";

/** A value of the body schema to what dag-cbor holds, and back. `read` throws SchemaFault; body.ts turns it into a Verdict. */
export interface Codec<T> {
  write(value: T): unknown;
  read(stored: unknown, path: string): T;
}
export type ValueOf<C> = C extends Codec<infer T> ? T : never;

/** Where and how a value breaks its schema. */
export class SchemaFault extends Error {}

const fail = (path: string, fault: string): never => {
  throw new SchemaFault(`${path} ${fault}`);
};

/** UTF-8 text of at most `maxLength` UTF-16 units. */
export const text = (maxLength: number): Codec<string> => ({
  write: (value) => value,
  read: (stored, path) =>
    typeof stored === "string" && stored.length <= maxLength
      ? stored
      : fail(path, `is not text of at most ${maxLength} characters`),
});

/** Integer of 53 bits within bounds. */
export const integer = (min: number, max: number): Codec<number> => ({
  write: (value) => value,
  read: (stored, path) =>
    typeof stored === "number" && Number.isInteger(stored) && stored >= min && stored <= max
      ? stored
      : fail(path, `is not an integer in ${min}…${max}`),
});

/** uint256 as decimal text: CBOR integers end at 64 bits, and every language can read decimals. */
export const uint: Codec<bigint> = {
  write: (value) => value.toString(),
  read: (stored, path) =>
    typeof stored === "string" && /^(0|[1-9][0-9]{0,77})$/.test(stored) && BigInt(stored) < 1n << 256n
      ? BigInt(stored)
      : fail(path, "is not a uint256 in decimal text"),
};

/** Signed integer of at most 256 bits and a sign, as decimal text. */
export const int: Codec<bigint> = {
  write: (value) => value.toString(),
  read: (stored, path) =>
    typeof stored === "string" &&
    /^(0|-?[1-9][0-9]{0,77})$/.test(stored) &&
    (BigInt(stored) + (1n << 256n)) >> 257n === 0n
      ? BigInt(stored)
      : fail(path, "is not a signed 256-bit integer in decimal text"),
};

export const flag: Codec<boolean> = {
  write: (value) => value,
  read: (stored, path) => (typeof stored === "boolean" ? stored : fail(path, "is neither true nor false")),
};

/** A value or, where there is none, null: a field is never left out. */
export const nullable = <T>(codec: Codec<T>): Codec<T | null> => ({
  write: (value) => (value === null ? null : codec.write(value)),
  read: (stored, path) => (stored === null ? null : codec.read(stored, path)),
});

/** Exactly `length` bytes. */
export const fixedBytes = (length: number): Codec<Hex> => ({
  write: (value) => hexToBytes(value),
  read: (stored, path) =>
    stored instanceof Uint8Array && stored.length === length
      ? bytesToHex(stored)
      : fail(path, `is not ${length} bytes`),
});

/** At most `maxLength` bytes. */
export const variableBytes = (maxLength: number): Codec<Hex> => ({
  write: (value) => hexToBytes(value),
  read: (stored, path) =>
    stored instanceof Uint8Array && stored.length <= maxLength
      ? bytesToHex(stored)
      : fail(path, `is not at most ${maxLength} bytes`),
});

export const hash = fixedBytes(32);

export const address: Codec<Address> = {
  write: (value) => hexToBytes(value),
  read: (stored, path) => getAddress(fixedBytes(20).read(stored, path)),
};

/** One of a few words. */
export const oneOf = <const T extends string>(...words: readonly T[]): Codec<T> => ({
  write: (value) => value,
  read: (stored, path) => words.find((word) => word === stored) ?? fail(path, `is none of ${words.join(", ")}`),
});

export const list = <T>(item: Codec<T>, maxLength: number): Codec<readonly T[]> => ({
  write: (values) => values.map((value) => item.write(value)),
  read: (stored, path) =>
    Array.isArray(stored) && stored.length <= maxLength
      ? stored.map((value, i) => item.read(value, `${path}[${i}]`))
      : fail(path, `is not a list of at most ${maxLength}`),
});

/** Exactly these fields: a missing or unknown one is a fault, so that one value has one encoding. */
export function record<F extends Record<string, Codec<unknown>>>(
  fields: F,
): Codec<{ readonly [K in keyof F]: ValueOf<F[K]> }> {
  type Value = { readonly [K in keyof F]: ValueOf<F[K]> };
  const names = Object.keys(fields);
  return {
    write: (value) =>
      Object.fromEntries(names.map((name) => [name, (fields[name] as Codec<unknown>).write(value[name])])),
    read(stored, path) {
      if (!isPlainRecord(stored)) return fail(path, "is not a map");
      const extra = Object.keys(stored).find((name) => !Object.hasOwn(fields, name));
      if (extra !== undefined) return fail(path, `has an unknown field ${extra.slice(0, 64)}`);
      const read = names.map((name) => {
        if (!Object.hasOwn(stored, name)) return fail(path, `lacks field ${name}`);
        return [name, (fields[name] as Codec<unknown>).read(stored[name], `${path}.${name}`)] as const;
      });
      return Object.fromEntries(read) as Value;
    },
  };
}

function isPlainRecord(stored: unknown): stored is Record<string, unknown> {
  return typeof stored === "object" && stored !== null && !Array.isArray(stored) && !(stored instanceof Uint8Array);
}
