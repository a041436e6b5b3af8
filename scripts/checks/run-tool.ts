import { spawn } from "node:child_process";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface ToolRun {
  readonly exitCode: number;
  /** What the tool wrote to stdout and stderr, in the order in which it arrived; empty if it was streamed. */
  readonly output: string;
}

/**
 * Runs a tool of node_modules/.bin in the repository's root with the bundled Node first in the PATH.
 * @param options.isStreamed pass the output through instead of collecting it
 * @param options.env added to this process's environment
 */
export function runTool(
  tool: string,
  args: readonly string[],
  options: { isStreamed?: boolean; env?: Record<string, string>; cwd?: string; signal?: AbortSignal } = {},
): Promise<ToolRun> {
  const path = [join(root, "node_modules/.bin"), process.env["PATH"] ?? ""].join(delimiter);
  return new Promise((resolve, reject) => {
    const child = spawn(tool, args, {
      cwd: options.cwd ?? root,
      env: { ...process.env, ...options.env, PATH: path },
      stdio: options.isStreamed === true ? "inherit" : ["ignore", "pipe", "pipe"],
      // npm's launchers are .cmd files on Windows, which only a shell runs.
      shell: process.platform === "win32",
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    let output = "";
    const collect = (chunk: Buffer) => (output += chunk.toString());
    child.stdout?.on("data", collect);
    child.stderr?.on("data", collect);
    child.on("error", reject);
    child.on("close", (code) => resolve({ exitCode: code ?? 1, output }));
  });
}
