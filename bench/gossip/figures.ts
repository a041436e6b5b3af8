import type { Result } from "../harness/report.ts";
import type { AuthorPullOutcome } from "./author-pull.ts";
import { LOSS, MODES, type Size } from "./cases.ts";
import type { FloodOutcome } from "./flood.ts";
import type { MeshOutcome } from "./mesh-run.ts";
import { measureReconciliation, vectorBytes } from "./repair.ts";
import type { Outcome } from "./task.ts";

export type Outcomes = ReadonlyMap<string, Outcome>;

/** What the anchors' own model gave at 10,000 nodes with 100 bytes a frame (network.md). */
const MODELLED = { flooding: 101_242, "gossipsub D8": 30_841, "gossipsub 1.2": 31_116 } as const;
const MODELLED_NODES = 10_000;
/** negentropy's, quoted from network.md: not measured here. */
const NEGENTROPY_BYTES = 44_773;

export function meshOf(outcomes: Outcomes, name: string): MeshOutcome {
  const outcome = outcomes.get(name);
  if (outcome?.kind !== "mesh") throw new Error(`bench: no run of the core is called ${name}`);
  return outcome.result;
}
export function floodOf(outcomes: Outcomes, name: string): FloodOutcome {
  const outcome = outcomes.get(name);
  if (outcome?.kind !== "flood") throw new Error(`bench: no run of an anchor is called ${name}`);
  return outcome.result;
}
function authorOf(outcomes: Outcomes): AuthorPullOutcome {
  const outcome = outcomes.get("author-only pull");
  if (outcome?.kind !== "author") throw new Error("bench: author-only pull was not run");
  return outcome.result;
}

const figure = (id: string, unit: string, value: number, more: Partial<Result> = {}): Result => ({
  ...{ id, unit, goal: null, better: "lower", peers: {}, ratio: null, note: "simulated" },
  value,
  ...more,
});

/** The table of network.md. */
export function figuresOf(size: Size, outcomes: Outcomes): Result[] {
  return [
    ...anchorFigures(size, outcomes),
    ...MODES.flatMap((mode) => modeFigures(mode, size, outcomes)),
    ...bodyFigures(outcomes),
    ...lossFigures(outcomes),
    ...scaleFigures(size, outcomes),
    ...repairFigures(),
  ];
}

function anchorFigures({ nodes, largest }: Size, outcomes: Outcomes): Result[] {
  const isComparable = nodes === MODELLED_NODES;
  const anchors = Object.entries(MODELLED).map(([name, modelled]) => {
    const { bytesPerNodeMessage, spread } = floodOf(outcomes, name);
    return figure(`anchor: ${name}`, "B/node/message", Math.round(bytesPerNodeMessage), {
      peers: isComparable ? { "its own model": modelled } : {},
      note: `simulated, ${nodes} nodes, 4 KB, p50/p99 ${Math.round(spread.p50Ms)}/${Math.round(spread.p99Ms)} ms${isComparable ? `, ${percent(bytesPerNodeMessage / modelled - 1)} to its model, whose frames cost 100 bytes whatever their size` : ""}`,
    });
  });
  const lazy = floodOf(outcomes, "gossipsub D8 with IHAVE");
  const all = [
    ...anchors,
    figure("anchor: gossipsub D8 with IHAVE", "B/node/message", Math.round(lazy.bytesPerNodeMessage), {
      note: "simulated; heartbeats of 1 s to 6 of 16 further connections; ratios are taken to the cheaper D8 without",
    }),
  ];
  if (largest === 0) return all;
  const { bytesPerNodeMessage, spread } = floodOf(outcomes, "gossipsub D8, largest");
  return [
    ...all,
    figure(`anchor: gossipsub D8, ${largest} nodes`, "B/node/message", Math.round(bytesPerNodeMessage), {
      note: `simulated, p99 ${Math.round(spread.p99Ms)} ms`,
    }),
  ];
}

function modeFigures(mode: (typeof MODES)[number], { nodes }: Size, outcomes: Outcomes): Result[] {
  const { bytesPerNodeMessage, headers, bodies, bytesByClass } = meshOf(outcomes, mode);
  const gossipsub = floodOf(outcomes, "gossipsub D8").bytesPerNodeMessage;
  const peers = {
    flooding: Math.round(floodOf(outcomes, "flooding").bytesPerNodeMessage),
    "gossipsub D8": Math.round(gossipsub),
    "gossipsub 1.2": Math.round(floodOf(outcomes, "gossipsub 1.2").bytesPerNodeMessage),
  };
  const best = Math.min(...Object.values(peers));
  const parts = Object.entries(bytesByClass)
    .filter(([, bytes]) => bytes >= 1)
    .map(([name, bytes]) => `${name} ${Math.round(bytes)}`)
    .join(", ");
  const reached = (spread: MeshOutcome["headers"]) => `${spread.reached} of ${spread.expected} reached`;
  return [
    figure(`${mode}: bytes`, "B/node/message", Math.round(bytesPerNodeMessage), {
      ...{ goal: mode === "eager" ? 2_000 : 1_400, peers },
      ratio: round(best / bytesPerNodeMessage),
      note: `simulated, ${nodes} nodes, 4 KB, f = 5 %, 20 messages a second, dials included: ${parts}`,
    }),
    figure(`${mode}: below gossipsub D8`, "×", round(gossipsub / bytesPerNodeMessage), { goal: 15, better: "higher" }),
    figure(`${mode}: header p50`, "ms", Math.round(headers.p50Ms), { note: `simulated; ${reached(headers)}` }),
    figure(`${mode}: header p99`, "ms", Math.round(headers.p99Ms), { goal: 550 }),
    figure(`${mode}: body p50`, "ms", Math.round(bodies.p50Ms), { note: `simulated; ${reached(bodies)} within 4 s` }),
    figure(`${mode}: body p99`, "ms", Math.round(bodies.p99Ms), {
      goal: 900,
      note: "simulated; of those reached; a body of an author without a connection costs a dial of four round trips",
    }),
  ];
}

function bodyFigures(outcomes: Outcomes): Result[] {
  const { bodies } = meshOf(outcomes, "16 KB for all");
  const author = authorOf(outcomes).bodies;
  const missing = (spread: MeshOutcome["bodies"]) => round(100 * (1 - spread.reached / Math.max(1, spread.expected)));
  return [
    figure("16 KB, f = 100 %: body p99", "ms", Math.round(bodies.p99Ms), {
      ...{ goal: 1_000, peers: { "author-only pull": Math.round(author.p99Ms) } },
      ratio: round(author.p99Ms / bodies.p99Ms),
      note: `simulated, swarm pull; p50 ${Math.round(bodies.p50Ms)} ms`,
    }),
    figure("16 KB, f = 100 %: missing", "%", missing(bodies), {
      ...{ goal: 0, peers: { "author-only pull": missing(author) } },
      note: "simulated; after 4 s, author-only pull after 20 s",
    }),
  ];
}

function lossFigures(outcomes: Outcomes): Result[] {
  const { headerCoverage, bodyCoverage, repairBytesPerNode } = meshOf(outcomes, "lossy");
  const { spread } = floodOf(outcomes, "gossipsub D8 with IHAVE, lossy");
  const gossipsub = spread.reached / Math.max(1, spread.expected);
  const describe = (list: readonly number[]) => list.map((share) => `${(100 * share).toFixed(3)} %`).join(", ");
  const title = `${100 * LOSS.deadShare} % dead, ${100 * LOSS.links.lossShare} % loss`;
  const note = `simulated; before repair and after each round: headers ${describe(headerCoverage)}; bodies ${describe(bodyCoverage)}`;
  return [
    figure(`${title}: headers before repair`, "%", 100 * headerCoverage[0]!, {
      better: "higher",
      peers: { "gossipsub with IHAVE, after 12 s": 100 * gossipsub },
      note,
    }),
    figure(`${title}: headers after two rounds`, "%", 100 * headerCoverage[2]!, { better: "higher", goal: 100, note }),
    figure(`${title}: bytes of a round`, "B/node", Math.round(repairBytesPerNode), {
      note: "simulated; two comparisons a node and round, what was fetched included",
    }),
  ];
}

function scaleFigures({ nodes, scales }: Size, outcomes: Outcomes): Result[] {
  const costs = scales.map(
    (scale) => meshOf(outcomes, scale === nodes ? "eager" : `scale ${scale}`).bytesPerNodeMessage,
  );
  const spread = Math.max(...costs) / Math.min(...costs) - 1;
  return [
    figure(`cost per agent, ${Math.min(...scales)} → ${nodes} agents: spread`, "%", round(100 * spread), {
      goal: 10,
      note: `simulated, eager, bytes a node and message: ${scales.map((scale, k) => `${scale} agents ${Math.round(costs[k]!)}`).join(", ")}`,
    }),
  ];
}

function repairFigures(): Result[] {
  const [TOTAL, CHANGED] = [10_000, 100];
  const runs = [1, 2, 3, 4, 5].map((seed) => measureReconciliation(TOTAL, CHANGED, seed));
  const wire = runs.map(({ wireBytes }) => wireBytes).sort((a, b) => a - b);
  return [
    figure("repair of 100 changed authors in 10,000", "B", wire[2]!, {
      ...{ goal: 6_000, peers: { "whole vector": vectorBytes(TOTAL), "negentropy, quoted": NEGENTROPY_BYTES } },
      ratio: round(vectorBytes(TOTAL) / wire[2]!),
      note: `both ways with framing, median of 5 salts (${wire[0]}–${wire[4]}), ${runs[0]!.roundTrips} round trips, ${runs[0]!.found} found; the headers themselves come on top`,
    }),
  ];
}

const round = (value: number) => Math.round(value * 100) / 100;
const percent = (share: number) => `${share >= 0 ? "+" : ""}${(100 * share).toFixed(1)} %`;
