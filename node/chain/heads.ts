import { SuretyError } from "#protocol";
import { systemClock, withSignal } from "./clock.ts";
import { unreachable, type ChainClient } from "./connect.ts";
import type { Clock, Head, Heads } from "./port.ts";

export interface HeadsOptions {
  readonly client: ChainClient;
  /** Announces blocks at once (`eth_subscribe newHeads`); without it, or when it breaks, polling finds them. */
  readonly webSocketUrl?: string;
  /** The chain is asked at least this often: the fallback, and the safety net for an announcement that was lost. */
  readonly pollIntervalMs?: number;
  readonly clock?: Clock;
  /** Told of each failure to reach the chain; watching goes on. */
  readonly onFault?: (fault: unknown) => void;
}

/** Half of the shortest block time in use, so that a lost announcement costs less than a block. */
const DEFAULT_POLL_INTERVAL_MS = 1_000;

/** Watches the chain's heads. Resolves when the first one is known. @throws SuretyError CHAIN_UNREACHABLE */
export async function watchHeads(options: HeadsOptions, signal: AbortSignal): Promise<Heads> {
  const first = await readHead(options.client, signal);
  return new HeadWatcher(options, first);
}

async function readHead(client: ChainClient, signal: AbortSignal): Promise<Head> {
  try {
    const block = await withSignal(client.getBlock({ blockTag: "latest" }), signal);
    const { number, hash, parentHash, timestamp } = block;
    return { number, hash, parentHash, timestamp: Number(timestamp) };
  } catch (cause) {
    throw unreachable(cause);
  }
}

class HeadWatcher implements Heads {
  readonly #options: HeadsOptions;
  readonly #clock: Clock;
  readonly #pollIntervalMs: number;
  readonly #listeners = new Set<(head: Head) => void>();
  readonly #lifetime = new AbortController();
  #latest: Head;
  #cancelPoll: () => void = () => undefined;
  #socket: WebSocket | undefined;
  #reading: Promise<Head> | undefined;

  constructor(options: HeadsOptions, first: Head) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#pollIntervalMs = options.pollIntervalMs ?? DEFAULT_POLL_INTERVAL_MS;
    this.#latest = first;
    this.#connectSocket();
    this.#scheduleRead();
  }

  latest(): Head {
    return this.#latest;
  }

  subscribe(listener: (head: Head) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async next(seen: Head, signal: AbortSignal): Promise<Head> {
    if (this.#latest.hash !== seen.hash) return this.#latest;
    const combined = AbortSignal.any([signal, this.#lifetime.signal]);
    const { promise, resolve } = Promise.withResolvers<Head>();
    const unsubscribe = this.subscribe(resolve);
    try {
      return await withSignal(promise, combined);
    } finally {
      unsubscribe();
    }
  }

  async refresh(signal: AbortSignal): Promise<Head> {
    // A read under way may have been answered before the caller's reason to ask: wait for it, then ask again.
    if (this.#reading !== undefined) await withSignal(this.#reading, signal).catch(() => undefined);
    return await withSignal(this.#read(), signal);
  }

  stop(): void {
    this.#cancelPoll();
    this.#socket?.close();
    this.#listeners.clear();
    this.#lifetime.abort(
      new SuretyError("CHAIN_HEADS_STOPPED", "The watch over the chain's heads has ended.", {
        next: "Nothing, if the node is being stopped.",
      }),
    );
  }

  #read(): Promise<Head> {
    this.#reading ??= readHead(this.#options.client, this.#lifetime.signal)
      .then((head) => {
        this.#adopt(head);
        return head;
      })
      .finally(() => {
        this.#reading = undefined;
      });
    return this.#reading;
  }

  #adopt(head: Head): void {
    if (head.hash === this.#latest.hash || this.#lifetime.signal.aborted) return;
    this.#latest = head;
    for (const listener of [...this.#listeners]) listener(head);
  }

  /** A poll is due `pollIntervalMs` after the last read ended, so that a slow server is never asked twice at once. */
  #scheduleRead(): void {
    if (this.#lifetime.signal.aborted) return;
    this.#cancelPoll();
    this.#cancelPoll = this.#clock.schedule(this.#pollIntervalMs, () => {
      if (this.#socket === undefined) this.#connectSocket();
      this.#readNow();
    });
  }

  #readNow(): void {
    this.#read()
      .catch((fault: unknown) => {
        if (!this.#lifetime.signal.aborted) this.#options.onFault?.(fault);
      })
      .finally(() => {
        this.#scheduleRead();
      });
  }

  /** The socket only says that something is new; what is new is read as by polling, so both paths see the same. */
  #connectSocket(): void {
    const { webSocketUrl } = this.#options;
    if (webSocketUrl === undefined) return;
    const socket = new WebSocket(webSocketUrl);
    this.#socket = socket;
    socket.onopen = () => {
      socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_subscribe", params: ["newHeads"] }));
    };
    socket.onmessage = () => {
      this.#readNow();
    };
    socket.onclose = () => {
      if (this.#socket === socket) this.#socket = undefined;
    };
    socket.onerror = () => {
      socket.close();
    };
  }
}
