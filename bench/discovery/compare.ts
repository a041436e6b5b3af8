import { quantile } from "../gossip/arrivals.ts";
import { Broadcast } from "./broadcast.ts";
import { Kademlia } from "./kademlia.ts";
import { LocalIndex } from "./local-index.ts";
import { Registry } from "./registry.ts";
import { World, type Answer, type Scheme, type WorldOptions } from "./world.ts";

export const schemes = {
  "topic route": (world: World): Scheme => new Broadcast(world, "topic"),
  "public broadcast": (world: World): Scheme => new Broadcast(world, "public"),
  "central registry": (world: World): Scheme => new Registry(world),
  "Kademlia DHT": (world: World): Scheme => new Kademlia(world),
  ours: (world: World, seed: number): Scheme => new LocalIndex(world, seed),
} as const;
export type SchemeName = keyof typeof schemes;

/** One scheme in one world. */
export interface Task extends WorldOptions {
  readonly scheme: SchemeName;
}
export interface Outcome {
  readonly answers: readonly Answer[];
  /** Of all nodes and servers over the whole run, from the first start on. */
  readonly bytes: number;
}

export async function runTask({ scheme, ...options }: Task, signal?: AbortSignal): Promise<Outcome> {
  const world = new World(options);
  const bytes = await world.run(schemes[scheme](world, options.seed), signal);
  return { bytes, answers: world.answers };
}

/** Requests of all seeds together. */
export interface Comparison {
  readonly requests: number;
  readonly successes: number;
  readonly stale: number;
  /** Upkeep included. */
  readonly bytesPerSuccess: number;
  /** Of all requests; a failed one counts with what it took, at most the deadline. */
  readonly p50Ms: number;
  readonly p95Ms: number;
}

export function summarise(outcomes: readonly Outcome[]): Comparison {
  const answers = outcomes.flatMap((outcome) => outcome.answers).filter(({ outcome }) => outcome !== "void");
  const countOf = (kind: Answer["outcome"]) => answers.filter(({ outcome }) => outcome === kind).length;
  const latencies = answers.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
  return {
    requests: answers.length,
    successes: countOf("success"),
    stale: countOf("stale"),
    bytesPerSuccess: outcomes.reduce((sum, { bytes }) => sum + bytes, 0) / Math.max(1, countOf("success")),
    p50Ms: quantile(latencies, 0.5),
    p95Ms: quantile(latencies, 0.95),
  };
}
