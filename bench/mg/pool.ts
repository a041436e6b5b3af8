import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";

/** A kind of run: its worker gets a task and answers with an outcome, an object; the same task has the same outcome everywhere. */
export interface Work {
  readonly name: string;
  readonly worker: string;
  /** All that outcomes depend on, in `bench`. */
  readonly sources: readonly string[];
}

/**
 * Runs tasks on all cores and writes each outcome down at once: a run that was stopped goes on where it was. Outcomes are kept
 * under a hash of the simulation's own source, so that a change of it forgets them.
 */
export class Pool<Task extends object, Outcome extends object> {
  readonly #path: string;
  readonly #known = new Map<string, Outcome>();
  readonly #workers: readonly Worker[];

  constructor(folder: string, { name, worker, sources }: Work) {
    const version = createHash("sha256");
    for (const source of sources) version.update(readFileSync(join(import.meta.dirname, "..", source)));
    mkdirSync(folder, { recursive: true });
    this.#path = join(folder, `${name}-${version.digest("hex").slice(0, 16)}.jsonl`);
    this.#workers = Array.from({ length: availableParallelism() }, () => new Worker(new URL(worker, import.meta.url)));
    if (!existsSync(this.#path)) return;
    for (const line of readFileSync(this.#path, "utf8").split("\n")) {
      // A line that a stopped run left half written is no JSON: that run is made again.
      if (!line.endsWith("}]")) continue;
      const [key, outcome] = JSON.parse(line) as [string, Outcome];
      this.#known.set(key, outcome);
    }
  }

  async runAll(tasks: readonly Task[]): Promise<Outcome[]> {
    const waiting = tasks.filter((task) => !this.#known.has(keyOf(task)));
    await Promise.all(
      this.#workers.map(async (worker) => {
        for (let task = waiting.pop(); task !== undefined; task = waiting.pop()) {
          const outcome = await ask<Outcome>(worker, task);
          this.#known.set(keyOf(task), outcome);
          appendFileSync(this.#path, `${JSON.stringify([keyOf(task), outcome])}\n`);
        }
      }),
    );
    return tasks.map((task) => this.#known.get(keyOf(task)) as Outcome);
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

function keyOf(task: object): string {
  return createHash("sha256").update(JSON.stringify(task)).digest("hex").slice(0, 32);
}

function ask<Outcome>(worker: Worker, task: object): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    worker.once("error", reject);
    worker.once("message", (outcome: Outcome) => {
      worker.off("error", reject);
      resolve(outcome);
    });
    worker.postMessage(task);
  });
}
