import { fork, type ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Address } from "viem";
import { createSigner } from "#protocol";
import { agentAccount } from "../../scripts/devnet/accounts.ts";
import type { Result } from "../harness/report.ts";
import { timeIndex } from "./real-index.ts";
import type { Answer, Order } from "./real-agent.ts";

const agentPath = fileURLToPath(new URL("./real-agent.ts", import.meta.url));
/** A process that says nothing for so long never will. */
const PATIENCE_MS = 180_000;
/** Processes that start at once: each compiles the same modules. */
const STARTING = 4;
/** Configured in every agent; the others find each other. */
const BOOTSTRAP = 3;
/** Meshes form and addresses spread before anything is measured. */
const SETTLE_MS = { full: 30_000, quick: 5_000 };

export interface RealDiscoveryOptions {
  /** Agent processes; default 100, quick 10. */
  readonly agents?: number;
  /** In the index of which finds are timed; default 10,000, quick 2,000. */
  readonly declarations?: number;
  readonly isQuick?: boolean;
  readonly onProgress?: (line: string) => void;
}

/** The part `Order` without its number. */
type Command = Order extends infer O ? (O extends Order ? Omit<O, "id"> : never) : never;

/**
 * Discovery on real processes of one machine: finds in a large index, how soon a new capability can be found everywhere, agents
 * dialled by id, and find–dial–exchange between all.
 */
export async function measureRealDiscovery(options: RealDiscoveryOptions = {}): Promise<Result[]> {
  const { isQuick = false, onProgress = () => undefined } = options;
  const count = options.agents ?? (isQuick ? 10 : 100);
  const declarations = options.declarations ?? (isQuick ? 2_000 : 10_000);
  const index = await timeIndex(declarations, isQuick ? 100 : 500, onProgress);
  const crew = new Crew(count);
  try {
    await crew.start(onProgress);
    await sleep(isQuick ? SETTLE_MS.quick : SETTLE_MS.full);
    const rounds = Math.min(count, isQuick ? 5 : 20);
    const visible = await crew.declareAll(rounds, onProgress);
    const dialled = await crew.dialAll(isQuick ? 20 : 200, onProgress);
    const dealt = await crew.dealAll(onProgress);
    const connected = await crew.counts();
    const network = `${count} processes on this machine, ${connected.toFixed(1)} connections each, the registry a table`;
    return [
      resultOf("find in the local index, p99", index.findMs, 50, `${index.declarations} declarations, all live`),
      resultOf(
        "new capability found everywhere, p99",
        visible.latenciesMs,
        1_000,
        `${rounds} declarations; ${network}`,
      ),
      shareOf("new capability found everywhere", visible.latenciesMs.length, visible.expected, network),
      resultOf("agent dialled by id, p99", dialled.ms, 200, `not connected before; ${network}`),
      shareOf("agents dialled by id", dialled.ms.length, dialled.tried, network),
      resultOf(
        "find, dial and exchange 1 KB, p99",
        dealt.ms,
        null,
        `each agent with another, ${STARTING} at once; ${network}`,
      ),
      shareOf("find, dial and exchange", dealt.ms.length, dealt.tried, network),
    ];
  } finally {
    await crew.stop();
  }
}

class Crew {
  readonly #members: Member[];
  readonly #visible = new Map<string, Map<number, number>>();
  readonly #words: string[] = [];

  constructor(count: number) {
    this.#members = Array.from(
      { length: count },
      (_, index) => new Member(index, (word, at, atMs) => this.#note(word, at, atMs)),
    );
  }

  async start(onProgress: (line: string) => void): Promise<void> {
    const registry = this.#members.map(({ index }): Address => createSigner(agentAccount(index).key).address);
    const bootstrap: string[] = [];
    // The first one alone: the others need somebody to begin with.
    for (let at = 0; at < this.#members.length; at = bootstrap.length) {
      const wave = this.#members.slice(at, at === 0 ? 1 : at + STARTING).map(async (member) => {
        const known = bootstrap.slice(0, BOOTSTRAP);
        return (await member.ask({ kind: "start", index: member.index, registry, bootstrap: known })) as string;
      });
      bootstrap.push(...(await Promise.all(wave)));
      onProgress(`${bootstrap.length} of ${this.#members.length} agents started`);
    }
  }

  /** One declaration after another, each by another agent, until all have found it. */
  async declareAll(rounds: number, onProgress: (line: string) => void) {
    const latenciesMs: number[] = [];
    for (const [k, member] of this.#members.slice(0, rounds).entries()) {
      const word = `capability${k}of${process.pid}`;
      const saidMs = (await member.ask({ kind: "declare", word })) as number;
      this.#words.push(word);
      const isEverywhere = () => (this.#visible.get(word)?.size ?? 0) >= this.#members.length;
      for (let waited = 0; !isEverywhere() && waited < 15_000; waited += 50) await sleep(50);
      const seen = [...(this.#visible.get(word) ?? [])].filter(([index]) => index !== member.index);
      latenciesMs.push(...seen.map(([, atMs]) => atMs - saidMs));
      onProgress(`${word}: found at ${seen.length} of ${this.#members.length - 1} others`);
    }
    return { latenciesMs, expected: rounds * (this.#members.length - 1) };
  }

  async dialAll(dials: number, onProgress: (line: string) => void) {
    const ms: number[] = [];
    for (let k = 0; k < dials; k++) {
      const asker = this.#at(k);
      const target = this.#at(k * 7 + 1 + (k % 3));
      if (asker === target) continue;
      const took = (await asker.ask({ kind: "dial", agentId: target.index + 1 })) as number | null;
      if (took !== null) ms.push(took);
    }
    onProgress(`${ms.length} of ${dials} dials by id`);
    return { ms, tried: dials };
  }

  async dealAll(onProgress: (line: string) => void) {
    const ms: number[] = [];
    const words = this.#words;
    let next = 0;
    const work = async () => {
      for (let k = next++; k < this.#members.length; k = next++) {
        const provider = (k + 1) % words.length;
        const order = { kind: "deal", word: words[provider] as string, agentId: provider + 1 } as const;
        const took = (await this.#at(k).ask(order)) as number | null;
        if (took !== null) ms.push(took);
      }
    };
    await Promise.all(Array.from({ length: STARTING }, work));
    onProgress(`${ms.length} of ${this.#members.length} found, dialled and exchanged`);
    return { ms, tried: this.#members.length };
  }

  /** Connections of an agent, on average. */
  async counts(): Promise<number> {
    const counts = await Promise.all(
      this.#members.map((member) => member.ask({ kind: "counts" }) as Promise<{ peers: number }>),
    );
    return counts.reduce((sum, { peers }) => sum + peers, 0) / counts.length;
  }

  stop(): Promise<unknown> {
    return Promise.all(this.#members.map((member) => member.stop()));
  }

  #at(k: number): Member {
    return this.#members[k % this.#members.length] as Member;
  }

  #note(word: string, index: number, atMs: number): void {
    const seen = this.#visible.get(word) ?? new Map<number, number>();
    if (!seen.has(index)) seen.set(index, atMs);
    this.#visible.set(word, seen);
  }
}

class Member {
  readonly index: number;
  readonly #onVisible: (word: string, index: number, atMs: number) => void;
  readonly #waiting = new Map<number, (value: unknown) => void>();
  #child: ChildProcess | undefined;
  #nextId = 0;

  constructor(index: number, onVisible: (word: string, index: number, atMs: number) => void) {
    this.index = index;
    this.#onVisible = onVisible;
  }

  async ask(command: Command): Promise<unknown> {
    const child = (this.#child ??= this.#fork());
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const fail = () => reject(new Error(`agent ${this.index + 1} does not answer ${command.kind}`));
    const timer = setTimeout(fail, PATIENCE_MS);
    child.once("exit", fail);
    this.#waiting.set(id, resolve);
    child.send({ ...command, id });
    return promise.finally(() => {
      clearTimeout(timer);
      child.off("exit", fail);
      this.#waiting.delete(id);
    });
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    await Promise.race([
      this.ask({ kind: "stop" }).then(
        () => ended,
        () => undefined,
      ),
      sleep(10_000),
    ]);
    if (child.exitCode === null) child.kill("SIGKILL");
    await ended;
  }

  #fork(): ChildProcess {
    const child = fork(agentPath, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    child.setMaxListeners(0);
    child.on("message", (answer: Answer) => {
      if (answer.kind === "visible") this.#onVisible(answer.word, answer.index, answer.atMs);
      else this.#waiting.get(answer.id)?.(answer.value);
    });
    return child;
  }
}

function resultOf(id: string, values: readonly number[], goal: number | null, note: string): Result {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN);
  const value = sorted.length === 0 ? null : at(0.99);
  const spread = sorted.length === 0 ? "none was measured" : `${sorted.length} samples, median ${at(0.5)} ms`;
  return {
    id,
    unit: "ms",
    value,
    goal,
    better: "lower",
    peers: {},
    ratio: null,
    note: `real processes; ${note}; ${spread}`,
  };
}

function shareOf(id: string, count: number, of: number, note: string): Result {
  const value = of === 0 ? null : round(count / of);
  return {
    id: `${id}, share`,
    unit: "of 1",
    value,
    goal: 1,
    better: "higher",
    peers: {},
    ratio: null,
    note: `${count} of ${of}; ${note}`,
  };
}

const round = (value: number): number => Math.round(value * 1_000) / 1_000;
