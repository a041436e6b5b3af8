import { encode } from "@ipld/dag-cbor";
import { expect } from "chai";
import fc from "fast-check";
import { toHex } from "viem";
import {
  decodeCertificate,
  decodeMechanism,
  decodeMessage,
  decodeStruct,
  encodeMechanism,
  encodeMessage,
  MAX_MECHANISM_BYTES,
  encodeStruct,
  MAX_NEGOTIATION_FRAME_BYTES,
  structHash,
  structTypes,
  type NegotiationMessage,
  type Structs,
} from "#protocol";
import { bidOf, callOf, mechanism, signBid, spec } from "./fixtures.ts";
import { arbitraryOf } from "../../fixtures/arbitraries.ts";

const call = callOf();
const { signature, bid } = signBid(bidOf(call, 2n));
const callId = structHash("Call", call);
const deal = {
  ...({ clientAgentId: 1n, providerAgentId: 2n, topic: 3n, price: 4n, providerBond: 0n, clientBond: 0n } as const),
  ...({ submitBy: 5, reviewPeriod: 6, arbiterDeadline: 0, epoch: 0, salt: 7n } as const),
  ...{ token: toHex(3n, { size: 20 }), arbiter: toHex(0n, { size: 20 }), hook: toHex(0n, { size: 20 }) },
  ...{ mechanismHash: callId, certificateHash: callId, specHash: callId, splitsRoot: callId },
};
const messages: NegotiationMessage[] = [
  { type: "call", call, mechanism: encodeMechanism(mechanism), spec, signature },
  { type: "seal", callId, bidId: callId, providerAgentId: 2n ** 256n - 1n, signature },
  { type: "open", callId, seals: [`0x${"01".repeat(32)}`, `0x${"02".repeat(32)}`] },
  { type: "bid", bid, signature },
  { type: "decline", decline: { callId, dealId: callId, providerAgentId: 2n, reason: 2 }, signature },
  { type: "offer", deal, certificate: new Uint8Array(8), signature },
  { type: "acceptance", callId, dealId: callId, signature },
  { type: "cancel", cancel: { callId }, signature },
];

const codeOf = (frame: Uint8Array) => {
  const verdict = decodeMessage(frame);
  return verdict.kind === "accept" ? "accept" : verdict.code;
};

describe("struct words", () => {
  for (const name of Object.keys(structTypes) as (keyof Structs)[]) {
    it(`${name}: decoding undoes encoding, and the hash stays`, () => {
      const value = fc.record(Object.fromEntries(structTypes[name].map((f) => [f.name, arbitraryOf(f.type)])));
      fc.assert(
        fc.property(value, (v) => {
          const decoded = decodeStruct(name, encodeStruct(name, v as never));
          if (decoded.kind !== "accept") throw new Error(decoded.detail);
          expect(structHash(name, decoded.value)).to.equal(structHash(name, v as never));
        }),
        { numRuns: 30 },
      );
    });
  }

  it("rejects a word beyond its type and a length that is not the struct's", () => {
    const bytes = encodeStruct("Bid", bid);
    const wide = Uint8Array.from(bytes);
    wide[3 * 32] = 1;
    expect(decodeStruct("Bid", wide)).to.include({ kind: "reject", code: "STRUCT_RANGE" });
    expect(decodeStruct("Bid", bytes.subarray(1))).to.include({ kind: "reject", code: "STRUCT_LENGTH" });
  });
});

describe("negotiation frames", () => {
  for (const message of messages) {
    it(`${message.type}: decoding undoes encoding, byte for byte`, () => {
      const frame = encodeMessage(message);
      const decoded = decodeMessage(frame);
      if (decoded.kind !== "accept") throw new Error(decoded.detail);
      expect(encodeMessage(decoded.value)).to.deep.equal(frame);
      expect(decoded.value.type).to.equal(message.type);
    });
  }

  it("gives every malformed frame its named verdict", () => {
    const hash = new Uint8Array(32);
    const cancel = { type: "cancel", cancel: hash, signature: new Uint8Array(65) };
    expect(codeOf(encode(cancel))).to.equal("accept");
    expect(codeOf(encode({ ...cancel, extra: 1 }))).to.equal("FIELD_UNKNOWN");
    expect(codeOf(encode({ type: "cancel", cancel: hash }))).to.equal("FIELD_MISSING");
    expect(codeOf(encode({ ...cancel, cancel: "text" }))).to.equal("FIELD_TYPE");
    expect(codeOf(encode({ ...cancel, signature: hash }))).to.equal("FIELD_LENGTH");
    expect(codeOf(encode({ ...cancel, type: "reveal" }))).to.equal("MESSAGE_TYPE_UNKNOWN");
    expect(codeOf(encode({ ...cancel, type: 7 }))).to.equal("MESSAGE_TYPE");
    expect(codeOf(encode({ ...cancel, type: "toString" }))).to.equal("MESSAGE_TYPE_UNKNOWN");
    expect(codeOf(encode([cancel]))).to.equal("CBOR_NOT_MAP");
    expect(codeOf(new Uint8Array(MAX_NEGOTIATION_FRAME_BYTES + 1))).to.equal("CBOR_TOO_LONG");
    expect(codeOf(new Uint8Array(0))).to.equal("CBOR_INVALID");
  });

  it("rejects a second byte form of the same message: keys in another order", () => {
    // {"b": 0, "a": 0} in CBOR; canonical order is a, b.
    expect(codeOf(Uint8Array.of(0xa2, 0x61, 0x62, 0, 0x61, 0x61, 0))).to.equal("CBOR_NOT_CANONICAL");
  });

  it("refuses to encode a field beyond its bound", () => {
    const long = { type: "call", call, mechanism: new Uint8Array(MAX_MECHANISM_BYTES + 1), spec, signature } as const;
    expect(() => encodeMessage(long)).to.throw(RangeError);
  });

  it("answers any bytes, and any bent frame, with a verdict", () => {
    const frames = messages.map(encodeMessage);
    const bent = fc
      .tuple(fc.constantFrom(...frames), fc.nat(), fc.integer({ min: 0, max: 255 }))
      .map(([f, at, byte]) => {
        const copy = Uint8Array.from(f);
        copy[at % copy.length] = byte;
        return copy;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 400 }), bent), (bytes) => {
        for (const decode of [decodeMessage, decodeMechanism, decodeCertificate]) {
          expect(decode(bytes).kind).to.be.oneOf(["accept", "ignore", "reject"]);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("mechanism document", () => {
  it("decodes to itself, and names what is wrong with another", () => {
    expect(decodeMechanism(encodeMechanism(mechanism))).to.deep.equal({ kind: "accept", value: mechanism });
    const codeOfRules = (overrides: object) => {
      const verdict = decodeMechanism(encodeMechanism({ ...mechanism, ...overrides }));
      return verdict.kind === "accept" ? "accept" : verdict.code;
    };
    expect(codeOfRules({ kind: "posted-price" })).to.equal("MECHANISM_UNKNOWN");
    expect(codeOfRules({ valuePerQuality: 2n ** 128n })).to.equal("MECHANISM_INTEGER");
    expect(codeOfRules({ minQuality: -1n })).to.equal("MECHANISM_INTEGER");
    expect(codeOfRules({ minQuality: 101n })).to.equal("MECHANISM_RANGE");
  });
});
