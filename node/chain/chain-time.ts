import { systemClock } from "./clock.ts";
import type { Clock, Heads } from "./port.ts";

/**
 * Unix seconds that the next block will show at least, if blocks keep up with our clock: the latest block's, plus the
 * whole seconds since we saw it. A chain that stands still has no later block, but the block that ends the wait will be.
 */
export function createChainTime(heads: Heads, clock: Clock = systemClock): () => number {
  let seen = { head: heads.latest(), atMs: clock.nowMs() };
  heads.subscribe((head) => {
    seen = { head, atMs: clock.nowMs() };
  });
  return () => seen.head.timestamp + Math.max(0, Math.floor((clock.nowMs() - seen.atMs) / 1000));
}
