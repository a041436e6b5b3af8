import { createRequire } from "node:module";
import { expect } from "chai";
import { findBranches } from "../../../scripts/checks/branches.ts";

const require = createRequire(import.meta.url);
const solc = require("solc/wrapper.js")(require("solc/soljson.js")) as { compile(input: string): string };

/** Each statement stands on a line of its own; `// n` says in how many calls it ran. */
const SOURCE = `contract C {
    function f(uint256 x) external {
        // ünïcode before a statement moves bytes, not characters
        require(x > 0); // 9
        if (x > 1) // 8
            x = 2; // 5
        if (x > 2) { // 8
            revert(); // 0
        }
        x = 3; // 8
        if (x > 3) // 8
            x = 4; // 8
        if (x > 4) { // 8
            x = 5; // 3
        } else {
            x = 6; // 5
        }
        require(x > 5); // 8
        x = x > 6 ? 7 : 8; // 8
        require(x > 7); // 8
    }
}`;

describe("branches from statements", () => {
  it("tells each arm that was taken, each that was not, and those that leave no trace", () => {
    const settings = { stopAfter: "parsing", outputSelection: { "*": { "": ["ast"] } } };
    const input = JSON.stringify({ language: "Solidity", sources: { c: { content: SOURCE } }, settings });
    const { ast } =
      (JSON.parse(solc.compile(input)) as { sources: Record<string, { ast: unknown }> }).sources["c"] ?? {};
    let start = 0;
    const statements = SOURCE.split("\n").flatMap((line) => {
      const [at, hits] = [start, /\/\/ (\d+)$/.exec(line)?.[1]];
      start += line.length + 1;
      return hits === undefined ? [] : [{ start: at, hits: Number(hits) }];
    });
    const found = findBranches(ast, SOURCE, statements).map(({ line, what, isTaken }) => [line, what, isTaken]);
    expect(found).to.deep.equal([
      [4, "passes", true],
      [4, "fails", true],
      [5, "then", true],
      [5, "else", true],
      [7, "then", false],
      [7, "else", true],
      [11, "then", true],
      [11, "else", false],
      [13, "then", true],
      [13, "else", true],
      [18, "passes", true],
      [18, "fails", false],
      [19, "?", undefined],
      [19, ":", undefined],
      [20, "passes", undefined],
      [20, "fails", undefined],
    ]);
  });
});
