// `kill -9` of a node process in each state of a deal. Each row holds the deal where it says, kills one side, starts it
// again on the same data, lets go, and looks at the chain: one deal funded once, ended once, paid once.
import { expect } from "chai";
import { parseEventLogs, type Hex } from "viem";
import { dealDisputesAbi, tabEscrowAbi } from "#protocol";
import { GATED_PRICE_WEI, GATED_RATING, GATED_TOPIC } from "../fixtures/gated-application.ts";
import {
  DEAL_PRICE_WEI,
  startDealProcesses,
  type DealProcesses,
  type PartyName,
  type SeenDeal,
} from "../fixtures/deal-processes.ts";
import { nightly } from "../fixtures/profile.ts";

/** Rows that differ from another one by little are left to the nightly run: each starts a process. */
const SPLIT_WEI = 1_500_000n;

/** As node/tasks.ts asks for. */
const REVIEW_PERIOD_S = 60;

interface Row {
  readonly when: string;
  readonly victim: PartyName;
  /** Where the deal stands still while the victim dies. */
  readonly gate: string;
  /** Work done and ratings given in the end: what was on disk is not done again. */
  readonly performs: number;
  readonly assesses: number;
  readonly isNightly: boolean;
}

const rows: readonly Row[] = [
  row("while the provider considers the call", "client", "provider/quote", { isNightly: true }),
  row("while it considers the call", "provider", "provider/quote"),
  row("after agreement, before the deal is opened", "client", "client/open/sent"),
  row("after agreement, before the deal is opened", "provider", "client/open/sent", { isNightly: true }),
  row("after the deal was funded, before it knew", "client", "client/open/mined"),
  row("in Funded, while the provider works", "client", "provider/perform", { isNightly: true }),
  row("in Funded, while it works", "provider", "provider/perform", { performs: 2 }),
  row("in Funded, with the work stored and not submitted", "provider", "provider/submit/sent"),
  row("in Submitted, before it knew and before anybody fetched", "provider", "provider/submit/mined", {
    isNightly: true,
  }),
  row("in Submitted, while the client assesses", "provider", "client/assess", { isNightly: true }),
  row("in Submitted, while it assesses", "client", "client/assess", { assesses: 2 }),
  row("in Submitted, with the rating decided and not sent", "client", "client/complete/sent"),
  row("in Completed, before it knew", "client", "client/complete/mined"),
  row("in Completed, before anybody knew", "provider", "client/complete/mined", { isNightly: true }),
];

const hexOf = (text: string): Hex => `0x${Buffer.from(text).toString("hex")}`;

function row(
  when: string,
  victim: PartyName,
  gate: string,
  { performs = 1, assesses = 1, isNightly = false } = {},
): Row {
  return { when, victim, gate, performs, assesses, isNightly };
}

describe("a node that is killed with SIGKILL", () => {
  const ending = new AbortController();
  let world: DealProcesses;

  before(async () => {
    world = await startDealProcesses(ending.signal);
    await world.provider.start();
    await world.client.start();
  });
  after(async () => {
    ending.abort(new Error("the tests are over"));
    await world.stop();
  });

  const counts = () => ({
    performs: world.gates.countOf("provider/perform"),
    assesses: world.gates.countOf("client/assess"),
  });

  const balances = async () => ({
    client: await world.client.balance(),
    provider: await world.provider.balance(),
    escrow: await world.escrowBalance(),
  });

  /** Kills a side as soon as the deal stands at the gate. */
  async function killAt(victim: PartyName, gate: string): Promise<void> {
    await world.gates.reached(gate);
    await world[victim].kill();
  }

  for (const { when, victim, gate, performs, assesses, isNightly } of rows) {
    (isNightly ? nightly : it)(`${victim}, ${when}: the deal completes once`, async () => {
      const [before, done] = [await balances(), counts()];
      world.gates.hold(gate);
      const task = await world.addTask();
      await killAt(victim, gate);
      await world[victim].start();
      world.gates.open(gate);

      const report = await world.taskIn(task, ["settled", "refunded", "cancelled", "failed"]);
      expect(report).to.include({ state: "settled", rating: GATED_RATING });
      const history = await world.historyOf(report.dealId as Hex);
      expect(history.state).to.equal("Completed");
      expect(history.events).to.deep.equal(["DealFunded", "DealSubmitted", "DealCompleted"]);
      expect(history).to.include({ paidWei: DEAL_PRICE_WEI, rating: GATED_RATING });
      expect(await balances()).to.deep.equal({
        client: before.client - DEAL_PRICE_WEI,
        provider: before.provider + DEAL_PRICE_WEI,
        escrow: 0n,
      });
      expect(counts()).to.deep.equal({ performs: done.performs + performs, assesses: done.assesses + assesses });
    });
  }

  // ---------------------------------------------------------------- in dispute, and on the way to a split

  /** Events of the disputes about a deal, by name. */
  async function quarrelOf(dealId: Hex): Promise<string[]> {
    const { client, deployment } = world.network;
    const logs = await client.getLogs({ address: deployment.contracts.dealDisputes, fromBlock: 0n });
    const events = parseEventLogs({ abi: dealDisputesAbi, logs });
    return events.flatMap(({ eventName, args }) => ("dealId" in args && args.dealId === dealId ? [eventName] : []));
  }

  const dispute = async (dealId: Hex) => {
    await world.client.api.ask("/deals", ending.signal, { dealId, action: "dispute", reason: "It is the request." });
  };

  /** The client proposes; the provider signs once it has heard of it. */
  async function agreeOnSplit(dealId: Hex, meanwhile: () => Promise<void>): Promise<void> {
    const split = { dealId, action: "split", amountWei: SPLIT_WEI, rating: -20 };
    await world.client.api.ask("/deals", ending.signal, split);
    const isOffered = ({ offeredSplit }: SeenDeal) => offeredSplit?.toProviderWei === SPLIT_WEI.toString();
    await world.sees(world.provider, dealId, isOffered);
    await meanwhile();
    await world.provider.api.ask("/deals", ending.signal, { dealId, action: "accept-split" });
  }

  /** Ended once, by the split, and both had back what they put up. */
  async function expectSplit(dealId: Hex, before: Awaited<ReturnType<typeof balances>>): Promise<void> {
    for (const party of [world.client, world.provider]) await world.sees(party, dealId, "Resolved");
    const { events, state } = await world.historyOf(dealId);
    expect(state).to.equal("Resolved");
    expect(events.filter((name) => name === "DealResolved")).to.have.length(1);
    expect(await balances()).to.deep.equal({
      client: before.client - SPLIT_WEI,
      provider: before.provider + SPLIT_WEI,
      escrow: 0n,
    });
  }

  const quarrels = [
    [it, "provider", "with its deposit on the way", "provider/depositFee/sent"],
    [it, "client", "before it knew", "client/dispute/mined"],
    [nightly, "client", "with its deposit on the way", "client/dispute/sent"],
    [nightly, "provider", "before it knew of its deposit", "provider/depositFee/mined"],
  ] as const;
  for (const [run, victim, when, gate] of quarrels) {
    run(`${victim}, in Disputed, ${when}: both deposits are paid once, and a split ends it`, async () => {
      const before = await balances();
      const dealId = await world.purchase();
      world.gates.hold(gate);
      await dispute(dealId);
      await killAt(victim, gate);
      await world[victim].start();
      world.gates.open(gate);
      for (const party of [world.client, world.provider]) await world.sees(party, dealId, "Disputed");
      const isPaid = async () => (await quarrelOf(dealId)).filter((name) => name === "FeeDeposited").length === 2;
      while (!(await isPaid())) await new Promise((resolve) => setTimeout(resolve, 100));
      await agreeOnSplit(dealId, () => Promise.resolve());
      await expectSplit(dealId, before);
      expect((await quarrelOf(dealId)).filter((name) => name === "FeeDeposited")).to.have.length(2);
    });
  }

  for (const [run, victim] of [[it, "client"] as const, [nightly, "provider"] as const]) {
    run(`${victim}, with a split proposed and not yet signed: it is settled once`, async () => {
      const before = await balances();
      const dealId = await world.purchase();
      await agreeOnSplit(dealId, async () => {
        await world[victim].kill();
        await world[victim].start();
      });
      await expectSplit(dealId, before);
    });
  }

  // ---------------------------------------------------------------- on a tab

  interface SeenTab {
    readonly tabId: Hex;
    readonly state?: string;
    readonly claimedWei: string;
    readonly isEnded: boolean;
  }

  const tabTerms = () => ({
    ...{ action: "open", providerAgentId: world.provider.agent.agentId.toString(), topic: GATED_TOPIC },
    ...{ depositWei: 3n * GATED_PRICE_WEI, lifeSeconds: 7_200, challengeSeconds: 600 },
  });
  const onTab = <T>(party: PartyName, fields: object) => world[party].api.ask<T>("/tabs", ending.signal, fields);
  const tabIn = async (party: PartyName, isMeant: (tab: SeenTab) => boolean) => {
    const { tabs } = await world[party].api.until<{ tabs: SeenTab[] }>(
      ...(["/tabs", ({ tabs: all }: { tabs: SeenTab[] }) => all.some(isMeant), ending.signal] as const),
    );
    return tabs.find(isMeant) as SeenTab;
  };
  /** Names of the events of one tab, and what was claimed on it. */
  async function tabHistory(tabId: Hex) {
    const { client, deployment } = world.network;
    const logs = await client.getLogs({ address: deployment.contracts.tabEscrow, fromBlock: 0n });
    const events = parseEventLogs({ abi: tabEscrowAbi, logs });
    return events.flatMap(({ eventName, args }) => ("tabId" in args && args.tabId === tabId ? [eventName] : []));
  }

  for (const [run, when] of [[it, "mined"] as const, [nightly, "sent"] as const]) {
    run(`client, while it opens a tab (${when}): there is one, which it spends`, async () => {
      const before = await balances();
      const known = (await world.client.api.ask<{ tabs: SeenTab[] }>("/tabs", ending.signal)).tabs.map((t) => t.tabId);
      const gate = `client/tab-open/${when}`;
      world.gates.hold(gate);
      const opening = onTab("client", tabTerms()).catch(() => "died");
      await killAt("client", gate);
      expect(await opening).to.equal("died");
      await world.client.start();
      world.gates.open(gate);
      const { tabId } = await tabIn("client", (tab) => !known.includes(tab.tabId) && tab.state === "Open");
      expect(await onTab("client", { action: "ask", tabId, spec: "first" })).to.include({ answer: hexOf("first") });
      await onTab("client", { action: "close", tabId });
      await tabIn("provider", (tab) => tab.tabId === tabId && tab.claimedWei === GATED_PRICE_WEI.toString());
      await tabIn("client", (tab) => tab.tabId === tabId && tab.isEnded);
      expect((await tabHistory(tabId)).filter((name) => name === "TabOpened")).to.have.length(1);
      expect(await balances()).to.deep.equal({
        client: before.client - GATED_PRICE_WEI,
        provider: before.provider + GATED_PRICE_WEI,
        escrow: 0n,
      });
    });
  }

  const claims = [
    [it, "provider/tab-claim/mined", "before it knew of its claim"],
    [nightly, "provider/tab-claim/sent", "with its claim on the way"],
    [nightly, "provider/answer", "while it works on a task"],
  ] as const;
  for (const [run, gate, when] of claims) {
    run(`provider, on an open tab, ${when}: each task is claimed once`, async () => {
      const before = await balances();
      const { tabId } = await onTab<SeenTab>("client", tabTerms());
      await onTab("client", { action: "ask", tabId, spec: "first" });
      const second = () => onTab<{ answer: Hex }>("client", { action: "ask", tabId, spec: "second" });
      const isWorking = gate === "provider/answer";
      if (!isWorking) await second();
      world.gates.hold(gate);
      const asked = isWorking ? second().catch(() => "died") : onTab("provider", { action: "claim", tabId });
      await killAt("provider", gate);
      await asked;
      await world.provider.start();
      world.gates.open(gate);
      if (isWorking) expect(await second()).to.include({ answer: hexOf("second") });
      await onTab("client", { action: "close", tabId });
      const total = 2n * GATED_PRICE_WEI;
      await tabIn("provider", (tab) => tab.tabId === tabId && tab.claimedWei === total.toString());
      await tabIn("client", (tab) => tab.tabId === tabId && tab.isEnded);
      expect(await balances()).to.deep.equal({
        client: before.client - total,
        provider: before.provider + total,
        escrow: 0n,
      });
    });
  }

  // Chain time only goes forward: what waits for a deadline comes last.

  it("client, dead until the review is over: the provider is paid, and nothing is rated", async () => {
    const before = await balances();
    world.gates.hold("client/assess");
    const task = await world.addTask();
    await world.gates.reached("client/assess");
    const { dealId } = await world.taskIn(task, ["settling"]);
    await world.client.kill();
    await world.passTime(REVIEW_PERIOD_S);
    await world.sees(world.provider, dealId as Hex, "Completed");
    world.gates.open("client/assess");
    await world.client.start();

    expect(await world.taskIn(task, ["settled", "refunded", "failed"])).to.include({ state: "settled", rating: 0 });
    const history = await world.historyOf(dealId as Hex);
    expect(history.events).to.deep.equal(["DealFunded", "DealSubmitted", "DealCompleted"]);
    expect(history).to.include({ state: "Completed", paidWei: DEAL_PRICE_WEI, rating: 0 });
    expect(await balances()).to.deep.equal({
      client: before.client - DEAL_PRICE_WEI,
      provider: before.provider + DEAL_PRICE_WEI,
      escrow: 0n,
    });
  });

  it("provider, dead until the time for delivery is over: the client has its money back, and nothing is delivered", async () => {
    const [before, submits] = [await balances(), world.gates.countOf("provider/submit/sent")];
    world.gates.hold("provider/perform");
    const task = await world.addTask({ submitWithinS: 120 });
    await world.gates.reached("provider/perform");
    await world.provider.kill();
    await world.passTime(121);
    const report = await world.taskIn(task, ["settled", "refunded", "failed"]);
    expect(report.state).to.equal("refunded");
    world.gates.open("provider/perform");
    await world.provider.start();

    const dealId = report.dealId as Hex;
    await world.sees(world.provider, dealId, "Refunded");
    const history = await world.historyOf(dealId);
    expect(history.events).to.deep.equal(["DealFunded", "DealRefunded"]);
    expect(history).to.include({ state: "Refunded", paidWei: 0n });
    expect(await balances()).to.deep.equal(before);
    expect(world.gates.countOf("provider/submit/sent")).to.equal(submits);
  });
});
