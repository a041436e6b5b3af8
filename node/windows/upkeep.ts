import { startOfEpoch, windowAt } from "#protocol";
import type { Heads } from "../chain/port.ts";
import type { BatchStore } from "./batch-store.ts";
import type { WindowChain } from "./port.ts";
import type { Seats } from "./seats.ts";

export interface UpkeepOptions {
  readonly topics: readonly bigint[];
  readonly agentId: bigint;
  readonly chain: WindowChain;
  readonly batches: BatchStore;
  readonly seatsOf: (topic: bigint) => Seats;
  readonly heads: Heads;
  readonly chainTime: () => number;
  readonly onStep?: (step: "scheduled" | "drawn" | "anchored", topic: bigint) => void;
  readonly onFault: (fault: unknown) => void;
}

/** Windows of the next epoch after which seat 0 anchors; each further seat waits one more, so that one of them pays. */
const ANCHOR_AFTER_WINDOWS = 3;

/** What the chain needs of a topic's candidates and validators: the next epoch's draw, and the last one's anchor. Once a head. */
export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #lifetime = new AbortController();
  #unsubscribe: () => void = () => undefined;
  #running: Promise<void> | undefined;

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  start(): void {
    this.#unsubscribe = this.#options.heads.subscribe(() => this.#wake());
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#lifetime.abort(new DOMException("the windows stop", "AbortError"));
    await this.#running;
  }

  #wake(): void {
    if (this.#lifetime.signal.aborted) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    for (const topic of this.#options.topics) {
      try {
        await this.#draw(topic);
        await this.#anchor(topic);
      } catch (fault) {
        if (this.#lifetime.signal.aborted) return;
        this.#options.onFault(fault);
      }
    }
  }

  async #draw(topic: bigint): Promise<void> {
    const { chain, agentId, heads, onStep } = this.#options;
    const { signal } = this.#lifetime;
    const { drawnEpoch, nextEpoch, seedBlock } = await chain.drawOf(topic, signal);
    if (drawnEpoch >= nextEpoch || !(await chain.isCandidate(topic, Number(agentId), signal))) return;
    if (seedBlock === 0n) {
      await chain.scheduleDraw(topic, signal);
      onStep?.("scheduled", topic);
    } else if (heads.latest().number > seedBlock) {
      await chain.draw(topic, seedBlock, signal);
      onStep?.("drawn", topic);
    }
  }

  async #anchor(topic: bigint): Promise<void> {
    const { chain, agentId, batches, seatsOf, chainTime, onStep } = this.#options;
    const { signal } = this.#lifetime;
    const { epoch, index } = windowAt(chain.clock, Math.max(chainTime(), chain.clock.genesis));
    const last = batches.newest(topic, startOfEpoch(chain.clock, epoch));
    if (last === undefined || windowAt(chain.clock, last.header.window).epoch !== epoch - 1) return;
    const seat = (await seatsOf(topic).of(epoch - 1, signal)).indexOf(Number(agentId));
    if (seat < 0 || index < ANCHOR_AFTER_WINDOWS + seat) return;
    if ((await chain.anchoredWindowOf(topic, epoch - 1, signal)) >= last.header.window) return;
    await chain.anchor(last.header, last.batch.signatures, signal);
    onStep?.("anchored", topic);
  }
}
