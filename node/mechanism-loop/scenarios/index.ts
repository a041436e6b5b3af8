import type { MarketScenario } from "../scenario.ts";
import { hours, listPriceRules, tokens } from "./amounts.ts";

/** Many small tasks whose faults are cheap to find and costly to miss: labels, checks, transcripts. */
const crowdsourcing: MarketScenario = {
  name: "crowdsourcing",
  title: "Crowdsourcing: many small tasks, many hands, open doors",
  ...{ rounds: 20, roundsPerEpoch: 2, tasksPerClient: 1, parts: 1 },
  sizes: [
    { size: 1, weight: 60 },
    { size: 5, weight: 30 },
    { size: 20, weight: 10 },
  ],
  clients: {
    ...{ count: 8, stakeWei: tokens(100), budgetWei: tokens(2_000) },
    ...{ awayS: hours(40), responseS: hours(2) },
  },
  providers: {
    ...{ incumbents: 12, newcomers: 4, stakeWei: tokens(50), capitalWei: tokens(800) },
    actions: [
      { name: "hand in anything", costWei: 0n, law: [970_000, 30_000, 0] },
      { name: "hurry", costWei: tokens(1.5), law: [350_000, 400_000, 250_000] },
      { name: "take care", costWei: tokens(4), law: [20_000, 80_000, 900_000] },
    ],
    ...{ outsideWei: tokens(0.3), workS: hours(10), awayS: hours(16), pastDeals: 10, pastSize: 5 },
  },
  rewardsWei: [-tokens(6), tokens(4), tokens(10)],
  ...{ examineCostWei: tokens(0.4), gasWei: tokens(0.02), voucherWei: tokens(0.0005), capitalPpmPerDay: 300n },
  credentialWei: [0n, tokens(5), tokens(25), tokens(100)],
  juror: { errorMillionths: 150_000, feeWei: tokens(0.5) },
  tabs: { shareHundredths: 0, units: 1 },
  attacker: { budgetWei: tokens(1_500), identities: 12, turncoats: 3 },
  initial: listPriceRules(tokens(6)),
};

/** Three parts of one argument by three agents: one careless part spoils the whole. */
const collaborativeReasoning: MarketScenario = {
  name: "collaborative-reasoning",
  title: "Collaborative reasoning: three parts, one answer",
  ...{ rounds: 20, roundsPerEpoch: 2, tasksPerClient: 1, parts: 3 },
  sizes: [
    { size: 1, weight: 50 },
    { size: 4, weight: 35 },
    { size: 12, weight: 15 },
  ],
  clients: {
    ...{ count: 6, stakeWei: tokens(200), budgetWei: tokens(6_000) },
    ...{ awayS: hours(48), responseS: hours(3) },
  },
  providers: {
    ...{ incumbents: 12, newcomers: 3, stakeWei: tokens(100), capitalWei: tokens(2_000) },
    actions: [
      { name: "invent an answer", costWei: 0n, law: [900_000, 100_000, 0] },
      { name: "reason once", costWei: tokens(2.5), law: [250_000, 400_000, 350_000] },
      { name: "reason and check", costWei: tokens(6), law: [15_000, 65_000, 920_000] },
    ],
    ...{ outsideWei: tokens(0.5), workS: hours(6), awayS: hours(16), pastDeals: 10, pastSize: 4 },
  },
  rewardsWei: [-tokens(30), tokens(15), tokens(45)],
  ...{ examineCostWei: tokens(0.6), gasWei: tokens(0.02), voucherWei: tokens(0.0005), capitalPpmPerDay: 300n },
  credentialWei: [0n, tokens(5), tokens(25), tokens(100)],
  juror: { errorMillionths: 200_000, feeWei: tokens(1) },
  tabs: { shareHundredths: 0, units: 1 },
  attacker: { budgetWei: tokens(3_000), identities: 12, turncoats: 3 },
  initial: listPriceRules(tokens(9)),
};

/** Computing time and storage: most of it metered on tabs, the rest in jobs with a deadline. */
const resourceExchange: MarketScenario = {
  name: "resource-exchange",
  title: "Resource exchange: metered tabs and jobs with a deadline",
  ...{ rounds: 20, roundsPerEpoch: 2, tasksPerClient: 1, parts: 1 },
  sizes: [
    { size: 2, weight: 50 },
    { size: 10, weight: 35 },
    { size: 40, weight: 15 },
  ],
  clients: {
    ...{ count: 8, stakeWei: tokens(200), budgetWei: tokens(4_000) },
    ...{ awayS: hours(36), responseS: hours(1) },
  },
  providers: {
    ...{ incumbents: 10, newcomers: 3, stakeWei: tokens(200), capitalWei: tokens(2_500) },
    actions: [
      { name: "serve nothing", costWei: 0n, law: [1_000_000, 0, 0] },
      { name: "oversell", costWei: tokens(1.2), law: [200_000, 600_000, 200_000] },
      { name: "serve as agreed", costWei: tokens(3), law: [10_000, 40_000, 950_000] },
    ],
    ...{ outsideWei: tokens(0.3), workS: hours(8), awayS: hours(20), pastDeals: 10, pastSize: 10 },
  },
  rewardsWei: [-tokens(2), tokens(3), tokens(8)],
  ...{ examineCostWei: tokens(0.1), gasWei: tokens(0.02), voucherWei: tokens(0.002), capitalPpmPerDay: 300n },
  credentialWei: [0n, tokens(5), tokens(25), tokens(100)],
  juror: { errorMillionths: 100_000, feeWei: tokens(0.5) },
  tabs: { shareHundredths: 60, units: 48 },
  attacker: { budgetWei: tokens(3_000), identities: 10, turncoats: 2 },
  initial: listPriceRules(tokens(5)),
};

export const marketScenarios: readonly MarketScenario[] = [crowdsourcing, collaborativeReasoning, resourceExchange];
