import { expect } from "chai";
import { wilsonInterval } from "../../bench/harness/wilson.ts";

describe("Wilson's interval", () => {
  it("is that of the textbook, and stays within 0 and 1 at both ends", () => {
    // Newcombe, Statistics in Medicine 17, 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    const rows = [
      [81, 263, 0.2553, 0.3662],
      [15, 148, 0.0624, 0.1605],
      [0, 20, 0, 0.1611],
      [1, 29, 0.0061, 0.1718],
    ] as const;
    for (const [successes, trials, low, high] of rows) {
      const [from, to] = wilsonInterval(successes, trials);
      expect(from).to.be.closeTo(low, 5e-5);
      expect(to).to.be.closeTo(high, 5e-5);
    }
    expect(wilsonInterval(20, 20)[1]).to.equal(1);
    expect(wilsonInterval(0, 0)).to.deep.equal([0, 1]);
  });
});
