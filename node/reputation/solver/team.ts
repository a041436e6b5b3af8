import { setImmediate as nextTurn } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { createWasmKernel, type Kernel, type Operation, type WeightBytes } from "./kernel.ts";
import { CHUNK_COUNT, control, controlOf, type Layout } from "./layout.ts";

/** Does operations over all rows of a layout. */
export interface Team {
  /** @returns the sum of what the kernel returned, in the order of the chunks @throws the signal's reason */
  run(operation: Operation, argumentList: readonly number[]): Promise<number>;
  /** Ends the threads; the memory is free afterwards. */
  close(): Promise<void>;
}

/** What a worker is started with. */
export interface WorkerTask {
  readonly memory: WebAssembly.Memory;
  readonly width: WeightBytes;
}

/** Below this many edges waking threads takes longer than the work: a sweep is under 2 ms. */
export const THREADED_EDGES = 1_000_000;
/** Enough for any machine that solves graphs of 4 GiB: then memory, not arithmetic, is the limit. */
const MAX_THREADS = 16;
/** How long other work in the process waits for its turn. */
const TURN_MS = 10;

/** @param threadCount 1 = in this thread, giving way every 10 ms */
export function createTeam(layout: Layout, threadCount: number, signal: AbortSignal | undefined): Team {
  signal?.throwIfAborted();
  return threadCount > 1
    ? new WorkerTeam(layout, Math.min(threadCount, MAX_THREADS), signal)
    : createInlineTeam(layout, createWasmKernel(layout.memory, layout.width), signal);
}

export function createInlineTeam(layout: Layout, kernel: Kernel, signal?: AbortSignal): Team {
  const { words, partials } = controlOf(layout.memory);
  let turnEndsAtMs = performance.now() + TURN_MS;
  return {
    async run(operation, argumentList) {
      for (let chunk = 0; chunk < CHUNK_COUNT; chunk++) {
        partials[chunk] = runChunk(kernel, words, operation, chunk, argumentList);
        if (performance.now() < turnEndsAtMs) continue;
        await nextTurn();
        signal?.throwIfAborted();
        turnEndsAtMs = performance.now() + TURN_MS;
      }
      return sumOf(partials);
    },
    close: () => Promise.resolve(),
  };
}

export function runChunk(
  kernel: Kernel,
  words: Int32Array,
  operation: Operation,
  chunk: number,
  argumentList: ArrayLike<number>,
): number {
  const first = words[control.chunks + chunk] as number;
  const last = words[control.chunks + chunk + 1] as number;
  return first < last ? kernel(operation, first, last, argumentList) : 0;
}

const sumOf = (partials: Float64Array): number => partials.reduce((sum, part) => sum + part, 0);

/** The worker beside this file, in the sources and in the build. */
const workerUrl = new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url);

class WorkerTeam implements Team {
  readonly #control: ReturnType<typeof controlOf>;
  readonly #workers: readonly Worker[];
  readonly #signal: AbortSignal | undefined;
  /** Rejects when a worker fails. */
  readonly #failure: Promise<never>;

  constructor({ memory, width }: Layout, threadCount: number, signal: AbortSignal | undefined) {
    this.#control = controlOf(memory);
    this.#signal = signal;
    const workerData: WorkerTask = { memory, width };
    this.#workers = Array.from({ length: threadCount }, () => new Worker(workerUrl, { workerData }));
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    for (const worker of this.#workers) worker.once("error", reject);
    this.#failure = promise;
  }

  async run(operation: Operation, argumentList: readonly number[]): Promise<number> {
    this.#signal?.throwIfAborted();
    const { words, argumentList: shared, partials } = this.#control;
    words[control.operation] = operation;
    shared.set(argumentList);
    Atomics.store(words, control.nextChunk, 0);
    Atomics.store(words, control.idleCount, 0);
    this.#wake();
    for (;;) {
      const idleCount = Atomics.load(words, control.idleCount);
      if (idleCount === this.#workers.length) return sumOf(partials);
      const waiting = Atomics.waitAsync(words, control.idleCount, idleCount);
      if (waiting.async) await Promise.race([waiting.value, this.#failure]);
    }
  }

  async close(): Promise<void> {
    Atomics.store(this.#control.words, control.isOver, 1);
    this.#wake();
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #wake(): void {
    Atomics.add(this.#control.words, control.generation, 1);
    Atomics.notify(this.#control.words, control.generation);
  }
}
