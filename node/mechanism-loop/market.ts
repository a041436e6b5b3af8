// A market under a mechanism and an attack: honest clients and providers, the attacker's identities, day by day. Pure: the same
// rules, attack, scenario and seed give the same money to the unit.
import { betrayals, buyerActs, type Genes } from "./attack.ts";
import type { Rules } from "./clauses.ts";
import { runDeal, type DealResult } from "./deal-run.ts";
import { pickProvider, requiredBond, standpointOf } from "./eligibility.ts";
import { LossBook, lower, raise, type Blame, type LossEntry } from "./losses.ts";
import {
  admit,
  applyPending,
  createMarket,
  DAY_S,
  FALSE_TASKS,
  freeOf,
  lock,
  MAX_PARTS,
  outcomeAt,
  pay,
  SPREAD_S,
  START_S,
  streams,
  targetAction,
  unlock,
  WASH_TASKS,
  type Agent,
  type Market,
  type Task,
} from "./market-state.ts";
import { LAW_UNIT, type Action, type MarketScenario, type Outcome } from "./scenario.ts";
import { runTab } from "./tab-run.ts";

/** What happened, in exact money. */
export interface MarketOutcome {
  /** L: the first best, less what the honest have, less what the attacker earned by good work. */
  readonly lossWei: bigint;
  readonly firstBestWei: bigint;
  readonly honestWei: bigint;
  readonly attackerWei: bigint;
  /** What honest participants end below zero by, summed: nobody is to be worse off for having taken part. */
  readonly irViolationWei: bigint;
  /** By incumbent, in order: what it would have lost or won; the measure of a turncoat's gain. */
  readonly incumbentsWei: readonly bigint[];
  readonly losses: readonly LossEntry[];
  readonly deals: number;
  /** Deals of honest providers that came without any history: what closed doors cost them does not show in the loss. */
  readonly newcomerDeals: number;
  readonly betrayed: number;
  readonly unmatched: number;
  /** Markets that are summed in these figures. */
  readonly worlds: number;
}

export function simulate(scenario: MarketScenario, rules: Rules, attack: Genes, seed: number): MarketOutcome {
  const market = createMarket(scenario, rules, attack, seed);
  settleIn(market);
  for (let round = 0; round < scenario.rounds; round++) {
    const dayS = START_S + round * DAY_S;
    applyPending(market, dayS);
    if (round % scenario.roundsPerEpoch === 0) market.standing.closeEpoch();
    joinNewcomers(market, round);
    reenter(market);
    washTrade(market, dayS);
    for (const [k, client] of market.clients.entries()) {
      for (let task = 0; task < scenario.tasksPerClient; task++) {
        postTask(market, client, dayS + (task * market.clients.length + k) * SPREAD_S);
      }
    }
    buyFalsely(market, dayS);
  }
  applyPending(market, Infinity);
  return outcomeOf(market);
}

/** Everybody who is there on the first day, with the receipts that they bring along. */
function settleIn(market: Market): void {
  const { scenario, attack, draw, standing } = market;
  const { clients, providers } = scenario;
  for (let k = 0; k < clients.count; k++) {
    market.clients.push(
      admit(market, true, { stakeWei: clients.stakeWei, freeWei: clients.budgetWei, awayS: clients.awayS }),
    );
  }
  for (let k = 0; k < providers.incumbents; k++) {
    const { stakeWei, capitalWei: freeWei, awayS } = providers;
    const agent = admit(market, k >= attack.turncoats, { stakeWei, freeWei, awayS, isIncumbent: true });
    market.providers.push(agent);
    const priceWei = market.rules["payment.good"] * BigInt(providers.pastSize);
    for (let deal = 0; deal < providers.pastDeals; deal++) {
      const outcome = outcomeAt(targetAction(scenario), draw(streams.past, k, deal, Number(LAW_UNIT)));
      standing.observe(agent.seat, outcome, priceWei, market.rules["payment.good"]);
      const client = market.clients[draw(streams.past, k, deal + 10_000, market.clients.length)] as Agent;
      if (outcome === 2) standing.record(client.seat, agent.seat, { satisfied: 100, unsatisfied: 0 });
    }
  }
  // Scores of two epochs are final before the market opens.
  standing.closeEpoch();
  standing.closeEpoch();
  for (let k = 0; k < attack.buyers; k++) market.buyers.push(enter(market));
  for (let k = 0; k < attack.entrants; k++) market.providers.push(enter(market));
}

/** A fresh identity of the attacker, with what the rules ask of one. */
function enter(market: Market): Agent {
  const cost = credentialCost(market);
  market.purseWei -= cost;
  return admit(market, false, { stakeWei: 0n, freeWei: 0n, awayS: 0 });
}

const credentialCost = ({ scenario, rules }: Market) =>
  scenario.credentialWei[Number(rules["admission.credentialLevel"])] ?? 0n;

/** Honest newcomers enter one by one over the first half of the market. */
function joinNewcomers(market: Market, round: number): void {
  const { scenario, book } = market;
  const { newcomers, capitalWei: freeWei, awayS } = scenario.providers;
  const interval = Math.max(1, Math.floor(scenario.rounds / 2 / Math.max(1, newcomers)));
  if (newcomers === 0 || round % interval !== 0 || round / interval >= newcomers) return;
  const agent = admit(market, true, { stakeWei: 0n, freeWei, awayS });
  const cost = credentialCost(market);
  agent.utilityWei -= cost;
  book.add("admission", cost, lower("admission.credentialLevel"));
  market.providers.push(agent);
}

/** Marked identities are left, and fresh ones enter in their place, while the purse lasts. */
function reenter(market: Market): void {
  for (const [k, agent] of market.providers.entries()) {
    if (agent.isHonest || agent.isIncumbent || !agent.isMarked) continue;
    if (market.attack.isReentering === 0 || market.purseWei < credentialCost(market)) return;
    const fresh = enter(market);
    fresh.utilityWei = agent.utilityWei;
    market.providers[k] = fresh;
  }
}

function sizeOf({ scenario, draw }: Market, task: number): number {
  const total = scenario.sizes.reduce((sum, { weight }) => sum + weight, 0);
  let drawn = draw(streams.size, task, 0, total);
  for (const { size, weight } of scenario.sizes) {
    if (drawn < weight) return size;
    drawn -= weight;
  }
  throw new RangeError("weights of sizes do not add up");
}

/** One task of an honest client: priced in the first best whether it is done or not. */
function postTask(market: Market, client: Agent, timeS: number): void {
  const { scenario, rules, draw } = market;
  const number = market.taskCount++;
  const isTab = draw(streams.tab, number, 0, 100) < scenario.tabs.shareHundredths;
  const task: Task = { number, timeS, size: sizeOf(market, number), isTab };
  const parts = isTab ? 1 : scenario.parts;
  market.firstBestWei += firstBestOf(market, task, parts);
  unlock(market, timeS);
  const needed = (rules["payment.good"] + rules["bond.client"]) * BigInt(task.size * parts);
  const chosen: Agent[] = [];
  for (let part = 0; part < parts; part++) {
    const provider = freeOf(market, client) < needed ? undefined : pickProvider(market, task, part, chosen);
    if (provider === undefined) {
      market.unmatched++;
      return;
    }
    chosen.push(provider);
    if (provider.isHonest && !provider.isIncumbent) market.newcomerDeals++;
  }
  if (isTab) serveTab(market, client, chosen[0] as Agent, task);
  else serveDeals(market, client, chosen, task);
}

/** What the task is worth when every part is done as the leader wants, less what that costs. */
function firstBestOf(market: Market, { number, size, isTab }: Task, parts: number): bigint {
  const { scenario } = market;
  const cost = targetAction(scenario).costWei * BigInt(size * parts);
  if (isTab) return scenario.rewardsWei[2] * BigInt(size) - cost;
  let worst: Outcome = 2;
  for (let part = 0; part < parts; part++) {
    const outcome = drawnOutcome(market, number, part, targetAction(scenario));
    if (outcome < worst) worst = outcome;
  }
  return (worst === 0 ? 0n : scenario.rewardsWei[worst]) * BigInt(size) - cost;
}

const drawnOutcome = ({ draw }: Market, task: number, part: number, action: Action) =>
  outcomeAt(action, draw(streams.outcome, task, part, Number(LAW_UNIT)));
const worstOf = (outcomes: readonly Outcome[]) => Math.min(...outcomes) as Outcome;

/** Which clauses let this agent have this deal; nobody is to blame for honest bad luck. */
function admissionBlames({ rules, standing }: Market, agent: Agent): readonly Blame[] {
  if (agent.isHonest) return [];
  const blames = [lower("learning.priceFactor"), lower("learning.entryPrice"), raise("learning.minClientScore")];
  if (agent.isIncumbent) return blames;
  blames.push(raise("admission.credentialLevel"));
  if (standing.relativeScore(agent.seat) >= rules["admission.minScore"]) blames.push(raise("admission.minScore"));
  return blames;
}

/** Whether an attacker's agent betrays this deal. */
function betrays({ attack }: Market, agent: Agent, size: number): boolean {
  return !agent.isHonest && agent.goodDeals >= attack.honestDeals && size >= attack.betrayFromSize;
}

function actionFor(market: Market, agent: Agent, size: number): Action | undefined {
  const { scenario, attack } = market;
  if (!betrays(market, agent, size)) return targetAction(scenario);
  market.betrayed++;
  if (attack.betrayal === betrayals.silence) return undefined;
  const { actions } = scenario.providers;
  return actions[attack.betrayal === betrayals.junk ? 0 : actions.length - 2];
}

function serveDeals(market: Market, client: Agent, providers: readonly Agent[], task: Task): void {
  const { scenario } = market;
  const { size } = task;
  const used: { outcome: Outcome; isNoticed: boolean }[] = [];
  for (const [part, provider] of providers.entries()) {
    const action = actionFor(market, provider, size);
    const outcome = action && drawnOutcome(market, task.number, part, action);
    const result = strike(market, client, provider, task, part, outcome);
    const costWei = (action?.costWei ?? 0n) * BigInt(size);
    pay(market, provider, -costWei);
    if (!provider.isHonest) market.legitWei += legitOf(market, result, outcome, costWei, size);
    const isDelivered = outcome !== undefined && result.progress.state !== "Refunded";
    used.push({ outcome: isDelivered ? outcome : 0, isNoticed: !isDelivered || result.seen !== undefined });
  }
  const worst = worstOf(used.map(({ outcome }) => outcome));
  // Harm comes of a failure that nobody noticed: who has seen it does not rely on it.
  const isHarmful = worst === 0 && used.some(({ outcome, isNoticed }) => outcome === 0 && !isNoticed);
  const worthWei = worst === 0 ? (isHarmful ? scenario.rewardsWei[0] : 0n) : scenario.rewardsWei[worst];
  pay(market, client, worthWei * BigInt(size));
}

/** What the attacker had coming for what it really delivered, less what that cost it; never negative. */
function legitOf(
  { rules }: Market,
  { providerNetWei }: DealResult,
  outcome: Outcome | undefined,
  costWei: bigint,
  size: number,
): bigint {
  if (outcome === undefined || outcome === 0) return 0n;
  const fair = (outcome === 2 ? rules["payment.good"] : rules["payment.partial"]) * BigInt(size);
  const earned = (providerNetWei < fair ? providerNetWei : fair) - costWei;
  return earned > 0n ? earned : 0n;
}

/** One deal between two agents: money moves, money is locked, and its receipt comes when it ends. */
function strike(
  market: Market,
  client: Agent,
  provider: Agent,
  { number, timeS, size }: Task,
  part: number,
  outcome: Outcome | undefined,
): DealResult {
  const { rules, scenario, attack, draw, standing } = market;
  const score = standing.relativeScore(provider.seat);
  const bond = standpointOf(market, provider, { size, isTab: false }).bondWei;
  const isBetrayal = outcome !== 2 && !provider.isHonest;
  const address = number * MAX_PARTS + part;
  const result = runDeal(
    {
      timeS,
      size: BigInt(size),
      client,
      provider,
      providerBondWei: bond,
      outcome,
      requiredBondWei: requiredBond(market, score, size),
      isSniping: isBetrayal && attack.isSniping === 1,
      isContesting: (isBetrayal || !client.isHonest) && attack.isContesting === 1,
      // Its own providers get their rating, whatever it does to others.
      buyerAct: client.isHonest || !provider.isHonest ? buyerActs.accept : attack.buyerAct,
      isExamined: draw(streams.review, address, 0, Number(LAW_UNIT)) < Number(rules["review.share"]),
      drawRuling: (round) => draw(streams.ruling, address, round, Number(LAW_UNIT)),
      admittedBy: admissionBlames(market, provider),
    },
    ...([rules, scenario, market.book] as const),
  );
  market.deals++;
  const { deal } = result.progress;
  lock(market, client, deal.price + deal.clientBond, result.endS);
  lock(market, provider, deal.providerBond, result.endS);
  pay(market, client, result.clientNetWei);
  pay(market, provider, result.providerNetWei);
  market.pending.push({ endS: result.endS, apply: () => receive(market, client, provider, result) });
  return result;
}

/** What everybody learns of a deal that has ended: the ledger's record, and what its receipt says of the outcome. */
function receive(market: Market, client: Agent, provider: Agent, { progress, seen }: DealResult): void {
  const { standing, rules } = market;
  const { trust, state } = progress;
  if (trust !== null) standing.record(client.seat, provider.seat, trust);
  if (trust !== null && trust.unsatisfied > 0) provider.isMarked = true;
  const outcome = state === "Refunded" ? 0 : seen;
  if (outcome === 2 || (outcome === undefined && state === "Completed")) provider.goodDeals++;
  if (outcome === undefined || standing.relativeScore(client.seat) < rules["learning.minClientScore"]) return;
  standing.observe(provider.seat, outcome, progress.deal.price, rules["payment.good"]);
}

function serveTab(market: Market, client: Agent, provider: Agent, { number, timeS, size }: Task): void {
  const { scenario, rules } = market;
  const isAbandoned = betrays(market, provider, size);
  if (isAbandoned) market.betrayed++;
  const isClosedEarly = !client.isHonest && market.attack.buyerAct === buyerActs.closeTab;
  const result = runTab(
    {
      ...{ timeS, size: BigInt(size), client, provider, isAbandoned, isClosedEarly },
      admittedBy: admissionBlames(market, provider),
    },
    ...([rules, scenario, market.book] as const),
  );
  market.deals++;
  lock(market, client, rules["payment.good"] * BigInt(size), result.endS);
  pay(market, client, result.clientNetWei);
  const served = BigInt(result.unitsServed);
  const units = BigInt(result.units);
  const costWei = (targetAction(scenario).costWei * BigInt(size) * served) / units;
  pay(market, provider, result.providerNetWei - costWei);
  if (client.isHonest) pay(market, client, (scenario.rewardsWei[2] * BigInt(size) * served) / units);
  const earned = result.providerNetWei - costWei;
  if (!provider.isHonest && !isAbandoned && earned > 0n) market.legitWei += earned;
  const { trust, state } = result.progress;
  if (state !== "Closed") throw new Error(`the tab of task ${number} ended as ${state}`);
  market.pending.push({
    endS: result.endS,
    apply: () => {
      if (trust.satisfied + trust.unsatisfied > 0) market.standing.record(client.seat, provider.seat, trust);
      if (trust.satisfied > 0) {
        provider.goodDeals++;
        if (market.standing.relativeScore(client.seat) >= rules["learning.minClientScore"])
          market.standing.observe(provider.seat, 2, result.progress.paid, rules["payment.good"]);
      }
    },
  });
}

/** Deals between the attacker's own identities: no work, good ratings, and fees. */
function washTrade(market: Market, dayS: number): void {
  const { attack, buyers } = market;
  const fronts = buyers.length === 0 ? [] : market.providers.filter((agent) => !agent.isHonest);
  if (buyers.length === 0 || fronts.length === 0) return;
  for (let k = 0; k < attack.washDeals; k++) {
    const timeS = dayS + k * SPREAD_S;
    unlock(market, timeS);
    const count = market.washCount++;
    const buyer = buyers[count % buyers.length] as Agent;
    const provider = fronts[count % fronts.length] as Agent;
    if (!canAfford(market, buyer, provider, attack.washSize)) return;
    const task = { number: WASH_TASKS + count, timeS, size: attack.washSize, isTab: false };
    strike(market, buyer, provider, task, 0, 2);
  }
}

function canAfford(market: Market, buyer: Agent, provider: Agent, size: number): boolean {
  const { rules } = market;
  const needed = (rules["payment.good"] + rules["bond.client"]) * BigInt(size);
  const bond = standpointOf(market, provider, { size, isTab: false }).bondWei;
  const isShared = !provider.isHonest && !provider.isIncumbent;
  return freeOf(market, buyer) >= needed + (isShared ? bond : 0n) && freeOf(market, provider) >= bond;
}

/** Tasks that the attacker's buyers post to honest providers. */
function buyFalsely(market: Market, dayS: number): void {
  const { attack, buyers, scenario } = market;
  for (const [k, buyer] of buyers.entries()) {
    for (let n = 0; n < attack.buyerTasks; n++) {
      const timeS = dayS + (n * buyers.length + k) * SPREAD_S;
      unlock(market, timeS);
      const number = FALSE_TASKS + market.falseCount++;
      const size = attack.buyerSize;
      const isTab = attack.buyerAct === buyerActs.closeTab && scenario.tabs.shareHundredths > 0;
      const task: Task = { number, timeS, size, isTab };
      const provider = pickHonest(market, task);
      if (provider === undefined || !canAfford(market, buyer, provider, size)) continue;
      if (isTab) serveTab(market, buyer, provider, task);
      else {
        const action = targetAction(scenario);
        strike(market, buyer, provider, task, 0, drawnOutcome(market, number, 0, action));
        pay(market, provider, -action.costWei * BigInt(size));
      }
    }
  }
}

function pickHonest(market: Market, task: Task): Agent | undefined {
  const own = market.providers.filter(({ isHonest }) => !isHonest);
  // What an attacker's buyer does not find is no loss to anybody: the reasons go to a book that is thrown away.
  return pickProvider({ ...market, book: new LossBook() }, task, 0, own);
}

function outcomeOf(market: Market): MarketOutcome {
  const { clients, providers, scenario } = market;
  const honest = [...clients, ...providers].filter(({ isHonest }) => isHonest);
  const sum = (agents: readonly Agent[]) => agents.reduce((total, { utilityWei }) => total + utilityWei, 0n);
  const honestWei = sum(honest);
  const entryWei = market.purseWei - scenario.attacker.budgetWei;
  const turncoatsWei = sum(providers.filter(({ isHonest, isIncumbent }) => !isHonest && isIncumbent));
  return {
    lossWei: market.firstBestWei - honestWei - market.legitWei,
    firstBestWei: market.firstBestWei,
    honestWei,
    attackerWei: turncoatsWei + entryWei + lockedOf(market),
    irViolationWei: honest.reduce((total, { utilityWei }) => (utilityWei < 0n ? total - utilityWei : total), 0n),
    incumbentsWei: providers.slice(0, scenario.providers.incumbents).map(({ utilityWei }) => utilityWei),
    losses: market.book.entries(),
    deals: market.deals,
    newcomerDeals: market.newcomerDeals,
    worlds: 1,
    betrayed: market.betrayed,
    unmatched: market.unmatched,
  };
}

/** What of the purse is still locked at the end. */
function lockedOf({ locks }: Market): bigint {
  return locks.reduce(
    (total, { agent, amountWei }) => (agent.isHonest || agent.isIncumbent ? total : total + amountWei),
    0n,
  );
}
