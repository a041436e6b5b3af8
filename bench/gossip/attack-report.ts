import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderBarChart } from "../../scripts/cli/bar-chart.ts";
import type { Result } from "../harness/report.ts";
import type { AttackOutcome } from "./attack-run.ts";
import { activeAttacks, isComparable, passiveAttacks, type AttackName } from "./attackers.ts";
import { ANCHORS, SEED } from "./cases.ts";
import type { FloodOutcome } from "./flood.ts";
import { DESIGN_LINKS } from "./network.ts";
import type { Outcome, Task } from "./task.ts";

/** An attack is withstood where honest nodes have all headers after two rounds of anti-entropy. */
const GOAL_PERCENT = 100;
/** Whole messages of gossipsub, and its heartbeats, have so long. */
const FLOOD_GAP_MS = 4_000;
const MESSAGE_BYTES = 4_307;

const names: readonly AttackName[] = ["none", ...passiveAttacks, ...activeAttacks];
const gossipsubName = (attack: AttackName) => `gossipsub: ${attack}`;

export interface AttackSize {
  readonly nodeCount: number;
  readonly messageCount: number;
}

/** Ours under every attack, and gossipsub under those that need no message of ours. */
export function listAttacks({ nodeCount, messageCount }: AttackSize): Task[] {
  return [
    ...names.filter(isComparable).map((attack): Task => ({
      kind: "flood",
      name: gossipsubName(attack),
      options: {
        ...{ nodeCount, messageCount, seed: SEED, links: DESIGN_LINKS, deadShare: 0, attack },
        ...{ ...ANCHORS["gossipsub D8 with IHAVE"], messageBytes: MESSAGE_BYTES, gapMs: FLOOD_GAP_MS },
      },
    })),
    ...names.map((attack): Task => ({
      kind: "attack",
      name: attack,
      options: { attack, nodeCount, messageCount, seed: SEED },
    })),
  ];
}

interface Row {
  readonly attack: AttackName;
  readonly ours: AttackOutcome;
  readonly gossipsub: FloodOutcome | undefined;
}

/** @returns figures of every attack; writes `gossip-attacks.{md,svg}` */
export function reportAttacks(folder: string, size: AttackSize, outcomes: ReadonlyMap<string, Outcome>): Result[] {
  const rows = names.map((attack): Row => {
    const [ours, gossipsub] = [outcomes.get(attack), outcomes.get(gossipsubName(attack))];
    if (ours?.kind !== "attack") throw new Error(`bench: ${attack} was not run`);
    return { attack, ours: ours.result, gossipsub: gossipsub?.kind === "flood" ? gossipsub.result : undefined };
  });
  writeReport(folder, size, rows);
  return rows.flatMap(figuresOf);
}

const percent = (share: number) => Math.round(share * 1e5) / 1e3;
const shareOf = ({ reached, expected }: { reached: number; expected: number }) => reached / Math.max(1, expected);

function figuresOf({ attack, ours, gossipsub }: Row): Result[] {
  const { headers, bodies, coverage, bytesPerNodeMessage, checksPerMessage, cutLinks, attackerLinks, mostQueuedBytes } =
    ours;
  const note = [
    "simulated",
    `bodies ${bodies.reached} of ${bodies.expected}, p99 ${Math.round(bodies.p99Ms)} ms`,
    `${Math.round(bytesPerNodeMessage)} B and ${checksPerMessage.toFixed(2)} signature checks a node and message`,
    `${Math.max(0, cutLinks)} of ${attackerLinks} links to attackers cut`,
    `at most ${mostQueuedBytes} B queued by a node`,
    ...(gossipsub === undefined && attack !== "none"
      ? ["gossipsub has no such message or its model no forming mesh: not compared"]
      : []),
  ].join("; ");
  const make = (id: string, value: number, more: Partial<Result>): Result => ({
    ...{
      id: `${attack}: ${id}`,
      unit: "%",
      value,
      goal: null,
      better: "higher",
      peers: {},
      ratio: null,
      note: "simulated",
    },
    ...more,
  });
  const peer = gossipsub === undefined ? {} : { gossipsub: percent(shareOf(gossipsub.spread)) };
  return [
    make("honest deliveries", percent(coverage[0]), { peers: peer, note }),
    make("with anti-entropy", percent(coverage[1]), { goal: GOAL_PERCENT }),
    make("header p99", Math.round(headers.p99Ms), {
      ...{ unit: "ms", better: "lower" },
      peers: gossipsub === undefined ? {} : { gossipsub: Math.round(gossipsub.spread.p99Ms) },
    }),
  ];
}

function writeReport(folder: string, { nodeCount, messageCount }: AttackSize, rows: readonly Row[]): void {
  const lines = [
    `# Attacks on dissemination, ${nodeCount} nodes of 24 connections, ${messageCount} messages, simulated`,
    "",
    "Deliveries of headers to honest nodes, or to the surrounded one, of those expected. gossipsub: whole messages of 4 KB, mesh of 8, IHAVE",
    "among 16 further connections, a static mesh and no peer scores. Flooders are 5 % of all nodes.",
    "",
    "| attack | headers | with anti-entropy | p99, ms | bodies | body p99, ms | bytes a node and message | checks a message | links cut | most queued, B | gossipsub | its p99, ms |",
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ...rows.map(({ attack, ours, gossipsub }) => {
      const { headers, bodies, coverage } = ours;
      const cells = [
        attack,
        `${percent(coverage[0])} %`,
        `${percent(coverage[1])} %`,
        Math.round(headers.p99Ms),
        `${percent(shareOf(bodies))} %`,
        Math.round(bodies.p99Ms),
        Math.round(ours.bytesPerNodeMessage),
        ours.checksPerMessage.toFixed(2),
        `${Math.max(0, ours.cutLinks)} of ${ours.attackerLinks}`,
        ours.mostQueuedBytes,
        gossipsub === undefined ? "–" : `${percent(shareOf(gossipsub.spread))} %`,
        gossipsub === undefined ? "–" : Math.round(gossipsub.spread.p99Ms),
      ];
      return `| ${cells.join(" | ")} |`;
    }),
    "",
  ];
  writeFileSync(join(folder, "gossip-attacks.md"), lines.join("\n"));
  const chart = renderBarChart({
    title: `Headers that reach honest nodes under attack, before anti-entropy, ${nodeCount} nodes`,
    series: ["ours", "gossipsub"],
    unit: "% of those expected",
    bars: rows.map(({ attack, ours, gossipsub }) => ({
      label: attack,
      values: [percent(ours.coverage[0]), ...(gossipsub === undefined ? [] : [percent(shareOf(gossipsub.spread))])],
    })),
  });
  writeFileSync(join(folder, "gossip-attacks.svg"), chart);
}
