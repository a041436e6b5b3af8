import { expect } from "chai";
import fc from "fast-check";
import { network } from "hardhat";
import { toHex, type Hex } from "viem";
import { structHash, structTypes, type Structs } from "#protocol";

const { viem } = await network.create();
const structHashes = await viem.deployContract("StructHashes");

/** Any value of a static Solidity type, as viem wants it. */
function arbitraryOf(type: string): fc.Arbitrary<unknown> {
  if (type === "address") return fc.bigInt({ min: 0n, max: 2n ** 160n - 1n }).map((n) => toHex(n, { size: 20 }));
  if (type === "bytes32") return fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }).map((n) => toHex(n, { size: 32 }));
  if (type === "bool") return fc.boolean();
  if (type === "int8") return fc.integer({ min: -128, max: 127 });
  const bits = Number(type.replace("uint", ""));
  const integer = fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n });
  return bits <= 48 ? integer.map(Number) : integer;
}

describe("struct hashes", () => {
  for (const name of Object.keys(structTypes) as (keyof Structs)[]) {
    it(`${name}: TypeScript and the chain agree on any value`, async () => {
      const value = fc.record(Object.fromEntries(structTypes[name].map((f) => [f.name, arbitraryOf(f.type)])));
      const read = structHashes.read as unknown as Record<string, (args: unknown[]) => Promise<Hex>>;
      await fc.assert(
        fc.asyncProperty(value, async (v) => {
          const onChain = await read[`hash${name}`]?.([v]);
          expect(structHash(name, v as never)).to.equal(onChain);
        }),
        { numRuns: 20 },
      );
    });
  }
});
