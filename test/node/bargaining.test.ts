import { expect } from "chai";
import fc from "fast-check";
import { zeroAddress } from "viem";
import { encodeRules } from "#protocol";
import { readTaskBargain } from "../../node/bargaining.ts";

const ARBITER = `0x${"A7".repeat(20)}`;
const one = { priceWei: "5", worth: "-3" };

describe("packages of a task to bargain over", () => {
  it("are read with what is usual where nothing is said", () => {
    const read = readTaskBargain({ packages: [one], arbiter: ARBITER });
    expect(read).to.deep.equal({
      kind: "accept",
      value: {
        rules: {
          ...{ kind: "bargaining", version: 1, maxRounds: 64, moveWithinMs: 15_000 },
          ...{ arbiter: ARBITER.toLowerCase(), rulingWithinS: 604_800 },
          packages: [{ priceWei: 5n, bondWei: 0n, soonerS: 0, reviewPeriodS: 60, promise: "" }],
        },
        side: { worths: [-3n], reservation: 0n },
      },
    });
    expect(readTaskBargain({ packages: [one] })).to.have.nested.property("value.rules.arbiter", zeroAddress);
  });

  for (const [code, change] of [
    ["BARGAIN_PACKAGES", { packages: "all" }],
    ["BARGAIN_PACKAGES", { packages: [] }],
    ["BARGAIN_PACKAGE", { packages: [one, 7] }],
    ["BARGAIN_PACKAGE", { packages: [{ ...one, priceWei: 5 }] }],
    ["BARGAIN_PACKAGE", { packages: [{ ...one, bondWei: "-1" }] }],
    ["BARGAIN_WORTH", { packages: [one, { ...one, worth: 3 }] }],
    ["BARGAIN_WORTH", { packages: [one], reservation: "1.5" }],
    ["BARGAIN_ROUNDS", { packages: [one], maxRounds: 0 }],
    ["BARGAIN_TIME", { packages: [one], moveWithinMs: "soon" }],
    ["BARGAIN_ARBITER", { packages: [one], arbiter: "panel" }],
    ["BARGAIN_RULING", { packages: [one], rulingWithinS: 5 }],
  ] as const) {
    it(`are refused as ${code} for ${JSON.stringify(change).slice(0, 60)}`, () => {
      expect(readTaskBargain(change)).to.include({ code });
    });
  }

  it("are judged without a throw, whatever JSON comes, and what is taken can go to the other side", () => {
    const field = fc.oneof(fc.jsonValue(), fc.constantFrom("0", "7", 60));
    const entry = fc.record(
      { priceWei: field, worth: field, bondWei: field, soonerS: field, reviewPeriodS: field, promise: field },
      { requiredKeys: ["priceWei", "worth"] },
    );
    const whole = fc.record({ packages: fc.array(fc.oneof(entry, fc.constant(one))), reservation: field });
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), whole), (value) => {
        const read = readTaskBargain(value);
        if (read.kind === "accept") expect(encodeRules(read.value.rules)).to.be.instanceOf(Uint8Array);
        else expect(read.code).to.match(/^BARGAIN_/);
      }),
      { examples: [[{ packages: [one, one] }], [null], [[]]] },
    );
  });
});
