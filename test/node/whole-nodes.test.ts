// What only whole nodes show: roles of the configuration on a real network, from the file's words to what moves on chain.
import { expect } from "chai";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createTestClient, decodeFunctionData, http, isAddressEqual, parseEventLogs, type Abi, type Hex } from "viem";
import {
  accept,
  bondCurveAbi,
  dealDisputesAbi,
  dealEscrowAbi,
  dealStates,
  draftMechanism,
  encodeLogHeader,
  jurorPanelAbi,
  providerBondFor,
  readAwardEvidence,
  signLogHeader,
  stakeVaultAbi,
  storedMechanismOf,
  testTokenAbi,
  topicIdOf,
  type Curve,
} from "#protocol";
import { createIndexer, type Indexer } from "../../indexer/index.ts";
import { clientOnly, type Application } from "../../node/application.ts";
import { HEADERS_TOPIC } from "../../node/gossip/gossip.ts";
import { protocols } from "../../node/gossip/sync.ts";
import { heads } from "../../node/gossip/wire.ts";
import { createLibp2pTransport } from "../../node/transport/libp2p.ts";
import { testAccount } from "../../scripts/devnet/accounts.ts";
import type { TaskReport } from "../../scripts/devnet/node-client.ts";
import type { LocalAgent } from "../../scripts/devnet/provision.ts";
import { createApplication } from "../../scripts/scenarios/applications/skill.ts";
import { subscribed } from "../fixtures/hosts.ts";
import { EPOCH_LENGTH, STAKE, startLocalNetwork, writeAs, type LocalNetwork } from "../fixtures/local-network.ts";
import { headerOf } from "../fixtures/log.ts";
import { createWholeNodes, type WholeNode, type WholeNodes } from "../fixtures/whole-nodes.ts";

const TOPIC = "data_analysis";
const PRICE = 4_000_000n;
const RESERVE = 5_000_000n;
const SERIES = [12, 7, 3, 44, 19, 8];
/** The price again at the best score, twice of it without one, half of the difference gone at the uniform share. */
const CURVE: Curve = { slashShare: 65_536, factorAtZero: 131_072, halfScore: 65_536n };
/** As test/fixtures/local-network.ts deploys: a juror's seat, and what a fork costs. */
const JUROR_BOND = 10_000_000n;
const [BUYER, SELLER, OFFENDER, WATCHER] = [0, 1, 5, 6];
const JURORS = [2, 3, 4] as const;
const COMPLAINT = "The median is missing.";
const patience = () => AbortSignal.timeout(120_000);

describe("whole nodes", function () {
  this.timeout(240_000);
  let network: LocalNetwork;
  let indexer: Indexer;
  let nodes: WholeNodes;
  let buyer: WholeNode;
  let seller: WholeNode;
  let epoch: number;

  before(async () => {
    network = await startLocalNetwork(7, { tokens: 1_000_000_000n, stakers: 7 });
    const { client, deployment, dir } = network;
    const agent = (index: number) => network.agents[index] as LocalAgent;
    const { bondCurve, jurorPanel } = deployment.contracts;
    const ratings = [[BUYER, SELLER, 90] as const, [SELLER, 2, 60] as const, [2, SELLER, 80] as const];
    // First: it counts the nonces of these accounts by itself.
    await network.rate(topicIdOf(TOPIC), ratings);
    for (const index of JURORS) {
      const args = [Number(agent(index).agentId), JUROR_BOND];
      await writeAs(network, agent(index), jurorPanel, jurorPanelAbi as Abi, "enlist", args);
    }
    await writeAs(network, testAccount(0), bondCurve, bondCurveAbi as Abi, "setCurve", [topicIdOf(TOPIC), CURVE]);
    // Two epochs later, so that the curve counts as well.
    epoch = await network.finalizeEpoch();
    mkdirSync(join(dir, "index"));
    indexer = createIndexer({ client, deployment, store: { folder: join(dir, "index") }, pollIntervalMs: 100 });
    await indexer.start(patience());
    await indexer.reached({ number: Number(await client.getBlockNumber()) }, patience());
    nodes = await createWholeNodes(network, indexer.graphqlUrl);
    const options = { topic: TOPIC, priceWei: PRICE.toString(), quality: 95 };
    const resource = {
      ...{ path: "/describe", topic: TOPIC, description: "Quartiles", mimeType: "application/json", priceWei: PRICE },
      ...{ by: ["deal"] as const, bondWei: undefined, deliverWithinS: 600, reviewPeriodS: 3_600 },
    };
    const shop = {
      ...{ host: "127.0.0.1", port: 0, publicOrigin: undefined, resources: [resource] },
      ...{ arbiter: "panel" as const, rulingWithinS: 10 * Number(EPOCH_LENGTH) },
    };
    const honest = await createApplication({ name: "seller", options });
    seller = await nodes.start(SELLER, { name: "seller", shop }, honest);
    buyer = await nodes.start(
      BUYER,
      { name: "buyer", bootstrap: seller.addresses },
      {
        ...(await createApplication({ name: "buyer", options: {} })),
      },
    );
    interface Found {
      readonly found: readonly { readonly score?: number }[];
    }
    await buyer.api.until<Found>(`/find?topic=${TOPIC}`, ({ found }) => (found[0]?.score ?? 0) > 0, patience());
  });
  after(async () => {
    await nodes?.stop();
    await indexer?.stop();
    await network?.stop();
  });

  const escrowOf = () => ({ abi: dealEscrowAbi, address: network.deployment.contracts.dealEscrow }) as const;
  const stateOf = async (dealId: Hex) => {
    const [state] = await network.client.readContract({ ...escrowOf(), functionName: "dealOf", args: [dealId] });
    return dealStates[state];
  };
  const opening = async (dealId: Hex) => {
    const logs = await network.client.getLogs({ address: escrowOf().address, fromBlock: 0n });
    const events = parseEventLogs({ abi: dealEscrowAbi, eventName: "DealFunded", logs });
    const funded = events.find(({ args }) => args.dealId === dealId);
    if (funded === undefined) throw new Error(`${dealId} was never opened`);
    const { input } = await network.client.getTransaction({ hash: funded.transactionHash });
    return { deal: funded.args.deal, call: decodeFunctionData({ abi: dealEscrowAbi, data: input }) };
  };
  const simulator = () => createTestClient({ mode: "hardhat", transport: http(network.rpcUrl) });
  const passTo = async (second: number) => {
    await simulator().setNextBlockTimestamp({ timestamp: BigInt(second) });
    await simulator().mine({ blocks: 1 });
  };
  const bondAt = (price: bigint, score: bigint) => providerBondFor(CURVE, price, score);
  /** Lets blocks pass until the condition holds: what nodes do by themselves, they do with the next head. */
  const untilMined = async (condition: () => boolean | Promise<boolean>) => {
    const signal = patience();
    while (!(await condition())) {
      signal.throwIfAborted();
      await simulator().mine({ blocks: 1 });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const balanceOf = ({ address }: LocalAgent) => {
    const token = { abi: testTokenAbi, address: network.deployment.contracts.token } as const;
    return network.client.readContract({ ...token, functionName: "balanceOf", args: [address] });
  };

  it("open a negotiated deal with the proof of its provider's score, for less bond than a newcomer's", async () => {
    const draft = draftMechanism({ name: "Tasks", topics: [TOPIC], rule: "scored-second-price", valuePerQuality: 0n });
    const mechanism = storedMechanismOf({ ...draft, bond: { ...draft.bond, curve: CURVE } });
    const task = {
      ...{ spec: { topic: TOPIC, title: "Describe", input: SERIES }, query: "describe a series", mechanism },
      ...{ reservePriceWei: RESERVE, submitWithinS: 600 },
    };
    const { id } = await buyer.api.ask<{ id: string }>("/tasks", patience(), task);
    const isOver = ({ state }: TaskReport) => ["settled", "refunded", "cancelled", "failed"].includes(state);
    const report = await buyer.api.until<TaskReport>(`/tasks/${id}`, isOver, patience());
    expect(report).to.include({ state: "settled", rating: 100 });
    const { deal, call } = await opening(report.dealId as Hex);
    expect(call.functionName).to.equal("openWithProof");
    expect(deal.epoch).to.equal(epoch);
    const { providerBond, price } = deal;
    expect(providerBond >= bondAt(price, 1n << 40n) && providerBond < bondAt(price, 0n)).to.equal(true);
    // The curve itself asks for this, neither more nor less.
    const query = { abi: bondCurveAbi, address: network.deployment.contracts.bondCurve } as const;
    const args = [deal, call.args?.[3] as Hex] as const;
    const asked = await network.client.readContract({ ...query, functionName: "requiredProviderBond", args });
    expect(asked).to.equal(providerBond);
  });

  it("bargain over packages, and settle the one that both took, with its bond and its times", async () => {
    const bondWei = bondAt(RESERVE, 0n);
    const choices = [2n, 4n, 5n].map((units) => ({ priceWei: units * 1_000_000n, soonerS: Number(units) * 10 }));
    const packages = choices.map(({ priceWei, soonerS }) => ({
      ...{ priceWei: priceWei.toString(), bondWei: bondWei.toString(), soonerS },
      worth: (6_000_000n - priceWei).toString(),
    }));
    const task = {
      ...{ spec: { topic: TOPIC, title: "Describe", input: SERIES }, query: "describe a series" },
      ...{ reservePriceWei: RESERVE.toString(), submitWithinS: 600, bargain: { packages } },
    };
    const { id } = await buyer.api.ask<{ id: string }>("/tasks", patience(), task);
    const isOver = ({ state }: TaskReport) => ["settled", "refunded", "cancelled", "failed"].includes(state);
    const report = await buyer.api.until<TaskReport>(`/tasks/${id}`, isOver, patience());
    expect(report).to.include({ state: "settled", rating: 100 });
    // The seller takes nothing below its list price, and of the rest the buyer likes the cheaper best.
    const { deal } = await opening(report.dealId as Hex);
    expect(deal).to.include({ price: PRICE, providerBond: bondWei, reviewPeriod: 60 });
    const shown = await buyer.api.ask<object>(`/awards/${report.dealId}`, patience());
    const award = readAwardEvidence(JSON.stringify(shown));
    if (award.kind !== "accept") throw new Error(award.code);
    expect(deal.submitBy).to.equal(award.value.call.submitBy - 40);
  });

  it("say whether they sell over HTTP in the registration file", async () => {
    const read = async ({ apiUrl }: WholeNode) => {
      const response = await fetch(`${apiUrl}/.well-known/agent-registration.json`);
      return (await response.json()) as { x402Support: boolean; services: { name: string; endpoint: string }[] };
    };
    const [selling, buying] = [await read(seller), await read(buyer)];
    expect([selling.x402Support, buying.x402Support]).to.deep.equal([true, false]);
    const webOf = ({ services }: typeof selling) => services.filter(({ name }) => name === "web");
    expect(webOf(selling)).to.deep.equal([{ name: "web", endpoint: seller.shopUrl }]);
    expect(webOf(buying)).to.deep.equal([]);
  });

  it("with the role juror vote on a purchase in dispute, and their ruling pays the buyer the seller's bond", async () => {
    const votes: string[] = [];
    const voting: Application = {
      ...clientOnly,
      vote({ evidence }) {
        const complaint = evidence.find(({ role }) => role === "client")?.reason ?? "nothing was shown";
        votes.push(complaint);
        return Promise.resolve(complaint === COMPLAINT ? 1 : 2);
      },
    };
    const bootstrap = [...seller.addresses, ...buyer.addresses];
    for (const index of JURORS) {
      await nodes.start(index, { name: `juror-${index}`, roles: ["juror"], bootstrap }, voting);
    }
    const before = await balanceOf(network.agents[BUYER] as LocalAgent);
    const body = `0x${Buffer.from(JSON.stringify(SERIES)).toString("hex")}`;
    const wanted = { url: `${seller.shopUrl}/describe`, method: "POST", body, maxWei: PRICE };
    const bought = await buyer.api.ask<{ paid: { dealId: Hex } }>("/pay", patience(), wanted);
    const { dealId } = bought.paid;
    const { deal } = await opening(dealId);
    const { jurorPanel, dealDisputes } = network.deployment.contracts;
    expect(isAddressEqual(deal.arbiter, jurorPanel)).to.equal(true);
    // Over HTTP no score is proven: the shop brings what the curve asks of a newcomer.
    expect(deal.providerBond).to.equal(bondAt(PRICE, 0n));

    const isSeen = (state: string) => {
      return ({ deals }: { deals: { dealId: Hex; state?: string }[] }) =>
        deals.some((each) => each.dealId === dealId && each.state === state);
    };
    await buyer.api.until("/deals", isSeen("Submitted"), patience());
    await buyer.api.ask("/deals", patience(), { dealId, action: "dispute", reason: COMPLAINT });
    await untilMined(async () => (await stateOf(dealId)) === "Disputed");
    const panel = { abi: jurorPanelAbi, address: jurorPanel } as const;
    const ask = network.client;
    const round = () => ask.readContract({ ...panel, functionName: "roundOf", args: [1n, 0n] });
    const seats = () =>
      Promise.all(
        JURORS.map((index) => {
          const args = [1n, 0n, Number(network.agents[index]?.agentId)] as const;
          return ask.readContract({ ...panel, functionName: "voteOf", args });
        }),
      );
    // Each period ends only when all have done their part in it.
    await untilMined(async () => (await seats()).every(([seal]) => BigInt(seal) !== 0n));
    await passTo((await round())[2]);
    await untilMined(async () => (await seats()).every(([, , isRevealed]) => isRevealed));
    await passTo((await round())[4]);
    await untilMined(async () => (await stateOf(dealId)) === "Resolved");
    expect(votes).to.deep.equal(JURORS.map(() => COMPLAINT));
    const after = await balanceOf(network.agents[BUYER] as LocalAgent);
    expect(after - before).to.equal(deal.providerBond);
    const logs = await network.client.getLogs({ address: dealDisputes, fromBlock: 0n });
    const rulings = parseEventLogs({ abi: dealDisputesAbi, eventName: "Ruling", logs });
    expect(rulings.map(({ args }) => args._ruling)).to.deep.equal([1n]);
    for (const { api } of [buyer, seller]) await api.until("/deals", isSeen("Resolved"), patience());
  });

  it("with the role watcher take two entries of one place to the stake of who signed them", async () => {
    const offender = network.agents[OFFENDER] as LocalAgent;
    const watcher = await nodes.start(WATCHER, { name: "watcher", roles: ["watcher"] }, clientOnly);
    const { stakeVault } = network.deployment.contracts;
    const vault = { abi: stakeVaultAbi, address: stakeVault, functionName: "stakeOf" } as const;
    const stake = async () => (await network.client.readContract({ ...vault, args: [Number(offender.agentId)] }))[0];
    expect(await stake()).to.equal(STAKE);
    const host = await createLibp2pTransport({ privateKey: offender.key, topics: [HEADERS_TOPIC] });
    await host.start();
    try {
      await host.serve(protocols.heads, () => Promise.resolve(accept(heads.answer.encode([]))));
      host.subscribe(HEADERS_TOPIC, () => Promise.resolve(accept(undefined)));
      const ready = subscribed(host, watcher.peerId, HEADERS_TOPIC);
      await host.dial(watcher.addresses[0] as string, patience());
      await ready;
      const contracts = { chainId: network.deployment.chainId, ...network.deployment.contracts };
      const say = (content: number) => {
        const fields = { timeMs: Date.now(), bodyHash: `0x${content.toString(16).padStart(64, "0")}` as const };
        const header = signLogHeader(headerOf(offender.signer, fields), offender.signer, contracts);
        return host.publish(HEADERS_TOPIC, encodeLogHeader(header));
      };
      let content = 0;
      const before = await balanceOf(network.agents[WATCHER] as LocalAgent);
      // Nobody here can see when the node has heard our subscription: each try is another entry in the same place.
      await untilMined(async () => {
        if ((await stake()) < STAKE) return true;
        await say(++content);
        return false;
      });
      expect(await stake()).to.equal(STAKE - JUROR_BOND);
      const slashed = () => nodes.lines.filter((line) => line.includes('"event":"slashed"'));
      await untilMined(() => slashed().length > 0);
      expect(slashed()).to.have.length(1);
      expect((await balanceOf(network.agents[WATCHER] as LocalAgent)) - before).to.equal(JUROR_BOND / 2n);
    } finally {
      await host.stop();
    }
  });
});
