import { expect } from "chai";
import fc from "fast-check";
import { bytesToHex, hexToBytes, recoverTypedDataAddress, zeroHash } from "viem";
import {
  decodeLogHeader,
  domainOf,
  encodeLogHeader,
  expandCompactSignature,
  headerDigest,
  MAX_HEADER_BYTES,
  signLogHeader,
  structTypes,
  SuretyError,
  verifyLogHeader,
} from "#protocol";
import { headerArbitrary, headerOf, hexOf, signedHeader, testContracts, testSigner } from "../../fixtures/log.ts";

const signer = testSigner(0);
const signed = signedHeader(signer, { seq: 300, prev: `0x${"01".repeat(32)}` });
const bytes = encodeLogHeader(signed);

describe("log header", () => {
  it("returns from its bytes exactly, for every header that the rules allow", () => {
    fc.assert(
      fc.property(headerArbitrary(signer), hexOf(64), (header, signature) => {
        const encoded = encodeLogHeader({ header, signature });
        expect(encoded.length).to.be.within(209, 215);
        expect(decodeLogHeader(encoded)).to.deep.equal({ kind: "accept", value: { header, signature } });
      }),
    );
  });

  it("answers any bytes with a verdict, and what it accepts re-encodes to the same bytes", () => {
    const mutated = fc
      .tuple(fc.nat(bytes.length - 1), fc.nat(255))
      .map(([at, value]) => bytes.map((byte, i) => (i === at ? value : byte)));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated), (input) => {
        const verdict = decodeLogHeader(input);
        if (verdict.kind === "accept") expect(bytesToHex(encodeLogHeader(verdict.value))).to.equal(bytesToHex(input));
        else expect(verdict.code).to.match(/^HEADER_/);
      }),
      { numRuns: 1000 },
    );
  });

  it("names a header that was cut at any byte, or carried further", () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(decodeLogHeader(bytes.subarray(0, length))).to.include({ kind: "reject", code: "HEADER_TRUNCATED" });
    }
    expect(decodeLogHeader(Uint8Array.from([...bytes, 0]))).to.include({ kind: "reject", code: "HEADER_TRAILING" });
    expect(decodeLogHeader(new Uint8Array(MAX_HEADER_BYTES + 1))).to.include({ code: "HEADER_TOO_LARGE" });
  });

  it("rejects a varint with a needless byte, which would give one header two byte forms", () => {
    // seq 300 is ac 02 at offset 22; ac 82 00 is the same number
    const padded = Uint8Array.from([...bytes.subarray(0, 23), 0x82, 0x00, ...bytes.subarray(24)]);
    expect(decodeLogHeader(padded)).to.include({ kind: "reject", code: "HEADER_VARINT" });
    const endless = Uint8Array.from([
      ...bytes.subarray(0, 22),
      ...new Array<number>(6).fill(0xff),
      ...bytes.subarray(24),
    ]);
    expect(decodeLogHeader(endless)).to.include({ kind: "reject", code: "HEADER_VARINT" });
  });

  for (const [name, change] of [
    ["version", { version: 2 }],
    ["kind", { kind: 11 }],
    ["a second first entry", { seq: 0 }],
    ["a first entry that is none", { prev: zeroHash }],
    ["an empty body", { bodyLength: 0 }],
    ["an oversized body", { bodyLength: 65_537 }],
    ["ttl", { ttl: 2 ** 24 }],
    ["time", { timeMs: 1.5 }],
    ["seq", { seq: 2 ** 35 }],
  ] as const) {
    it(`refuses to sign or encode ${name} out of bounds`, () => {
      const header = { ...signed.header, ...change };
      expect(() => signLogHeader(header, signer, testContracts))
        .to.throw(SuretyError)
        .with.property("code", "HEADER_INVALID");
      expect(() => encodeLogHeader({ header, signature: signed.signature })).to.throw(SuretyError);
    });
  }

  it("rejects the fields that a stranger put out of bounds", () => {
    const patch = (at: number, value: number) => bytes.map((byte, i) => (i === at ? value : byte));
    expect(decodeLogHeader(patch(0, 2))).to.include({ code: "HEADER_FIELD", detail: "version is 2, not 1" });
    expect(decodeLogHeader(patch(1, 0))).to.include({ code: "HEADER_FIELD", detail: "kind 0 names nothing" });
  });

  it("verifies its own log's signature, which viem recovers too", async () => {
    expect(verifyLogHeader(signed, testContracts)).to.deep.equal({ kind: "accept", value: signed });
    const domain = domainOf("LogHeader", testContracts);
    const recovered = await recoverTypedDataAddress({
      domain,
      types: { LogHeader: structTypes.LogHeader },
      primaryType: "LogHeader",
      message: signed.header,
      signature: bytesToHex(expandCompactSignature(hexToBytes(signed.signature))),
    });
    expect(recovered).to.equal(signer.address);
  });

  it("rejects a signature of another key, of another chain, and of other content", () => {
    const header = headerOf(testSigner(1));
    const forged = { header, signature: signedHeader(signer).signature };
    expect(verifyLogHeader(forged, testContracts).kind).to.equal("reject");
    const elsewhere = { ...testContracts, chainId: 1 };
    expect(verifyLogHeader(signed, elsewhere).kind).to.equal("reject");
    const changed = { ...signed, header: { ...signed.header, ttl: signed.header.ttl + 1 } };
    expect(verifyLogHeader(changed, testContracts)).to.include({ kind: "reject", code: "HEADER_SIGNER" });
    expect(headerDigest(changed.header, testContracts)).not.to.equal(signed.digest);
  });
});
