// `kill -9` of a node process in each state of a deal. Each row holds the deal where it says, kills one side, starts it
// again on the same data, lets go, and looks at the chain: one deal funded once, ended once, paid once.
import { expect } from "chai";
import type { Hex } from "viem";
import { GATED_RATING } from "../fixtures/gated-application.ts";
import { DEAL_PRICE_WEI, startDealProcesses, type DealProcesses, type PartyName } from "../fixtures/deal-processes.ts";

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
}

const rows: readonly Row[] = [
  row("while the provider considers the call", "client", "provider/quote"),
  row("while it considers the call", "provider", "provider/quote"),
  row("after agreement, before the deal is opened", "client", "client/open/sent"),
  row("after agreement, before the deal is opened", "provider", "client/open/sent"),
  row("after the deal was funded, before it knew", "client", "client/open/mined"),
  row("in Funded, while the provider works", "client", "provider/perform"),
  row("in Funded, while it works", "provider", "provider/perform", { performs: 2 }),
  row("in Funded, with the work stored and not submitted", "provider", "provider/submit/sent"),
  row("in Submitted, before it knew and before anybody fetched", "provider", "provider/submit/mined"),
  row("in Submitted, while the client assesses", "provider", "client/assess"),
  row("in Submitted, while it assesses", "client", "client/assess", { assesses: 2 }),
  row("in Submitted, with the rating decided and not sent", "client", "client/complete/sent"),
  row("in Completed, before it knew", "client", "client/complete/mined"),
  row("in Completed, before anybody knew", "provider", "client/complete/mined"),
];

function row(when: string, victim: PartyName, gate: string, { performs = 1, assesses = 1 } = {}): Row {
  return { when, victim, gate, performs, assesses };
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

  for (const { when, victim, gate, performs, assesses } of rows) {
    it(`${victim}, ${when}: the deal completes once`, async () => {
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

  // Chain time only goes forward: what waits for a deadline comes last.

  it("client, dead until the review is over: the provider is paid, and nothing is rated", async () => {
    const before = await balances();
    world.gates.hold("client/assess");
    const task = await world.addTask();
    await world.gates.reached("client/assess");
    const { dealId } = await world.taskIn(task, ["settling"]);
    await world.client.kill();
    await world.passTime(REVIEW_PERIOD_S);
    await world.providerSees(dealId as Hex, "Completed");
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
    await world.providerSees(dealId, "Refunded");
    const history = await world.historyOf(dealId);
    expect(history.events).to.deep.equal(["DealFunded", "DealRefunded"]);
    expect(history).to.include({ state: "Refunded", paidWei: 0n });
    expect(await balances()).to.deep.equal(before);
    expect(world.gates.countOf("provider/submit/sent")).to.equal(submits);
  });
});
