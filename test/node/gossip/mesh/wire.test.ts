import { expect } from "chai";
import fc from "fast-check";
import { bytesToHex } from "viem";
import { peekHeader } from "../../../../node/gossip/mesh/peek.ts";
import { ALL_SHARDS, createTally, shardsOf } from "../../../../node/gossip/mesh/shards.ts";
import {
  ANNOUNCEMENT_BYTES,
  decodeFrame,
  encodeFrame,
  MAX_ANNOUNCEMENTS,
  MAX_CHUNK_BYTES,
  MAX_FRAME_BYTES,
  MAX_IDS,
  type Frame,
} from "../../../../node/gossip/mesh/wire.ts";
import { bodyHashOf, encodeLogHeader, skillIdsOf } from "#protocol";
import { headerArbitrary, testSigner } from "../../../fixtures/log.ts";

const id = fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => String.fromCharCode(...bytes));
const shards = fc.bigInt({ min: 0n, max: ALL_SHARDS });
const someShards = fc.bigInt({ min: 1n, max: ALL_SHARDS });
const body = fc.constantFrom("none" as const, "will" as const, "has" as const);
const extension = fc.stringMatching(/^[a-z/0-9]{1,32}$/);
const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ kind: fc.constant("hello" as const), shards, extensions: fc.array(extension, { maxLength: 16 }) }),
  fc.record({ kind: fc.constant("graft" as const), shards: someShards, isLonely: fc.boolean() }),
  fc.record({ kind: fc.constant("prune" as const), shards: someShards, backoffSeconds: fc.nat(65_535) }),
  fc.record({
    kind: fc.constant("headers" as const),
    headers: fc.array(fc.record({ body, hops: fc.nat(63), bytes: fc.uint8Array({ minLength: 1, maxLength: 255 }) }), {
      minLength: 1,
      maxLength: 8,
    }),
  }),
  fc.record({
    kind: fc.constant("announce" as const),
    announcements: fc.array(fc.record({ id, shard: fc.nat(63), entryKind: fc.nat(255), body }), {
      minLength: 1,
      maxLength: 8,
    }),
  }),
  fc.record({ kind: fc.constant("askHeaders" as const), ids: fc.array(id, { minLength: 1, maxLength: 8 }) }),
  fc.record({ kind: fc.constant("askBody" as const), id }),
  fc
    .record({ id, offset: fc.nat(40_000), rest: fc.nat(20_000), bytes: fc.uint8Array({ minLength: 1, maxLength: 90 }) })
    .map(({ id, offset, rest, bytes }) => ({
      kind: "body" as const,
      id,
      offset,
      bytes,
      total: offset + bytes.length + rest,
    })),
  fc.record({ kind: fc.constant("noBody" as const), id, isBusy: fc.boolean() }),
);

describe("frames of the mesh", () => {
  it("return from their bytes", () => {
    fc.assert(
      fc.property(frame, (value) => {
        const decoded = decodeFrame(encodeFrame(value));
        expect(decoded).to.deep.equal({ kind: "accept", value });
      }),
      { numRuns: 300 },
    );
  });

  it("answer any bytes with a verdict by name, and accepted ones re-encode to themselves", () => {
    const mutated = fc.tuple(frame, fc.nat(), fc.nat(255), fc.nat(3)).map(([value, at, byte, cut]) => {
      const bytes = encodeFrame(value);
      bytes[at % bytes.length] = byte;
      return bytes.subarray(0, bytes.length - cut);
    });
    let taken = 0;
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated), (bytes) => {
        const decoded = decodeFrame(bytes);
        if (decoded.kind === "accept") {
          taken++;
          expect(bytesToHex(encodeFrame(decoded.value))).to.equal(bytesToHex(bytes));
        } else expect(decoded.code).to.match(/^FRAME_[A-Z_]+$/);
      }),
      { numRuns: 1_500 },
    );
    expect(taken, "some of the mutated frames are frames still").to.be.greaterThan(100);
  });

  it("ignores other versions and kinds, and rejects what is too long, by name", () => {
    expect(decodeFrame(Uint8Array.of(2, 4, 9))).to.include({ kind: "ignore", code: "FRAME_VERSION" });
    expect(decodeFrame(Uint8Array.of(1, 200, 9))).to.include({ kind: "ignore", code: "FRAME_KIND" });
    expect(decodeFrame(new Uint8Array(MAX_FRAME_BYTES + 1))).to.include({ kind: "reject", code: "FRAME_TOO_LARGE" });
    expect(decodeFrame(Uint8Array.of(1))).to.include({ kind: "reject", code: "FRAME_TRUNCATED" });
    const graft = encodeFrame({ kind: "graft", shards: 1n, isLonely: false });
    expect(decodeFrame(Uint8Array.of(...graft, 0))).to.include({ kind: "reject", code: "FRAME_TRAILING" });
  });

  it("fit their bound when they are full, and an announcement has 24 bytes", () => {
    const twenty = "x".repeat(20);
    const announcement = { id: twenty, shard: 63, entryKind: 10, body: "has" as const };
    const full = (count: number): number =>
      encodeFrame({ kind: "announce", announcements: new Array<typeof announcement>(count).fill(announcement) }).length;
    expect(full(2) - full(1)).to.equal(ANNOUNCEMENT_BYTES);
    expect(full(MAX_ANNOUNCEMENTS)).to.be.at.most(MAX_FRAME_BYTES);
    const ids = new Array<string>(MAX_IDS).fill(twenty);
    expect(encodeFrame({ kind: "askHeaders", ids }).length).to.be.at.most(MAX_FRAME_BYTES);
    const chunk = {
      kind: "body" as const,
      id: twenty,
      total: 65_536,
      offset: 0,
      bytes: new Uint8Array(MAX_CHUNK_BYTES),
    };
    expect(encodeFrame(chunk)).to.have.length(MAX_FRAME_BYTES);
  });
});

describe("a glimpse of a header", () => {
  it("sees what decoding it would", () => {
    fc.assert(
      fc.property(headerArbitrary(testSigner(0)), (header) => {
        const glimpse = peekHeader(encodeLogHeader({ header, signature: `0x${"11".repeat(64)}` }));
        expect(glimpse && bytesToHex(glimpse.bodyHash)).to.equal(header.bodyHash);
        expect(glimpse).to.deep.include({
          ...{ entryKind: header.kind, bodyLength: header.bodyLength, shards: shardsOf(skillIdsOf(header.tags)) },
        });
      }),
      { numRuns: 200 },
    );
  });

  it("is none of bytes that end early or name no body, and throws for none", () => {
    expect(peekHeader(new Uint8Array(100))).to.equal(undefined);
    expect(bodyHashOf(new Uint8Array())).to.have.length(66);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 260 }), (bytes) => {
        const glimpse = peekHeader(bytes);
        if (glimpse !== undefined) expect(glimpse.bodyLength).to.be.within(1, 65_536);
      }),
    );
  });
});

describe("a tally of shards", () => {
  it("counts each of 64 shards as counting one by one would, up to 63", () => {
    fc.assert(
      fc.property(fc.array(shards, { maxLength: 80 }), fc.integer({ min: 1, max: 63 }), (sets, limit) => {
        const tally = createTally();
        for (const set of sets) tally.add(set);
        let expected = 0n;
        for (let shard = 0n; shard < 64n; shard++) {
          const count = sets.filter((set) => (set >> shard) & 1n).length;
          if (Math.min(63, count) < limit) expected |= 1n << shard;
        }
        expect(tally.below(limit)).to.equal(expected);
      }),
      { numRuns: 60 },
    );
  });
});
