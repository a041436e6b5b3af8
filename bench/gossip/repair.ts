// Anti-entropy in the simulator: the node's own reconciliation of heads, its questions and answers sent over the simulated links.
import type { Address } from "viem";
import { createAnswerer, type Answerer } from "../../node/gossip/reconcile/answerer.ts";
import { createAsker, type Asker, type AskerStep } from "../../node/gossip/reconcile/asker.ts";
import { createItems, type HeadItem } from "../../node/gossip/reconcile/items.ts";
import { sipKeyOf } from "../../node/gossip/reconcile/siphash.ts";
import { createRandom } from "../reputation/random-graph.ts";
import type { Arrivals } from "./arrivals.ts";
import { streamBytesOf, wireBytesOf, LENGTH_BYTES } from "./framing.ts";
import type { Swarm } from "./swarm.ts";

/** A request for ranges of logs, by log; each header in an answer has a length before it. */
const RANGE_BYTES = 28;
const HEADER_PREFIX_BYTES = 3;
/** Salt of a session. */
const SALT_BYTES = 16;

/** Draws the salts of sessions. */
function saltOf(random: () => number): Uint8Array {
  return Uint8Array.from({ length: SALT_BYTES }, () => Math.floor(random() * 256));
}

function logOf(index: number): Address {
  return `0x${(index + 1).toString(16).padStart(40, "0")}`;
}
const headOf = (index: number, version: number): HeadItem => ({
  log: logOf(index),
  seq: version,
  digest: `0x${(index * 64 + version + 1).toString(16).padStart(64, "0")}`,
  isForked: false,
});

export interface RepairCost {
  /** Both ways, with framing. */
  readonly wireBytes: number;
  readonly frameBytes: number;
  readonly roundTrips: number;
  readonly found: number;
  readonly method: string;
}

/** What it costs to find `changed` authors of `total` who said something that the asker has not heard. */
export function measureReconciliation(total: number, changed: number, seed: number): RepairCost {
  const random = createRandom(seed);
  const ours = Array.from({ length: total }, (_, k) => headOf(k, 5));
  const theirs = ours.map((head, k) =>
    k % Math.floor(total / changed) === 0 && k / Math.floor(total / changed) < changed ? headOf(k, 6) : head,
  );
  const salt = saltOf(random);
  const answerer = createAnswerer({ heads: () => theirs, nowMs: () => 0, onBehind: () => undefined });
  const asker = createAsker(createItems(ours, sipKeyOf(salt)), salt);
  const cost = { wireBytes: 0, frameBytes: 0, roundTrips: 0 };
  let step = asker.start();
  while (step.kind === "ask") {
    const answer = answerer.answer(step.question, "asker");
    if (answer.kind !== "accept") throw new Error(`bench: ${answer.code}: ${answer.detail}`);
    for (const frame of [step.question, answer.value]) {
      cost.frameBytes += frame.length;
      cost.wireBytes += wireBytesOf(LENGTH_BYTES + frame.length);
    }
    cost.roundTrips++;
    const next = asker.take(answer.value);
    if (next.kind !== "accept") throw new Error(`bench: ${next.code}: ${next.detail}`);
    step = next.value;
  }
  const outcome = step.kind === "done" ? step.outcome : undefined;
  return { ...cost, found: outcome?.missing.length ?? 0, method: outcome?.method ?? "cold" };
}

interface Agreement {
  readonly question: number;
  readonly answer: number;
}

/** Lengths of the two frames of a session that finds no difference; the first cells are as many whatever the sets are. */
function measureAgreement(): Agreement {
  const heads = [headOf(0, 0)];
  const salt = new Uint8Array(SALT_BYTES);
  const answerer = createAnswerer({ heads: () => heads, nowMs: () => 0, onBehind: () => undefined });
  const step = createAsker(createItems(heads, sipKeyOf(salt)), salt).start();
  const answer = step.kind === "ask" ? answerer.answer(step.question, "asker") : undefined;
  if (step.kind !== "ask" || answer?.kind !== "accept") throw new Error("bench: equal sets were not compared");
  return { question: step.question.length, answer: answer.value.length };
}

/** Bytes of paging the whole vector of heads, as `/surety/heads/1` does: 90 bytes a head, 512 a page. */
export function vectorBytes(total: number): number {
  const [PAGE, HEAD_BYTES, ASK_BYTES] = [512, 90, 30];
  const pages = Math.ceil(total / PAGE);
  return streamBytesOf(total * HEAD_BYTES) + pages * streamBytesOf(ASK_BYTES);
}

/** Sessions of a swarm whose messages are one log each. */
export class Repair {
  readonly #swarm: Swarm;
  readonly #headers: Arrivals;
  readonly #messageCount: number;
  readonly #random: () => number;
  readonly #wants: (message: number, node: number) => boolean;
  readonly #trafficClass: number;
  readonly #isSilent: (node: number) => boolean;
  #agreement: Agreement | undefined;
  /** Headers that came by repair. */
  fetched = 0;

  constructor(
    swarm: Swarm,
    options: {
      readonly headers: Arrivals;
      readonly messageCount: number;
      readonly wants: (message: number, node: number) => boolean;
      readonly seed: number;
      readonly trafficClass: number;
      /** Answers nobody: an attacker. */
      readonly isSilent?: (node: number) => boolean;
    },
  ) {
    this.#isSilent = options.isSilent ?? (() => false);
    this.#swarm = swarm;
    this.#headers = options.headers;
    this.#messageCount = options.messageCount;
    this.#wants = options.wants;
    this.#random = createRandom(options.seed);
    this.#trafficClass = options.trafficClass;
  }

  /** Every living node compares with two connected peers, at random times within the window. */
  round(withinMs: number): void {
    const { network } = this.#swarm;
    for (let node = 0; node < network.nodeCount; node++) {
      if (network.isDead(node) || this.#isSilent(node)) continue;
      const peers = [...this.#swarm.peersOf(node)];
      for (let k = 0; k < 2 && peers.length > 0; k++) {
        const [peer] = peers.splice(Math.floor(this.#random() * peers.length), 1);
        network.after(this.#random() * withinMs, () => this.#compare(node, peer!));
      }
    }
  }

  #heldBy(node: number): HeadItem[] {
    const held: HeadItem[] = [];
    for (let message = 0; message < this.#messageCount; message++)
      if (this.#headers.has(message, node)) held.push(headOf(message, 0));
    return held;
  }

  /** Nearly all sessions find nothing: their question and answer are as long as one that was had, and are sent unmade. */
  #agree(node: number, peer: number): void {
    const { question, answer } = (this.#agreement ??= measureAgreement());
    this.#send(node, peer, question, () => this.#send(peer, node, answer, () => undefined));
  }

  #holdSame(a: number, b: number): boolean {
    for (let message = 0; message < this.#messageCount; message++)
      if (this.#headers.has(message, a) !== this.#headers.has(message, b)) return false;
    return true;
  }

  #compare(node: number, peer: number): void {
    const { network } = this.#swarm;
    if (network.isDead(node) || this.#isSilent(peer)) return;
    if (this.#holdSame(node, peer)) return this.#agree(node, peer);
    const salt = saltOf(this.#random);
    const asker = createAsker(createItems(this.#heldBy(node), sipKeyOf(salt)), salt);
    const answerer = createAnswerer({
      heads: () => this.#heldBy(peer),
      nowMs: () => network.nowMs,
      onBehind: (_, logs) =>
        this.#fetch(
          peer,
          node,
          logs.map(({ log }) => Number(BigInt(log)) - 1),
        ),
    });
    this.#go(asker, answerer, [node, peer], asker.start());
  }

  #go(asker: Asker, answerer: Answerer, [node, peer]: readonly [number, number], step: AskerStep): void {
    if (step.kind === "done")
      return this.#fetch(
        node,
        peer,
        step.outcome.missing.map(({ log }) => Number(BigInt(log)) - 1),
      );
    if (step.kind === "cold") return;
    this.#send(node, peer, step.question.length, () => {
      const answer = answerer.answer(step.question, `n${node}`);
      if (answer.kind !== "accept") return;
      this.#send(peer, node, answer.value.length, () => {
        const next = asker.take(answer.value);
        if (next.kind === "accept") this.#go(asker, answerer, [node, peer], next.value);
      });
    });
  }

  #fetch(node: number, peer: number, messages: readonly number[]): void {
    const missing = messages.filter((message) => !this.#headers.has(message, node));
    if (missing.length === 0) return;
    this.#send(node, peer, missing.length * RANGE_BYTES, () => {
      const bytes = missing.reduce((sum, id) => sum + HEADER_PREFIX_BYTES + this.#swarm.entryOf(id)!.header.length, 0);
      this.#send(peer, node, bytes, () => {
        for (const message of missing) this.#arrive(node, message);
      });
    });
  }

  #arrive(node: number, message: number): void {
    const { network } = this.#swarm;
    if (!this.#headers.note(message, node, network.nowMs)) return;
    this.fetched++;
    const wants = this.#wants(message, node);
    this.#swarm.tell(node, {
      kind: "relay",
      header: this.#swarm.entryOf(message)!.header,
      body: wants ? "will" : "none",
    });
    if (wants) this.#swarm.want(node, message);
  }

  #send(from: number, to: number, bytes: number, step: () => void): void {
    this.#swarm.network.send(from, to, step, LENGTH_BYTES + bytes, this.#trafficClass);
  }
}
