// Files of leaves: a strict codec, of which nothing is believed but what the root proves.
import { expect } from "chai";
import fc from "fast-check";
import {
  CHUNK_LEAVES,
  decodeLeavesFile,
  encodeLeaves,
  encodeLeavesFile,
  FILE_HEADER_BYTES,
  fileLayoutOf,
  fileNameOf,
  judgeOutline,
  judgePiece,
  LeafTree,
  leavesOfChunk,
  MAX_FILE_LEAVES,
  outlineOf,
  PIECE_CHUNKS,
  pieceRangeOf,
  proofFromLevels,
  readFileHeader,
  topLevelsOf,
  verifyProof,
} from "#protocol";
import { isNightly } from "../../fixtures/profile.ts";

const numRuns = isNightly ? 400 : 25;
/** Around every boundary: of depths, of a chunk and of a piece. */
const leafCounts = fc.oneof(
  fc.constantFrom(1, 2, 3, 128, 129, CHUNK_LEAVES - 1, CHUNK_LEAVES, CHUNK_LEAVES + 1, 5 * CHUNK_LEAVES),
  fc.integer({ min: 1, max: 3 * CHUNK_LEAVES }),
);
const wordsOf = (count: number, seed: bigint): bigint[] =>
  Array.from({ length: count }, (_, k) => (BigInt(k) << 224n) | ((seed * (BigInt(k) + 7n)) & ((1n << 224n) - 1n)));
const trees = fc.tuple(leafCounts, fc.bigInt({ min: 1n, max: 1n << 200n })).map(([n, seed]) => wordsOf(n, seed));

describe("files of leaves", () => {
  it("give back the words that they were made of, under the root that the contract knows", () => {
    fc.assert(
      fc.property(trees, (words) => {
        const { root, leafCount } = new LeafTree(words);
        const file = encodeLeavesFile(words);
        expect(file.length).to.equal(fileLayoutOf(leafCount).fileBytes);
        expect(decodeLeavesFile(file, { root, leafCount })).to.deep.equal({
          kind: "accept",
          value: { root, leafCount, words },
        });
        expect(decodeLeavesFile(file)).to.deep.include({ kind: "accept" });
      }),
      { numRuns },
    );
  });

  it("are refused with any byte changed, cut off or added, whatever is expected of them", () => {
    const edits = fc.record({
      kind: fc.constantFrom("flip", "cut", "add"),
      at: fc.nat(),
      bits: fc.integer({ min: 1, max: 255 }),
    });
    fc.assert(
      fc.property(trees, edits, (words, { kind, at, bits }) => {
        const { root, leafCount } = new LeafTree(words);
        const file = encodeLeavesFile(words);
        const place = at % file.length;
        const edited =
          kind === "flip" ? file.slice() : kind === "cut" ? file.slice(0, place) : Uint8Array.from([...file, bits]);
        if (kind === "flip") edited[place] = (edited[place] as number) ^ bits;
        expect(decodeLeavesFile(edited, { root, leafCount }).kind).to.equal("reject");
        // By itself a file shows the same, but for the roots alone: whether one is committed, only the chain knows.
        expect(decodeLeavesFile(edited).kind).to.equal("reject");
      }),
      { numRuns },
    );
  });

  it("never make the decoder throw, whatever the bytes and whatever the header claims", () => {
    const headed = fc
      .tuple(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.uint8Array({ maxLength: 200 }))
      .map(([count, rest]) => {
        const file = new Uint8Array(FILE_HEADER_BYTES + rest.length);
        file.set(encodeLeavesFile([1n]).subarray(0, FILE_HEADER_BYTES));
        new DataView(file.buffer).setUint32(FILE_HEADER_BYTES - 4, count);
        file.set(rest, FILE_HEADER_BYTES);
        return file;
      });
    fc.assert(
      fc.property(fc.oneof(headed, fc.uint8Array({ maxLength: 300 })), (bytes) => {
        expect(decodeLeavesFile(bytes).kind).to.be.oneOf(["accept", "reject"]);
        const expected = { root: `0x${"00".repeat(32)}`, leafCount: 3 } as const;
        expect(decodeLeavesFile(bytes, expected).kind).to.equal("reject");
      }),
      { numRuns: 20 * numRuns },
    );
    expect(readFileHeader(encodeHeader(0)).kind).to.equal("reject");
    expect(readFileHeader(encodeHeader(MAX_FILE_LEAVES)).kind).to.equal("accept");
    expect(readFileHeader(encodeHeader(MAX_FILE_LEAVES + 1)).kind).to.equal("reject");
  });

  it("can be checked piece by piece against the outline, and each leaf proven without hashing", () => {
    const count = (PIECE_CHUNKS + 1) * CHUNK_LEAVES + 77;
    const words = wordsOf(count, 987_654_321n);
    const tree = new LeafTree(words);
    const leaves = encodeLeaves(words);
    const outline = outlineOf(leaves);
    expect(judgeOutline(outline, tree).kind).to.equal("accept");
    expect(judgeOutline(outline.toReversed(), tree)).to.include({ kind: "reject", code: "LEAVES_OUTLINE" });
    expect(judgeOutline(outline.subarray(32), tree)).to.include({ kind: "reject", code: "LEAVES_OUTLINE" });
    const levels: Uint8Array[] = [];
    for (let piece = 0; piece < fileLayoutOf(count).pieceCount; piece++) {
      const { offset, byteLength } = pieceRangeOf(count, piece);
      const bytes = leaves.slice(offset, offset + byteLength);
      const judged = judgePiece(bytes, piece, outline, count);
      if (judged.kind !== "accept") throw new Error(judged.detail);
      levels.push(...judged.value);
      bytes[40] = (bytes[40] as number) ^ 1;
      expect(judgePiece(bytes, piece, outline, count)).to.include({ kind: "reject", code: "LEAVES_PIECE" });
      expect(judgePiece(bytes.subarray(32), piece, outline, count)).to.include({ code: "LEAVES_PIECE" });
      expect(judgePiece(leaves.subarray(0, byteLength), piece + 7, outline, count)).to.include({ kind: "reject" });
    }
    const top = topLevelsOf(outline, count);
    for (const seat of [0, 1, 255, 256, 8_191, 8_192, count - 78, count - 2, count - 1]) {
      const chunk = Math.floor(seat / CHUNK_LEAVES);
      const proof = proofFromLevels(seat, levels[chunk] as Uint8Array, top, count);
      expect(proof).to.deep.equal(tree.proof(seat));
      expect(verifyProof(tree.root, count, { index: seat, word: words[seat] as bigint }, proof)).to.equal(true);
      const start = chunk * CHUNK_LEAVES;
      const expected = encodeLeaves(words.slice(start, start + CHUNK_LEAVES));
      expect(leavesOfChunk(levels[chunk] as Uint8Array, count, chunk)).to.deep.equal(expected);
    }
  });

  it("prove every leaf of small trees of any shape", () => {
    fc.assert(
      fc.property(trees, (words) => {
        const tree = new LeafTree(words);
        const leaves = encodeLeaves(words);
        const outline = outlineOf(leaves);
        const judged = judgePiece(leaves, 0, outline, words.length);
        if (judged.kind !== "accept") throw new Error(judged.detail);
        const top = topLevelsOf(outline, words.length);
        for (const seat of [0, words.length >> 1, words.length - 1]) {
          const levels = judged.value[Math.floor(seat / CHUNK_LEAVES)] as Uint8Array;
          expect(proofFromLevels(seat, levels, top, words.length)).to.deep.equal(tree.proof(seat));
        }
      }),
      { numRuns },
    );
  });

  it("are named by their root in lower case, so that one root is one name", () => {
    expect(fileNameOf(`0x${"AB".repeat(32)}`)).to.equal(`0x${"ab".repeat(32)}.leaves`);
  });
});

function encodeHeader(count: number): Uint8Array {
  const header = encodeLeavesFile([1n]).slice(0, FILE_HEADER_BYTES);
  new DataView(header.buffer).setUint32(FILE_HEADER_BYTES - 4, count);
  return header;
}
