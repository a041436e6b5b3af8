// The auditor in the browser: loaded when somebody presses Verify, so that a first page stays small.
export { openChain, type Chain } from "./chain.ts";
export { verifyAgent } from "./agent.ts";
export { verifyDeal } from "./deal.ts";
export { verifyFork } from "./evidence.ts";
export { verifyScore, verifyTopic } from "./score.ts";
