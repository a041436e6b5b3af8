import { expect } from "chai";
import fc from "fast-check";
import type { Address } from "viem";
import {
  answerOffer,
  bargain,
  checkCallRules,
  decodeCertificate,
  decodeRules,
  encodeCertificate,
  encodeRules,
  encodeStrictCbor,
  extendHistory,
  MAX_PACKAGES,
  NO_COURT,
  type BargainRules,
  type Side,
} from "#protocol";
import { bidOf, callOf, signBid } from "./fixtures.ts";

const word = fc.string({ maxLength: 20 });
const ARBITER: Address = `0x${"a7".repeat(20)}`;
const court = fc.constantFrom(
  NO_COURT,
  { arbiter: ARBITER, rulingWithinS: 1 },
  { arbiter: ARBITER, rulingWithinS: 86_400 },
);
const terms = fc.record({
  ...{ kind: fc.constant("bargaining" as const), version: fc.constant(1 as const) },
  packages: fc.array(
    fc.record({
      priceWei: fc.bigInt(0n, 900n),
      bondWei: fc.bigInt(0n, 99n),
      soonerS: fc.nat(500),
      reviewPeriodS: fc.nat(9_999),
      promise: word,
    }),
    { minLength: 1, maxLength: 20 },
  ),
  maxRounds: fc.integer({ min: 1, max: 128 }),
  moveWithinMs: fc.integer({ min: 1, max: 86_400_000 }),
});
const rules: fc.Arbitrary<BargainRules> = fc.tuple(terms, court).map(([drawn, ruled]) => ({ ...drawn, ...ruled }));
const sample: BargainRules = {
  ...{ kind: "bargaining", version: 1, maxRounds: 8, moveWithinMs: 5_000, ...NO_COURT },
  packages: [{ priceWei: 10n, bondWei: 4n, soonerS: 0, reviewPeriodS: 300, promise: "two pages" }],
};

describe("bargaining rules", () => {
  it("have one byte form each, and come back as they were", () => {
    fc.assert(
      fc.property(rules, (drawn) => {
        const bytes = encodeRules(drawn);
        expect(decodeRules(bytes)).to.deep.equal({ kind: "accept", value: drawn });
      }),
    );
  });

  it("are judged without a throw, whatever bytes come", () => {
    const bytes = encodeRules(sample);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, value, length) => {
        const changed = bytes.slice(0, Math.max(1, length));
        changed[at % changed.length] = value;
        expect(decodeRules(changed).kind).to.be.oneOf(["accept", "reject", "ignore"]);
      }),
    );
    const least = ["1", "0", 0, 0, ""];
    const judge = (change: object) => decodeRules(encodeStrictCbor({ ...sample, packages: [least], ...change })).kind;
    expect(judge({})).to.equal("accept");
    expect(judge({ arbiter: ARBITER, rulingWithinS: 1 })).to.equal("accept");
    for (const [name, value] of [
      ["packages", []],
      ["packages", Array.from({ length: MAX_PACKAGES + 1 }, () => least)],
      ["packages", [least.slice(1)]],
      ["packages", [["01", "0", 0, 0, ""]]],
      ["packages", [["1", "-1", 0, 0, ""]]],
      ["packages", [["1", "0", -1, 0, ""]]],
      ["packages", [["1", "0", 0, 0, "x".repeat(257)]]],
      ["packages", [[(2n ** 128n).toString(), "0", 0, 0, ""]]],
      ["packages", [["1", (2n ** 128n).toString(), 0, 0, ""]]],
      ["arbiter", ARBITER],
      ["arbiter", ARBITER.toUpperCase()],
      ["arbiter", 7],
      ["rulingWithinS", 1],
      ["maxRounds", 0],
      ["maxRounds", 129],
      ["moveWithinMs", 1.5],
      ["extra", 1],
    ] as const) {
      expect(judge({ [name]: value }), `${name} ${String(value).slice(0, 20)}`).to.equal("reject");
    }
    expect(decodeRules(encodeStrictCbor({ ...sample, packages: [], version: 2 })).kind).to.equal("ignore");
  });

  it("name a package that no deal of the call could be", () => {
    const call = callOf();
    const withTerms = (terms: object) => ({
      ...sample,
      packages: [
        ...sample.packages,
        { priceWei: 5n, bondWei: 0n, soonerS: 0, reviewPeriodS: 9, promise: "", ...terms },
      ],
    });
    expect(checkCallRules(call, sample).kind).to.equal("accept");
    expect(checkCallRules(call, withTerms({ priceWei: 1_001n }))).to.include({ code: "RULES_RESERVE" });
    expect(checkCallRules(call, withTerms({ soonerS: 600 }))).to.include({ code: "RULES_SOONER" });
  });
});

describe("the certificate of an agreement", () => {
  const call = callOf();
  const bids = [signBid(bidOf(call, 2n, { price: 10n, quality: 0n, salt: 1n }))];
  const history = extendHistory(bids[0]?.bidId ?? "0x", `0x${"11".repeat(32)}`);

  it("comes back as it was, and is refused with two bids, none, or a package that cannot be", () => {
    const shown = { bids, passed: [], bargain: { outcome: 3, history } };
    expect(decodeCertificate(encodeCertificate(shown))).to.deep.equal({ kind: "accept", value: shown });
    const codeOf = (given: Parameters<typeof encodeCertificate>[0]) => {
      const verdict = decodeCertificate(encodeCertificate(given));
      return verdict.kind === "accept" ? "accept" : verdict.code;
    };
    const other = signBid(bidOf(call, 3n));
    expect(codeOf({ ...shown, bids: [] })).to.equal("CERTIFICATE_BIDS");
    expect(codeOf({ ...shown, bids: [...bids, other] })).to.equal("CERTIFICATE_BIDS");
    expect(codeOf({ ...shown, bargain: { outcome: MAX_PACKAGES, history } })).to.equal("CERTIFICATE_OUTCOME");
    expect(codeOf({ ...shown, bargain: { outcome: 1, history: "0x11" } })).to.equal("CERTIFICATE_HISTORY");
  });
});

describe("a side that answers offers from memory", () => {
  it("comes with its like to what the whole bargaining comes to", () => {
    const side: fc.Arbitrary<Side> = fc.record({
      worths: fc.array(fc.bigInt(0n, 100n), { minLength: 15, maxLength: 15 }),
      reservation: fc.bigInt(0n, 60n),
    });
    fc.assert(
      fc.property(side, side, (left, right) => {
        expect(play(left, right)).to.equal(bargain(left, right).outcome);
      }),
    );
  });
});

/** Both sides keep nothing but what was said. */
function play(first: Side, second: Side): number | undefined {
  const sides = [first, second] as const;
  const said: [number[], number[]] = [[], []];
  let heard: number | undefined;
  for (let turn = 0; turn < 100; turn++) {
    const [mine, theirs] = turn % 2 === 0 ? [0, 1] : [1, 0];
    const side = sides[mine as 0 | 1];
    // What is heard now is not yet among what was heard before.
    const before = (said[theirs as 0 | 1] as number[]).slice(0, -1);
    const move = answerOffer(side, said[mine as 0 | 1], heard === undefined ? [] : before, heard);
    if (move.kind === "agree") return move.outcome;
    if (move.kind === "leave") return undefined;
    said[mine as 0 | 1].push(move.outcome);
    heard = move.outcome;
  }
  throw new Error("it does not end");
}
