import { expect } from "chai";
import fc from "fast-check";
import { network } from "hardhat";
import type { Hex } from "viem";
import { structHash, structTypes, type Structs } from "#protocol";
import { arbitraryOf } from "../fixtures/arbitraries.ts";

const { viem } = await network.create();
const structHashes = await viem.deployContract("StructHashes");

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
