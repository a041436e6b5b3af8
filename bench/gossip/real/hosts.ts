// Several real nodes in one process, as far as logs and gossip go: libp2p hosts on loopback, stores in memory, the node's own gossip.
import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { createSigner } from "#protocol";
import { createGossip, HEADERS_TOPIC, type Gossip, type GossipOptions } from "../../../node/gossip/gossip.ts";
import { createLogStore } from "../../../node/log/log-store.ts";
import { openLogWriter, type LogWriter } from "../../../node/log/writer.ts";
import { openStore } from "../../../node/store/sqlite.ts";
import { createLibp2pTransport } from "../../../node/transport/libp2p.ts";
import type { Transport } from "../../../node/transport/port.ts";
import { agentAccount } from "../../../scripts/devnet/accounts.ts";
import { simulatedContracts } from "../entries.ts";

export type Dissemination = NonNullable<GossipOptions["dissemination"]>;

/** What the parent says. */
export type Order =
  | { readonly kind: "start"; readonly indices: readonly number[]; readonly dissemination: Dissemination }
  | { readonly kind: "dial"; readonly index: number; readonly target: string }
  | { readonly kind: "publish"; readonly index: number; readonly message: number; readonly bodyBytes: number }
  | { readonly kind: "usage" }
  | { readonly kind: "report" };

/** What a process says; times are Unix milliseconds with fractions. */
export type Report =
  | { readonly kind: "ready"; readonly places: readonly Place[] }
  | { readonly kind: "dialled"; readonly index: number; readonly fault?: string }
  | { readonly kind: "published"; readonly message: number; readonly digest: string; readonly atMs: number }
  | { readonly kind: "usage"; readonly bytes: number; readonly cpuMs: number }
  | {
      readonly kind: "heard";
      readonly headers: readonly Heard[];
      readonly bodies: readonly Heard[];
      readonly faults: readonly string[];
    };

export interface Place {
  readonly index: number;
  readonly peerId: string;
  readonly port: number;
}
export type Heard = readonly [digest: string, index: number, atMs: number];

interface Host {
  readonly transport: Transport;
  readonly gossip: Gossip;
  readonly writer: LogWriter;
}

const DIAL_TIMEOUT_MS = 30_000;
const hosts = new Map<number, Host>();
const heard = { headers: [] as Heard[], bodies: [] as Heard[] };
const faults: string[] = [];
const sockets = new Set<Socket>();
let closedBytes = 0;

/** Every socket of this process, dialled or accepted: they carry what the hosts say and nothing else. */
for (const channel of ["net.client.socket", "net.server.socket"])
  subscribe(channel, (message) => {
    const { socket } = message as { socket: Socket };
    sockets.add(socket);
    socket.once("close", () => {
      closedBytes += socket.bytesWritten;
      sockets.delete(socket);
    });
  });

const now = (): number => performance.timeOrigin + performance.now();
const say = (report: Report): boolean | undefined => process.send?.(report);
const note = (fault: unknown): void => {
  if (faults.length < 20) faults.push(String(fault));
};

async function startHost(index: number, dissemination: Dissemination): Promise<Place> {
  const { key } = agentAccount(index);
  const transport = await createLibp2pTransport({ privateKey: key, topics: [HEADERS_TOPIC], onFault: note });
  const store = openStore(":memory:");
  const logs = createLogStore(store);
  const gossip = createGossip({
    ...{ transport, logs, contracts: simulatedContracts, dissemination, onFault: note },
    signers: { isSignerValidAt: async () => true },
    nowMs: Date.now,
  });
  await transport.start();
  await gossip.start();
  const signal = AbortSignal.timeout(DIAL_TIMEOUT_MS);
  const signer = createSigner(key);
  const writer = await openLogWriter({
    ...{ store, logs, signer, contracts: simulatedContracts, peers: gossip, signal },
    nowMs: Date.now,
  });
  gossip.onHeader(({ digest }) => heard.headers.push([digest, index, now()]));
  gossip.onEntry(({ header }) => heard.bodies.push([header.digest, index, now()]));
  hosts.set(index, { transport, gossip, writer });
  const port = Number(/\/tcp\/(\d+)/.exec(transport.addresses()[0] ?? "")?.[1]);
  return { index, peerId: transport.peerId, port };
}

async function publish(index: number, message: number, bodyBytes: number): Promise<void> {
  const { writer, gossip } = hosts.get(index)!;
  const entry = writer.append(
    "declare",
    { ...declaration, name: `message ${message}`, description: "x".repeat(Math.max(0, bodyBytes - FIXED_BYTES)) },
    3_600,
  );
  say({ kind: "published", message, digest: entry.header.digest, atMs: now() });
  await gossip.publish(entry);
}

/** Bytes of a declaration beside its description. */
const FIXED_BYTES = 190;
const declaration = {
  agentId: 1n,
  topics: ["simulation"],
  skills: ["simulation"],
  priceWei: 1n,
  token: simulatedContracts.dealEscrow,
  peerId: "",
  addresses: [],
};

async function obey(order: Order): Promise<void> {
  switch (order.kind) {
    case "start": {
      const places: Place[] = [];
      for (const index of order.indices) places.push(await startHost(index, order.dissemination));
      say({ kind: "ready", places });
      break;
    }
    case "dial": {
      const { transport } = hosts.get(order.index)!;
      const dialled = await transport.dial(order.target, AbortSignal.timeout(DIAL_TIMEOUT_MS));
      const fault = dialled.kind === "accept" ? {} : { fault: dialled.detail };
      say({ kind: "dialled", index: order.index, ...fault });
      break;
    }
    case "publish":
      await publish(order.index, order.message, order.bodyBytes);
      break;
    case "usage": {
      const { user, system } = process.cpuUsage();
      const bytes = closedBytes + sockets.values().reduce((sum, socket) => sum + socket.bytesWritten, 0);
      say({ kind: "usage", bytes, cpuMs: (user + system) / 1_000 });
      break;
    }
    case "report":
      say({ kind: "heard", ...heard, faults });
  }
}

process.on("message", (order: Order) => {
  obey(order).catch((fault: unknown) => {
    note(fault);
    console.error(fault);
    process.exit(1);
  });
});
// The parent is gone: so are we.
process.on("disconnect", () => process.exit(0));
