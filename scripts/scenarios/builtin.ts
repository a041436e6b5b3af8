import { extname, join } from "node:path";
import { draftMechanism, storedMechanismOf } from "#protocol";
import type { Scenario, ScenarioAgent, ScenarioTask } from "./scenario.ts";
import { skills } from "./skills.ts";

// The scenario of `npm start`: three good providers, a careless and a silent one that undercut them, and two buyers. In
// the first round everyone is invited; in the second the buyers look at the finalized scores first.

const module = join(import.meta.dirname, `applications/skill${extname(import.meta.filename)}`);

/** One token: six decimals. */
const TOKEN = 1_000_000n;
const PURSE = 1_000n * TOKEN;
const STAKE = 100n * TOKEN;
const PUBLISHER_STAKE = 500n * TOKEN;
const RESERVE = 10n * TOKEN;
/** Every other task weighs quality so much that no undercutting wins it. */
const VALUE_PER_QUALITY = [TOKEN / 100n, TOKEN] as const;
/** Long enough for a busy machine, short enough that nobody waits long for the silent one's refund. */
const SUBMIT_WITHIN_S = 15;
const BID_WITHIN_MS = 8_000;
const OPEN_WITHIN_MS = 4_000;
const REVIEW_S = 60;
/** The price again as a bond at the best score, twice of it without one, half of the difference gone at the uniform share. */
const BOND_CURVE = { slashShare: 65_536, factorAtZero: 131_072, halfScore: 65_536n };
/** Who runs tools well reads their figures well: of two clients' praise there, half counts here, up to half of the stake again. */
const COUPLINGS = {
  minClients: 2,
  maxShare: 0.5,
  links: [
    { to: "data_analysis", from: "devops_tool_execution", similarity: 0.5 },
    { to: "devops_tool_execution", from: "data_analysis", similarity: 0.25 },
  ],
};
/** In the second round: half of the best score found. What stake alone gives the careless and the silent one is less. */
const MIN_SCORE = 0.5;

/** The rules of every task: a sealed second price, with bonds by the provider's finalized score. */
function rulesOf(topic: string, valuePerQuality: bigint): unknown {
  const draft = draftMechanism({
    name: `Tasks on ${topic}`,
    topics: [topic],
    rule: "scored-second-price",
    valuePerQuality,
  });
  const times = { bidWithinMs: BID_WITHIN_MS, revealWithinMs: OPEN_WITHIN_MS, submitWithinS: SUBMIT_WITHIN_S };
  return storedMechanismOf({
    ...draft,
    bond: { ...draft.bond, curve: BOND_CURVE },
    deadlines: { ...draft.deadlines, ...times },
    review: { ...draft.review, periodS: REVIEW_S },
  });
}

type Conduct = "honest" | "careless" | "silent";

function provider(
  process: number,
  name: string,
  topic: string,
  [priceTokens, quality, conduct]: readonly [bigint, number, Conduct],
  roles: ScenarioAgent["roles"] = [],
): ScenarioAgent {
  const options = { topic, priceWei: (priceTokens * TOKEN).toString(), quality, conduct };
  const stake = roles.includes("publisher") ? PUBLISHER_STAKE : STAKE;
  return { name, process, application: { module, options }, roles, tokens: PURSE, stake };
}

const buyer = (process: number, name: string): ScenarioAgent => ({
  name,
  process,
  application: { module, options: {} },
  roles: [],
  tokens: PURSE,
  stake: STAKE,
});

const inputs: Record<string, readonly unknown[]> = {
  data_analysis: [
    [12, 7, 3, 44, 19, 8],
    [5, 5, 5, 9, 1],
    [100, 250, 90, 13, 77, 61, 8],
  ],
  code_review_security: [
    "const page = req.query.page;\nelement.innerHTML = page;\neval(req.body.code);",
    'const password = "hunter2";\nconst id = Math.random();',
  ],
  devops_tool_execution: [
    "INFO api: started\nERROR db: connection lost\nERROR db: connection lost\nINFO api: ok",
    "WARN cache: cold\nINFO api: ok\nDEBUG cache: hit",
  ],
};

function tasksOf(by: string, minScore: number): ScenarioTask[] {
  return skills.flatMap(({ topic, title, description }) =>
    (inputs[topic] ?? []).map((input, index) => ({
      by,
      spec: { topic, title, input },
      query: `${title}. ${description}`,
      minScore,
      reservePriceWei: RESERVE,
      valuePerQuality: VALUE_PER_QUALITY[index % 2 === 0 ? 0 : 1],
      mechanism: rulesOf(topic, VALUE_PER_QUALITY[index % 2 === 0 ? 0 : 1]),
      submitWithinS: SUBMIT_WITHIN_S,
      maxInvited: 8,
    })),
  );
}

export const builtinScenario: Scenario = {
  name: "builtin",
  topics: skills.map(({ topic }) => topic),
  couplings: COUPLINGS,
  agents: [
    provider(0, "analyst", "data_analysis", [4n, 95, "honest"], ["publisher"]),
    provider(1, "reviewer", "code_review_security", [5n, 97, "honest"], ["watcher"]),
    { ...provider(2, "operator", "devops_tool_execution", [3n, 90, "honest"]), joins: ["data_analysis"] },
    provider(3, "careless", "data_analysis", [2n, 90, "careless"]),
    provider(3, "silent", "code_review_security", [1n, 90, "silent"]),
    buyer(4, "buyer-1"),
    buyer(4, "buyer-2"),
  ],
  rounds: [
    [...tasksOf("buyer-1", 0), ...tasksOf("buyer-2", 0)],
    [...tasksOf("buyer-1", MIN_SCORE), ...tasksOf("buyer-2", MIN_SCORE)],
  ],
  summarize: (outcomes) => ({
    badDeliveries: outcomes.filter(({ rating = 0, state }) => rating < 0 || state === "refunded").length,
  }),
};
