import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderLineCharts, type LineChart } from "../harness/line-chart.ts";
import type { Result } from "../harness/report.ts";
import { ourMethod } from "./method.ts";
import { Pool } from "./pool.ts";
import { estimate, type Estimate } from "./summary.ts";
import { threatParameters, type Chooser, type ThreatModel, type ThreatTask } from "./threats.ts";

const WORK = {
  name: "eigentrust-threats",
  worker: "./threat-worker.ts",
  sources: ["mg/threats.ts", "mg/simulate.ts", "mg/trust.ts", "mg/method.ts", "reputation/random-graph.ts"],
};
const choosers: readonly Chooser[] = ["none", "eigentrust", "ours"];
const names: Readonly<Record<Chooser, string>> = { none: "no trust", eigentrust: "EigenTrust", ours: "ours" };

interface Sweep {
  readonly model: ThreatModel;
  readonly title: string;
  readonly xName: string;
  /** x of the chart and the attack there. */
  readonly points: readonly (readonly [number, Pick<ThreatTask, "malicious" | "camouflage" | "spies">])[];
  /** What the paper's figure shows of EigenTrust: at most this, or for C its peak. */
  readonly paper: number | undefined;
}

const { goodPeers, preTrusted } = threatParameters;
const shares = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7];
const bySharing = (share: number) =>
  [
    share,
    { malicious: Math.round(((goodPeers + preTrusted) * share) / (1 - share)), camouflage: 0, spies: 0 },
  ] as const;

/** Size of the attack in C and D: a quarter and two fifths of the network. */
const [CAMOUFLAGED, SPIED] = [20, 40];

const sweeps: readonly Sweep[] = [
  {
    model: "A",
    title: "A: malicious peers, each alone",
    xName: "share of malicious peers",
    points: shares.map(bySharing),
    paper: 0.11,
  },
  {
    model: "B",
    title: "B: a malicious collective",
    xName: "share of malicious peers",
    points: shares.map(bySharing),
    paper: 0.11,
  },
  {
    ...{
      model: "C",
      title: `C: ${CAMOUFLAGED} of them, with camouflage`,
      xName: "share of their answers that are authentic",
    },
    points: Array.from(
      { length: 10 },
      (_, k) => [k / 10, { malicious: CAMOUFLAGED, camouflage: k / 10, spies: 0 }] as const,
    ),
    paper: 0.26,
  },
  {
    ...{ model: "D", title: `D: ${SPIED} of them, some as spies`, xName: `spies among the ${SPIED}` },
    points: [0, 5, 10, 15, 20, 25, 30, 35].map((spies) => [spies, { malicious: SPIED, camouflage: 0, spies }] as const),
    paper: undefined,
  },
];

interface Measured {
  readonly sweep: Sweep;
  readonly lines: readonly { readonly chooser: Chooser; readonly estimates: readonly Estimate[] }[];
}

/** Threat models A–D with plots beside the paper's numbers, written to `folder`. */
export async function runThreats(folder: string, seedCount: number): Promise<Result[]> {
  const pool = new Pool<ThreatTask, { readonly inauthentic: number }>(folder, WORK);
  try {
    const seeds = Array.from({ length: seedCount }, (_, k) => k + 1);
    const measured: Measured[] = [];
    for (const sweep of sweeps) {
      const lines = [];
      for (const chooser of choosers) {
        const tasks = sweep.points.flatMap(([, attack]) =>
          seeds.map((seed) => ({ model: sweep.model, chooser, ...attack, seed })),
        );
        const shares = (await pool.runAll(tasks)).map(({ inauthentic }) => inauthentic);
        const estimates = sweep.points.map((_, k) => estimate(shares.slice(k * seedCount, (k + 1) * seedCount)));
        lines.push({ chooser, estimates });
      }
      measured.push({ sweep, lines });
    }
    writeFileSync(join(folder, "eigentrust-threats.svg"), renderLineCharts(measured.map(chartOf)));
    writeFileSync(join(folder, "eigentrust-threats.md"), tableOf(measured, seedCount));
    return measured.flatMap((one) => resultsOf(one, seedCount));
  } finally {
    await pool.close();
  }
}

function chartOf({ sweep, lines }: Measured): LineChart {
  const { title, xName, points, paper } = sweep;
  return {
    title,
    xName,
    yName: "inauthentic share of good peers' downloads",
    lines: lines.map(({ chooser, estimates }) => ({
      name: names[chooser],
      points: estimates.map(({ mean, error }, k) => ({ x: points[k]?.[0] as number, y: mean, error })),
    })),
    marks: paper === undefined ? [] : [{ name: sweep.model === "C" ? "paper's peak" : "paper's bound", y: paper }],
  };
}

function tableOf(measured: readonly Measured[], seedCount: number): string {
  return [
    `# EigenTrust's threat models, ${seedCount} experiments a point`,
    "",
    "Share of good peers' downloads that were inauthentic; means and standard errors.",
    ...measured.flatMap(({ sweep, lines }) => [
      "",
      `| ${sweep.title} | ${sweep.points.map(([x]) => x).join(" | ")} |`,
      `|---|${sweep.points.map(() => "---|").join("")}`,
      ...lines.map(
        ({ chooser, estimates }) =>
          `| ${names[chooser]} | ${estimates.map(({ mean, error }) => `${round(mean)} ± ${round(error)}`).join(" | ")} |`,
      ),
      ...(sweep.paper === undefined
        ? []
        : ["", `The paper's EigenTrust: ${sweep.model === "C" ? "peaks at about" : "at most"} ${sweep.paper}.`]),
    ]),
    "",
    "Parameters; nothing is frozen, ours has the same pre-trusted peers as prior:",
    "",
    "```json",
    JSON.stringify({ threatParameters, ourMethod }, (_, value: unknown) => (value === Infinity ? "none" : value), 2),
    "```",
    "",
  ].join("\n");
}

/** The worst point of each sweep, and how far ours is below EigenTrust's own choice where that is least. */
function resultsOf({ sweep, lines }: Measured, seedCount: number): Result[] {
  const worst = Object.fromEntries(
    lines.map(({ chooser, estimates }) => [chooser, estimates.reduce((a, b) => (b.mean > a.mean ? b : a))]),
  ) as Record<Chooser, Estimate>;
  const of = (chooser: Chooser) => lines.find((line) => line.chooser === chooser)?.estimates ?? [];
  const excess = of("ours").map(({ mean }, k) => mean - (of("eigentrust")[k]?.mean ?? 0));
  const note = (chooser: Chooser) =>
    `± ${round(worst[chooser].error)} over ${seedCount} experiments, worst of ${sweep.points.length} points`;
  const row = (id: string, value: number, goal: number, notes: string, peers: Result["peers"]): Result => ({
    ...{
      id: `threat ${sweep.model}: ${id}`,
      unit: "share",
      value: round(value),
      goal,
      better: "lower",
      peers,
      ratio: null,
      note: notes,
    },
  });
  const paper = sweep.paper === undefined ? {} : { paper: sweep.paper };
  return [
    row("EigenTrust, inauthentic", worst.eigentrust.mean, sweep.paper ?? round(worst.none.mean), note("eigentrust"), {
      "no trust": round(worst.none.mean),
      ...paper,
    }),
    row("ours, inauthentic", worst.ours.mean, round(worst.eigentrust.mean), note("ours"), {
      EigenTrust: round(worst.eigentrust.mean),
      ...paper,
    }),
    row("ours less EigenTrust, where most", Math.max(...excess), 0, "at or below at each point is the goal", {}),
  ];
}

const round = (value: number) => Math.round(value * 10_000) / 10_000;
