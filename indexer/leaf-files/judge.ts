import { Worker } from "node:worker_threads";
import type { LeavesId, Verdict } from "#protocol";
import type { JudgeAnswer, JudgeTask } from "./worker.ts";

/** The worker beside this file, in the sources and in the build. */
const workerUrl = new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url);

/** The worker holds one outline and one piece; with more than this it has lost its mind, and its attempt fails. */
const MAX_WORKER_HEAP_MB = 256;

/** Judges one file at a time in a worker thread, which runs from the first question until `close`. */
export class LeafJudge {
  #worker: Worker | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  /** @returns the levels from the chunks' roots up */
  async outline(id: LeavesId, bytes: Uint8Array): Promise<Verdict<Uint8Array>> {
    const answer = await this.#ask({ kind: "outline", id, bytes });
    return answer.kind === "accept" ? { kind: "accept", value: answer.value[0] as Uint8Array } : answer;
  }

  /** Of the file whose outline was judged last. @param bytes given away @returns the levels of each chunk */
  async piece(piece: number, bytes: Uint8Array): Promise<JudgeAnswer> {
    return this.#ask({ kind: "piece", piece, bytes });
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #ask(task: JudgeTask): Promise<JudgeAnswer> {
    const answer = this.#turn.then(() => this.#post(task));
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  async #post(task: JudgeTask): Promise<JudgeAnswer> {
    const worker = (this.#worker ??= new Worker(workerUrl, {
      resourceLimits: { maxOldGenerationSizeMb: MAX_WORKER_HEAP_MB },
    }));
    const { promise, resolve, reject } = Promise.withResolvers<JudgeAnswer>();
    const onExit = () => reject(new Error("the judging thread has ended"));
    worker.once("message", resolve).once("error", reject).once("exit", onExit);
    try {
      const transfer = task.kind === "piece" ? [task.bytes.buffer as ArrayBuffer] : [];
      worker.postMessage(task, transfer);
      return await promise;
    } catch (error) {
      this.#worker = undefined;
      throw error;
    } finally {
      worker.off("message", resolve).off("error", reject).off("exit", onExit);
    }
  }
}
