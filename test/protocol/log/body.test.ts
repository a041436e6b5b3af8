import { encode } from "@ipld/dag-cbor";
import { expect } from "chai";
import fc from "fast-check";
import { CID } from "multiformats/cid";
import { bytesToHex } from "viem";
import { bodyHashOf, cidOf, decodeBody, encodeBody, kinds, matchBody, type Bodies, type KindName } from "#protocol";
import { headerOf, sha256Of, testDeclare, testSigner } from "../../fixtures/log.ts";
import { textbookDocument } from "../../fixtures/mechanism.ts";

const hash = `0x${"07".repeat(32)}` as const;
const { topics: _topics, name: _name, ...rest } = testDeclare();
const { priceWei, skills, token, peerId, addresses, agentId, description } = rest;
const reach = { peerId, addresses };
const samples: Bodies = {
  declare: testDeclare(),
  update: { target: hash, ...testDeclare() },
  withdraw: { target: hash, outcome: "complete", reason: "sold" },
  intent: {
    agentId,
    topic: "translation",
    description,
    skills,
    reservePriceWei: priceWei,
    token,
    bidByMs: 1,
    call: "0xc0ffee",
    ...reach,
  },
  mechanism: textbookDocument,
  receipt: { dealId: hash, role: "client", outcome: "completed", rating: -100, transaction: hash },
  attest: { agentId, commitment: hash, codeCommitment: "0x01", configDigest: hash, ...reach },
  rotate: { role: "ends", log: token, head: hash },
  checkpoint: {
    ...{ agentId: 7n, fromSeq: 64, toSeq: 127, root: hash, stateHead: hash, anchorSignature: "0x" },
    ...{ blockNumber: 5n, blockHash: hash },
  },
};

describe("log body", () => {
  for (const kind of Object.keys(kinds) as KindName[]) {
    it(`${kind}: returns from its bytes`, () => {
      const bytes = encodeBody(kind, samples[kind]);
      expect(decodeBody(kinds[kind], bytes)).to.deep.equal({ kind: "accept", value: { kind, body: samples[kind] } });
    });
  }

  it("answers any bytes with a verdict that names the fault", () => {
    const good = encodeBody("declare", samples.declare);
    const mutated = fc
      .tuple(fc.nat(good.length - 1), fc.nat(255))
      .map(([at, value]) => good.map((byte, i) => (i === at ? value : byte)));
    const structured = fc.object({ maxDepth: 3 }).map((value) => encodeOrEmpty(value));
    const input = fc.oneof(fc.uint8Array({ maxLength: 500 }), mutated, structured);
    fc.assert(
      fc.property(input, fc.nat(255), (bytes, kind) => {
        const verdict = decodeBody(kind, bytes);
        if (verdict.kind !== "accept") {
          expect(verdict.code).to.match(/^BODY_/);
        } else {
          const { kind: name, body } = verdict.value;
          expect(bytesToHex(encodeBody(name, body as never))).to.equal(bytesToHex(bytes));
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("rejects dag-cbor that is not canonical, nested without end, or larger than 64 KB", () => {
    const declare = (bytes: Uint8Array) => decodeBody(kinds.declare, bytes);
    // {"a": 1} with the integer in two bytes, a map in the wrong key order, and an indefinite-length map
    expect(declare(Uint8Array.of(0xa1, 0x61, 0x61, 0x18, 0x01)).kind).to.equal("reject");
    const swapped = declare(Uint8Array.of(0xa2, 0x61, 0x62, 0x01, 0x61, 0x61, 0x01));
    expect(swapped).to.include({ kind: "reject", code: "BODY_NOT_CANONICAL" });
    expect(declare(Uint8Array.of(0xbf, 0xff))).to.include({ kind: "reject", code: "BODY_ENCODING" });
    expect(declare(new Uint8Array(65_536).fill(0x81)).kind).to.equal("reject");
    expect(declare(new Uint8Array(65_537))).to.include({ kind: "reject", code: "BODY_TOO_LARGE" });
    // a list that claims 2^32 - 1 items must not make us allocate them
    expect(declare(Uint8Array.of(0x9a, 0xff, 0xff, 0xff, 0xff)).kind).to.equal("reject");
  });

  it("rejects missing, unknown and out-of-bounds fields by name", () => {
    const withdraw = { target: new Uint8Array(32), outcome: "complete", reason: "" };
    const judge = (body: unknown) => decodeBody(kinds.withdraw, encode(body));
    expect(judge(withdraw).kind).to.equal("accept");
    expect(judge({ ...withdraw, more: 1 })).to.include({
      code: "BODY_SCHEMA",
      detail: "withdraw has an unknown field more",
    });
    expect(judge({ target: withdraw.target })).to.include({
      code: "BODY_SCHEMA",
      detail: "withdraw lacks field outcome",
    });
    expect(judge({ ...withdraw, reason: "x".repeat(257) })).to.include({ kind: "reject", code: "BODY_SCHEMA" });
    expect(judge({ ...withdraw, target: new Uint8Array(31) })).to.include({
      detail: "withdraw.target is not 32 bytes",
    });
    expect(judge([])).to.include({ kind: "reject", code: "BODY_SCHEMA" });
    expect(decodeBody(99, encode(withdraw))).to.include({ kind: "reject", code: "BODY_KIND" });
  });

  it("refuses to encode a body that others would refuse", () => {
    const negative = { ...samples.declare, priceWei: -1n };
    expect(() => encodeBody("declare", negative))
      .to.throw()
      .with.property("code", "BODY_INVALID");
  });

  it("is addressed by its sha2-256, as a CID too", async () => {
    const bytes = encodeBody("declare", samples.declare);
    expect(bodyHashOf(bytes)).to.equal(sha256Of(bytes));
    const cid = CID.parse(cidOf(bodyHashOf(bytes)));
    expect([cid.version, cid.code, bytesToHex(cid.multihash.digest)]).to.deep.equal([1, 0x71, sha256Of(bytes)]);
  });

  it("matches only the header that names its bytes", () => {
    const bytes = encodeBody("declare", samples.declare);
    const header = headerOf(testSigner(0), { bodyHash: bodyHashOf(bytes), bodyLength: bytes.length });
    expect(matchBody(header, bytes).kind).to.equal("accept");
    const tampered = bytes.map((byte, i) => (i === 40 ? byte ^ 1 : byte));
    expect(matchBody(header, tampered)).to.include({ kind: "reject", code: "BODY_HASH" });
    expect(matchBody(header, bytes.subarray(1))).to.include({ kind: "reject", code: "BODY_LENGTH" });
  });
});

function encodeOrEmpty(value: unknown): Uint8Array {
  try {
    return encode(value);
  } catch {
    return new Uint8Array();
  }
}
