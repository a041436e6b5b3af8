import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { keccak256, numberToHex } from "viem";
import { stateGenesis } from "#protocol";
import { root } from "../../scripts/checks/run-tool.ts";
import { startProver } from "../../scripts/proof/prover.ts";
import type { LogFile, ProofFile } from "../../zk/log/messages.ts";
import type { Result } from "../harness/report.ts";

/** Entries of one proof, as zk/log/program.ts folds them; the root project runs without o1js and cannot ask it. */
const BATCH_SIZE = 128;
/** One base and two steps: the last batch is never full. */
const ENTRIES = 2 * BATCH_SIZE + 5;
const CHECKS = 5;
const SECONDS_PER_STEP = 25;
const SECONDS_PER_CHECK = 1.2;
/** BAID's recursive proof of one step (arXiv 2512.17538), as its authors published it. */
const PUBLISHED = "BAID 39-48 s a step as published, not measured here";
const LIMIT = "400";

const rowOf = (id: string, value: number | null, goal: number | null, note: string): Result => ({
  ...{ id, unit: "s", value, goal, better: "lower", peers: {}, ratio: null, note },
});

const medianOf = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

const absent = (reason: string): Result[] => [
  rowOf("log compliance: step", null, SECONDS_PER_STEP, reason),
  rowOf("log compliance: check, warm", null, SECONDS_PER_CHECK, reason),
];

/**
 * The recursive proof of a log's compliance by the prover's own process, as `surety proof` runs it. Compiled keys are those of the zk tests
 * where they ran before; otherwise the first request compiles for minutes, which is no part of a figure.
 */
export async function measureLogProof(isQuick: boolean): Promise<Result[]> {
  if (isQuick) return absent("not measured with --quick: a step takes longer than all the rest");
  if (!existsSync(join(root, "zk/node_modules/o1js/package.json"))) {
    return absent("not measured: the provers are not installed; npm run zk:setup");
  }
  const kept = join(root, "zk/cache/log-compliance");
  // Only whole caches stand there; what this run compiles may be cut short.
  const cacheDir = process.env["SURETY_ZK_CACHE"] ?? (existsSync(kept) ? kept : join(root, "cache/bench/zk"));
  mkdirSync(cacheDir, { recursive: true });
  const said: string[] = [];
  const signal = new AbortController().signal;
  const prover = startProver({ cacheDir, signal, progress: (line) => said.push(line) });
  try {
    const file = logFile();
    const budget = String(file.entries.reduce((sum, { spend }) => sum + BigInt(spend), 0n));
    const made = (await prover.ask({ action: "make", file, limit: LIMIT, budget, budgetSalt: "77" })) as ProofFile;
    const seconds = said.flatMap((line) => /^proved batch .* in ([\d.]+) s$/.exec(line)?.[1] ?? []).map(Number);
    const times: number[] = [];
    for (let k = 0; k <= CHECKS; k++) {
      const startMs = performance.now();
      const answer = await prover.ask({ action: "check", file: made, statement: made.statement });
      if ((answer as { fault: string | null }).fault !== null) throw new Error("bench: the proof does not hold");
      times.push((performance.now() - startMs) / 1_000);
    }
    const [base = NaN, ...steps] = seconds;
    const bytes = JSON.stringify(made).length.toLocaleString("en-US");
    return [
      rowOf("log compliance: base", base, null, `${BATCH_SIZE} entries`),
      rowOf("log compliance: step", medianOf(steps), SECONDS_PER_STEP, `${BATCH_SIZE} entries; ${PUBLISHED}`),
      rowOf("log compliance: check, first", times[0] ?? NaN, null, "in a process that has proven before"),
      rowOf("log compliance: check, warm", medianOf(times.slice(1)), SECONDS_PER_CHECK, `${bytes} B of proof file`),
    ].map((row) => ({ ...row, value: row.value === null ? null : Math.round(row.value * 100) / 100 }));
  } finally {
    await prover.close();
  }
}

function logFile(): LogFile {
  const name = { chainId: 31_337, registry: numberToHex(1, { size: 20 }), log: numberToHex(2, { size: 20 }) };
  const entries = Array.from({ length: ENTRIES }, (_, seq) => ({
    ...{ seq, digest: keccak256(numberToHex(seq, { size: 32 })), spend: String(seq % 3 === 0 ? seq % 400 : 0) },
  }));
  return { ...name, agentId: "1", headFrom: stateGenesis(name), entries };
}
