import { expect } from "chai";
import { decodeFunctionData, isAddressEqual, parseEventLogs, zeroAddress, type Hex } from "viem";
import { contentHashOf, dealEscrowAbi, dealStates, testTokenAbi, topicIdOf, type Receipt } from "#protocol";
import type { ChainSender, ContractCall } from "../../../node/chain/port.ts";
import { createSender } from "../../../node/chain/sender.ts";
import { createDeliverableExchange } from "../../../node/settlement/deliverables.ts";
import { createSettlement, type Settlement, type SettlementOptions } from "../../../node/settlement/driver.ts";
import type { DealChain, DealOutcome, Worker } from "../../../node/settlement/port.ts";
import { Payments } from "../../../node/settlement/payments.ts";
import { openStore } from "../../../node/store/sqlite.ts";
import type { Store } from "../../../node/store/port.ts";
import { createLibp2pTransport } from "../../../node/transport/libp2p.ts";
import type { Transport } from "../../../node/transport/port.ts";
import { testKey } from "../../fixtures/log.ts";
import { impostorCodeOf, reticentCodeOf, reticentName } from "../../fixtures/reticent-token.ts";
import { testSigner } from "../chain/test-chain.ts";
import { createDealWorld, never, PRICE, REVIEW_SECONDS, spec, type DealWorld, type TestAgent } from "./deal-world.ts";

const deliverable = new TextEncoder().encode("Bonjour.");
const patience = () => AbortSignal.timeout(20_000);

/** One agent's node, as far as settlement goes: a host, a store on disk's stead, and drivers that come and go. */
interface Party {
  readonly agent: TestAgent;
  readonly store: Store;
  readonly transport: Transport;
  readonly receipts: Receipt[];
  readonly faults: unknown[];
  readonly performed: Hex[];
  settlement: Settlement;
}

describe("settlement", function () {
  this.timeout(40_000);
  let world: DealWorld;
  let parties: Party[] = [];
  let salt = 1n;
  let snapshot: Awaited<ReturnType<DealWorld["networkHelpers"]["takeSnapshot"]>>;

  before(async () => {
    world = await createDealWorld(2);
  });
  beforeEach(async () => {
    snapshot = await world.networkHelpers.takeSnapshot();
    parties = [];
  });
  afterEach(async () => {
    for (const { settlement, transport, store } of parties) {
      await settlement.stop();
      await transport.stop();
      store.close();
    }
    world.stopSenders();
    await snapshot.restore();
    await world.heads.refresh(never);
  });
  after(() => {
    world.stop();
  });

  async function createTransport(index: number): Promise<Transport> {
    const transport = await createLibp2pTransport({ privateKey: testKey(index + 1) });
    await transport.start();
    return transport;
  }

  function createDriver(party: Omit<Party, "settlement">, options: Partial<SettlementOptions>): Settlement {
    const worker: Worker = {
      perform(deal, given) {
        expect(given).to.deep.equal(spec);
        party.performed.push(deal.specHash);
        return Promise.resolve(deliverable);
      },
    };
    return createSettlement({
      chain: world.dealChainOf(party.agent),
      ...{ store: party.store, transport: party.transport, worker },
      assessor: {
        assess: (_deal, _spec, given) =>
          Promise.resolve({ kind: "complete", rating: given.length === deliverable.length ? 80 : -80 }),
      },
      onReceipt: (receipt) => void party.receipts.push(receipt),
      onFault: (fault) => void party.faults.push(fault),
      ...options,
    });
  }

  async function join(index: number, options: Partial<SettlementOptions> = {}): Promise<Party> {
    const agent = world.agents[index] as TestAgent;
    const transport = await createTransport(index);
    const party = { agent, transport, store: openStore(":memory:"), receipts: [], faults: [], performed: [] };
    const joined = { ...party, settlement: createDriver(party, options) };
    parties.push(joined);
    await joined.settlement.start();
    return joined;
  }

  /** Client and provider that know each other's addresses. */
  async function joinBoth(
    options: { client?: Partial<SettlementOptions>; provider?: Partial<SettlementOptions> } = {},
  ) {
    const [client, provider] = [await join(0, options.client), await join(1, options.provider)];
    await client.transport.learnAddresses(provider.transport.peerId, provider.transport.addresses());
    return { client, provider };
  }

  /** The drivers are gone and new ones come: nothing is left but the store and the chain. */
  async function restart(party: Party, options: Partial<SettlementOptions> = {}): Promise<void> {
    await party.settlement.stop();
    await party.transport.stop();
    const index = world.agents.indexOf(party.agent);
    const transport = await createTransport(index);
    Object.assign(party, { transport });
    party.settlement = createDriver(party, options);
    await party.settlement.start();
  }

  const agree = (deliverWithin = 600) =>
    world.agree(world.agents[0] as TestAgent, world.agents[1] as TestAgent, { deliverWithin, salt: salt++ });
  const stateOf = async (dealId: Hex) => dealStates[(await world.escrow.read.dealOf([dealId]))[0]];
  const balanceOf = (party: Party) => world.token.read.balanceOf([party.agent.signer.address]);

  /** Looks again and again, for as long as a healthy test may take. */
  async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    const signal = patience();
    while (!(await condition())) {
      signal.throwIfAborted();
      await new Promise(setImmediate);
    }
  }
  const reach = (dealId: Hex, state: string) => until(async () => (await stateOf(dealId)) === state);

  /** A chain that hides a step of the driver: a node that never gets to it. */
  const without = (agent: TestAgent, ...kinds: string[]): DealChain => {
    const chain = world.dealChainOf(agent);
    return {
      ...{ blockNumber: () => chain.blockNumber(), time: () => chain.time(), onHead: (f) => chain.onHead(f) },
      ...{ signSplit: (proposal) => chain.signSplit(proposal), signCancel: (dealId) => chain.signCancel(dealId) },
      isSplitConsent: (proposal, consent) => chain.isSplitConsent(proposal, consent),
      isCancelConsent: (dealId, consent) => chain.isCancelConsent(dealId, consent),
      sight: (agreement, sinceBlock, signal) => chain.sight(agreement, sinceBlock, signal),
      take: (step, agreement, signal) =>
        kinds.includes(step.kind)
          ? new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)))
          : chain.take(step, agreement, signal),
    };
  };

  async function bothOutcomes(a: Party, b: Party, dealId: Hex): Promise<readonly [DealOutcome, DealOutcome]> {
    return await Promise.all([a.settlement.whenEnded(dealId, patience()), b.settlement.whenEnded(dealId, patience())]);
  }

  it("runs a whole deal: opened by authorization, delivered, fetched, rated, paid, with a receipt on each side", async () => {
    const { client, provider } = await joinBoth();
    const before = await balanceOf(provider);
    const agreed = await agree();
    provider.settlement.adopt(agreed.provider);
    client.settlement.adopt(agreed.client);
    const outcomes = await bothOutcomes(client, provider, agreed.dealId);
    for (const outcome of outcomes) expect(outcome).to.include({ state: "Completed", rating: 80 });
    expect(await balanceOf(provider)).to.equal(before + PRICE);
    const sums = await world.ledger.read.pairOf([topicIdOf("translation"), 1, 2]);
    expect(sums).to.deep.equal([80, 0]);
    expect([client.receipts.length, provider.receipts.length]).to.deep.equal([1, 1]);
    expect(client.receipts[0]).to.include({ role: "client", outcome: "completed", dealId: agreed.dealId });
    expect([...client.faults, ...provider.faults]).to.deep.equal([]);
  });

  it("opens by allowance where there is one, and adopts an agreement once however often it is told", async () => {
    const { client, provider } = await joinBoth();
    await world.approve(client.agent, PRICE);
    const agreed = await agree();
    for (let i = 0; i < 3; i++) {
      provider.settlement.adopt(agreed.provider);
      client.settlement.adopt(agreed.client);
    }
    await bothOutcomes(client, provider, agreed.dealId);
    const allowance = await world.token.read.allowance([client.agent.signer.address, world.escrow.address]);
    expect(allowance).to.equal(0n);
    expect(provider.performed).to.have.length(1);
  });

  it("needs no ether of either side where other accounts pay the gas: opened, delivered and rated by signatures", async () => {
    const [buyer, seller] = world.agents as [TestAgent, TestAgent];
    const payers = [testSigner(6), testSigner(7)] as const;
    const { networkHelpers, client: reader } = world;
    for (const { signer } of [buyer, seller]) await networkHelpers.setBalance(signer.address, 0n);
    const sent = async () =>
      await Promise.all([buyer, seller].map(({ signer: { address } }) => reader.getTransactionCount({ address })));
    const before = await sent();
    const [client, provider] = [
      await join(0, { chain: world.dealChainOf(buyer, payers[0]) }),
      await join(1, { chain: world.dealChainOf(seller, payers[1]) }),
    ];
    await client.transport.learnAddresses(provider.transport.peerId, provider.transport.addresses());
    const agreed = await agree();
    provider.settlement.adopt(agreed.provider);
    client.settlement.adopt(agreed.client);
    for (const outcome of await bothOutcomes(client, provider, agreed.dealId)) {
      expect(outcome).to.include({ state: "Completed", rating: 80 });
    }
    expect(await sent()).to.deep.equal(before);
    const logs = await reader.getLogs({ address: world.escrow.address, fromBlock: 0n });
    const steps = parseEventLogs({ abi: dealEscrowAbi, logs }).filter(
      ({ args }) => "dealId" in args && args.dealId === agreed.dealId,
    );
    const calls = steps.map(async ({ transactionHash: hash }) => {
      const { from, input } = await reader.getTransaction({ hash });
      const { functionName } = decodeFunctionData({ abi: dealEscrowAbi, data: input });
      return [functionName, payers.findIndex(({ address }) => isAddressEqual(address, from))];
    });
    expect(await Promise.all(calls)).to.deep.equal([
      ["openWithAuthorization", 0],
      ["submitFor", 1],
      ["completeFor", 0],
    ]);
    expect([...client.faults, ...provider.faults]).to.deep.equal([]);
  });

  describe("paid in a token that says of itself", () => {
    const deploy = async (bytecode: Hex) => {
      const [deployer] = await world.chain.viem.getWalletClients();
      const hash = (await deployer?.deployContract({ abi: testTokenAbi, bytecode })) ?? "0x";
      return (await world.client.getTransactionReceipt({ hash })).contractAddress ?? zeroAddress;
    };
    /** How the first agent pays, where account 6 of the test mnemonic pays its gas, or somebody before it. */
    const paying = (earlier?: (call: ContractCall) => Promise<unknown>) => {
      const { client, heads, chainTime } = world;
      const { signer } = world.agents[0] as TestAgent;
      const [own, relay] = [signer, testSigner(6)].map((each) => createSender({ client, heads, signer: each })) as [
        ChainSender,
        ChainSender,
      ];
      const { address } = relay;
      const send: ChainSender["send"] = async (call, signal) => {
        await earlier?.(call);
        return await relay.send(call, signal);
      };
      const sender = { address, send, stop: () => relay.stop() };
      const stop = () => [own, relay].forEach((each) => each.stop());
      return { payments: new Payments(client, own, { sender, signer, chainTime }), stop };
    };

    it("nothing, as USDC: its domain is found by its separator, and the deal opened by authorization", async () => {
      const [buyer, seller] = world.agents as [TestAgent, TestAgent];
      const token = await deploy(reticentCodeOf(world.token.address));
      await world.networkHelpers.setStorageAt(token, ...reticentName);
      const mint = { functionName: "mint", args: [buyer.signer.address, PRICE] };
      await world.sendAs(seller, { abi: testTokenAbi, address: token, ...mint });
      await world.networkHelpers.setBalance(buyer.signer.address, 0n);
      const [client, provider] = [await join(0, { chain: world.dealChainOf(buyer, testSigner(6)) }), await join(1)];
      await client.transport.learnAddresses(provider.transport.peerId, provider.transport.addresses());
      const agreed = await world.agree(buyer, seller, { salt: salt++, terms: { token } });
      provider.settlement.adopt(agreed.provider);
      client.settlement.adopt(agreed.client);
      for (const outcome of await bothOutcomes(client, provider, agreed.dealId)) {
        expect(outcome).to.include({ state: "Completed" });
      }
      expect(client.faults).to.deep.equal([]);
    });

    it("that it is another one: nothing is signed under that one's domain", async () => {
      const impostor = await deploy(impostorCodeOf(world.token.address));
      const { payments, stop } = paying();
      expect(await payments.authorizationDomainOf(world.token.address, never)).to.include({ version: "1" });
      expect(await payments.authorizationDomainOf(impostor, never)).to.equal(undefined);
      stop();
    });

    it("that it takes permits: one that somebody else sent first is as good", async () => {
      const [buyer, seller] = world.agents as [TestAgent, TestAgent];
      const calls: string[] = [];
      const { payments, stop } = paying(async (call) => {
        calls.push(call.functionName);
        await world.sendAs(seller, call);
      });
      const spender = world.escrow.address;
      const allowance = () => world.token.read.allowance([buyer.signer.address, spender]);
      const before = await allowance();
      let isUsed = false;
      const use = () => Promise.resolve(void (isUsed = true));
      await payments.withAllowance({ token: world.token.address, spender, amount: PRICE }, use, never);
      stop();
      expect([calls, isUsed]).to.deep.equal([["permit"], true]);
      expect(await allowance()).to.equal(before + PRICE);
    });
  });

  it("refunds the client by itself when the provider delivers nothing", async () => {
    const broken: Worker = { perform: () => Promise.reject(new Error("no idea")) };
    const { client, provider } = await joinBoth({ provider: { worker: broken } });
    const before = await balanceOf(client);
    const agreed = await agree();
    provider.settlement.adopt(agreed.provider);
    client.settlement.adopt(agreed.client);
    await until(() => provider.faults.length > 0);
    await world.networkHelpers.time.increaseTo(agreed.deal.submitBy + 1);
    const [outcome] = await bothOutcomes(client, provider, agreed.dealId);
    expect(outcome).to.include({ state: "Refunded" });
    expect(await balanceOf(client)).to.equal(before);
    expect(await world.ledger.read.pairOf([topicIdOf("translation"), 1, 2])).to.deep.equal([0, 100]);
    expect(provider.faults.map((fault) => (fault as Error).message)).to.deep.equal(["no idea"]);
  });

  it("releases the price to the provider by itself when the client stays silent", async () => {
    const client = await join(0);
    const provider = await join(1);
    const before = await balanceOf(provider);
    const agreed = await agree();
    provider.settlement.adopt(agreed.provider);
    client.settlement.adopt(agreed.client);
    await reach(agreed.dealId, "Funded");
    await client.settlement.stop();
    await reach(agreed.dealId, "Submitted");
    await world.networkHelpers.time.increase(REVIEW_SECONDS);
    const outcome = await provider.settlement.whenEnded(agreed.dealId, patience());
    expect(outcome).to.include({ state: "Completed", rating: 0 });
    expect(await balanceOf(provider)).to.equal(before + PRICE);
  });

  it("completes with the worst rating when the deliverable cannot be had before the review ends", async () => {
    let hasSeen = false;
    const client = await join(0, { onStep: ({ kind }) => void (hasSeen ||= kind === "submitted") });
    // The client never learns where the provider is.
    const provider = await join(1);
    const agreed = await agree();
    provider.settlement.adopt(agreed.provider);
    client.settlement.adopt(agreed.client);
    await until(() => hasSeen);
    await world.networkHelpers.time.increase(REVIEW_SECONDS - 30);
    const outcome = await client.settlement.whenEnded(agreed.dealId, patience());
    expect(outcome).to.include({ state: "Completed", rating: -100 });
    expect(client.faults.at(-1)).to.include({ code: "DELIVERABLE_MISSING" });
  });

  it("withdraws the provider's signature when nobody funds the deal in time", async () => {
    const provider = await join(1);
    const agreed = await agree();
    provider.settlement.adopt(agreed.provider);
    await world.networkHelpers.time.increase(130);
    const outcome = await provider.settlement.whenEnded(agreed.dealId, patience());
    expect(outcome).to.include({ state: "Cancelled" });
    expect(provider.receipts).to.deep.equal([]);
    expect(await stateOf(agreed.dealId)).to.equal("Cancelled");
  });

  it("ends a deal that was not opened before its delivery was due", async () => {
    const client = await join(0, { chain: without(world.agents[0] as TestAgent, "open") });
    const agreed = await agree(30);
    client.settlement.adopt(agreed.client);
    await world.networkHelpers.time.increase(60);
    await restart(client);
    const outcome = await client.settlement.whenEnded(agreed.dealId, patience());
    expect(outcome).to.include({ state: "Expired" });
  });

  /** Stops both nodes for good just before the given step of either, then starts them on the stores alone. */
  for (const kind of ["open", "submit", "complete"]) {
    it(`goes on from the store and the chain alone after a stop before: ${kind}`, async () => {
      const [first, second] = world.agents as [TestAgent, TestAgent];
      const { client, provider } = await joinBoth({
        client: { chain: without(first, kind) },
        provider: { chain: without(second, kind) },
      });
      const agreed = await agree();
      provider.settlement.adopt(agreed.provider);
      client.settlement.adopt(agreed.client);
      const stuckIn = { open: "Open", submit: "Funded", complete: "Submitted" }[kind] ?? "";
      await reach(agreed.dealId, stuckIn);
      await restart(client);
      await restart(provider);
      await client.transport.learnAddresses(provider.transport.peerId, provider.transport.addresses());
      const outcomes = await bothOutcomes(client, provider, agreed.dealId);
      for (const outcome of outcomes) expect(outcome).to.include({ state: "Completed", rating: 80 });
    });
  }

  it("delivers what was stored before the stop, and does not work again", async () => {
    const second = world.agents[1] as TestAgent;
    const { client, provider } = await joinBoth({ provider: { chain: without(second, "submit") } });
    const agreed = await agree();
    provider.settlement.adopt(agreed.provider);
    client.settlement.adopt(agreed.client);
    await reach(agreed.dealId, "Funded");
    await until(() => provider.performed.length > 0);
    const refuse: Worker = { perform: () => Promise.reject(new Error("worked twice")) };
    await restart(provider, { worker: refuse });
    await client.transport.learnAddresses(provider.transport.peerId, provider.transport.addresses());
    expect(await provider.settlement.whenEnded(agreed.dealId, patience())).to.include({ state: "Completed" });
    expect(provider.faults).to.deep.equal([]);
  });

  it("opens again when a reorg takes the opening back", async () => {
    const second = world.agents[1] as TestAgent;
    const { client, provider } = await joinBoth({ provider: { chain: without(second, "submit") } });
    const agreed = await agree();
    const beforeOpening = await world.networkHelpers.takeSnapshot();
    provider.settlement.adopt(agreed.provider);
    client.settlement.adopt(agreed.client);
    await reach(agreed.dealId, "Funded");
    await beforeOpening.restore();
    expect(await stateOf(agreed.dealId)).to.equal("Open");
    await world.networkHelpers.mine(3);
    await reach(agreed.dealId, "Funded");
    await restart(provider);
    await client.transport.learnAddresses(provider.transport.peerId, provider.transport.addresses());
    const outcomes = await bothOutcomes(client, provider, agreed.dealId);
    for (const outcome of outcomes) expect(outcome).to.include({ state: "Completed", rating: 80 });
  });

  it("pays once when two drivers open the same deal at the same time", async () => {
    const { client, provider } = await joinBoth();
    const transport = await createTransport(5);
    const store = openStore(":memory:");
    const twin = createSettlement({ chain: world.dealChainOf(client.agent), store, transport });
    const before = await balanceOf(client);
    const agreed = await agree();
    await twin.start();
    provider.settlement.adopt(agreed.provider);
    client.settlement.adopt(agreed.client);
    twin.adopt(agreed.client);
    const outcomes = await bothOutcomes(client, provider, agreed.dealId);
    await twin.stop();
    await transport.stop();
    store.close();
    for (const outcome of outcomes) expect(outcome.state).to.equal("Completed");
    expect(await balanceOf(client)).to.equal(before - PRICE);
  });

  it("gives the deliverable to the deal's client after submission, and to nobody else", async () => {
    const { client, provider } = await joinBoth({
      client: { chain: without(world.agents[0] as TestAgent, "complete") },
    });
    const stranger = await createTransport(7);
    const agreed = await agree();
    const hash = contentHashOf(deliverable);
    const ask = async (transport: Transport) => {
      await transport.learnAddresses(provider.transport.peerId, provider.transport.addresses());
      return await createDeliverableExchange(transport).fetch(provider.transport.peerId, hash, patience());
    };
    expect((await ask(client.transport)).kind).to.equal("ignore");
    provider.settlement.adopt(agreed.provider);
    client.settlement.adopt(agreed.client);
    await reach(agreed.dealId, "Submitted");
    // The chain is ahead of the provider's look at it by a moment.
    await until(async () => (await ask(client.transport)).kind === "accept");
    expect(await ask(client.transport)).to.deep.equal({ kind: "accept", value: deliverable });
    expect(await ask(stranger)).to.deep.include({ kind: "ignore", code: "REMOTE_IGNORED" });
    await stranger.stop();
  });
});
