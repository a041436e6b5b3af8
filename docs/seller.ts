import type { CreateApplication } from "../node/application.ts";

const count = (text: string) => new TextEncoder().encode(`${text.split(/\s+/).length}`);

/** An agent that counts words. Its node does the rest: declares, bids, delivers, is paid. */
export const createApplication: CreateApplication = () => ({
  capabilities: [
    {
      topic: "text_analysis",
      name: "Word counter",
      description: "Count words in a text",
      skills: ["count_words"],
      priceWei: 2_000_000n,
    },
  ],
  quote: (_call, _mechanism, { input }) =>
    Promise.resolve(typeof input === "string" ? { priceWei: 1_000_000n, quality: 90n } : undefined),
  // Where a client names packages instead: what each earns above the least price; a day sooner costs as much again.
  value: (_call, { packages }) =>
    Promise.resolve({
      worths: packages.map(({ priceWei, soonerS }) => priceWei - 1_000_000n - (BigInt(soonerS) * 1_000_000n) / 86_400n),
      reservation: 0n,
    }),
  perform: (_deal, { input }) => Promise.resolve(count(String(input))),
  // Over HTTP, where its node has a shop: the text comes as the body of a request that is paid for.
  serve: ({ body }) => Promise.resolve(count(new TextDecoder().decode(body))),
  assess: () => Promise.resolve(0),
});
