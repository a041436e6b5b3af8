import { expect } from "chai";
import fc from "fast-check";
import { concat, keccak256, numberToHex, type Hex } from "viem";
import {
  decodeLeaves,
  depthOf,
  encodeLeaves,
  LeafTree,
  packLeaf,
  packScoreQuery,
  unpackLeaf,
  unpackScoreQuery,
  verifyMultiproof,
  verifyProof,
} from "#protocol";

const word = fc.bigInt({ min: 0n, max: (1n << 256n) - 1n });
const words = fc.array(word, { minLength: 1, maxLength: 70 });
const uint = (bits: number) => fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n });

/** The definition, with nothing left out: pad to a power of two, hash level by level. */
function naiveRoot(leaves: readonly bigint[]): Hex {
  let level = leaves.map((leaf) => numberToHex(leaf, { size: 32 }));
  while (level.length & (level.length - 1)) level.push(numberToHex(0n, { size: 32 }));
  while (level.length > 1) {
    level = Array.from({ length: level.length / 2 }, (_, k) =>
      keccak256(concat([level[2 * k] as Hex, level[2 * k + 1] as Hex])),
    );
  }
  return level[0] as Hex;
}

describe("leaf tree", () => {
  it("has the root of the padded tree, and the depth that the ledger's seats fix", () => {
    fc.assert(
      fc.property(words, (leaves) => {
        const tree = new LeafTree(leaves);
        expect(tree.root).to.equal(naiveRoot(leaves));
        expect(2 ** tree.depth).to.be.at.least(leaves.length);
        expect(2 ** tree.depth).to.be.below(2 * leaves.length);
      }),
      { numRuns: 100 },
    );
    expect([1, 2, 3, 4, 5, 1024, 1025, 2 ** 32].map(depthOf)).to.deep.equal([0, 1, 2, 2, 3, 10, 11, 32]);
  });

  it("proves every leaf at its own position only, and no leaf that differs in one bit", () => {
    fc.assert(
      fc.property(words, fc.nat(), fc.nat({ max: 255 }), (leaves, pick, bit) => {
        const tree = new LeafTree(leaves);
        const index = pick % leaves.length;
        const leaf = { index, word: leaves[index] as bigint };
        const proof = tree.proof(index);
        expect(verifyProof(tree.root, leaves.length, leaf, proof)).to.equal(true);
        const forged = { index, word: leaf.word ^ (1n << BigInt(bit)) };
        expect(verifyProof(tree.root, leaves.length, forged, proof)).to.equal(false);
        expect(verifyProof(tree.root, leaves.length, { index: leaves.length, word: leaf.word }, proof)).to.equal(false);
        expect(verifyProof(tree.root, leaves.length, leaf, [...proof, tree.root])).to.equal(false);
      }),
      { numRuns: 200 },
    );
  });

  it("proves any set of leaves at once, and refuses it with a node more, a node less or another leaf", () => {
    fc.assert(
      fc.property(words, fc.array(fc.nat(), { minLength: 1, maxLength: 20 }), (leaves, picks) => {
        const tree = new LeafTree(leaves);
        const indices = [...new Set(picks.map((pick) => pick % leaves.length))].sort((a, b) => a - b);
        const placed = indices.map((index) => ({ index, word: leaves[index] as bigint }));
        const proof = tree.multiproof(indices);
        const verify = (leavesGiven = placed, given = proof) =>
          verifyMultiproof(tree.root, leaves.length, leavesGiven, given);
        expect(verify()).to.equal(true);
        expect(verify(placed, [...proof, tree.root])).to.equal(false);
        if (proof.length > 0) expect(verify(placed, proof.slice(1))).to.equal(false);
        const [first, ...rest] = placed as [(typeof placed)[0], ...typeof placed];
        expect(verify([{ index: first.index, word: first.word ^ 1n }, ...rest])).to.equal(false);
      }),
      { numRuns: 200 },
    );
  });

  it("proves aligned blocks of leaves by the path above them", () => {
    const leaves = Array.from({ length: 21 }, (_, k) => BigInt(k + 1));
    const tree = new LeafTree(leaves);
    const block = [...leaves.slice(16), ...Array<bigint>(3).fill(0n)];
    const path = tree.subtreeProof(2, 3);
    expect(path).to.have.length(2);
    const root = concat([path[1] as Hex, keccak256(concat([naiveRoot(block), path[0] as Hex]))]);
    expect(keccak256(root)).to.equal(tree.root);
  });
});

describe("leaf", () => {
  const leaf = fc.record({
    agentId: fc.nat({ max: 0xffffffff }),
    score: uint(64),
    cum: uint(64),
    prior: uint(48),
    rowSum: uint(48),
  });

  it("packs into one word and comes back unchanged", () => {
    fc.assert(fc.property(leaf, (value) => void expect(unpackLeaf(packLeaf(value))).to.deep.equal(value)));
    fc.assert(fc.property(word, (value) => void expect(packLeaf(unpackLeaf(value))).to.equal(value)));
    const example = { agentId: 1, score: 2n, cum: 3n, prior: 4n, rowSum: 5n };
    expect(numberToHex(packLeaf(example), { size: 32 })).to.equal(
      "0x00000001000000000000000200000000000000030000000000040000000000" + "05",
    );
  });

  it("refuses a field that is one too wide", () => {
    const base = { agentId: 1, score: 0n, cum: 0n, prior: 0n, rowSum: 0n };
    for (const wide of [
      { agentId: 2 ** 32 },
      { score: 1n << 64n },
      { cum: 1n << 64n },
      { prior: 1n << 48n },
      { rowSum: 1n << 48n },
      { rowSum: -1n },
    ]) {
      expect(() => packLeaf({ ...base, ...wide })).to.throw("does not fit");
    }
  });

  it("travels as bytes of several topics, and exactly that many", () => {
    fc.assert(
      fc.property(fc.array(words, { maxLength: 4 }), (topics) => {
        const bytes = encodeLeaves(topics.flat());
        const counts = topics.map((topic) => topic.length);
        expect(decodeLeaves(bytes, counts)).to.deep.equal({ kind: "accept", value: topics });
        expect(decodeLeaves(Uint8Array.from([...bytes, 0]), counts)).to.include({
          kind: "reject",
          code: "LEAVES_LENGTH",
        });
        expect(decodeLeaves(bytes, [...counts, 1])).to.include({ kind: "reject", code: "LEAVES_LENGTH" });
      }),
      { numRuns: 50 },
    );
  });
});

describe("score query", () => {
  it("packs topic | epoch << 64 | index << 96 and comes back unchanged", () => {
    expect(packScoreQuery({ topic: 7n, epoch: 2, index: 3 })).to.equal(7n + (2n << 64n) + (3n << 96n));
    const uint32 = fc.nat({ max: 0xffffffff });
    fc.assert(
      fc.property(
        fc.record({ topic: uint(64), epoch: uint32, index: uint32 }),
        (query) => void expect(unpackScoreQuery(packScoreQuery(query))).to.deep.equal(query),
      ),
    );
    expect(() => packScoreQuery({ topic: 1n << 64n, epoch: 0, index: 0 })).to.throw("does not fit");
  });
});
