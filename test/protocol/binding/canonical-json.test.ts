import { expect } from "chai";
import fc from "fast-check";
import { bytesToHex, stringToBytes } from "viem";
import { canonicalJson, isJson } from "#protocol";

/** RFC 8785, appendix B: IEEE 754 doubles in hex and their text. */
const numbers: [string, string][] = [
  ["0000000000000000", "0"],
  ["8000000000000000", "0"],
  ["0000000000000001", "5e-324"],
  ["8000000000000001", "-5e-324"],
  ["7fefffffffffffff", "1.7976931348623157e+308"],
  ["ffefffffffffffff", "-1.7976931348623157e+308"],
  ["4340000000000000", "9007199254740992"],
  ["c340000000000000", "-9007199254740992"],
  ["4430000000000000", "295147905179352830000"],
  ["44b52d02c7e14af5", "9.999999999999997e+22"],
  ["44b52d02c7e14af6", "1e+23"],
  ["44b52d02c7e14af7", "1.0000000000000001e+23"],
  ["444b1ae4d6e2ef4e", "999999999999999700000"],
  ["444b1ae4d6e2ef4f", "999999999999999900000"],
  ["444b1ae4d6e2ef50", "1e+21"],
  ["3eb0c6f7a0b5ed8c", "9.999999999999997e-7"],
  ["3eb0c6f7a0b5ed8d", "0.000001"],
  ["41b3de4355555553", "333333333.3333332"],
  ["41b3de4355555554", "333333333.33333325"],
  ["41b3de4355555555", "333333333.3333333"],
  ["41b3de4355555556", "333333333.3333334"],
  ["41b3de4355555557", "333333333.33333343"],
  ["becbf647612f3696", "-0.0000033333333333333333"],
  ["43143ff3c1cb0959", "1424953923781206.2"],
];

describe("canonical JSON", () => {
  it("writes the sample of RFC 8785, 3.2.2, in the bytes of 3.2.4", () => {
    const sample = String.raw`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`;
    expect(bytesToHex(stringToBytes(canonicalJson(JSON.parse(sample)))).slice(2)).to.equal(
      "7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e756d62657273223a" +
        "5b3333333333333333332e333333333333332c31652b33302c342e352c302e3030322c31652d3237" +
        "5d2c22737472696e67223a22e282ac245c75303030665c6e4127425c225c5c5c5c5c222f227d",
    );
  });

  it("sorts names by UTF-16 units, as RFC 8785, 3.2.3, does", () => {
    const sample = String.raw`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
      "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`;
    const sorted = Object.values(JSON.parse(canonicalJson(JSON.parse(sample))) as Record<string, string>);
    // A name that is an array index comes first in an object, whatever the text: look at the text itself.
    const text = canonicalJson(JSON.parse(sample));
    const places = [...sorted].sort((a, b) => text.indexOf(a) - text.indexOf(b));
    expect(places).to.deep.equal([
      "Carriage Return",
      "One",
      "Control",
      "Latin Small Letter O With Diaeresis",
      "Euro Sign",
      "Emoji: Grinning Face",
      "Hebrew Letter Dalet With Dagesh",
    ]);
  });

  it("writes every double of RFC 8785, appendix B, and refuses NaN and infinity", () => {
    for (const [bits, text] of numbers) {
      const view = new DataView(new ArrayBuffer(8));
      view.setBigUint64(0, BigInt(`0x${bits}`));
      expect(canonicalJson(view.getFloat64(0)), bits).to.equal(text);
    }
    for (const value of [Number.NaN, Infinity, -Infinity]) expect(() => canonicalJson(value)).to.throw("JSON");
  });

  it("gives one text to a value, whatever the order and spacing of its names", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value);
        const reversed = JSON.parse(JSON.stringify(value, (_, item: unknown) => reverse(item))) as unknown;
        expect(canonicalJson(reversed)).to.equal(text);
        expect(canonicalJson(JSON.parse(text))).to.equal(text);
      }),
    );
  });

  it("refuses what JSON cannot say, at any depth, and nesting without end", () => {
    const cyclic: Record<string, unknown> = {};
    cyclic["self"] = cyclic;
    for (const value of [undefined, 1n, () => 1, "\ud800", new Date(0), new Map(), { toJSON: () => 1 }, cyclic]) {
      expect(isJson(value)).to.equal(false);
      expect(() => canonicalJson({ deep: [value] })).to.throw("no canonical JSON");
    }
    expect(isJson({ "\udfff": 1 })).to.equal(false);
  });
});

function reverse(item: unknown): unknown {
  if (typeof item !== "object" || item === null || Array.isArray(item)) return item;
  return Object.fromEntries(Object.entries(item).reverse());
}
