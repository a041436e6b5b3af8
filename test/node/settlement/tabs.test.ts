import { expect } from "chai";
import { parseEventLogs, zeroAddress, type Hex } from "viem";
import { signerHashOf, tabEscrowAbi, tabStates, topicIdOf } from "#protocol";
import type { Store } from "../../../node/store/port.ts";
import { openStore } from "../../../node/store/sqlite.ts";
import type { TabChain } from "../../../node/settlement/tabs/tab-chain.ts";
import { createTabs, type TabRequest, type Tabs, type TabsOptions } from "../../../node/settlement/tabs/tabs.ts";
import { createLibp2pTransport } from "../../../node/transport/libp2p.ts";
import type { Transport } from "../../../node/transport/port.ts";
import { testKey } from "../../fixtures/log.ts";
import { testSigner } from "../chain/test-chain.ts";
import { isNightly } from "../../fixtures/profile.ts";
import { createDealWorld, never, type DealWorld, type TestAgent } from "./deal-world.ts";
import { patience, until } from "./party.ts";

const PRICE = 3n;
const topic = topicIdOf("translation");
const text = (words: string) => new TextEncoder().encode(words);

interface Side {
  readonly agent: TestAgent;
  readonly store: Store;
  readonly transport: Transport;
  readonly tabs: Tabs;
  readonly faults: unknown[];
  /** Specifications of the tasks that were worked on. */
  readonly worked: string[];
  stop(): Promise<void>;
}

describe("tabs", function () {
  this.timeout(120_000);
  let world: DealWorld;
  let sides: Side[] = [];
  let salt = 1n;
  let snapshot: Awaited<ReturnType<DealWorld["networkHelpers"]["takeSnapshot"]>>;

  before(async () => {
    world = await createDealWorld(2);
  });
  beforeEach(async () => {
    snapshot = await world.networkHelpers.takeSnapshot();
  });
  afterEach(async () => {
    for (const side of sides) {
      await side.stop();
      side.store.close();
    }
    sides = [];
    world.stopSenders();
    await snapshot.restore();
    await world.heads.refresh(never);
  });
  after(() => {
    world.stop();
  });

  async function start(index: number, options: Partial<TabsOptions> = {}): Promise<Side> {
    const agent = world.agents[index] as TestAgent;
    const store = options.store ?? openStore(":memory:");
    const transport = await createLibp2pTransport({ privateKey: testKey(index + 1) });
    await transport.start();
    const [faults, worked]: [unknown[], string[]] = [[], []];
    const tabs = createTabs({
      ...{ agentId: agent.agentId, signer: agent.signer, contracts: world.contracts, store, transport },
      chain: world.tabChainOf(agent),
      work: {
        priceOf: (asked) => (asked === topic ? PRICE : undefined),
        answer(_tab, spec) {
          const words = new TextDecoder().decode(spec);
          worked.push(words);
          return Promise.resolve(text(`done: ${words}`));
        },
        rate: (_tab, spec) => Promise.resolve(new TextDecoder().decode(spec).endsWith("bad") ? -50 : 90),
      },
      agentOf: (address, signal) => world.identity.agentOfSigner(signerHashOf(address), signal),
      random: () => salt++,
      onFault: (fault) => void faults.push(fault),
      ...options,
    });
    await tabs.start();
    const stop = async () => {
      await tabs.stop();
      await transport.stop();
    };
    const side = { agent, store, transport, tabs, faults, worked, stop };
    sides.push(side);
    return side;
  }

  async function startBoth(client: Partial<TabsOptions> = {}, provider: Partial<TabsOptions> = {}) {
    const both = { client: await start(0, client), provider: await start(1, provider) };
    await introduce(both.client, both.provider);
    return both;
  }
  const introduce = async (a: Side, b: Side) => {
    await a.transport.learnAddresses(b.transport.peerId, b.transport.addresses());
    await b.transport.learnAddresses(a.transport.peerId, a.transport.addresses());
  };
  const restart = async (side: Side, options: Partial<TabsOptions> = {}) => {
    await side.stop();
    sides = sides.filter((each) => each !== side);
    return await start(world.agents.indexOf(side.agent), { ...options, store: side.store });
  };
  const requestOf = (provider: Side, more: Partial<TabRequest> = {}): TabRequest => ({
    ...{ providerAgentId: provider.agent.agentId, peer: provider.transport.peerId, topic, token: world.token.address },
    ...{ priceWei: PRICE, depositWei: 10_000n, lifeSeconds: 86_400, challengeSeconds: 600 },
    ...more,
  });
  const stateOf = async (tabId: Hex) => tabStates[(await world.tabEscrow.read.tabOf([tabId]))[0]];
  const paidOf = async (tabId: Hex) => (await world.tabEscrow.read.tabOf([tabId]))[4];
  const balanceOf = ({ agent }: Side) => world.token.read.balanceOf([agent.signer.address]);
  const claims = async () => {
    const logs = await world.client.getLogs({ address: world.tabEscrow.address, fromBlock: 0n });
    return parseEventLogs({ abi: tabEscrowAbi, eventName: "TabClaimed", logs });
  };
  const pass = async (seconds: number) => {
    await world.networkHelpers.time.increase(seconds);
    await world.heads.refresh(never);
  };
  const ask = (side: Side, tabId: Hex, words: string) => side.tabs.ask(tabId, text(words), patience());

  it("settles hundreds of tasks on one claim, with their ratings, between two nodes over TCP", async () => {
    const count = isNightly ? 1_000 : 200;
    const { client, provider } = await startBoth();
    const [ofClient, ofProvider] = [await balanceOf(client), await balanceOf(provider)];
    const { tabId } = await client.tabs.open(requestOf(provider), patience());
    for (let n = 1; n <= count; n++) {
      const { answer } = await client.tabs.ask(tabId, text(`task ${n}`), AbortSignal.timeout(90_000));
      if (n % 100 === 0) expect(answer).to.deep.equal(text(`done: task ${n}`));
    }
    expect(provider.worked).to.have.length(count);
    expect(await claims()).to.have.length(0);
    client.tabs.close(tabId);
    await provider.tabs.whenClosed(tabId, patience());
    await client.tabs.whenClosed(tabId, patience());
    const [claim, ...others] = await claims();
    expect(others).to.have.length(0);
    expect(claim?.args).to.include({
      seq: BigInt(count),
      paid: PRICE * BigInt(count),
      satisfiedSum: 90 * count,
      unsatisfiedSum: 0,
    });
    expect(claim?.args).to.include({ satisfied: 100, unsatisfied: 0 });
    expect(await balanceOf(provider)).to.equal(ofProvider + PRICE * BigInt(count));
    expect(await balanceOf(client)).to.equal(ofClient - PRICE * BigInt(count));
    expect([...client.faults, ...provider.faults]).to.deep.equal([]);
  });

  it("need no ether of either side where other accounts pay the gas, but for a larger deposit, and say so", async () => {
    const payers = [testSigner(6), testSigner(7)] as const;
    for (const { signer } of world.agents) await world.networkHelpers.setBalance(signer.address, 0n);
    const count = ({ signer: { address } }: TestAgent) => world.client.getTransactionCount({ address });
    const before = await Promise.all(world.agents.map(count));
    const chains = world.agents.map((agent, index) => world.tabChainOf(agent, payers[index]));
    const [ofClient, ofProvider] = chains as [TabChain, TabChain];
    const { client, provider } = await startBoth({ chain: ofClient }, { chain: ofProvider, policy: { valueWei: 6n } });
    const [clientWei, providerWei] = [await balanceOf(client), await balanceOf(provider)];
    const claimed = await client.tabs.open(requestOf(provider), patience());
    const waiting = await client.tabs.open(requestOf(provider), patience());
    for (const words of ["a", "b", "c"]) await ask(client, claimed.tabId, words);
    await until(async () => (await paidOf(claimed.tabId)) === 6n);

    const more = await client.tabs.topUp(claimed.tabId, 1n, patience()).catch((fault: unknown) => fault);
    expect(more).to.include({ code: "SENDER_WITHOUT_FUNDS" });
    expect((more as Error).message).to.include("cannot pay for topUp, and its gas account cannot send it");
    const coin = requestOf(provider, { token: zeroAddress, depositWei: 1_000n });
    const opening = new AbortController();
    const native = client.tabs.open(coin, opening.signal).catch(() => "given up");
    const isNamed = (fault: unknown) => /cannot pay for open, and its gas account cannot send it/.test(String(fault));
    await until(() => client.faults.some(isNamed));
    opening.abort();
    expect(await native).to.equal("given up");

    for (const { tabId } of [claimed, waiting]) client.tabs.close(tabId);
    await provider.tabs.whenClosed(claimed.tabId, patience());
    // Nothing to claim: the provider closes by its signature alone.
    await provider.tabs.whenClosed(waiting.tabId, patience());
    expect(await balanceOf(provider)).to.equal(providerWei + 3n * PRICE);
    expect(await balanceOf(client)).to.equal(clientWei - 3n * PRICE);
    expect(await Promise.all(world.agents.map(count))).to.deep.equal(before);
  });

  it("claims when enough has come together", async () => {
    const { client, provider } = await startBoth({}, { policy: { valueWei: 6n } });
    const { tabId } = await client.tabs.open(requestOf(provider), patience());
    for (const words of ["a", "b", "c"]) await ask(client, tabId, words);
    await until(async () => (await paidOf(tabId)) === 6n);
    expect(await stateOf(tabId)).to.equal("Open");
  });

  it("claims a small sum when it is old enough", async () => {
    const { client, provider } = await startBoth({}, { policy: { ageSeconds: 1_000 } });
    const { tabId } = await client.tabs.open(requestOf(provider), patience());
    await ask(client, tabId, "a");
    await ask(client, tabId, "b");
    await pass(1_100);
    await until(async () => (await paidOf(tabId)) === PRICE);
  });

  it("claims and closes before the tab expires, whoever is away", async () => {
    const { client, provider } = await startBoth();
    const { tabId } = await client.tabs.open(requestOf(provider, { lifeSeconds: 2_000 }), patience());
    await ask(client, tabId, "a");
    await ask(client, tabId, "b");
    await client.stop();
    await pass(1_750);
    await provider.tabs.whenClosed(tabId, patience());
    expect((await claims())[0]?.args).to.include({ paid: PRICE });
  });

  it("answers a stale close with its newest voucher before the challenge period ends", async () => {
    const { client, provider } = await startBoth();
    const { tabId, tab } = await client.tabs.open(requestOf(provider), patience());
    for (const words of ["a", "b", "c"]) await ask(client, tabId, words);
    // Behind its node's back the client closes on chain, without handing over what it owes.
    await world.sendAs(client.agent, {
      ...{ address: world.tabEscrow.address, abi: tabEscrowAbi, functionName: "startClose", args: [tab] },
    });
    await provider.tabs.whenClosed(tabId, patience());
    expect((await claims())[0]?.args).to.include({ paid: 2n * PRICE });
  });

  it("returns the deposit to a client whose provider is gone", async () => {
    const { client, provider } = await startBoth();
    const before = await balanceOf(client);
    const { tabId } = await client.tabs.open(requestOf(provider), patience());
    await ask(client, tabId, "a");
    await provider.stop();
    client.tabs.close(tabId);
    await until(async () => (await stateOf(tabId)) === "Closing");
    await pass(601);
    await client.tabs.whenClosed(tabId, patience());
    expect(await balanceOf(client)).to.equal(before);
  });

  it("does not work again for a task whose answer was lost, nor for one that is not paid", async () => {
    const { client, provider } = await startBoth();
    const { tabId } = await client.tabs.open(requestOf(provider), patience());
    await ask(client, tabId, "a");
    // A client that forgot its second voucher: the provider has answered, the client has nothing on disk.
    const aside = JSON.stringify(client.store.prepare("SELECT record FROM tabs_tab").get());
    await ask(client, tabId, "b");
    client.store.prepare("UPDATE tabs_tab SET record = ?").run((JSON.parse(aside) as { record: string }).record);
    expect((await ask(client, tabId, "b")).answer).to.deep.equal(text("done: b"));
    expect(provider.worked).to.deep.equal(["a", "b"]);
    client.store.prepare("UPDATE tabs_tab SET record = ?").run((JSON.parse(aside) as { record: string }).record);
    const error = await ask(client, tabId, "c").catch((fault: unknown) => fault);
    expect(error).to.include({ code: "TAB_UNANSWERED" });
    expect(String(error)).to.match(/TAB_SEQ/);
    expect(provider.worked).to.deep.equal(["a", "b"]);
  });

  it("spends no more than the deposit, and more after it was added to", async () => {
    const { client, provider } = await startBoth();
    const { tabId } = await client.tabs.open(requestOf(provider, { depositWei: 2n * PRICE }), patience());
    await ask(client, tabId, "a");
    await ask(client, tabId, "b");
    expect(await ask(client, tabId, "c").catch((fault: unknown) => fault)).to.include({ code: "TAB_EXHAUSTED" });
    await client.tabs.topUp(tabId, PRICE, patience());
    await until(() => client.tabs.tabs()[0]?.depositWei === 3n * PRICE);
    await until(() => provider.tabs.tabs()[0]?.depositWei === 3n * PRICE);
    await ask(client, tabId, "c");
  });

  it("refuses terms below its price, and the client has its deposit back", async () => {
    const { client, provider } = await startBoth();
    const before = await balanceOf(client);
    const cheap = requestOf(provider, { priceWei: PRICE - 1n, challengeSeconds: 60 });
    expect(await client.tabs.open(cheap, patience()).catch((fault: unknown) => fault)).to.include({
      code: "TAB_REFUSED",
    });
    const tabId = client.tabs.tabs()[0]?.tabId as Hex;
    await until(async () => (await stateOf(tabId)) === "Closing");
    await pass(61);
    await client.tabs.whenClosed(tabId, patience());
    expect(await balanceOf(client)).to.equal(before);
  });

  /** A chain whose step never comes back: the process dies there. */
  const stuckAt = (agent: TestAgent, kind: string): TabChain => {
    const chain = world.tabChainOf(agent);
    return {
      ...chain,
      take: (step, record, signal) =>
        step.kind === kind
          ? new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)))
          : chain.take(step, record, signal),
    };
  };

  for (const kind of ["startClose", "claim", "close"]) {
    it(`goes on from the stores alone after both sides were stopped before: ${kind}`, async () => {
      const [first, second] = world.agents as [TestAgent, TestAgent];
      let { client, provider } = await startBoth({ chain: stuckAt(first, kind) }, { chain: stuckAt(second, kind) });
      const before = await balanceOf(provider);
      const { tabId } = await client.tabs.open(requestOf(provider), patience());
      for (const words of ["a", "b bad", "c"]) await ask(client, tabId, words);
      client = await restart(client, { chain: stuckAt(first, kind) });
      provider = await restart(provider, { chain: stuckAt(second, kind) });
      await introduce(client, provider);
      await ask(client, tabId, "d");
      client.tabs.close(tabId);
      if (kind !== "startClose") await until(async () => (await stateOf(tabId)) !== "Open");
      client = await restart(client);
      provider = await restart(provider);
      await introduce(client, provider);
      await provider.tabs.whenClosed(tabId, patience());
      await client.tabs.whenClosed(tabId, patience());
      expect(await balanceOf(provider)).to.be.oneOf([before + 4n * PRICE, before + 3n * PRICE]);
    });
  }
});
