import { setImmediate, setTimeout as delay } from "node:timers/promises";
import type { IndexerStatus } from "../status.ts";
import { Lane, type LaneParts, type WebhookStatus } from "./lane.ts";
import type { Subscription } from "./subscriptions.ts";

/** Delays after failures double from the first to the last. Nothing is given up: the stored events are the queue. */
const FIRST_DELAY_MS = 1_000;
/** What a receiver that is back waits at most for what it missed. */
const MAX_DELAY_MS = 300_000;

export interface WebhooksParts extends Omit<LaneParts, "isServing"> {
  readonly subscriptions: readonly Subscription[];
  readonly status: () => IndexerStatus;
  /** Resolves when a status satisfies the predicate. @throws what ended the indexing, or the signal's reason */
  readonly until: (predicate: (status: IndexerStatus) => boolean, signal: AbortSignal) => Promise<void>;
  /** Default: the machine's timers. */
  readonly sleep?: (delayMs: number, signal: AbortSignal) => Promise<void>;
}

/** Posts the chain's events to subscribers, each in a lane of its own: one that is away delays nobody else. */
export class Webhooks {
  readonly #parts: WebhooksParts;
  readonly #lanes: readonly Lane[];

  constructor(parts: WebhooksParts) {
    this.#parts = parts;
    const isServing = () => parts.status().isServing;
    this.#lanes = parts.subscriptions.map((subscription) => new Lane(subscription, { ...parts, isServing }));
  }

  /** In the order of the subscriptions. */
  status(): WebhookStatus[] {
    return this.#lanes.map((lane) => lane.status());
  }

  /** Delivers until the signal aborts. @throws what the store throws, or what ended the indexing */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(
      this.#lanes.map((lane) =>
        this.#follow(lane, signal).catch((error: unknown) => {
          if (!signal.aborted) throw error;
        }),
      ),
    );
  }

  async #follow(lane: Lane, signal: AbortSignal): Promise<never> {
    const { status, until, sleep = sleepFor } = this.#parts;
    for (;;) {
      // Read before the look, so that a block that comes during it is not slept over.
      const rows = rowsOf(status());
      const turn = await lane.turn(signal);
      if (turn === "idle") await until((now) => rowsOf(now) !== rows, signal);
      else if (turn === "failed") await sleep(delayAfter(lane.status().failures), signal);
      // The embedded engine answers at once: others get a turn between two batches.
      await setImmediate(undefined, { signal });
    }
  }
}

const delayAfter = (failures: number): number =>
  Math.min(FIRST_DELAY_MS * 2 ** Math.min(failures - 1, 20), MAX_DELAY_MS);

const sleepFor = (delayMs: number, signal: AbortSignal): Promise<void> => delay(delayMs, undefined, { signal });

/** Names the rows that can be told of now; undefined = none. */
const rowsOf = ({ isServing, checkpoint, finalized }: IndexerStatus): string | undefined =>
  isServing ? `${checkpoint?.hash} ${finalized}` : undefined;
