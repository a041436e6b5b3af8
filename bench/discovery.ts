import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../scripts/checks/run-tool.ts";
import { schemes, summarise, type Comparison, type Outcome, type SchemeName, type Task } from "./discovery/compare.ts";
import { renderLineCharts, type LineChart } from "./harness/line-chart.ts";
import type { Bench, Result } from "./harness/report.ts";
import { wilsonInterval } from "./harness/wilson.ts";
import { Pool } from "./mg/pool.ts";

const CHURNS = [0, 0.1, 0.2] as const;
const FULL = { nodeCounts: [100, 200], seeds: 10 };
const QUICK = { nodeCounts: [100], seeds: 2 };
const FIRST_SEED = 41;

/** arXiv 2606.17368: bytes and p95 of its topic route; successes of registry and DHT at 20 % churn. Quoted, not measured. */
const PAPER = {
  topicRoute: { success: 1, bytesPerSuccess: 12_000_000, p95LowMs: 1_400, p95HighMs: 1_600 },
  registry: { churn: 0.2, success: 0.875 },
  dht: { churn: 0.2, success: 0.89 },
} as const;
const GOAL = { success: 1, stale: 0, bytesPerSuccess: PAPER.topicRoute.bytesPerSuccess / 3, p95Ms: 1_000 } as const;

const names = Object.keys(schemes) as SchemeName[];
const WORK = {
  name: "discovery",
  worker: "../discovery/worker.ts",
  sources: [
    ...["world", "broadcast", "registry", "kademlia", "local-index", "compare"].map((name) => `discovery/${name}.ts`),
    ...["network", "framing", "swarm", "topology", "entries", "repair"].map((name) => `gossip/${name}.ts`),
    ...["mesh", "membership", "outbox", "swarm", "tuning", "wire"].map((name) => `../node/gossip/mesh/${name}.ts`),
  ],
};

interface Row {
  readonly scheme: SchemeName;
  readonly nodeCount: number;
  readonly churn: number;
  readonly comparison: Comparison;
}

export const bench: Bench = {
  profile:
    "simulated: links of 40–130 ms and 50 Mbit/s, 100 requests a seed, messages of 1 KB, ten topics, bytes with framing and upkeep",
  async run({ isQuick, nodeCount }) {
    const size = isQuick ? QUICK : FULL;
    const nodeCounts = nodeCount === undefined ? size.nodeCounts : [nodeCount];
    const folder = join(root, "cache", "bench");
    const seeds = Array.from({ length: size.seeds }, (_, k) => FIRST_SEED + k);
    const cells = nodeCounts.flatMap((nodes) =>
      CHURNS.flatMap((churn) => names.map((scheme) => ({ nodes, churn, scheme }))),
    );
    const tasks: Task[] = cells.flatMap(({ nodes, churn, scheme }) =>
      seeds.map((seed) => ({ scheme, nodeCount: nodes, churn, seed })),
    );
    console.error(`bench: ${tasks.length} simulated runs`);
    const pool = new Pool<Task, Outcome>(folder, WORK);
    try {
      const outcomes = await pool.runAll(tasks);
      const rows = cells.map(({ nodes, churn, scheme }, k): Row => {
        const own = outcomes.slice(k * seeds.length, (k + 1) * seeds.length);
        return { scheme, nodeCount: nodes, churn, comparison: summarise(own) };
      });
      writeReports(folder, rows, seeds.length);
      return rows.flatMap((row) => resultsOf(row, rows));
    } finally {
      await pool.close();
    }
  },
};

function resultsOf(row: Row, rows: readonly Row[]): Result[] {
  const { scheme, nodeCount, churn, comparison } = row;
  const isOurs = scheme === "ours";
  const others = rows.filter(
    (other) => other.scheme !== "ours" && other.nodeCount === nodeCount && other.churn === churn,
  );
  const peersOf = (value: (comparison: Comparison) => number): Record<string, number> =>
    isOurs ? Object.fromEntries(others.map((other) => [other.scheme, value(other.comparison)])) : {};
  const success = ({ successes, requests }: Comparison) => round(successes / requests, 4);
  const bytes = ({ bytesPerSuccess }: Comparison) => Math.round(bytesPerSuccess);
  const p95 = ({ p95Ms }: Comparison) => Math.round(p95Ms);
  const [low, high] = wilsonInterval(comparison.successes, comparison.requests);
  const make = (id: string, unit: string, value: number, goal: number, more: Partial<Result>): Result => ({
    ...{ id: `${scheme}, ${nodeCount} nodes, churn ${100 * churn} %: ${id}`, unit, value, better: "lower" },
    ...{ goal: isOurs ? goal : null, peers: {}, ratio: null, note: "simulated" },
    ...more,
  });
  return [
    make("success", "", success(comparison), GOAL.success, {
      ...{ better: "higher", peers: { ...peersOf(success), ...paperSuccess(row) } },
      note: `simulated; 95 %: ${round(low, 3)}–${round(high, 3)} of ${comparison.requests}`,
    }),
    make("stale", "", comparison.stale, GOAL.stale, { peers: peersOf(({ stale }) => stale) }),
    make("bytes a success", "B", bytes(comparison), GOAL.bytesPerSuccess, {
      peers: {
        ...peersOf(bytes),
        ...(isOurs || scheme === "topic route" ? { "paper's topic route": PAPER.topicRoute.bytesPerSuccess } : {}),
      },
      note: "simulated; the paper's bytes are quoted: its unit of account is not stated, and no scheme of this model comes near them",
    }),
    make("p95", "ms", p95(comparison), GOAL.p95Ms, {
      peers: {
        ...peersOf(p95),
        ...(isOurs || scheme === "topic route" ? { "paper's topic route": PAPER.topicRoute.p95LowMs } : {}),
      },
      note: `simulated; p50 ${Math.round(comparison.p50Ms)} ms`,
    }),
  ];
}

function paperSuccess({ scheme, churn }: Row): Record<string, number> {
  if (scheme === "topic route") return { paper: PAPER.topicRoute.success };
  if (scheme === "central registry" && churn === PAPER.registry.churn) return { paper: PAPER.registry.success };
  return scheme === "Kademlia DHT" && churn === PAPER.dht.churn ? { paper: PAPER.dht.success } : {};
}

const round = (value: number, digits: number) => Math.round(value * 10 ** digits) / 10 ** digits;

function writeReports(folder: string, rows: readonly Row[], seedCount: number): void {
  const lines = [
    `# Discovery, ${seedCount} seeds × 100 requests, simulated`,
    "",
    "Ten topics, one capability an agent; absences of 20 s on average; a provider that had gone when it was named makes the result stale, and a",
    "failure. Bytes of all nodes with framing and upkeep, by success. The paper (arXiv 2606.17368): topic route 1.000 at ≈ 12 MB and p95",
    "1,400–1,600 ms; registry .875 and DHT .890 at 20 % churn.",
    "",
    "| nodes | churn | scheme | success | stale | bytes a success | p50, ms | p95, ms |",
    "|---:|---:|---|---:|---:|---:|---:|---:|",
    ...rows.map(
      ({ scheme, nodeCount, churn, comparison }) =>
        `| ${nodeCount} | ${100 * churn} % | ${scheme} | ${(comparison.successes / comparison.requests).toFixed(3)} | ${comparison.stale} | ${Math.round(comparison.bytesPerSuccess).toLocaleString("en-US")} | ${Math.round(comparison.p50Ms)} | ${Math.round(comparison.p95Ms)} |`,
    ),
    "",
  ];
  writeFileSync(join(folder, "discovery.md"), lines.join("\n"));
  writeFileSync(
    join(folder, "discovery.svg"),
    renderLineCharts([...new Set(rows.map(({ nodeCount }) => nodeCount))].flatMap((nodes) => chartsOf(nodes, rows))),
  );
}

/** The chart has three colours: ours, and the two that lose providers. */
const DRAWN: readonly SchemeName[] = ["central registry", "Kademlia DHT", "ours"];

function chartsOf(nodes: number, rows: readonly Row[]): LineChart[] {
  const linesOf = (value: (comparison: Comparison) => number) =>
    DRAWN.map((scheme) => ({
      name: scheme,
      points: rows
        .filter((row) => row.scheme === scheme && row.nodeCount === nodes)
        .map(({ churn, comparison }) => ({ x: churn, y: value(comparison), error: 0 })),
    }));
  return [
    {
      title: `Success, ${nodes} nodes`,
      xName: "churn",
      yName: "share",
      lines: linesOf(({ successes, requests }) => successes / requests),
      marks: [],
    },
    {
      ...{ title: `p95, ${nodes} nodes`, xName: "churn", yName: "s", lines: linesOf(({ p95Ms }) => p95Ms / 1_000) },
      marks: [{ name: "paper's topic route", y: PAPER.topicRoute.p95LowMs / 1_000 }],
    },
  ];
}
