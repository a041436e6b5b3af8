// Every static check, reported one after the other, each with its time and, if it fails, all that it found. `npm run lint`.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { checkHygiene } from "./hygiene.ts";
import { cruiseSources, violationsOf } from "./layers.ts";
import { checkProperties } from "./properties.ts";
import { root, runTool } from "./run-tool.ts";

/** What a check found, ready to print; empty = clean. */
type Check = () => Promise<string>;

const tool =
  (name: string, ...args: string[]): Check =>
  async () => {
    const { exitCode, output } = await runTool(name, args);
    return exitCode === 0 ? "" : output.trim() || `${name} ended with exit code ${exitCode}`;
  };

async function checkLayers(): Promise<string> {
  const violations = violationsOf(await cruiseSources());
  return violations
    .map(({ rule, from, to }) => `${from} → ${to}\n  breaks ${rule} of .dependency-cruiser.js`)
    .join("\n");
}

async function checkText(): Promise<string> {
  return (await checkHygiene()).map(({ path, line, rule, text }) => `${path}:${line} ${rule}: ${text}`).join("\n");
}

const checkGraph: Check = async () =>
  existsSync(join(root, "docs/architecture.md")) ? tool("node", "scripts/checks/graph.ts", "--check")() : "";

/** Fails where a figure of the committed snapshot has risen; no snapshot, no check. */
const checkGas: Check = async () =>
  existsSync(join(root, "bench/gas-snapshot.json")) ? tool("node", "bench/main.ts", "gas", "--check")() : "";

/** In the order of the report. The first has to end before the others, which read what it builds. */
const checks: readonly (readonly [string, Check])[] = [
  ["build", tool("hardhat", "build", "--quiet")],
  ["generated files", tool("node", "scripts/generate.ts", "--check")],
  ["layers", checkLayers],
  ["import graph", checkGraph],
  ["paths, hosts, ports, READMEs", checkText],
  ["properties", async () => checkProperties()],
  ["format", tool("prettier", "--check", "--log-level", "warn", ".")],
  ["solhint", tool("solhint", "--noPoster", "--max-warnings", "0", "contracts/**/*.sol")],
  ["eslint", tool("eslint", "--max-warnings", "0", ".")],
  ...(process.argv.includes("--gas") ? [["gas", checkGas] as const] : []),
];

interface Outcome {
  readonly found: string;
  readonly seconds: string;
}

async function time(check: Check): Promise<Outcome> {
  const startedAt = performance.now();
  const found = await check();
  return { found, seconds: ((performance.now() - startedAt) / 1000).toFixed(1) };
}

/** Runs the build, then everything else two at a time, the longest first. */
async function* runChecks(): AsyncGenerator<readonly [string, Outcome]> {
  const [build, ...others] = checks;
  if (build === undefined) return;
  yield [build[0], await time(build[1])];
  const longest = others.findIndex(([name]) => name === "eslint");
  const running = others.map(([, check], k) => (k === longest ? time(check) : undefined));
  for (const [k, [name, check]] of others.entries()) yield [name, await (running[k] ?? time(check))];
}

let failedCount = 0;
for await (const [name, { found, seconds }] of runChecks()) {
  console.log(`${found === "" ? "ok  " : "FAIL"} ${name} (${seconds} s)`);
  if (found === "") continue;
  failedCount++;
  console.log(`${found.replaceAll(/^/gm, "     ")}\n`);
}
console.log(failedCount === 0 ? "lint: clean" : `lint: ${failedCount} of ${checks.length} checks failed`);
process.exitCode = failedCount === 0 ? 0 : 1;
