import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/checks/run-tool.ts";
import { commitOf } from "./report.ts";

/** Somebody stopped the run. */
export class Interrupted extends Error {}

/**
 * Parts of a long benchmark, each written down as soon as it is measured: a run that was stopped goes on where it was. What another
 * commit measured is not taken up, and a run that came to its end is forgotten.
 */
export class Sections {
  readonly #path: string;
  readonly #known = new Map<string, unknown>();
  readonly #stopping = new AbortController();
  readonly #interrupt = () => this.#stopping.abort(new Interrupted("interrupted; the same command goes on"));

  constructor(name: string) {
    const folder = join(root, "cache", "bench");
    mkdirSync(folder, { recursive: true });
    const version = createHash("sha256").update(commitOf(root)).digest("hex").slice(0, 16);
    this.#path = join(folder, `${name}-${version}.jsonl`);
    process.once("SIGINT", this.#interrupt);
    process.once("SIGTERM", this.#interrupt);
    if (!existsSync(this.#path)) return;
    for (const line of readFileSync(this.#path, "utf8").split("\n")) {
      // A line that a stopped run left half written is no JSON: that part is measured again.
      if (!line.endsWith("]")) continue;
      const [key, value] = JSON.parse(line) as [string, unknown];
      this.#known.set(key, value);
    }
  }

  /** Aborts on Ctrl-C. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  /** @param measure what it returns is plain JSON */
  async measure<T>(key: string, measure: () => Promise<T>): Promise<T> {
    const known = this.#known.get(key);
    if (known !== undefined) {
      console.error(`bench: ${key}: measured before`);
      return known as T;
    }
    this.signal.throwIfAborted();
    console.error(`bench: ${key}`);
    const value = await measure();
    appendFileSync(this.#path, `${JSON.stringify([key, value])}\n`);
    return value;
  }

  /** The run has come to its end. */
  finish(): void {
    rmSync(this.#path, { force: true });
    process.off("SIGINT", this.#interrupt);
    process.off("SIGTERM", this.#interrupt);
  }
}
