// `npm test`: builds the contracts, refuses stale generated files, runs the Solidity tests and mocha, and closes with one
// line for each runner. `--nightly` raises the fuzz and invariant runs a hundredfold.
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COUNTS_FILE_VARIABLE, isGreen, readCounts, summaryLine } from "./checks/counts.ts";
import { findForge } from "./checks/forge.ts";
import { findLeftovers, RUN_MARKER_VARIABLE } from "./checks/leftovers.ts";
import { runTool } from "./checks/run-tool.ts";

const isNightly = process.argv.includes("--nightly");

/** Small machines have two cores, and a third file uses them while another waits for an epoch: with two, a seventh of them idled. */
const MOCHA_JOBS = "3";
/** How long a process may take to die after the runner that started it. */
const LEFTOVER_GRACE_MS = 5_000;

const runners: readonly (readonly [string, string, readonly string[]])[] = [
  ["solidity", "node", ["scripts/checks/solidity-tests.ts"]],
  [
    "mocha",
    "mocha",
    ["--parallel", "--jobs", MOCHA_JOBS, "--reporter", "./scripts/checks/mocha-reporter.ts", "test/**/*.test.ts"],
  ],
];

/** The nightly profile adds a second EVM, where there is one. */
function listRunners(): typeof runners {
  if (!isNightly) return runners;
  if (findForge() !== undefined) return [...runners, ["forge", "node", ["scripts/checks/forge-tests.ts", "--nightly"]]];
  console.log("test: forge is not installed; the Solidity tests run on one EVM only");
  return runners;
}

/** Waits until nothing of this run lives, at most the grace time. */
async function awaitLeftovers(marker: string) {
  const deadlineMs = performance.now() + LEFTOVER_GRACE_MS;
  for (;;) {
    const leftovers = findLeftovers(marker);
    if (leftovers === undefined || leftovers.length === 0 || performance.now() > deadlineMs) return leftovers;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function runAll(countsDir: string): Promise<boolean> {
  const marker = randomUUID();
  const env = {
    [RUN_MARKER_VARIABLE]: marker,
    // The tests start some hundred processes of the same sources: half a second each goes into compiling them (.95 of 1.6 s is left).
    NODE_COMPILE_CACHE: join(countsDir, "compiled"),
    ...(isNightly ? { SURETY_PROFILE: "nightly" } : {}),
  };
  const steps = [
    ["hardhat", ["build"]],
    ["node", ["scripts/generate.ts", "--check"]],
  ] as const;
  for (const [tool, args] of steps) {
    const { exitCode } = await runTool(tool, args, { isStreamed: true, env });
    if (exitCode !== 0) return false;
  }
  const lines: string[] = [];
  let areGreen = true;
  for (const [runner, tool, args] of listRunners()) {
    const countsPath = join(countsDir, `${runner}.json`);
    const { exitCode } = await runTool(tool, args, {
      isStreamed: true,
      env: { ...env, [COUNTS_FILE_VARIABLE]: countsPath },
    });
    const counts = readCounts(countsPath);
    areGreen &&= isGreen(counts, exitCode);
    lines.push(summaryLine(runner, counts));
  }
  const leftovers = await awaitLeftovers(marker);
  if (leftovers === undefined) console.log("test: leftover processes are looked for on Linux only");
  for (const { pid, command } of leftovers ?? []) console.error(`test: left running: ${pid} ${command}`);
  console.log(lines.join("\n"));
  return areGreen && (leftovers ?? []).length === 0;
}

const countsDir = mkdtempSync(join(tmpdir(), "surety-test-"));
try {
  process.exitCode = (await runAll(countsDir)) ? 0 : 1;
} finally {
  rmSync(countsDir, { recursive: true, force: true });
}
