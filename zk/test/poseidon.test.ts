import { readFileSync } from "node:fs";
import { expect } from "chai";
import { Field, Poseidon } from "o1js";
import { keccak256, numberToHex } from "viem";
import { poseidonHash, stateGenesis, stateHeadAfter } from "../../contracts/protocol/index.ts";
import { areParametersFresh } from "../generate-poseidon.ts";
import { shadowGenesis, shadowHead, wordOf } from "../log/shadow.ts";
import { renderVectors } from "../make-poseidon-vectors.ts";

describe("the root project's own Poseidon", () => {
  it("has o1js's parameters, and vectors that o1js computes", () => {
    expect(areParametersFresh(), "npm run poseidon --prefix zk").to.equal(true);
    const kept = readFileSync(new URL("../../test/vectors/poseidon-kimchi.json", import.meta.url), "utf8");
    expect(JSON.parse(kept)).to.deep.equal(JSON.parse(renderVectors()));
  });

  it("hashes what o1js hashes to the same element: 300 inputs of up to 5 elements", () => {
    for (let i = 0; i < 300; i++) {
      const input = Array.from(
        { length: 1 + (i % 5) },
        (_, k) => BigInt(keccak256(numberToHex(i * 8 + k, { size: 32 }))) % Field.ORDER,
      );
      expect(poseidonHash(input), String(i)).to.equal(Poseidon.hash(input.map(Field)).toBigInt());
    }
  });

  it("folds a log to the circuit's head", () => {
    const name = { chainId: 11_155_111, registry: numberToHex(3, { size: 20 }), log: numberToHex(4, { size: 20 }) };
    const entries = Array.from({ length: 40 }, (_, i) => ({
      ...{ seq: 2 ** 33 + i, digest: keccak256(numberToHex(i)), spend: i === 7 ? 2n ** 64n - 1n : BigInt(i % 3) },
    }));
    expect(stateGenesis(name)).to.equal(wordOf(shadowGenesis(name)));
    expect(stateHeadAfter(stateGenesis(name), entries)).to.equal(wordOf(shadowHead(shadowGenesis(name), entries)));
  });
});
