import { fork, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createTopology } from "../gossip/topology.ts";
import { createRandom } from "../reputation/random-graph.ts";
import type { Order, Place, Sample } from "./nodes.ts";

const nodesPath = fileURLToPath(new URL("./nodes.ts", import.meta.url));
/** A process that says nothing for so long never will. */
const PATIENCE_MS = 120_000;
/** Twenty nodes sync every header to disk; one disk for all of them would be what is measured. */
const MEMORY_DISK = "/dev/shm";
const CONNECTIONS = 6;
/** Of the issue. A header is checked by every node, at 1.3 ms each: 20 nodes at this rate take 5.2 cores. */
export const GOAL_PER_SECOND = 200;
const CHECK_MS = 1.3;
/** Share of the cores that signature checks may take, so that the rest of the work finds room. */
const CHECK_SHARE = 0.5;
/** An author says one entry a second at most, so that nodes keep the budgets that they have. */
const PER_AUTHOR = 0.5;

export interface SoakOptions {
  readonly nodes: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly onProgress: (line: string) => void;
}

/** The processes together, at one moment. */
export interface Moment extends Omit<Sample, "faults"> {
  readonly atSeconds: number;
}

export interface SoakOutcome {
  readonly moments: readonly Moment[];
  readonly faults: readonly string[];
}

/** What this machine bears of the rate that the issue names. */
export const bearablePerSecond = (nodes: number): number =>
  Math.min(GOAL_PER_SECOND, Math.floor((availableParallelism() * 1_000 * CHECK_SHARE) / CHECK_MS / nodes));

/** Runs real nodes at a steady rate, and looks at their memory a dozen times. Ends its processes whatever happens. */
export async function runSoak({ nodes, seconds, perSecond, onProgress }: SoakOptions): Promise<SoakOutcome> {
  const folder = mkdtempSync(join(existsSync(MEMORY_DISK) ? MEMORY_DISK : tmpdir(), "surety-soak-"));
  const crew = Array.from({ length: Math.min(nodes, availableParallelism()) }, () => new Member());
  try {
    const places = await startNodes(crew, { nodes, perSecond, folder });
    await connect(crew, places, nodes);
    await Promise.all(crew.map((member) => member.ask({ kind: "publish", perSecond: perSecond / crew.length })));
    const moments: Moment[] = [];
    const startedMs = performance.now();
    for (let turn = 1; turn <= 12; turn++) {
      await sleep(Math.max(0, startedMs + (turn * seconds * 1_000) / 12 - performance.now()));
      const moment = await lookAt(crew, (performance.now() - startedMs) / 1_000);
      moments.push(moment.sum);
      onProgress(describe(moment.sum, nodes));
      if (moment.faults.length > 0) return { moments, faults: moment.faults };
    }
    return { moments, faults: [] };
  } finally {
    await Promise.all(crew.map((member) => member.stop()));
    rmSync(folder, { recursive: true, force: true });
  }
}

async function startNodes(
  crew: readonly Member[],
  { nodes, perSecond, folder }: { nodes: number; perSecond: number; folder: string },
): Promise<Place[]> {
  const authors = Math.max(1, Math.ceil(perSecond / PER_AUTHOR / nodes));
  const started = crew.map((member, k) => {
    const indices = Array.from({ length: nodes }, (_, index) => index).filter((index) => index % crew.length === k);
    return member.ask({ kind: "start", indices, authors, folder }) as Promise<Place[]>;
  });
  return (await Promise.all(started)).flat().toSorted((a, b) => a.index - b.index);
}

async function connect(crew: readonly Member[], places: readonly Place[], nodes: number): Promise<void> {
  const topology = createTopology(nodes, Math.min(CONNECTIONS, 2 * Math.floor((nodes - 1) / 2)), createRandom(1));
  for (const [from, list] of topology.entries())
    for (const to of list) {
      if (from > to) continue;
      const { address } = places[to] as Place;
      const member = crew[from % crew.length] as Member;
      const answer = await member.ask({ kind: "dial", index: from, address });
      if (answer !== "accept") throw new Error(`soak: node ${from} cannot dial node ${to}`);
    }
}

async function lookAt(crew: readonly Member[], atSeconds: number) {
  const samples = (await Promise.all(crew.map((member) => member.ask({ kind: "sample" })))) as Sample[];
  const sumOf = (field: Exclude<keyof Sample, "faults">) => samples.reduce((sum, sample) => sum + sample[field], 0);
  const sum: Moment = {
    ...{ atSeconds, heapBytes: sumOf("heapBytes"), rssBytes: sumOf("rssBytes"), cpuMs: sumOf("cpuMs") },
    ...{ published: sumOf("published"), heard: sumOf("heard"), refused: sumOf("refused") },
  };
  return { sum, faults: samples.flatMap(({ faults }) => faults) };
}

const describe = ({ atSeconds, published, heard, refused, heapBytes, rssBytes }: Moment, nodes: number): string =>
  `${Math.round(atSeconds)} s: ${published} said, ${((100 * heard) / Math.max(1, published * (nodes - 1))).toFixed(1)} % heard, ` +
  `${refused} refused, heap ${(heapBytes / 1e6).toFixed(1)} MB, resident ${(rssBytes / 1e6).toFixed(0)} MB`;

type Command = Order extends infer O ? (O extends Order ? Omit<O, "id"> : never) : never;

class Member {
  readonly #child: ChildProcess = fork(nodesPath, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  readonly #waiting = new Map<number, (value: unknown) => void>();
  #nextId = 0;

  constructor() {
    this.#child.setMaxListeners(0);
    this.#child.on("message", ({ id, value }: { id: number; value: unknown }) => this.#waiting.get(id)?.(value));
  }

  async ask(command: Command): Promise<unknown> {
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const fail = () => reject(new Error(`soak: a process does not answer ${command.kind}`));
    const timer = setTimeout(fail, PATIENCE_MS);
    this.#child.once("exit", fail);
    this.#waiting.set(id, resolve);
    this.#child.send({ ...command, id });
    return promise.finally(() => {
      clearTimeout(timer);
      this.#child.off("exit", fail);
      this.#waiting.delete(id);
    });
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    await Promise.race([
      this.ask({ kind: "stop" }).then(
        () => ended,
        () => undefined,
      ),
      sleep(20_000),
    ]);
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await ended;
  }
}
