import { join } from "node:path";
import { root } from "../scripts/checks/run-tool.ts";
import { listAttacks, reportAttacks } from "./gossip/attack-report.ts";
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
  messages: 30,
  scales: [100, 300, 1_000, 3_000, 10_000],
  curveNodes: 2_000,
  largest: 100_000,
};
const QUICK: Size = { nodes: 2_000, messages: 20, scales: [100, 500, 2_000], curveNodes: 500, largest: 0 };

const REAL = {
  full: { hostCount: 40, processes: 4, connections: 8, messageCount: 40 },
  quick: { hostCount: 16, processes: 2, connections: 6, messageCount: 12 },
};

const ATTACKED = {
  full: { nodeCount: 500, messageCount: 20 },
  quick: { nodeCount: 200, messageCount: 10 },
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
      "attackers",
      "attack-run",
    ].map((name) => `gossip/${name}.ts`),
    ...[
      "mesh",
      "announced",
      "ground",
      "membership",
      "outbox",
      "seen",
      "score",
      "standing",
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
  async run({ isQuick, nodeCount, hasAttacks = false }) {
    const folder = join(root, "cache", "bench");
    if (hasAttacks) {
      const attacked = isQuick ? ATTACKED.quick : ATTACKED.full;
      const size = { ...attacked, nodeCount: nodeCount ?? attacked.nodeCount };
      return reportAttacks(folder, size, await runAll(folder, listAttacks(size)));
    }
    const chosen = isQuick ? QUICK : FULL;
    const nodes = nodeCount ?? chosen.nodes;
    const size = { ...chosen, nodes, scales: [...chosen.scales.filter((scale) => scale < nodes), nodes] };
    const outcomes = await runAll(folder, listTasks(size));
    const real = await calibrate(isQuick ? REAL.quick : REAL.full);
    writeReports(folder, size, outcomes, real);
    return [...figuresOf(size, outcomes), ...repairFigures(), ...real];
  },
};

/** Simulated runs on all cores; each is written down at once, so that a stopped run goes on. */
async function runAll(folder: string, tasks: readonly Task[]): Promise<Outcomes> {
  console.error(`bench: ${tasks.length} simulated runs`);
  const pool = new Pool<Task, Outcome>(folder, WORK);
  try {
    const outcomes = await pool.runAll(tasks);
    return new Map(tasks.map(({ name }, k) => [name, outcomes[k] as Outcome]));
  } finally {
    await pool.close();
  }
}
