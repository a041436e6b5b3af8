import { expect } from "chai";
import fc from "fast-check";
import { zeroHash } from "viem";
import { hammingDistance, sketchOf, sketchSimilarity, skillIdOf, skillIdsOf, tagsOf, tokensOf } from "#protocol";

describe("sketch", () => {
  it("is near for texts that share words and far for texts that do not", () => {
    const translate = sketchOf("Translates legal contracts from German to English");
    const translation = sketchOf("Translation of a legal contract, German to English");
    const plumbing = sketchOf("Repairs kitchen sinks and unblocks drains at night");
    expect(hammingDistance(translate, translation)).to.be.below(80);
    expect(hammingDistance(translate, plumbing)).to.be.above(100);
    expect(sketchSimilarity(translate, translation)).to.be.above(sketchSimilarity(translate, plumbing));
  });

  it("does not depend on case, punctuation or word order", () => {
    expect(sketchOf("German, English!")).to.equal(sketchOf("english GERMAN"));
    expect(sketchOf("")).to.equal(zeroHash);
  });

  it("takes any text, and distance is a metric on what comes out", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), fc.string({ maxLength: 60 }), (a, b) => {
        const [x, y] = [sketchOf(a), sketchOf(b)];
        expect(x).to.match(/^0x[0-9a-f]{64}$/);
        expect(hammingDistance(x, x)).to.equal(0);
        expect(hammingDistance(x, y)).to.equal(hammingDistance(y, x)).and.to.be.within(0, 256);
      }),
    );
  });

  it("counts every differing bit", () => {
    expect(hammingDistance(zeroHash, `0x${"ff".repeat(32)}`)).to.equal(256);
    expect(hammingDistance(zeroHash, `0x${"80".repeat(32)}`)).to.equal(32);
  });

  it("cuts endless text to a bound", () => {
    expect(tokensOf("word ".repeat(10_000)).length).to.equal(512);
  });
});

describe("skill tags", () => {
  it("pack up to four skills, most significant first", () => {
    const [a, b] = [skillIdOf("translation"), skillIdOf("Legal ")];
    expect(tagsOf(["translation", "legal"])).to.equal((BigInt(a) << 96n) | (BigInt(b) << 64n));
    expect(skillIdsOf(tagsOf(["translation", "legal"]))).to.deep.equal([a, b]);
    expect(skillIdsOf(tagsOf([]))).to.deep.equal([]);
  });
});
