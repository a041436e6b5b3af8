// One agent of `measureRealDiscovery` in a process of its own: real host, store, log, gossip, index, liveness and addressing.
// The registry is a table that all processes share: what is measured is the network, a chain's answers come on top.
import { randomBytes } from "node:crypto";
import { bytesToHex, zeroAddress, zeroHash, type Address } from "viem";
import { accept, createSigner, textOf, type Bodies, type DomainContracts } from "#protocol";
import { createAsking } from "../../node/discovery/asking.ts";
import { createDiscovery } from "../../node/discovery/discovery.ts";
import { createLiveness } from "../../node/discovery/liveness.ts";
import { createGossip, HEADERS_TOPIC } from "../../node/gossip/gossip.ts";
import { createLogStore } from "../../node/log/log-store.ts";
import { openLogWriter } from "../../node/log/writer.ts";
import { openStore } from "../../node/store/sqlite.ts";
import { createAddressBook } from "../../node/transport/addressing/book.ts";
import { createKeeper } from "../../node/transport/addressing/keeper.ts";
import { createResolver } from "../../node/transport/addressing/resolver.ts";
import { createLibp2pTransport } from "../../node/transport/libp2p.ts";
import { protocolId } from "../../node/transport/port.ts";
import { agentAccount } from "../../scripts/devnet/accounts.ts";

/** What the parent asks; `id` comes back with the answer. */
export type Order = { readonly id: number } & (
  | {
      readonly kind: "start";
      readonly index: number;
      readonly registry: readonly Address[];
      readonly bootstrap: readonly string[];
    }
  | { readonly kind: "declare"; readonly word: string }
  | { readonly kind: "dial"; readonly agentId: number }
  | { readonly kind: "deal"; readonly word: string; readonly agentId: number }
  | { readonly kind: "counts" }
  | { readonly kind: "stop" }
);
export type Answer =
  | { readonly kind: "answer"; readonly id: number; readonly value: unknown }
  /** A declaration with this word can be found here since `atMs`, by the machine's monotonic clock. */
  | { readonly kind: "visible"; readonly index: number; readonly word: string; readonly atMs: number };

const contracts: DomainContracts = {
  chainId: 31_337,
  identityRegistry: "0x1000000000000000000000000000000000000001",
  dealEscrow: "0x1000000000000000000000000000000000000002",
};
const ECHO = protocolId("echo");
const PATIENCE_MS = 30_000;
/** Of the machine, the same in all processes. */
const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;
const patience = () => AbortSignal.timeout(PATIENCE_MS);
const say = (answer: Answer) => process.send?.(answer);

async function open({ index, registry, bootstrap }: Extract<Order, { kind: "start" }>) {
  const { key } = agentAccount(index);
  const signer = createSigner(key);
  const nowMs = () => Date.now();
  const onFault = (fault: unknown) => console.error(`agent ${index + 1}:`, fault);
  const agentOf = async (log: Address) => {
    const at = registry.indexOf(log);
    return at === -1 ? undefined : BigInt(at + 1);
  };
  const transport = await createLibp2pTransport({ privateKey: key, topics: [HEADERS_TOPIC], onFault });
  await transport.start();
  await transport.serve(ECHO, async (request) => accept(request));
  const store = openStore(":memory:");
  const logs = createLogStore(store);
  const signers = { isSignerValidAt: async (log: Address) => registry.includes(log) };
  const gossip = createGossip({ transport, logs, contracts, signers, nowMs, onFault });
  const book = createAddressBook(store);
  const resolver = createResolver({
    ...{ transport, book, nowMs, declared: () => undefined },
    speakersOf: async (agentId) => {
      const address = registry[Number(agentId) - 1];
      return address === undefined ? [] : [{ kind: "account", address }];
    },
  });
  const liveness = createLiveness({
    ...{ transport, signer, contracts, nowMs, random: () => bytesToHex(randomBytes(32)), blockHash: () => zeroHash },
    locate: (log, signal) => resolver.locate(log, signal),
  });
  const dialAgent = (agentId: bigint, signal: AbortSignal) => resolver.dialAgent(agentId, signal);
  const asking = createAsking({ transport, contracts, nowMs, dialAgent, directory: undefined });
  const scores = { scoresOf: async () => new Map<bigint, number>() };
  const agents = { agentOf, commitmentOf: async () => zeroHash };
  const discovery = createDiscovery({ store, logs, agents, scores, liveness, asking, nowMs });
  await Promise.all([liveness.start(), discovery.serve()]);
  gossip.onEntry((entry) => {
    discovery.apply(entry);
    if (entry.body.kind !== "declare") return;
    const [word = ""] = textOf(entry.body).split("\n");
    // Found, not just heard: the index is asked by the word, as an agent would.
    void discovery
      .find(word, { liveness: "known", scope: "local" }, patience())
      .then(
        (found) => (found.length > 0 ? say({ kind: "visible", index, word, atMs: monotonicMs() }) : undefined),
        onFault,
      );
  });
  await gossip.start();
  const keeper = createKeeper({
    ...{ transport, book, ownAddress: signer.address, bootstrap, nowMs, random: Math.random, onFault },
    ...{ roundMs: 1_000 },
  });
  await keeper.start(patience());
  const writer = await openLogWriter({ store, logs, signer, contracts, peers: gossip, nowMs, signal: patience() });

  return {
    address: transport.addresses()[0],
    async declare(word: string): Promise<number> {
      const reach = { peerId: transport.peerId, addresses: transport.addresses() };
      const offer = {
        name: word,
        description: `Offers ${word} to other agents.`,
        topics: ["bench"],
        skills: ["bench"],
      };
      const body: Bodies["declare"] = {
        ...{ agentId: BigInt(index + 1), priceWei: 1n, token: zeroAddress },
        ...offer,
        ...reach,
      };
      const atMs = monotonicMs();
      await gossip.publish(writer.append("declare", body, 3_600));
      return atMs;
    },
    /** Milliseconds until an agent that was not connected is, by its id; null = it was connected, or was not reached. */
    async dial(agentId: number): Promise<number | null> {
      const address = registry[agentId - 1] as Address;
      const before = new Set(transport.peers());
      const known = book.byAddress(address)?.peer;
      if (known !== undefined && before.has(known)) await transport.disconnect(known);
      const startedMs = monotonicMs();
      const dialled = await resolver.dialAgent(BigInt(agentId), patience());
      if (dialled.kind !== "accept")
        console.error(`agent ${index + 1} to ${agentId}: ${dialled.code} ${dialled.detail}`);
      return dialled.kind === "accept" ? monotonicMs() - startedMs : null;
    },
    /** Milliseconds from a question in words to the answer of the agent that was found, dialled by its id. */
    async deal(word: string, agentId: number): Promise<number | null> {
      const startedMs = monotonicMs();
      const [found] = await discovery.find(word, { limit: 1 }, patience());
      if (found === undefined || found.agentId !== BigInt(agentId) || !found.isLive) return null;
      const dialled = await resolver.dialAgent(found.agentId, patience());
      if (dialled.kind !== "accept") return null;
      const sent = randomBytes(1_024);
      const answer = await transport.request(dialled.value, ECHO, sent, { signal: patience() });
      return answer.kind === "accept" && sent.equals(answer.value) ? monotonicMs() - startedMs : null;
    },
    counts: () => ({ peers: transport.peers().length, known: book.count(), logs: logs.counts().logs }),
    async stop() {
      await keeper.stop();
      await liveness.stop();
      writer.close();
      await gossip.stop();
      await transport.stop();
      store.close();
    },
  };
}

let agent: Awaited<ReturnType<typeof open>> | undefined;

async function obey(order: Order): Promise<unknown> {
  if (order.kind === "start") {
    agent = await open(order);
    return agent.address;
  }
  if (agent === undefined) throw new Error("not started");
  if (order.kind === "declare") return agent.declare(order.word);
  if (order.kind === "dial") return agent.dial(order.agentId);
  if (order.kind === "deal") return agent.deal(order.word, order.agentId);
  if (order.kind === "counts") return agent.counts();
  return agent.stop();
}

process.on("message", (order: Order) => {
  obey(order).then(
    (value) => {
      say({ kind: "answer", id: order.id, value });
      if (order.kind === "stop") process.disconnect?.();
    },
    (fault: unknown) => {
      console.error(fault);
      process.exit(1);
    },
  );
});
