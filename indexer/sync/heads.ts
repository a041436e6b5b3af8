import { setTimeout as delay } from "node:timers/promises";
import type { PublicClient } from "viem";

/** Tells the driver when to look at the chain again. */
export interface HeadWatch {
  /** Resolves when a new head was announced, or the poll interval is over. */
  next(signal: AbortSignal): Promise<void>;
  close(): void;
}

/**
 * A WebSocket's newHeads wake the driver at once. The poll goes on beneath it: a subscription that died silently, or a
 * head that was replaced by another of the same height, is then found within one interval.
 */
export function watchHeads(client: PublicClient, pollIntervalMs: number): HeadWatch {
  let wake = () => {};
  let isWoken = false;
  const onHead = () => {
    isWoken = true;
    wake();
  };
  const isSubscribable = client.transport.type === "webSocket" || client.transport.type === "ipc";
  const unwatch = isSubscribable ? client.watchBlockNumber({ onBlockNumber: onHead, onError: onHead }) : () => {};
  return {
    async next(signal) {
      if (!isWoken) {
        const done = new AbortController();
        const woken = new Promise<void>((resolve) => (wake = resolve));
        const anySignal = AbortSignal.any([signal, done.signal]);
        const slept = delay(pollIntervalMs, undefined, { signal: anySignal }).catch(() => {});
        await Promise.race([woken, slept]);
        done.abort();
      }
      isWoken = false;
      signal.throwIfAborted();
    },
    close: unwatch,
  };
}
