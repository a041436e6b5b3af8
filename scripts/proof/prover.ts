import { spawn, type ChildProcessByStdio } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { SuretyError } from "#protocol";
import type { Answer, Request } from "../../zk/log/messages.ts";
import { root } from "../checks/run-tool.ts";

/** What is asked, without what the connection adds. */
export type Ask = Request extends infer R ? (R extends Request ? Omit<R, "id" | "cacheDir"> : never) : never;

/** A prover in a process of its own: it stays compiled for as many requests as follow. */
export interface Prover {
  /** @throws SuretyError as the prover names it, PROVER_STOPPED; the signal's reason if it fired */
  ask(request: Ask): Promise<unknown>;
  close(): Promise<void>;
}

export interface ProverOptions {
  /** Where compiled keys are kept; hundreds of megabytes. */
  readonly cacheDir: string;
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
  /** The folder with the provers; ours unless a test says otherwise. */
  readonly zkDir?: string;
}

/** @throws SuretyError ZK_NOT_INSTALLED */
export function startProver({ cacheDir, signal, progress, zkDir = join(root, "zk") }: ProverOptions): Prover {
  if (!existsSync(join(zkDir, "node_modules/o1js/package.json"))) {
    throw new SuretyError(
      "ZK_NOT_INSTALLED",
      "The provers are not installed; the root installation goes without them.",
      {
        values: { zkDir },
        next: "Run `npm run zk:setup` once; it takes some 400 MB from the npm registry.",
      },
    );
  }
  signal.throwIfAborted();
  const child = spawn(process.execPath, [join(zkDir, "log/main.ts")], { stdio: ["pipe", "pipe", "inherit"] });
  const kill = () => void child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  const ended = new Promise<number | null>((resolve) => {
    child.once("error", () => resolve(null));
    child.once("close", resolve);
  });
  const pending = listen(child, progress);
  void ended.then((exitCode) => {
    signal.removeEventListener("abort", kill);
    for (const { reject } of pending.values()) reject(signal.aborted ? signal.reason : stopped(exitCode));
    pending.clear();
  });
  let count = 0;
  return {
    ask: (request) =>
      new Promise((resolve, reject) => {
        const id = ++count;
        pending.set(id, { resolve, reject });
        child.stdin.write(`${JSON.stringify({ ...request, id, cacheDir })}\n`);
      }),
    async close() {
      child.stdin.end();
      await ended;
    },
  };
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

function listen(
  child: ChildProcessByStdio<Writable, Readable, null>,
  progress: (line: string) => void,
): Map<number, Waiting> {
  const pending = new Map<number, Waiting>();
  // A child that died closes its stdin; `ended` tells whoever waits.
  child.stdin.on("error", () => {});
  createInterface({ input: child.stdout }).on("line", (line) => {
    const answer = JSON.parse(line) as Answer;
    if ("progress" in answer) return progress(answer.progress);
    const waiting = pending.get(answer.id);
    pending.delete(answer.id);
    if ("result" in answer) return waiting?.resolve(answer.result);
    const { code, message, values, next } = answer.error;
    waiting?.reject(new SuretyError(code, message, { values, next }));
  });
  return pending;
}

const stopped = (exitCode: number | null) =>
  new SuretyError("PROVER_STOPPED", "The prover's process ended before it answered.", {
    values: { exitCode },
    next: "Look at its output above; a prover needs some 3 GB of memory.",
    isRetryable: true,
  });
