import { expect } from "chai";
import { brokenClaims } from "../../../scripts/checks/properties.ts";

const tests: Readonly<Record<string, string>> = { "test/a.test.ts": 'it("pays once", () => {});' };
const broken = (line: string) => brokenClaims(`# Properties\n${line}\n`, (path) => tests[path]);

describe("properties", () => {
  it("accept a claim whose test exists", () => {
    expect(broken("   - `test/a.test.ts`: `pays once`")).to.deep.equal([]);
  });

  it("refuse a claim without its test, without its file, or in a form that nobody checks", () => {
    expect(broken("   - `test/a.test.ts`: `pays twice`")).to.deep.equal([
      'PROPERTIES.md:2 test/a.test.ts has no test "pays twice"',
    ]);
    expect(broken("   - `test/b.test.ts`: `pays once`")).to.deep.equal(["PROPERTIES.md:2 there is no test/b.test.ts"]);
    expect(broken("proven in `test/a.test.ts`")).to.have.lengthOf(1);
  });
});
