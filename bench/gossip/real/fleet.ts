import { fork, type ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { averageSpreads, Arrivals, type Spread } from "../arrivals.ts";
import { createTopology } from "../topology.ts";
import { createRandom } from "../../reputation/random-graph.ts";
import { Delays } from "./delays.ts";
import type { Dissemination, Heard, Order, Place, Report } from "./hosts.ts";

const hostsPath = fileURLToPath(new URL("./hosts.ts", import.meta.url));
/** Meshes form, and the first comparisons of logs, which come 0.5, 1, 2, 4 and 8 s after a new peer, are over. */
const SETTLE_MS = 17_000;
const GAP_MS = 250;
const TAIL_MS = 3_000;
/** A process that says nothing for so long never will. */
const PATIENCE_MS = 120_000;

export interface FleetOptions {
  readonly hostCount: number;
  readonly processes: number;
  readonly connections: number;
  readonly dissemination: Dissemination;
  /** One way, of each pair. */
  readonly latencyMs: (a: number, b: number) => number;
  readonly messageCount: number;
  readonly bodyBytes: number;
  readonly seed: number;
  readonly signal?: AbortSignal;
}

export interface FleetOutcome {
  readonly headers: Spread;
  readonly bodies: Spread;
  /** What the hosts' sockets wrote by host and message, less what they wrote in an idle stretch of the same length. */
  readonly streamBytesPerNodeMessage: number;
  readonly idleBytesPerSecond: number;
  readonly cpuMsPerNodeMessage: number;
  readonly faults: readonly string[];
}

/** Measures real hosts in processes of their own, on links with the simulator's latencies. */
export async function runFleet(options: FleetOptions): Promise<FleetOutcome> {
  const delays = new Delays();
  const crew = await Crew.start(options);
  try {
    await crew.connect(delays, options);
    await sleep(SETTLE_MS, undefined, { signal: options.signal ?? new AbortController().signal });
    const windowMs = options.messageCount * GAP_MS + TAIL_MS;
    const before = await crew.usage();
    await sleep(windowMs);
    const idle = await crew.usage();
    const published = await crew.publishAll(options);
    await sleep(TAIL_MS);
    const after = await crew.usage();
    return summarise(options, { published, heard: await crew.heard(), before, idle, after, windowMs });
  } finally {
    crew.stop();
    delays.close();
  }
}

interface Usage {
  readonly bytes: number;
  readonly cpuMs: number;
}
type Published = Extract<Report, { kind: "published" }>;
type Told = Extract<Report, { kind: "heard" }>;

class Crew {
  readonly #children: readonly ChildProcess[];
  readonly #places = new Map<number, Place>();
  readonly #hostCount: number;

  private constructor(children: readonly ChildProcess[], hostCount: number) {
    this.#children = children;
    this.#hostCount = hostCount;
  }

  static async start({ hostCount, processes, dissemination }: FleetOptions): Promise<Crew> {
    const children = Array.from({ length: processes }, () =>
      fork(hostsPath, { stdio: ["ignore", "inherit", "inherit", "ipc"] }),
    );
    const crew = new Crew(children, hostCount);
    try {
      await Promise.all(
        children.map(async (child, k) => {
          const indices = Array.from({ length: hostCount }, (_, index) => index).filter(
            (index) => index % processes === k,
          );
          const { places } = await crew.#ask(child, { kind: "start", indices, dissemination }, "ready");
          for (const place of places) crew.#places.set(place.index, place);
        }),
      );
      return crew;
    } catch (fault) {
      crew.stop();
      throw fault;
    }
  }

  async connect(delays: Delays, { connections, latencyMs, seed }: FleetOptions): Promise<void> {
    const topology = createTopology(this.#hostCount, connections, createRandom(seed));
    for (const [index, list] of topology.entries())
      for (const peer of list) {
        if (peer < index) continue;
        const { peerId, port } = this.#places.get(peer)!;
        const target = `/ip4/127.0.0.1/tcp/${await delays.lead(port, latencyMs(index, peer))}/p2p/${peerId}`;
        const { fault } = await this.#ask(this.#childOf(index), { kind: "dial", index, target }, "dialled");
        if (fault !== undefined) throw new Error(`bench: host ${index} did not reach host ${peer}: ${fault}`);
      }
  }

  async usage(): Promise<Usage> {
    const usages = await Promise.all(this.#children.map((child) => this.#ask(child, { kind: "usage" }, "usage")));
    return usages.reduce((sum, { bytes, cpuMs }) => ({ bytes: sum.bytes + bytes, cpuMs: sum.cpuMs + cpuMs }), {
      bytes: 0,
      cpuMs: 0,
    });
  }

  async publishAll({ messageCount, bodyBytes }: FleetOptions): Promise<Published[]> {
    const published: Published[] = [];
    for (let message = 0; message < messageCount; message++) {
      const index = (message * 7) % this.#hostCount;
      published.push(
        await this.#ask(this.#childOf(index), { kind: "publish", index, message, bodyBytes }, "published"),
      );
      await sleep(GAP_MS);
    }
    return published;
  }

  heard(): Promise<Told[]> {
    return Promise.all(this.#children.map((child) => this.#ask(child, { kind: "report" }, "heard")));
  }

  stop(): void {
    for (const child of this.#children) child.kill("SIGKILL");
  }

  #childOf(index: number): ChildProcess {
    return this.#children[index % this.#children.length]!;
  }

  /** One order to a process at a time; its answer is the next report of that kind. */
  #ask<K extends Report["kind"]>(child: ChildProcess, order: Order, kind: K): Promise<Extract<Report, { kind: K }>> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => end(new Error(`bench: no ${kind} within ${PATIENCE_MS} ms`)), PATIENCE_MS);
      const gone = () => end(new Error("bench: a process with hosts has died"));
      const listen = (report: Report) => {
        if (report.kind !== kind) return;
        end();
        resolve(report as Extract<Report, { kind: K }>);
      };
      const end = (fault?: Error) => {
        clearTimeout(timer);
        child.off("message", listen);
        child.off("exit", gone);
        if (fault !== undefined) reject(fault);
      };
      child.on("message", listen);
      child.on("exit", gone);
      child.send(order);
    });
  }
}

function summarise(
  { hostCount, messageCount }: FleetOptions,
  seen: {
    readonly published: readonly Published[];
    readonly heard: readonly Told[];
    readonly before: Usage;
    readonly idle: Usage;
    readonly after: Usage;
    readonly windowMs: number;
  },
): FleetOutcome {
  const byDigest = new Map(seen.published.map(({ digest, message, atMs }) => [digest, { message, atMs }]));
  const spreadOf = (list: readonly Heard[]): Spread => {
    const arrivals = new Arrivals(hostCount);
    for (const { message, atMs } of byDigest.values()) arrivals.publish(message, (message * 7) % hostCount, atMs);
    for (const [digest, index, atMs] of list) {
      const said = byDigest.get(digest);
      if (said !== undefined) arrivals.note(said.message, index, atMs);
    }
    return averageSpreads(seen.published.map(({ message }) => arrivals.spreadOf(message, () => true)));
  };
  const upkeep = seen.idle.bytes - seen.before.bytes;
  return {
    headers: spreadOf(seen.heard.flatMap(({ headers }) => headers)),
    bodies: spreadOf(seen.heard.flatMap(({ bodies }) => bodies)),
    streamBytesPerNodeMessage: (seen.after.bytes - seen.idle.bytes - upkeep) / hostCount / messageCount,
    idleBytesPerSecond: upkeep / hostCount / (seen.windowMs / 1_000),
    cpuMsPerNodeMessage: (seen.after.cpuMs - seen.idle.cpuMs) / hostCount / messageCount,
    faults: seen.heard.flatMap(({ faults }) => faults),
  };
}
