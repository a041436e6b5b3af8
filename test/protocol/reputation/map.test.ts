import { expect } from "chai";
import { ALPHA, MAX_PRIOR, priorOf, rowValue } from "#protocol";

describe("exact map", () => {
  it("computes a row as a pencil does", () => {
    // ⌊1000/7⌋ = 142, ·3 = 426; ⌊50/60⌋ = 0; row sum 0 passes nothing on. 55706·426 >> 16 = 362; 5·9 >> 2 = 11.
    const edges = [
      { weight: 3n, score: 1000n, rowSum: 7n },
      { weight: 60n, score: 50n, rowSum: 60n + 1n },
      { weight: 9n, score: 1n << 60n, rowSum: 0n },
    ];
    expect(65536n - ALPHA).to.equal(55706n);
    expect(rowValue(edges, { multiplier: 5n, shift: 2 }, 9n)).to.equal(362n + 11n);
    expect(rowValue([], { multiplier: (1n << 63n) - 1n, shift: 0 }, MAX_PRIOR)).to.equal(
      ((1n << 63n) - 1n) * MAX_PRIOR,
    );
  });

  it("saturates priors at 48 bits", () => {
    expect([0n, 5n, MAX_PRIOR, MAX_PRIOR + 1n, 1n << 200n].map(priorOf)).to.deep.equal([
      0n,
      5n,
      MAX_PRIOR,
      MAX_PRIOR,
      MAX_PRIOR,
    ]);
  });
});
