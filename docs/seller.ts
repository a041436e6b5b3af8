import type { CreateApplication } from "../node/application.ts";

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
  perform: (_deal, { input }) => Promise.resolve(new TextEncoder().encode(`${String(input).split(/\s+/).length}`)),
  assess: () => Promise.resolve(0),
});
