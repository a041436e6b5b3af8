import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderLineCharts, type LineChart } from "../harness/line-chart.ts";
import type { Result } from "../harness/report.ts";
import { hasMetGoal } from "../harness/report.ts";
import { BODY_SIZES, SHARES, type Size } from "./cases.ts";
import { figuresOf, floodOf, meshOf, type Outcomes } from "./figures.ts";

/** Writes `gossip.md` with every figure and curve, and `gossip.svg` with the curves. */
export function writeReports(folder: string, size: Size, outcomes: Outcomes, real: readonly Result[]): void {
  const curve = (bodyBytes: number, f: number) => meshOf(outcomes, `curve ${bodyBytes} ${f}`);
  const gossipsub = (bodyBytes: number) => floodOf(outcomes, `gossipsub at ${bodyBytes}`).bytesPerNodeMessage;
  const lines = [
    "# Dissemination: simulated, and on real hosts",
    "",
    `Links of 40–130 ms and 50 Mbit/s each way; ${size.nodes} nodes where nothing else is said; the model is in bench/gossip/README.md.`,
    "",
    "| figure | value | goal | |",
    "|---|---:|---:|---|",
    ...[...figuresOf(size, outcomes), ...real].map(
      (result) =>
        `| ${result.id} | ${result.value ?? "–"} ${result.unit} | ${result.goal ?? ""} | ${verdictOf(result)}${result.note} |`,
    ),
    "",
    `## Bytes a node and message over body size and f, ${size.curveNodes} nodes, eager`,
    "",
    `| body | ${SHARES.map((f) => `f = ${100 * f} %`).join(" | ")} | gossipsub D8, whole bodies |`,
    `|---:|${SHARES.map(() => "---:|").join("")}---:|`,
    ...BODY_SIZES.map(
      (bytes) =>
        `| ${bytes} B | ${SHARES.map((f) => `${Math.round(curve(bytes, f).bytesPerNodeMessage)} (body p99 ${Math.round(curve(bytes, f).bodies.p99Ms)} ms)`).join(" | ")} | ${Math.round(gossipsub(bytes))} |`,
    ),
    "",
    "## Bytes a node and message over the network's rate, eager, 4 KB, f = 5 %",
    "",
    "| messages a second | bytes | header p99 |",
    "|---:|---:|---:|",
    ...[1, 5, 200].map((rate) => {
      const { bytesPerNodeMessage, headers } = meshOf(outcomes, `rate ${rate}`);
      return `| ${rate} | ${Math.round(bytesPerNodeMessage)} | ${Math.round(headers.p99Ms)} ms |`;
    }),
    "",
  ];
  writeFileSync(join(folder, "gossip.md"), lines.join("\n"));
  writeFileSync(join(folder, "gossip.svg"), renderLineCharts(chartsOf(size, outcomes)));
}

const verdictOf = (result: Result): string => {
  const isMet = hasMetGoal(result);
  return isMet === undefined ? "" : isMet ? "met; " : "**missed**; ";
};

function chartsOf(size: Size, outcomes: Outcomes): LineChart[] {
  const point = (x: number, y: number) => ({ x, y, error: 0 });
  const overSize = (f: number) =>
    BODY_SIZES.map((bytes) =>
      point(bytes / 1_024, meshOf(outcomes, `curve ${bytes} ${f}`).bytesPerNodeMessage / 1_000),
    );
  const overShare = (bytes: number) => {
    const points = SHARES.map((f) => point(f, meshOf(outcomes, `curve ${bytes} ${f}`).bytesPerNodeMessage / 1_000));
    return { name: `${bytes / 1_024} KB`, points };
  };
  const scaleOf = (nodes: number) => meshOf(outcomes, nodes === size.nodes ? "eager" : `scale ${nodes}`);
  return [
    {
      ...{ title: "Cost over body size", xName: "body, KB", yName: "KB a node and message", marks: [] },
      lines: [
        {
          name: "gossipsub D8",
          points: BODY_SIZES.map((bytes) =>
            point(bytes / 1_024, floodOf(outcomes, `gossipsub at ${bytes}`).bytesPerNodeMessage / 1_000),
          ),
        },
        { name: "ours, f = 100 %", points: overSize(1) },
        { name: "ours, f = 5 %", points: overSize(0.05) },
      ],
    },
    {
      ...{ title: "Cost over the share that wants the body", xName: "f", yName: "KB a node and message", marks: [] },
      lines: BODY_SIZES.map(overShare),
    },
    {
      ...{ title: "Cost over the network's size", xName: "agents", yName: "KB a node and message", marks: [] },
      lines: [
        { name: "eager", points: size.scales.map((nodes) => point(nodes, scaleOf(nodes).bytesPerNodeMessage / 1_000)) },
      ],
    },
    {
      ...{ title: "Delay over the network's size", xName: "agents", yName: "p99, ms", marks: [] },
      lines: [
        { name: "headers", points: size.scales.map((nodes) => point(nodes, scaleOf(nodes).headers.p99Ms)) },
        { name: "bodies", points: size.scales.map((nodes) => point(nodes, scaleOf(nodes).bodies.p99Ms)) },
      ],
    },
  ];
}
