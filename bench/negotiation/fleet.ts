import { fork, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Address } from "viem";
import { root } from "../../scripts/checks/run-tool.ts";
import { agentAccount } from "../../scripts/devnet/accounts.ts";
import type { Invitee } from "../../node/negotiation/port.ts";
import type { Death, Order, Report } from "./follower.ts";
import { startParty, type Party } from "./party.ts";

const followerPath = fileURLToPath(new URL("./follower.ts", import.meta.url));
/** Processes that start at once: more only wait for each other's core. */
const STARTED_AT_ONCE = 4;
/** A loaded machine starts a process in seconds; after so long it never will. */
const START_TIMEOUT_MS = 120_000;

interface Follower {
  readonly index: number;
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  readonly peerId: string;
  readonly addresses: readonly string[];
}

export interface Usage {
  readonly cpuMs: number;
  readonly messages: number;
  readonly bytes: number;
}

/** Clients in this process, followers in processes of their own; all of them agents of one registry. */
export class Fleet {
  readonly clients: Party[] = [];
  readonly #dir = mkdtempSync(join(tmpdir(), "surety-bench-"));
  readonly #registry: readonly Address[];
  readonly #priceOf: (index: number) => bigint;
  readonly #followers = new Map<number, Follower>();
  readonly #signal: AbortSignal;

  private constructor(agents: number, priceOf: (index: number) => bigint, signal: AbortSignal) {
    this.#registry = Array.from({ length: agents }, (_, index) => agentAccount(index).address);
    this.#priceOf = priceOf;
    this.#signal = signal;
  }

  /** Followers have the indices from `clients` on. */
  static async start(
    { clients = 1, followers }: { readonly clients?: number; readonly followers: number },
    priceOf: (index: number) => bigint,
    signal: AbortSignal,
  ): Promise<Fleet> {
    const fleet = new Fleet(clients + followers, priceOf, signal);
    try {
      for (let index = 0; index < clients; index++) {
        fleet.clients.push(await startParty({ index, registry: fleet.#registry, dir: fleet.#dir }));
      }
      const waiting = Array.from({ length: followers }, (_, k) => clients + k);
      const starter = async () => {
        for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) await fleet.revive(index);
      };
      await Promise.all(Array.from({ length: STARTED_AT_ONCE }, starter));
      return fleet;
    } catch (fault) {
      await fleet.stop();
      throw fault;
    }
  }

  /** Ends everything that waits. */
  get signal(): AbortSignal {
    return this.#signal;
  }

  /** Those of these indices; by default all. */
  invitees(indices: readonly number[] = [...this.#followers.keys()].sort((a, b) => a - b)): Invitee[] {
    return indices.map((index) => ({ agentId: BigInt(index + 1), peer: this.#follower(index).peerId }));
  }

  /** Starts a follower, again if it has died, and makes it known to the clients. */
  async revive(index: number): Promise<void> {
    this.#signal.throwIfAborted();
    const child = fork(followerPath, ["follow"], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      env: { ...process.env, NODE_COMPILE_CACHE: join(root, "cache", "compiled") },
    });
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    const ready = ask(child, "ready", this.#signal);
    child.send({
      kind: "start",
      options: {
        ...{ index, registry: this.#registry, dir: this.#dir, price: this.#priceOf(index).toString() },
      },
    } satisfies Order);
    const { peerId, addresses } = await ready.catch(async (fault: unknown) => {
      child.kill("SIGKILL");
      await ended;
      throw fault;
    });
    this.#followers.set(index, { index, child, ended, peerId, addresses });
    for (const { transport } of this.clients) {
      await transport.learnAddresses(peerId, addresses);
      const met = ask(child, "met", this.#signal);
      child.send({ kind: "meet", peerId: transport.peerId, addresses: transport.addresses() } satisfies Order);
      await met;
      await transport.dial(addresses[0] as string, this.#signal);
    }
  }

  /** Tells a follower where to die; undefined: nowhere. */
  async arm(index: number, at: Exclude<Death, "call"> | undefined): Promise<void> {
    const { child } = this.#follower(index);
    const armed = ask(child, "armed", this.#signal);
    child.send({ kind: "die", at } satisfies Order);
    await armed;
  }

  async kill(index: number): Promise<void> {
    const { child, ended } = this.#follower(index);
    child.kill("SIGKILL");
    await ended;
  }

  /** Resolves when a follower has died. */
  death(index: number): Promise<void> {
    return this.#follower(index).ended;
  }

  isAlive(index: number): boolean {
    const { child } = this.#follower(index);
    return child.exitCode === null && child.signalCode === null;
  }

  /** CPU time of all processes that live, this one included, and what all parties sent. */
  async usage(): Promise<Usage> {
    const { user, system } = process.cpuUsage();
    const own = this.clients.map(({ traffic }) => ({ cpuMs: 0, ...traffic }));
    const asked = [...this.#followers.keys()]
      .filter((index) => this.isAlive(index))
      .map((index) => {
        const { child } = this.#follower(index);
        const answer = ask(child, "usage", this.#signal);
        child.send({ kind: "usage" } satisfies Order);
        return answer;
      });
    const all: Usage[] = [{ cpuMs: (user + system) / 1_000, messages: 0, bytes: 0 }, ...own];
    return [...all, ...(await Promise.all(asked))].reduce((sum, next) => ({
      cpuMs: sum.cpuMs + next.cpuMs,
      messages: sum.messages + next.messages,
      bytes: sum.bytes + next.bytes,
    }));
  }

  async stop(): Promise<void> {
    for (const { child, ended } of this.#followers.values()) {
      child.kill("SIGKILL");
      await ended;
    }
    for (const client of this.clients) await client.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #follower(index: number): Follower {
    const follower = this.#followers.get(index);
    if (follower === undefined) throw new Error(`there is no follower ${index}`);
    return follower;
  }
}

/** The next report of a kind. */
function ask<K extends Report["kind"]>(
  child: ChildProcess,
  kind: K,
  signal: AbortSignal,
): Promise<Extract<Report, { kind: K }>> {
  return new Promise((resolve, reject) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)]);
    const end = () => {
      child.off("message", hear);
      child.off("exit", onExit);
      limit.removeEventListener("abort", onAbort);
    };
    const hear = (report: Report) => {
      if (report.kind !== kind) return;
      end();
      resolve(report as Extract<Report, { kind: K }>);
    };
    const onExit = (code: number | null, by: string | null) => {
      end();
      reject(new Error(`a follower ended before it was ${kind}: ${code ?? by}`));
    };
    const onAbort = () => {
      end();
      reject(limit.reason as Error);
    };
    child.on("message", hear);
    child.once("exit", onExit);
    limit.addEventListener("abort", onAbort, { once: true });
  });
}
