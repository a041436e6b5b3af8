import { fork, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Address } from "viem";
import { withSignal } from "../../node/chain/clock.ts";
import { root } from "../../scripts/checks/run-tool.ts";
import { agentAccount } from "../../scripts/devnet/accounts.ts";
import type { Invitee } from "../../node/negotiation/port.ts";
import type { Agreement } from "../../node/negotiation/port.ts";
import type { Death, Order, Place, Report } from "./follower.ts";
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
  readonly place: Place;
}

/** How a call ended, as one process tells it; again after each of its restarts. */
export interface Ending {
  readonly index: number;
  readonly agreement?: Agreement;
  readonly code?: string;
}

export interface Usage {
  readonly cpuMs: number;
  readonly messages: number;
  readonly bytes: number;
}

/**
 * Clients in this process, followers in processes of their own; all of them agents of one registry. Without a client the processes
 * know each other, and call each other.
 */
export class Fleet {
  readonly clients: Party[] = [];
  /** In the order heard. */
  readonly endings: Ending[] = [];
  readonly #dir = mkdtempSync(join(tmpdir(), "surety-bench-"));
  readonly #registry: readonly Address[];
  readonly #priceOf: (index: number) => bigint;
  readonly #followers = new Map<number, Follower>();
  readonly #signal: AbortSignal;
  readonly #watchers = new Set<() => void>();

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
    return indices.map((index) => ({ agentId: BigInt(index + 1), peer: this.#follower(index).place.peerId }));
  }

  /** Starts a follower, again if it has died, and makes it known to the clients. */
  async revive(index: number, deadly?: Death): Promise<void> {
    this.#signal.throwIfAborted();
    const child = fork(followerPath, ["follow"], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      env: { ...process.env, NODE_COMPILE_CACHE: join(root, "cache", "compiled") },
    });
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    const ready = ask(child, "ready", this.#signal);
    tell(child, {
      kind: "start",
      options: {
        ...{ index, registry: this.#registry, dir: this.#dir, price: this.#priceOf(index).toString() },
        others: this.#peersOf(index).map(({ place }) => place),
        ...(deadly === undefined ? {} : { deadly }),
      },
    });
    child.on("message", (report: Report) => {
      if (report.kind !== "agreed" && report.kind !== "failed") return;
      this.endings.push({ index, ...report });
      for (const look of this.#watchers) look();
    });
    const { peerId, addresses } = await ready.catch(async (fault: unknown) => {
      child.kill("SIGKILL");
      await ended;
      throw fault;
    });
    this.#followers.set(index, { index, child, ended, place: { peerId, addresses } });
    for (const peer of this.#peersOf(index)) {
      await this.#introduce(peer.child, { peerId, addresses });
      // One that started at the same time was not there yet when this one was told of the others.
      await this.#introduce(child, peer.place);
    }
    for (const { transport } of this.clients) {
      await transport.learnAddresses(peerId, addresses);
      await this.#introduce(child, { peerId: transport.peerId, addresses: transport.addresses() });
      await transport.dial(addresses[0] as string, this.#signal);
    }
  }

  /** Tells a follower where to die; undefined: nowhere. */
  async arm(index: number, at: Death | undefined): Promise<void> {
    const { child } = this.#follower(index);
    const armed = ask(child, "armed", this.#signal);
    tell(child, { kind: "die", at });
    await armed;
  }

  /** Looked at again with each ending that is heard. @returns the first answer that is not undefined */
  until<T>(answer: () => T | undefined): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<T>();
    const look = () => {
      const found = answer();
      if (found !== undefined) resolve(found);
    };
    this.#watchers.add(look);
    look();
    return withSignal(promise, this.#signal).finally(() => this.#watchers.delete(look));
  }

  /** Has a follower call others for sealed bids. */
  call(index: number, invitees: readonly Invitee[], revealWithinMs: number): void {
    tell(this.#follower(index).child, { kind: "call", invitees, revealWithinMs });
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
        tell(child, { kind: "usage" });
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

  async #introduce(child: ChildProcess, place: Place): Promise<void> {
    const met = ask(child, "met", this.#signal);
    tell(child, { kind: "meet", ...place });
    await met;
  }

  /** Other followers that live, where there is no client through which all goes. */
  #peersOf(index: number): Follower[] {
    if (this.clients.length > 0) return [];
    return [...this.#followers.values()].filter((other) => other.index !== index && this.isAlive(other.index));
  }

  #follower(index: number): Follower {
    const follower = this.#followers.get(index);
    if (follower === undefined) throw new Error(`there is no follower ${index}`);
    return follower;
  }
}

/** To one that is dead already nothing is sent; whoever waits for its answer learns of its end. */
function tell(child: ChildProcess, order: Order): void {
  child.send(order, () => undefined);
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
    if (child.exitCode !== null || child.signalCode !== null) return onExit(child.exitCode, child.signalCode);
    child.on("message", hear);
    child.once("exit", onExit);
    limit.addEventListener("abort", onAbort, { once: true });
  });
}
