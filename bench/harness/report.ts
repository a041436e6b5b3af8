import { execFileSync } from "node:child_process";
import { cpus, totalmem } from "node:os";

/** One measured figure beside its goal and its peers. */
export interface Result {
  /** Stable, so that runs can be compared. */
  readonly id: string;
  readonly unit: string;
  /** null = not measured in this run; the note says why. */
  readonly value: number | null;
  /** What the design asks for; null = the design names none. */
  readonly goal: number | null;
  readonly better: "lower" | "higher";
  /** Figures of others, by name. */
  readonly peers: Readonly<Record<string, number>>;
  /** How many times better than the best peer; null unless the peer was measured in this run. */
  readonly ratio: number | null;
  readonly note: string;
}

export interface BenchOptions {
  /** End within 60 seconds. */
  readonly isQuick: boolean;
  /** Simulated nodes, where a benchmark has some; undefined = as many as its figures are stated for. */
  readonly nodeCount?: number;
  /** Measure attacks instead, where a benchmark has some. */
  readonly hasAttacks?: boolean;
}

/** One benchmark: bench/<name>.ts exports it as `bench`. */
export interface Bench {
  /** Build and settings under which it measures. */
  readonly profile: string;
  run(options: BenchOptions): Promise<Result[]>;
}

export interface Report {
  readonly bench: string;
  readonly commit: string;
  readonly machine: string;
  readonly profile: string;
  readonly results: readonly Result[];
}

export function hasMetGoal({ value, goal, better }: Result): boolean | undefined {
  if (goal === null || value === null) return undefined;
  return better === "lower" ? value <= goal : value >= goal;
}

/** Which commit was measured; "-dirty" = with changes that no commit holds. */
export function commitOf(root: string): string {
  const git = (...args: string[]) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  try {
    return git("rev-parse", "--short=12", "HEAD") + (git("status", "--porcelain") === "" ? "" : "-dirty");
  } catch {
    return "unknown";
  }
}

export function describeMachine(): string {
  const cores = cpus();
  const gibibytes = Math.round(totalmem() / 2 ** 30);
  return `${cores[0]?.model.trim() ?? "unknown CPU"} × ${cores.length}, ${gibibytes} GiB, ${process.platform}, Node ${process.version}`;
}

const measured = ({ value, unit }: Result): string =>
  value === null ? "–" : `${value.toLocaleString("en-US")} ${unit}`;

/** The same report as a Markdown table. */
export function renderMarkdown({ bench, commit, machine, profile, results }: Report): string {
  const rows = results.map((result) => {
    const isMet = hasMetGoal(result);
    const goal = result.goal === null ? "" : result.goal.toLocaleString("en-US");
    const peers = Object.entries(result.peers).map(([name, value]) => `${name} ${value.toLocaleString("en-US")}`);
    const verdict = isMet === undefined ? "" : isMet ? "met" : "**missed**";
    return [result.id, measured(result), goal, verdict, peers.join(" · "), result.note.replaceAll("|", "/")];
  });
  const head = [
    ["figure", "value", "goal", "", "peers", "note"],
    ["---", "---:", "---:", "---", "---", "---"],
  ];
  const lines = [...head, ...rows].map((row) => `| ${row.join(" | ")} |`);
  return [`${bench} at ${commit}, ${profile}, ${machine}`, "", ...lines].join("\n");
}

/** The report as a table for people; a goal that was missed says so. */
export function renderTable({ bench, commit, machine, profile, results }: Report): string {
  const number = (value: number | null) => (value === null ? "" : value.toLocaleString("en-US"));
  const rows = results.map((result) => {
    const isMet = hasMetGoal(result);
    const peers = Object.entries(result.peers).map(([name, value]) => `${name} ${number(value)}`);
    return [
      result.id,
      measured(result),
      number(result.goal),
      isMet === undefined ? "" : isMet ? "met" : "MISSED",
      peers.join(" · "),
      result.note,
    ];
  });
  const head = ["figure", "value", "goal", "", "peers", "note"];
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: string[]) =>
    row
      .map((cell, column) =>
        column === 1 || column === 2 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd();
  const judged = results.map(hasMetGoal).filter((isMet) => isMet !== undefined);
  const metCount = judged.filter(Boolean).length;
  return [
    `${bench} at ${commit}, ${profile}`,
    machine,
    "",
    line(head),
    ...rows.map(line),
    "",
    `${metCount} of ${judged.length} goals met`,
  ].join("\n");
}
