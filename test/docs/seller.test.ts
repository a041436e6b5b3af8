// The agent of the guides, as its node calls it, and the shop that the guide gives it.
import { expect } from "chai";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { bargain } from "#protocol";
import { createApplication } from "../../docs/seller.ts";
import { readTaskBargain } from "../../node/bargaining.ts";
import { parseShop } from "../../node/shop-config.ts";
import { root } from "../../scripts/checks/run-tool.ts";

describe("the agent of the guides", () => {
  it("counts words for a deal and for a request over HTTP alike", async () => {
    const { capabilities, perform, serve } = await createApplication({ name: "seller", options: {} });
    const [text, signal] = ["how many words are these", new AbortController().signal];
    const spec = { topic: capabilities[0]?.topic ?? "", title: "Count", input: text };
    const body = new TextEncoder().encode(text);
    const answers = [
      await perform({} as never, spec, signal),
      await serve?.({ method: "POST", url: "http://127.0.0.1/words", body }, signal),
    ];
    expect(answers.map((answer) => new TextDecoder().decode(answer))).to.deep.equal(["5", "5"]);
  });

  it("bargains over the packages of the guide, and ends where both gain", async () => {
    const page = readFileSync(join(root, "docs/run-a-network.md"), "utf8");
    const [, json = ""] = /^"bargain": (\{.+?\] \})$/ms.exec(page) ?? [];
    const read = readTaskBargain(JSON.parse(json));
    if (read.kind !== "accept") throw new Error(read.detail);
    const { rules, side } = read.value;
    const { value } = await createApplication({ name: "seller", options: {} });
    const seller = await value?.({} as never, rules, { topic: "text_analysis", title: "Count", input: "" });
    if (seller === undefined) throw new Error("the seller does not bargain");
    const { outcome } = bargain(seller, side);
    expect(outcome).to.equal(1);
    expect([seller, side].map(({ worths }) => (worths[1] ?? 0n) > 0n)).to.deep.equal([true, true]);
  });

  it("has a shop in the guide that a node takes, for the price that the guide pays", () => {
    const page = readFileSync(join(root, "docs/run-a-network.md"), "utf8");
    const [, json = ""] = /--shop '(\{.+\})'/.exec(page) ?? [];
    const shop = parseShop(JSON.parse(json), "seller", "the guide");
    expect(shop.arbiter).to.equal("panel");
    const [, path, price] = /pay SHOP_URL(\/\S+) .* --max (\d+)/.exec(page) ?? [];
    expect(shop.resources.map((sold) => [sold.path, sold.priceWei.toString()])).to.deep.equal([[path, price]]);
  });
});
