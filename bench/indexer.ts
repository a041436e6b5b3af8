import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createPublicClient, http } from "viem";
import type { Deployment } from "#protocol";
import { createIndexer, createSqliteStore, verifyIndex } from "../indexer/index.ts";
import type { Bench, Result } from "./harness/report.ts";

const CHAIN = fileURLToPath(new URL("./indexer/chain.ts", import.meta.url));
const BLOCKS = 1_500;
const QUICK_BLOCKS = 200;

export const bench: Bench = {
  profile: "default",
  async run({ isQuick }) {
    const chain = spawn(process.execPath, [CHAIN, String(isQuick ? QUICK_BLOCKS : BLOCKS)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    try {
      const first = await createInterface({ input: chain.stdout })[Symbol.asyncIterator]().next();
      if (first.done === true) throw new Error("bench: the chain ended before it was ready");
      return await measure(JSON.parse(first.value) as { url: string; deployment: Deployment });
    } finally {
      chain.stdin.end();
    }
  },
};

/** Cold backfill from an empty file, with every handler on, up to ready; then every row is verified. */
async function measure({ url, deployment }: { url: string; deployment: Deployment }): Promise<Result[]> {
  const folder = mkdtempSync(join(tmpdir(), "surety-bench-"));
  const client = createPublicClient({ transport: http(url) });
  const store = createSqliteStore({ path: join(folder, "indexer.sqlite"), chainId: deployment.chainId });
  const indexer = createIndexer({ client, deployment, store, pollIntervalMs: 50 });
  const startMs = performance.now();
  await indexer.start();
  const listeningMs = performance.now() - startMs;
  await indexer.ready();
  const readyMs = performance.now() - startMs;
  const peakMebibytes = process.resourceUsage().maxRSS / 1024;
  const snapshot = await store.snapshot();
  const { eventCount, differenceCount } = await verifyIndex(client, deployment, snapshot);
  snapshot.close();
  await indexer.stop();
  rmSync(folder, { recursive: true, force: true });
  if (differenceCount > 0) throw new Error(`bench: ${differenceCount} rows differ from the chain`);
  const anchor = "Ponder 445/s, prototype 6,700-7,200/s in the design's figures; not in this run";
  const figure = (
    id: string,
    unit: string,
    value: number,
    goal: number,
    better: Result["better"],
    note: string,
  ): Result => ({
    ...{ id, unit, value: Math.round(value), goal, better, note },
    ...{ peers: {}, ratio: null },
  });
  return [
    figure(
      "cold backfill",
      "events/s",
      (eventCount / readyMs) * 1000,
      8_000,
      "higher",
      `${eventCount} events; ${anchor}`,
    ),
    figure("start to listening", "ms", listeningMs, 300, "lower", "queries are answered from ready on"),
    figure("peak memory", "MiB", peakMebibytes, 300, "lower", "the whole process, viem and GraphQL included"),
  ];
}
