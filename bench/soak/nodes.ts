// Several real nodes in a process of their own, as far as logs and gossip go, which publish at a steady rate: libp2p hosts on loopback,
// stores on disk, so that what memory holds is no log.
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { keccak256, toHex, type Address, type Hex } from "viem";
import { createSigner, type Bodies } from "#protocol";
import { createGossip, HEADERS_TOPIC } from "../../node/gossip/gossip.ts";
import { createLogStore } from "../../node/log/log-store.ts";
import { openLogWriter, type LogWriter } from "../../node/log/writer.ts";
import { openStore } from "../../node/store/sqlite.ts";
import { createLibp2pTransport } from "../../node/transport/libp2p.ts";
import { agentAccount } from "../../scripts/devnet/accounts.ts";
import { simulatedContracts } from "../gossip/entries.ts";

export interface Place {
  readonly index: number;
  readonly address: string;
}

/** What the parent says; each is answered by its number. */
export type Order = { readonly id: number } & (
  | { readonly kind: "start"; readonly indices: readonly number[]; readonly authors: number; readonly folder: string }
  | { readonly kind: "dial"; readonly index: number; readonly address: string }
  /** Until told otherwise; 0 ends it. Headers a second of this process. */
  | { readonly kind: "publish"; readonly perSecond: number }
  | { readonly kind: "sample" }
  | { readonly kind: "stop" }
);
export interface Sample {
  /** After a collection of garbage. */
  readonly heapBytes: number;
  readonly rssBytes: number;
  readonly cpuMs: number;
  readonly published: number;
  /** Headers of others that the nodes took. */
  readonly heard: number;
  readonly refused: number;
  readonly faults: readonly string[];
}

const PATIENCE_MS = 30_000;
const MAX_FAULTS = 20;
setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const tallies = { published: 0, heard: 0, refused: 0 };
const faults: string[] = [];
const onFault = (fault: unknown): void => {
  if (faults.length < MAX_FAULTS) faults.push(fault instanceof Error ? (fault.stack ?? fault.message) : String(fault));
};
const signerOf = (index: number, author: number) =>
  createSigner(author === 0 ? agentAccount(index).key : keccak256(toHex(`soak author ${author} of node ${index}`)));

async function open(index: number, authors: number, folder: string) {
  const { key } = agentAccount(index);
  const transport = await createLibp2pTransport({ privateKey: key, topics: [HEADERS_TOPIC], onFault });
  const store = openStore(join(folder, `node-${index}.sqlite`));
  const logs = createLogStore(store);
  const signers = { isSignerValidAt: async () => true };
  const nowMs = () => Date.now();
  const gossip = createGossip({ transport, logs, contracts: simulatedContracts, signers, nowMs, onFault });
  await transport.start();
  await gossip.start();
  const writers: LogWriter[] = [];
  const own = new Set<Address>();
  for (let author = 0; author < authors; author++) {
    const signer = signerOf(index, author);
    own.add(signer.address);
    const signal = AbortSignal.timeout(PATIENCE_MS);
    writers.push(
      await openLogWriter({ store, logs, signer, contracts: simulatedContracts, peers: gossip, nowMs, signal }),
    );
  }
  gossip.onHeader(({ header }) => {
    if (!own.has(header.log)) tallies.heard++;
  });
  gossip.onRefusal(() => {
    tallies.refused++;
  });
  return { index, transport, gossip, writers, store };
}

type Node = Awaited<ReturnType<typeof open>>;
const nodes: Node[] = [];
let publishing: NodeJS.Timeout | undefined;
let count = 0;

/** One author after the other, so that each says as much. */
function publishNext(): void {
  const node = nodes[count % nodes.length] as Node;
  const writer = node.writers[Math.floor(count / nodes.length) % node.writers.length] as LogWriter;
  const mark: Hex = keccak256(toHex(count++));
  const body: Bodies["receipt"] = {
    ...{ dealId: mark, role: "client", outcome: "completed", rating: 90, transaction: mark },
  };
  tallies.published++;
  node.gossip.publish(writer.append("receipt", body, 3_600)).catch(onFault);
}

/** What a late timer owes is made up for, up to a second's worth: the rate stays, and a stuck machine is not flooded after. */
function publish(perSecond: number): void {
  clearInterval(publishing);
  if (perSecond === 0) return;
  let lastMs = performance.now();
  let owed = 0;
  publishing = setInterval(() => {
    const nowMs = performance.now();
    owed = Math.min(perSecond, owed + ((nowMs - lastMs) * perSecond) / 1_000);
    lastMs = nowMs;
    for (; owed >= 1; owed--) publishNext();
  }, 20);
}

function sample(): Sample {
  collectGarbage();
  const { user, system } = process.cpuUsage();
  const { heapUsed, rss } = process.memoryUsage();
  return { heapBytes: heapUsed, rssBytes: rss, cpuMs: (user + system) / 1_000, ...tallies, faults };
}

async function stop(): Promise<void> {
  publish(0);
  for (const { writers, gossip, transport, store } of nodes.splice(0)) {
    for (const writer of writers) writer.close();
    await gossip.stop();
    await transport.stop();
    store.close();
  }
}

async function obey(order: Order): Promise<unknown> {
  switch (order.kind) {
    case "start":
      for (const index of order.indices) nodes.push(await open(index, order.authors, order.folder));
      return nodes.map(({ index, transport }): Place => ({ index, address: transport.addresses()[0] ?? "" }));
    case "dial": {
      const node = nodes.find(({ index }) => index === order.index) as Node;
      return (await node.transport.dial(order.address, AbortSignal.timeout(PATIENCE_MS))).kind;
    }
    case "publish":
      return publish(order.perSecond);
    case "sample":
      return sample();
    case "stop":
      return stop();
  }
}

process.on("message", (order: Order) => {
  obey(order).then(
    (value) => {
      process.send?.({ id: order.id, value });
      if (order.kind === "stop") process.disconnect?.();
    },
    (fault: unknown) => {
      console.error(fault);
      process.exit(1);
    },
  );
});
// The parent has gone: nothing is left behind.
process.on("disconnect", () => void stop().finally(() => process.exit()));
