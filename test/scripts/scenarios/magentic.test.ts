import { existsSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { leastPriceOf, listPriceOptimum, readMarket } from "../../../scripts/scenarios/magentic.ts";

const folder = "../shared/data/magentic";

describe("magentic markets", () => {
  for (const name of ["mexican_3_9", "mexican_10_30", "mexican_33_99"]) {
    it(`${name}: the list-price optimum is the one its authors published`, function () {
      const dir = `${folder}/${name}`;
      if (!existsSync(dir)) {
        console.log(`      ${dir} is absent`);
        return this.skip();
      }
      const published = JSON.parse(readFileSync(`${dir}/baseline_utilities.json`, "utf8")) as {
        pick_optimal_baseline: { constant: number };
      };
      const publishedCents = Math.round(published.pick_optimal_baseline.constant * 100);
      expect(listPriceOptimum(readMarket(dir))).to.equal(publishedCents);
    });
  }

  it("names the folder that holds no market", () => {
    expect(() => readMarket("nowhere"))
      .to.throw()
      .with.property("code", "USAGE_SCENARIO");
  });

  it("rounds the least price up, in the business's favour", () => {
    const business = { id: "", name: "", description: "", menu: {}, amenities: [], minPriceBps: 7_800 };
    expect(leastPriceOf(business, 1_001)).to.equal(781);
  });
});
