// The composition root: the only place where the stages' implementations meet.
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bytesToHex, zeroHash, type Address, type Hex } from "viem";
import {
  createSigner,
  dealEscrowAbi,
  encodeLogHeader,
  encodeScoreProof,
  kinds,
  purposes,
  signerHashOf,
  SuretyError,
  type Deal,
  type Fork,
  type LogRange,
  type Signer,
} from "#protocol";
import { createFront } from "./api/front.ts";
import { createLeavesMount } from "./api/leaves.ts";
import { createNetworkRoutes } from "./api/network.ts";
import { createRoutes } from "./api/routes.ts";
import { startApi } from "./api/server.ts";
import { startAnchoring } from "./anchoring.ts";
import { Announcer } from "./announcer.ts";
import type { Application } from "./application.ts";
import { adapt, tabWorkOf, tellApplication, voteOf } from "./application-ports.ts";
import type { AgentConfig, NodeConfig } from "./config.ts";
import { createAnchorChain } from "./chain/anchors.ts";
import { createChainTime } from "./chain/chain-time.ts";
import { connectChain, type ChainClient } from "./chain/connect.ts";
import { createFlightStore } from "./chain/flight-store.ts";
import { watchHeads } from "./chain/heads.ts";
import { createCredentialReader } from "./chain/credentials.ts";
import { createIdentityReader } from "./chain/identity.ts";
import type { Heads, IdentityReader } from "./chain/port.ts";
import { createSender } from "./chain/sender.ts";
import { AgentDesk } from "./desk/agents.ts";
import { Bell } from "./desk/bell.ts";
import { Commissions } from "./desk/commissions.ts";
import { Desk } from "./desk/desk.ts";
import { Reviews, withReviews } from "./desk/reviews.ts";
import { Experience } from "./experience.ts";
import { checkStart } from "./identity/start.ts";
import type { Journal } from "./journal.ts";
import { Anchorer, type AnchorPort } from "./log/anchorer.ts";
import type { LogReader } from "./log/log-store.ts";
import { signCheckpoint } from "./log/checkpoint.ts";
import { stateHeadOf } from "./log/state-head.ts";
import { openLogWriter } from "./log/writer.ts";
import { joinNetwork } from "./network.ts";
import { createNegotiator } from "./negotiation/driver.ts";
import { createReputationChain } from "./reputation/chain.ts";
import { ReputationDriver } from "./reputation/driver.ts";
import { openLeafExchange } from "./reputation/leaves/exchange.ts";
import type { LeafExchange } from "./reputation/port.ts";
import type { ScoreReader } from "./reputation/scores.ts";
import { createDealChain } from "./settlement/chain.ts";
import { DealStore } from "./settlement/deal-store.ts";
import { createSettlement, type Settlement } from "./settlement/driver.ts";
import type { EvidenceEntry } from "./settlement/evidence.ts";
import { createJuryReader, Juror } from "./settlement/juror.ts";
import { Payments } from "./settlement/payments.ts";
import { ForkReporter } from "./settlement/reporter.ts";
import { createTabChain } from "./settlement/tabs/tab-chain.ts";
import { createTabs } from "./settlement/tabs/tabs.ts";
import { arbiterAddressOf, openShop } from "./shop.ts";
import { openStore } from "./store/sqlite.ts";
import { GraphBoard } from "./graphs/board.ts";
import { TaskBoard } from "./tasks.ts";
import { Webhooks } from "./webhooks.ts";
import type { PeerName, Transport } from "./transport/port.ts";
import { orderTopics } from "./topic-order-role.ts";
import { createBuyer, fetchPurchase } from "./x402/client.ts";

/** The chain, shared by all agents of a process. */
export interface ChainLink {
  readonly client: ChainClient;
  readonly heads: Heads;
  readonly identity: IdentityReader;
}

export interface NodeOptions {
  readonly config: NodeConfig;
  readonly agent: AgentConfig;
  readonly chain: ChainLink;
  /** Called once code and config were found to be the committed ones: nothing of the agent's runs before. */
  readonly loadApplication: () => Promise<Application>;
  readonly journal: Journal;
  readonly signal: AbortSignal;
}

export interface RunningNode {
  readonly name: string;
  readonly agentId: bigint;
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly apiUrl: string;
  /** Where it sells over HTTP; undefined without a shop. */
  readonly shopUrl: string | undefined;
  /** Stops every stage, the last one first. Idempotent. */
  stop(): Promise<void>;
}

/** Chains that announce no heads by WebSocket are asked this often. */
const POLL_INTERVAL_MS = 1_000;
/** A chain without a new block for so long is stuck, or our endpoint is. */
const STALE_HEAD_S = 120;

/** @throws SuretyError as connectChain and watchHeads do */
export async function openChain({ rpcUrl, deployment }: NodeConfig, signal: AbortSignal): Promise<ChainLink> {
  const client = await connectChain(rpcUrl, deployment, signal);
  const heads = await watchHeads(
    { client, webSocketUrl: rpcUrl.replace(/^http/, "ws"), pollIntervalMs: POLL_INTERVAL_MS },
    signal,
  );
  return { client, heads, identity: createIdentityReader(client, heads, deployment) };
}

/** Starts one agent: log, gossip, discovery, negotiation, settlement, its reputation roles, and its local interface. */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const stops: (() => Promise<void> | void)[] = [];
  const stop = async () => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    return { ...(await compose(options, stops)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function compose(
  options: NodeOptions,
  stops: (() => Promise<void> | void)[],
): Promise<Omit<RunningNode, "stop">> {
  const { config, agent, chain, journal, signal } = options;
  const { deployment } = config;
  const { client, heads, identity } = chain;
  const contracts = { chainId: deployment.chainId, ...deployment.contracts };
  const { token } = deployment.contracts;
  const nowMs = () => Date.now();
  const onFault = (stage: string) => (fault: unknown) => journal.fault(stage, fault);
  const signer = createSigner(agent.key);
  const agentId = await requireAgent(signer, identity, signal);
  const binding = await checkStart({ agentId, commitments: identity, ...agent }, signal);
  journal.note(binding.isBound ? "bound" : "unbound", { ...binding });
  const loaded = await options.loadApplication();

  const dir = join(config.dataDir, agent.name);
  mkdirSync(dir, { recursive: true });
  const store = openStore(join(dir, "node.sqlite"));
  stops.push(() => store.close());
  const bell = new Bell();
  const commissions = new Commissions(store, nowMs);
  const reviews = new Reviews(() => bell.ring());
  const application = withReviews(loaded, reviews, (hash) => commissions.bySpecHash(hash)?.isReviewed === true);

  const { transport, signers, logs, scores, gossip, discovery, resolver, keeper, meter } = await joinNetwork(
    { config, agent, chain, journal, store, signer, nowMs, topics: application.capabilities.map(({ topic }) => topic) },
    stops,
    signal,
  );

  const dealStore = new DealStore(store);
  const experience = new Experience(store, dealStore);
  const priceOf = (dealId: Hex) => dealStore.get(dealId)?.agreement.deal.price;
  const stateHead = (range: LogRange) => stateHeadOf(signer.address, range, { logs, contracts, priceOf });
  const writer = await openLogWriter({
    ...{ store, logs, signer, contracts, peers: gossip, nowMs, signal, isBound: binding.isBound },
    checkpoints: {
      sign: (range) =>
        signCheckpoint(
          { agentId, log: signer.address, ...range, stateHead: agent.isProvable ? stateHead(range) : zeroHash },
          { signer, contracts, block: heads.latest() },
        ),
      onCheckpoint: (entry) => void gossip.publish(entry).catch(onFault("log")),
    },
  });
  stops.push(() => writer.close());
  const announcer = new Announcer({
    ...{ agentId, token, store, writer, gossip, transport, nowMs, onFault: onFault("announcer") },
  });
  stops.push(() => announcer.stop());
  announcer.attest(binding);

  const chainTime = createChainTime(heads);
  const flights = createFlightStore(store, deployment.chainId, signer.address);
  const depth = config.finalityDepth === undefined ? {} : { finalityDepth: config.finalityDepth };
  const gasCap = config.maxFeePerGasWei === undefined ? {} : { maxFeePerGasWei: config.maxFeePerGasWei };
  const sender = createSender({ client, heads, signer, flights, ...depth, ...gasCap, onFault: onFault("sender") });
  const createRelay = (key: Hex) => {
    const payer = createSigner(key);
    const own = createFlightStore(store, deployment.chainId, payer.address);
    const limits = { ...depth, ...gasCap, onFault: onFault("relay") };
    return createSender({ client, heads, signer: payer, flights: own, ...limits });
  };
  stops.push(() => sender.stop());
  const relay = agent.gasKey === undefined ? undefined : createRelay(agent.gasKey);
  const relayed = relay === undefined ? {} : { relay };
  stops.push(() => relay?.stop());
  const isJuror = createJuryReader({ client, deployment });
  const webhooks = new Webhooks({ store, endpoints: agent.webhooks, onFault: onFault("webhooks") });
  webhooks.start();
  stops.push(() => webhooks.stop());
  const settlement: Settlement = createSettlement({
    ...{ store, transport, ...adapt(application), ...depth, fetchPurchase, onFault: onFault("settlement") },
    chain: createDealChain({
      ...{ client, heads, sender, deployment, signer, chainTime, ...feeCapOf(agent) },
      ...relayed,
      scoreProofOf: (deal, asked) => scoreProofOf(scores, deal, asked),
    }),
    onReceipt(receipt) {
      experience.note(receipt);
      announcer.receipt(receipt);
    },
    async onStep(step) {
      bell.ring();
      webhooks.add(step);
      await tellApplication(application, step);
    },
    mayReadEvidence: async (dealId, address, asked) => {
      const reader = await identity.agentOfSigner(signerHashOf(address), asked);
      const disputes = await client.readContract({
        ...{ address: deployment.contracts.dealEscrow, abi: dealEscrowAbi, functionName: "disputes" },
      });
      return reader !== 0n && (await isJuror(disputes, dealId, reader, asked));
    },
    entriesOf: ({ agreement }) => entriesOf(logs, [agreement.client.signer, agreement.provider.signer]),
  });
  const negotiator = createNegotiator({
    ...{ agentId, signer, contracts, transport, identity, store, chainTime, ...adapt(application) },
    random: () => BigInt(bytesToHex(randomBytes(32))),
    standing: scores,
    credentials: createCredentialReader(client, deployment),
    onAgreed(agreement) {
      settlement.adopt(agreement);
      journal.note("agreed", { dealId: agreement.dealId, role: agreement.role, price: agreement.deal.price });
      tasks.onAgreed(agreement);
    },
    onFailed: (call, code) => tasks.onFailed(call, code),
    onFault: onFault("negotiation"),
  });
  const tasks = new TaskBoard({
    ...{ agentId, token, store, discovery, transport, negotiator, settlement, chainTime, nowMs },
    announce: (task, bidByMs) => announcer.announce(task, bidByMs),
    conclude: (taskId, outcome) => announcer.conclude(taskId, outcome),
    publishRules: (rules) => announcer.publishRules(rules),
    learn: (rules) => experience.adopt(rules),
    createId: () => randomBytes(16).toString("hex"),
    onFault: onFault("tasks"),
  });
  await settlement.start();
  stops.push(() => settlement.stop());
  await negotiator.start();
  stops.push(() => negotiator.stop());
  stops.push(tasks.onChange(() => bell.ring()));
  const graphs = new GraphBoard({
    ...{ store, tasks, settlement, onFault: onFault("graphs") },
    createId: () => randomBytes(16).toString("hex"),
  });
  tasks.start();
  stops.push(() => tasks.stop());
  graphs.start();
  stops.push(() => graphs.stop());
  const randomWord = () => bytesToHex(randomBytes(32));
  const isWatching = agent.roles.includes("watcher");
  if (isWatching || agent.windows.length > 0) {
    const reporter = new ForkReporter({
      ...{ sender, heads, deployment, store, random: randomWord, onFault: onFault("reporter") },
      onReported: (log, transaction) => journal.note("slashed", { log, transaction }),
    });
    reporter.start();
    if (isWatching) {
      stops.push(gossip.onFork((fork) => reporter.add(fork)));
      // Forks of before this role was played, or found just before the last run ended; what is known already is passed over.
      for (const log of logs.forkedLogs()) reporter.add(logs.forkOf(log) as Fork);
    }
    stops.push(() => reporter.stop());
    const order = {
      ...{ agentId, signer, contracts, transport, store, logs, heads, chainTime, nowMs, topics: agent.windows },
      ...{ client, deployment, sender, signers, gossip, resolver, reporter, journal },
    };
    if (agent.windows.length > 0) stops.push(await orderTopics(order, signal));
  }
  if (agent.roles.includes("juror")) {
    const juror = new Juror({
      ...{ agentId, client, heads, sender, ...relayed, deployment, store, transport, chainTime, random: randomWord },
      vote: (dealId, evidence, asked) => voteOf(application, dealId, evidence, asked),
      onFault: onFault("juror"),
      onStep: (step, disputeId) => journal.note("juror", { step, disputeId }),
    });
    juror.start();
    stops.push(() => juror.stop());
  }
  const tabs = createTabs({
    ...{ agentId, signer, contracts, store, transport, onFault: onFault("tabs") },
    chain: createTabChain({ client, heads, sender, deployment, signer, chainTime, ...relayed }),
    agentOf: (address, asked) => identity.agentOfSigner(signerHashOf(address), asked),
    random: () => BigInt(randomWord()),
    work: tabWorkOf(application),
  });
  await tabs.start();
  stops.push(() => tabs.stop());
  const trade = { agentId, signer, contracts, settlement, tabs, transport, chainTime };
  const arbiters = agent.arbiters.map((arbiter) => arbiterAddressOf(arbiter, deployment));
  const buyer = createBuyer({ ...trade, token, arbiters, random: () => BigInt(randomWord()), nowMs });
  const shop = agent.shop && {
    ...{ ...trade, config: agent.shop, application, deployment, client, journal },
    payments: new Payments(client, sender),
  };
  const shopServer = shop && (await openShop(shop, signal));
  stops.push(() => shopServer?.stop());
  const leaves = await openLeafExchange({
    ...{ transport, store, nowMs, dialAgent: (asked, until) => resolver.dialAgent(asked, until) },
    onLie: (peer, lie) => journal.note("false-leaves", { peer, ...lie }),
  });
  stops.push(startRoles(options, agentId, sender, leaves));
  if (agent.roles.includes("anchorer")) {
    const port: AnchorPort = {
      ...createAnchorChain(client, deployment, sender),
      agentOf: (log, asked) => signers.agentOf(log, asked),
    };
    stops.push(startAnchoring(new Anchorer({ logs, contracts, port, nowMs }), journal));
  }

  const orders = new Desk({ token, tasks, settlement, commissions, reviews, bell });
  const agents = new AgentDesk({ client, deployment, heads, identity, logs, discovery, scores });
  const desks = { agents, orders, audit: { client, deployment, identity } };
  const front = new AbortController();
  let apiUrl = "";
  const self = {
    ...{ agentId, name: agent.name, chainId: deployment.chainId, address: signer.address, token },
    ...{ identityRegistry: deployment.contracts.identityRegistry, capabilities: application.capabilities },
    ...{ peerId: transport.peerId, addresses: transport.addresses(), origin: () => agent.publicUrl ?? apiUrl },
    shopUrl: shopServer && (agent.shop?.publicOrigin ?? shopServer.url),
  };
  const networkView = {
    transport,
    logs,
    meter,
    heads,
    nowMs,
    sourceOf: (peer: PeerName) => keeper.sourceOf(peer),
    dialAgent: (asked: bigint, until: AbortSignal) => resolver.dialAgent(asked, until),
    mesh: () => gossip.mesh(),
    agentOf: (log: Address, asked: AbortSignal) => signers.agentOf(log, asked),
  };
  const api = await startApi(
    [
      ...createNetworkRoutes(networkView),
      ...createRoutes({
        ...{ discovery, tasks, graphs, settlement, tabs, buyer, token },
        awardOf: (callId) => negotiator.awardOf(callId),
        faults: () => faultsOf(heads, transport, agent),
        status: async (asked) => ({
          ...{ agentId, name: agent.name, peerId: transport.peerId },
          ...{ addresses: transport.addresses(), peers: transport.peers() },
          declarations: (await discovery.find("", { limit: 100, liveness: "known" }, asked)).length,
          head: heads.latest(),
        }),
      }),
    ],
    {
      ...{ token: config.apiToken ?? createToken(dir), port: agent.apiPort },
      ...{ clients: agent.clients, publicUrl: agent.publicUrl },
      mounts: [
        createLeavesMount(leaves.shelf),
        ...createFront({
          ...{ self, desks, signer, key: agent.key, store, stopping: front.signal, onFault: onFault("front") },
        }),
      ],
    },
  );
  apiUrl = api.url;
  stops.push(() => api.stop());
  stops.push(() => front.abort(new DOMException("the node stops", "AbortError")));
  announcer.declare(application.capabilities);
  const urls = { apiUrl: api.url, shopUrl: shopServer?.url };
  journal.note("ready", { agentId, peerId: transport.peerId, ...urls });
  return { name: agent.name, agentId, peerId: transport.peerId, addresses: transport.addresses(), ...urls };
}

/** @throws SuretyError NODE_UNBOUND, NODE_SIGNER_INVALID */
async function requireAgent(signer: Signer, identity: IdentityReader, signal: AbortSignal): Promise<bigint> {
  const { address, signerHash } = signer;
  const agentId = await identity.agentOfSigner(signerHash, signal);
  if (agentId === 0n) {
    throw new SuretyError("NODE_UNBOUND", `The key ${address} speaks for no agent of this registry.`, {
      values: { address },
      next: "Register an agent with it: `surety agent register --key-file FILE`.",
    });
  }
  if (await identity.isSignerValidAt({ agentId, signerHash, purpose: purposes.log }, signal)) return agentId;
  throw new SuretyError("NODE_SIGNER_INVALID", `The key ${address} was revoked or has ended for agent ${agentId}.`, {
    values: { address, agentId },
    next: "Bind a new LOG signer to the agent and start the node with its key.",
  });
}

async function scoreProofOf(scores: ScoreReader, deal: Deal, signal: AbortSignal): Promise<Hex> {
  const proven = await scores.provenScoreOf(deal.topic, deal.providerAgentId, signal);
  return proven?.epoch === deal.epoch ? encodeScoreProof(proven.index, proven.leaf, proven.proof) : "0x";
}

const feeCapOf = ({ maxArbitrationFeeWei }: AgentConfig) =>
  maxArbitrationFeeWei === undefined ? {} : { maxArbitrationFeeWei };

/** What both sides said of themselves: their newest declarations stand behind what was agreed. */
function entriesOf(logs: LogReader, signers: readonly Address[]): EvidenceEntry[] {
  return signers.flatMap((signer) => {
    const entry = logs.entriesWithBody(signer).findLast(({ header }) => header.header.kind === kinds.declare);
    return entry?.body === undefined ? [] : [{ header: encodeLogHeader(entry.header), body: entry.body }];
  });
}

/** Publisher and watcher, as far as the agent plays them. @returns ends them */
function startRoles(
  { config, agent, chain, journal }: NodeOptions,
  agentId: bigint,
  sender: ReturnType<typeof createSender>,
  leaves: LeafExchange,
): () => Promise<void> {
  if (agent.roles.length === 0) return () => Promise.resolve();
  const stopping = new AbortController();
  const { client, heads } = chain;
  const driver = new ReputationDriver({
    chain: createReputationChain({ client, deployment: config.deployment, heads, sender }),
    ...(agent.publisher === undefined ? {} : { publisher: { agentId: Number(agentId), ...agent.publisher } }),
    isWatching: agent.roles.includes("watcher"),
    leaves,
    onReport({ role, effect, error }) {
      if (error === undefined) journal.note(role, { effect: effect.key });
      else journal.fault(role, error);
    },
  });
  const running = driver.run(stopping.signal).catch((fault: unknown) => journal.fault("reputation", fault));
  return async () => {
    stopping.abort();
    await running;
  };
}

function faultsOf(heads: Heads, transport: Transport, { bootstrap }: AgentConfig): string[] {
  const faults: string[] = [];
  const ageS = Math.floor(Date.now() / 1000) - heads.latest().timestamp;
  if (ageS > STALE_HEAD_S) faults.push(`the newest block is ${ageS} s old`);
  if (bootstrap.length > 0 && transport.peers().length === 0) faults.push("no peer is connected");
  return faults;
}

/** A token of this node's own, in a file that only its user can read. */
function createToken(dir: string): string {
  const token = randomBytes(32).toString("hex");
  writeFileSync(join(dir, "api-token"), `${token}\n`, { mode: 0o600 });
  return token;
}
