import { encode } from "@ipld/dag-cbor";
import { accept, reject, type Verdict } from "../errors.ts";
import { decodeCanonical } from "./body.ts";
import { SchemaFault, type Codec } from "./schema.ts";

/** A message of one of our protocols: canonical dag-cbor of one schema, of bounded length. */
export interface Message<T> {
  encode(value: T): Uint8Array;
  /** Rejects BODY_TOO_LARGE, BODY_ENCODING, BODY_NOT_CANONICAL, MESSAGE_SCHEMA. */
  decode(bytes: Uint8Array): Verdict<T>;
}

export function messageOf<T>(name: string, codec: Codec<T>, maxBytes: number): Message<T> {
  return {
    encode: (value) => encode(codec.write(value)),
    decode(bytes) {
      const stored = decodeCanonical(bytes, maxBytes);
      if (stored.kind !== "accept") return stored;
      try {
        return accept(codec.read(stored.value, name));
      } catch (cause) {
        if (cause instanceof SchemaFault) return reject("MESSAGE_SCHEMA", cause.message);
        throw cause;
      }
    },
  };
}
