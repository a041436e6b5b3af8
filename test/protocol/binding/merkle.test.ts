import { expect } from "chai";
import fc from "fast-check";
import { concat, keccak256, numberToHex, toHex, type Hex } from "viem";
import {
  checkpointRange,
  CHECKPOINT_INTERVAL,
  isEntryInRange,
  leafHash,
  merkleProof,
  merkleRoot,
  proveEntry,
  rangeRootOf,
  rootFromProof,
} from "#protocol";

const leaves = (count: number): Hex[] => Array.from({ length: count }, (_, k) => leafHash(toHex(k)));

/** RFC 9162, 2.1.1, written as its definition: MTH(D[n]) = H(0x01, MTH(D[0:k]), MTH(D[k:n])), k the largest power of two below n. */
function definition(hashes: readonly Hex[]): Hex {
  if (hashes.length === 1) return hashes[0] as Hex;
  let k = 1;
  while (k * 2 < hashes.length) k *= 2;
  return keccak256(concat(["0x01", definition(hashes.slice(0, k)), definition(hashes.slice(k))]));
}

describe("the Merkle tree of configs and log ranges", () => {
  it("has the root of RFC 9162's definition, bound to the number of leaves", () => {
    for (let count = 1; count <= 130; count++) {
      const expected = keccak256(concat(["0x02", numberToHex(count, { size: 4 }), definition(leaves(count))]));
      expect(merkleRoot(leaves(count))).to.equal(expected);
    }
    expect(() => merkleRoot([])).to.throw("0 leaves");
  });

  it("proves each leaf at its own place, and at no other place, length or count", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 80 }), fc.nat(), fc.nat(), (leafCount, pick, other) => {
        const index = pick % leafCount;
        const [all, root] = [leaves(leafCount), merkleRoot(leaves(leafCount))];
        const proof = merkleProof(all, index);
        const leaf = all[index] as Hex;
        expect(rootFromProof(leaf, { index, leafCount }, proof)).to.equal(root);
        const wrong = other % leafCount;
        if (wrong !== index) expect(rootFromProof(leaf, { index: wrong, leafCount }, proof)).to.not.equal(root);
        expect(rootFromProof(leaf, { index, leafCount: leafCount + 1 }, proof)).to.not.equal(root);
        expect(rootFromProof(leaf, { index, leafCount }, [...proof, leaf])).to.equal(undefined);
        if (proof.length > 0) expect(rootFromProof(leaf, { index, leafCount }, proof.slice(1))).to.equal(undefined);
      }),
    );
  });

  it("lets no inner node pass for a leaf, and no leaf for a root", () => {
    const [a, b] = leaves(2) as [Hex, Hex];
    const inner = concat([a, b]);
    expect(leafHash(inner)).to.not.equal(keccak256(concat(["0x01", inner])));
    expect(merkleRoot([a])).to.not.equal(a);
  });
});

describe("checkpoints of a log", () => {
  it("stand at every 64th entry and cover the 64 before it", () => {
    const at = Array.from({ length: 200 }, (_, seq) => seq).filter((seq) => checkpointRange(seq) !== undefined);
    expect(at).to.deep.equal([64, 128, 192]);
    expect(checkpointRange(128)).to.deep.equal({ fromSeq: 64, toSeq: 127 });
  });

  it("prove an entry of the range at its seq, and no other entry or seq", () => {
    const digests = Array.from({ length: CHECKPOINT_INTERVAL }, (_, k) => keccak256(toHex(k)));
    const [range, root] = [{ fromSeq: 64, toSeq: 127 }, rangeRootOf(digests)];
    const proof = proveEntry(digests, 64, 100);
    const digest = digests[36] as Hex;
    expect(isEntryInRange(root, range, { seq: 100, digest }, proof)).to.equal(true);
    expect(isEntryInRange(root, range, { seq: 101, digest }, proof)).to.equal(false);
    expect(isEntryInRange(root, range, { seq: 100, digest: digests[35] as Hex }, proof)).to.equal(false);
    expect(isEntryInRange(root, { fromSeq: 63, toSeq: 127 }, { seq: 100, digest }, proof)).to.equal(false);
    expect(() => proveEntry(digests, 64, 128)).to.throw("not in the range");
  });
});
