import { extname, join } from "node:path";
import { spawn, type ChildProcess } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { SuretyError } from "#protocol";

// Beside this file: TypeScript in a clone, JavaScript where the package is installed.
const mainPath = join(import.meta.dirname, `../../node/main${extname(import.meta.filename)}`);

/** What a node process says of each of its agents when it is ready. */
export interface ReadyAgent {
  readonly name: string;
  readonly agentId: string;
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly apiUrl: string;
  /** Where it sells over HTTP, if it does. */
  readonly shopUrl?: string;
}

export interface NodeProcess {
  readonly agents: readonly ReadyAgent[];
  readonly pid: number;
  /** Resolves when the process has ended, with how it ended. */
  readonly ended: Promise<string>;
  /** Asks it to stop and waits; after the grace period it is killed. */
  stop(): Promise<void>;
  /** Ends it as a power cut would. */
  kill(): Promise<void>;
}

/** Seconds a process may take to close its hosts and stores before it is killed. */
const STOP_GRACE_MS = 5_000;

/**
 * Starts a node process and waits until it is ready. Its stdin is a pipe that it watches: when this process dies, for
 * whatever reason, the pipe ends and the node stops.
 * @param configPath see node/config.ts
 * @param logPath where its log lines go
 * @throws SuretyError NODE_NOT_READY
 */
export async function spawnNode(configPath: string, logPath: string, signal: AbortSignal): Promise<NodeProcess> {
  const child = spawn(process.execPath, [mainPath, "--config", configPath, "--exit-with-parent"], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  const log = createWriteStream(logPath, { flags: "a" });
  child.stderr.pipe(log);
  const ended = new Promise<string>((resolve) => {
    child.once("exit", (code, by) => resolve(by === null ? `exit code ${code}` : `signal ${by}`));
  });
  const agents = await awaitReady(child, ended, logPath, signal).catch(async (error: unknown) => {
    child.kill("SIGKILL");
    await ended;
    throw error;
  });
  return {
    agents,
    pid: child.pid ?? 0,
    ended,
    async stop() {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_GRACE_MS);
      await ended;
      clearTimeout(timer);
    },
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

async function awaitReady(
  child: ChildProcess,
  ended: Promise<string>,
  logPath: string,
  signal: AbortSignal,
): Promise<readonly ReadyAgent[]> {
  if (child.stdout === null) throw new Error("the child was started without a pipe");
  const lines = createInterface({ input: child.stdout });
  const ready = new Promise<readonly ReadyAgent[]>((resolve, rejectReady) => {
    lines.once("line", (line) => resolve((JSON.parse(line) as { agents: ReadyAgent[] }).agents));
    signal.addEventListener("abort", () => rejectReady(signal.reason as Error), { once: true });
    void ended.then((how) =>
      rejectReady(
        new SuretyError("NODE_NOT_READY", `A node process ended before it was ready: ${how}.`, {
          values: { logPath },
          next: `Read the last lines of ${logPath}.`,
        }),
      ),
    );
  });
  return ready;
}
