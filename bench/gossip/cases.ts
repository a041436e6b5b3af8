import { DESIGN_LINKS } from "./network.ts";
import type { MeshRunOptions } from "./mesh-run.ts";
import type { Task } from "./task.ts";

export interface Size {
  /** Of the figures' network. */
  readonly nodes: number;
  readonly messages: number;
  /** Networks in which the cost per agent is compared; the largest is `nodes`. */
  readonly scales: readonly number[];
  /** Of the curves over body size and f. */
  readonly curveNodes: number;
  /** Of the anchors' largest network; 0 = left out. */
  readonly largest: number;
}

export const SEED = 20_261_121;
/** A header of network.md as its model had it; ours are as long as #protocol makes them. */
const HEADER_BYTES = 211;
const BODY_BYTES = 4_096;
const F = 0.05;
/** In the whole network: with 10,000 agents each says something every eight minutes. */
const PER_SECOND = 20;
/** Connections of a node, in all schemes: gossipsub has 8 of them in its mesh and 16 for IHAVE; ours chooses among 12. */
const CONNECTIONS = 12;
export const BODY_SIZES = [1_024, 4_096, 16_384] as const;
export const SHARES = [0.01, 0.05, 0.2, 1] as const;
export const MODES = ["eager", "hybrid"] as const;
export const LOSS = { deadShare: 0.2, links: { ...DESIGN_LINKS, lossShare: 0.05 } } as const;
export const ANCHORS = {
  flooding: { degree: 24, lazyDegree: 0, hasDontWant: false },
  "gossipsub D8": { degree: 8, lazyDegree: 0, hasDontWant: false },
  "gossipsub D8 with IHAVE": { degree: 8, lazyDegree: 16, hasDontWant: false },
  "gossipsub 1.2": { degree: 8, lazyDegree: 0, hasDontWant: true },
} as const;
export type AnchorName = keyof typeof ANCHORS;

const flood = (
  name: string,
  anchor: AnchorName,
  nodes: number,
  change: { bodyBytes?: number; isLossy?: boolean; messages?: number } = {},
): Task => ({
  kind: "flood",
  name,
  options: {
    ...{ nodeCount: nodes, seed: SEED, links: DESIGN_LINKS, deadShare: 0, ...ANCHORS[anchor] },
    messageBytes: HEADER_BYTES + (change.bodyBytes ?? BODY_BYTES),
    messageCount: change.messages ?? 5,
    gapMs: change.isLossy === true ? 12_000 : 3_000,
    ...(change.isLossy === true ? LOSS : {}),
  },
});

const mesh = (
  name: string,
  options: Partial<MeshRunOptions> & Pick<MeshRunOptions, "nodeCount" | "messageCount">,
): Task => ({
  kind: "mesh",
  name,
  options: {
    ...{ seed: SEED, links: DESIGN_LINKS, connections: CONNECTIONS, bodyBytes: BODY_BYTES, f: F },
    ...{ perSecond: PER_SECOND, deadShare: 0, repairRounds: 0 },
    ...options,
  },
});

/** Every run of the benchmark, by name; the longest come last, because workers take them from the end. */
export function listTasks(size: Size): Task[] {
  const { nodes, messages, curveNodes } = size;
  const few = { nodeCount: nodes, messageCount: Math.min(6, messages) };
  return [
    ...BODY_SIZES.flatMap((bodyBytes) =>
      SHARES.map((f) => mesh(`curve ${bodyBytes} ${f}`, { nodeCount: curveNodes, messageCount: 12, bodyBytes, f })),
    ),
    ...BODY_SIZES.map((bodyBytes) => flood(`gossipsub at ${bodyBytes}`, "gossipsub D8", curveNodes, { bodyBytes })),
    ...[1, 5, 200].map((perSecond) =>
      mesh(`rate ${perSecond}`, {
        nodeCount: curveNodes,
        messageCount: Math.min(60, Math.max(8, perSecond)),
        perSecond,
      }),
    ),
    ...(Object.keys(ANCHORS) as AnchorName[]).map((name) => flood(name, name, nodes)),
    flood("gossipsub D8 with IHAVE, lossy", "gossipsub D8 with IHAVE", nodes, { isLossy: true, messages: 3 }),
    {
      kind: "author",
      name: "author-only pull",
      options: {
        ...{ nodeCount: nodes, seed: SEED, links: DESIGN_LINKS, degree: 8, headerBytes: HEADER_BYTES },
        ...{ bodyBytes: 16_384, f: 1, messageCount: 2, horizonMs: 20_000 },
      },
    },
    ...(size.largest === 0 ? [] : [flood("gossipsub D8, largest", "gossipsub D8", size.largest, { messages: 2 })]),
    ...size.scales
      .filter((nodeCount) => nodeCount < nodes)
      .map((nodeCount) => mesh(`scale ${nodeCount}`, { nodeCount, messageCount: messages })),
    mesh("16 KB for all", { ...few, messageCount: 3, bodyBytes: 16_384, f: 1, perSecond: 0.5 }),
    mesh("lossy", { ...few, ...LOSS, repairRounds: 3 }),
    ...MODES.map((mode) => mesh(mode, { nodeCount: nodes, messageCount: messages, tuning: { mode } })),
  ];
}
