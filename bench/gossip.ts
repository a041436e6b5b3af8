import { join } from "node:path";
import { root } from "../scripts/checks/run-tool.ts";
import { listTasks, type Size } from "./gossip/cases.ts";
import { calibrate } from "./gossip/calibrate.ts";
import { figuresOf, type Outcomes } from "./gossip/figures.ts";
import { writeReports } from "./gossip/report.ts";
import type { Outcome, Task } from "./gossip/task.ts";
import { repairFigures } from "./gossip/repair-bytes.ts";
import type { Bench } from "./harness/report.ts";
import { Pool } from "./mg/pool.ts";

const FULL: Size = {
  nodes: 10_000,
  messages: 40,
  scales: [100, 300, 1_000, 3_000, 10_000],
  curveNodes: 2_000,
  largest: 100_000,
};
const QUICK: Size = { nodes: 2_000, messages: 20, scales: [100, 500, 2_000], curveNodes: 500, largest: 0 };

const REAL = {
  full: { hostCount: 40, processes: 4, connections: 8, messageCount: 40 },
  quick: { hostCount: 16, processes: 2, connections: 6, messageCount: 12 },
};

const WORK = {
  name: "gossip",
  worker: "../gossip/worker.ts",
  sources: [
    ...[
      "network",
      "event-queue",
      "framing",
      "flood",
      "author-pull",
      "swarm",
      "mesh-run",
      "repair",
      "entries",
      "workload",
      "topology",
      "arrivals",
    ].map((name) => `gossip/${name}.ts`),
    ...[
      "mesh",
      "announced",
      "ground",
      "membership",
      "outbox",
      "seen",
      "score",
      "swarm",
      "tuning",
      "wire",
      "shards",
    ].map((name) => `../node/gossip/mesh/${name}.ts`),
    ...["asker", "answerer", "sketch", "wire"].map((name) => `../node/gossip/reconcile/${name}.ts`),
  ],
};

export const bench: Bench = {
  profile:
    "simulated: links of 40–130 ms and 50 Mbit/s, bytes with framing; real: libp2p hosts on loopback with the same latencies",
  async run({ isQuick, nodeCount }) {
    const chosen = isQuick ? QUICK : FULL;
    const nodes = nodeCount ?? chosen.nodes;
    const size = { ...chosen, nodes, scales: [...chosen.scales.filter((scale) => scale < nodes), nodes] };
    const folder = join(root, "cache", "bench");
    const tasks = listTasks(size);
    console.error(
      `bench: ${tasks.length} simulated runs of up to ${Math.max(nodes, size.largest)} nodes, then real hosts`,
    );
    const pool = new Pool<Task, Outcome>(folder, WORK);
    let outcomes: Outcomes;
    try {
      const made = await pool.runAll(tasks);
      outcomes = new Map(tasks.map(({ name }, k) => [name, made[k] as Outcome]));
    } finally {
      await pool.close();
    }
    const real = await calibrate(isQuick ? REAL.quick : REAL.full);
    writeReports(folder, size, outcomes, real);
    return [...figuresOf(size, outcomes), ...repairFigures(), ...real];
  },
};
