import { randomBytes } from "node:crypto";
import { bytesToHex, type Address } from "viem";
import { decodeBody, isStale, type Signer } from "#protocol";
import { createSpeakerReader } from "./chain/speakers.ts";
import type { AgentConfig, NodeConfig } from "./config.ts";
import { createDirectory } from "./directory.ts";
import { createAsking } from "./discovery/asking.ts";
import { createDiscovery } from "./discovery/discovery.ts";
import { createEndpointEmbedder } from "./discovery/embedder.ts";
import { createLiveness } from "./discovery/liveness.ts";
import { createGossip, HEADERS_TOPIC } from "./gossip/gossip.ts";
import { createMeter } from "./gossip/meter.ts";
import type { Journal } from "./journal.ts";
import { keepCompact } from "./log/compaction.ts";
import { createLogStore, type LogReader } from "./log/log-store.ts";
import type { ChainLink } from "./node.ts";
import { createPeerReputation } from "./peer-reputation.ts";
import { ScoreReader } from "./reputation/scores.ts";
import { createSignerCache } from "./signer-cache.ts";
import type { Store } from "./store/port.ts";
import { createAddressBook } from "./transport/addressing/book.ts";
import { createKeeper } from "./transport/addressing/keeper.ts";
import { createResolver } from "./transport/addressing/resolver.ts";
import { createLibp2pTransport } from "./transport/libp2p.ts";
import type { PeerName } from "./transport/port.ts";
import { windowTopics } from "./windows/windows.ts";

/** Entries of a log that are looked through, from its newest, for where its node listens. */
const MAX_REACH_ENTRIES = 64;

export interface NetworkParts {
  readonly config: NodeConfig;
  readonly agent: AgentConfig;
  readonly chain: ChainLink;
  readonly journal: Journal;
  readonly store: Store;
  readonly signer: Signer;
  readonly nowMs: () => number;
  /** In which the agent works: peers are weighed by their agents' scores in them. */
  readonly topics: readonly string[];
}

/** Connects the agent to others: host, copies of their logs, gossip, addresses, and the index over what was heard. */
export async function joinNetwork(
  { config, agent, chain, journal, store, signer, nowMs, topics }: NetworkParts,
  stops: (() => Promise<void> | void)[],
  signal: AbortSignal,
) {
  const { deployment } = config;
  const { client, heads, identity } = chain;
  const contracts = { chainId: deployment.chainId, ...deployment.contracts };
  const onFault = (stage: string) => (fault: unknown) => journal.fault(stage, fault);
  const transport = await createLibp2pTransport({
    ...{ privateKey: agent.key, listen: agent.listen, onFault: onFault("transport") },
    topics: [HEADERS_TOPIC, ...windowTopics(agent.windows)],
    relay: agent.relay ?? "off",
  });
  await transport.start();
  stops.push(() => transport.stop());

  const signers = createSignerCache(identity, nowMs);
  const logs = createLogStore(store);
  const scores = new ScoreReader({ client, deployment, graphqlUrl: config.graphqlUrl, onFault: onFault("scores") });
  const { dissemination } = agent;
  const reputationOf = createPeerReputation({ agents: signers, scores, topics });
  const gossip = createGossip({
    ...{ transport, logs, contracts, signers, nowMs, dissemination, reputationOf, onFault: onFault("gossip") },
    isWanted: (header) => !isStale(header, nowMs()),
  });
  const compaction = keepCompact({
    ...{ logs, own: new Set([signer.address]), nowMs, onFault: onFault("log") },
    onCompacted: (compacted) => journal.note("compacted", { ...compacted }),
  });
  stops.push(compaction);
  const book = createAddressBook(store);
  const speakers = createSpeakerReader(client, heads, deployment, identity);
  const declared = (log: Address) => reachOf(logs, log);
  const resolver = createResolver({
    ...{ transport, book, declared, nowMs },
    speakersOf: (id, asked) => speakers.speakersOf(id, asked),
  });
  const liveness = createLiveness({
    ...{ transport, signer, contracts, nowMs, random: () => bytesToHex(randomBytes(32)) },
    blockHash: () => heads.latest().hash,
    locate: (log, asked) => resolver.locate(log, asked),
  });
  await liveness.start();
  stops.push(() => liveness.stop());
  const asking = createAsking({
    ...{ transport, contracts, nowMs, dialAgent: (id, asked) => resolver.dialAgent(id, asked) },
    directory: config.graphqlUrl === undefined ? undefined : createDirectory(config.graphqlUrl, onFault("directory")),
  });
  const embedder =
    config.embedder && createEndpointEmbedder({ ...config.embedder, nowMs, onFault: onFault("embedder") });
  const discovery = createDiscovery({
    ...{ store, logs, agents: signers, scores, liveness, asking, nowMs },
    ...(embedder === undefined ? {} : { embedder }),
  });
  await discovery.serve();
  gossip.onEntry((entry) => discovery.apply(entry));
  gossip.onFork((fork) => {
    discovery.shut(fork.first.header.log);
    journal.note("fork", { log: fork.first.header.log, seq: fork.first.header.seq });
  });
  gossip.onRefusal((refusal) => {
    // What is ignored is late or known: the mesh at work. What is rejected is somebody's fault.
    if (refusal.kind === "reject") journal.note("refusal", { ...refusal });
  });
  const meter = createMeter(gossip, transport, nowMs);
  stops.push(() => meter.stop());
  discovery.rebuild();
  await gossip.start();
  stops.push(() => gossip.stop());
  const keeper = createKeeper({
    ...{ transport, book, ownAddress: signer.address, bootstrap: agent.bootstrap, nowMs, random: Math.random },
    onFault: onFault("addressing"),
  });
  stops.push(() => keeper.stop());
  await keeper.start(signal);
  return { transport, signers, logs, scores, gossip, discovery, resolver, keeper, meter };
}

/** Where a log's newest entry that says so has its node listen. */
function reachOf(logs: LogReader, log: Address): { peerId: PeerName; addresses: readonly string[] } | undefined {
  const headSeq = logs.headOf(log)?.header.seq ?? -1;
  for (let seq = headSeq; seq >= 0 && headSeq - seq < MAX_REACH_ENTRIES; seq--) {
    const { header, body } = logs.entryAt(log, seq) ?? {};
    const decoded = header && body && decodeBody(header.header.kind, body);
    if (decoded?.kind === "accept" && "peerId" in decoded.value.body) return decoded.value.body;
  }
  return undefined;
}
