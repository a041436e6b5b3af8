import { createHash } from "node:crypto";
import { getAddress, type Address, type Hex } from "viem";
import { createAnswerer } from "../../node/gossip/reconcile/answerer.ts";
import { createAsker } from "../../node/gossip/reconcile/asker.ts";
import { createItems, type HeadItem } from "../../node/gossip/reconcile/items.ts";
import { sipKeyOf } from "../../node/gossip/reconcile/siphash.ts";
import type { Result } from "../harness/report.ts";

export interface RepairCase {
  /** Logs that both peers hold. */
  readonly authors: number;
  /** Logs in which they differ: in turn the one and the other is an entry ahead. */
  readonly changed: number;
  readonly seed: number;
}

export interface RepairFigures {
  /** Both directions, with each frame's length prefix and status byte, up to the point where both know what they lack. */
  readonly bytes: number;
  /** Questions, each with its answer. */
  readonly rounds: number;
  /** Logs found to differ, of `changed`. */
  readonly found: number;
  readonly method: string;
}

/** What one comparison of two peers' heads costs on the wire: the protocol's own cores, bytes counted. Deterministic. */
export function measureRepair({ authors, changed, seed }: RepairCase): RepairFigures {
  const headOf = (author: number, seq: number): HeadItem => {
    return { log: addressOf(author, seed), seq, digest: digestOf(`${seed}.${author}.${seq}`), isForked: false };
  };
  const [ours, theirs]: [HeadItem[], HeadItem[]] = [[], []];
  for (let author = 0; author < authors; author++) {
    const isChanged = author < changed;
    ours.push(headOf(author, isChanged && author % 2 === 0 ? 8 : 7));
    theirs.push(headOf(author, isChanged && author % 2 === 1 ? 8 : 7));
  }
  const told = new Set<Address>();
  const salt = createHash("sha256").update(`salt ${seed}`).digest().subarray(0, 16);
  const answerer = createAnswerer({
    heads: () => theirs,
    nowMs: () => 0,
    onBehind: (_, logs) => logs.forEach(({ log }) => told.add(log)),
  });
  const asker = createAsker(createItems(ours, sipKeyOf(salt)), salt);
  let [bytes, rounds, step] = [0, 0, asker.start()];
  while (step.kind === "ask") {
    const answer = answerer.answer(step.question, "asker");
    if (answer.kind !== "accept") throw new Error(answer.detail);
    bytes += framed(step.question.length) + framed(1 + answer.value.length);
    rounds++;
    const taken = asker.take(answer.value);
    if (taken.kind !== "accept") throw new Error(taken.detail);
    step = taken.value;
  }
  if (step.kind === "cold") return { bytes, rounds, found: 0, method: "cold" };
  for (const { log } of step.outcome.missing) told.add(log);
  return { bytes, rounds, found: told.size, method: step.outcome.method };
}

/** A frame and its varint length. */
const framed = (length: number): number => length + (length < 128 ? 1 : length < 16_384 ? 2 : 3);

const addresses = new Map<string, Address>();
function addressOf(author: number, seed: number): Address {
  const name = `${seed}.${author}`;
  let address = addresses.get(name);
  if (address === undefined) addresses.set(name, (address = getAddress(digestOf(name).slice(0, 42))));
  return address;
}

const digestOf = (text: string): Hex => `0x${createHash("sha256").update(text).digest("hex")}`;

/** Comparisons for a figure; the largest counts, because a network makes thousands. */
const REPAIR_SEEDS = 10;

/** The design's figure: what finding 100 changed authors among 10,000 costs, beside what the design quotes of others. */
export function repairFigures(): Result[] {
  const measured = Array.from({ length: REPAIR_SEEDS }, (_, seed) =>
    measureRepair({ authors: 10_000, changed: 100, seed }),
  );
  const incomplete = measured.find(({ found }) => found !== 100);
  if (incomplete !== undefined) throw new Error(`a comparison found ${incomplete.found} of 100 authors`);
  const idle = measureRepair({ authors: 10_000, changed: 0, seed: 0 });
  const of = (bytes: number, id: string, goal: number | null, note: string): Result => ({
    ...{ id, unit: "B", value: bytes, goal, better: "lower", ratio: null, note },
    peers: goal === null ? {} : { "full vector": 240_000, negentropy: 44_773 },
  });
  const rounds = Math.max(...measured.map((run) => run.rounds));
  const note = `the most of ${REPAIR_SEEDS} comparisons, frames both ways, at most ${rounds} round trips; peers as quoted`;
  return [
    of(Math.max(...measured.map(({ bytes }) => bytes)), "repair.changed-100-of-10000", 6_000, note),
    of(idle.bytes, "repair.none-of-10000", null, "a comparison that finds nothing"),
  ];
}
