import { setImmediate } from "node:timers/promises";
import { createRandom } from "../reputation/random-graph.ts";
import { EventQueue } from "./event-queue.ts";
import { streamBytesOf, wireBytesOf } from "./framing.ts";

/** Every pair of nodes has one latency, drawn evenly; every node one queue up and one down. */
export interface LinkModel {
  readonly minLatencyMs: number;
  readonly maxLatencyMs: number;
  readonly megabitsPerSecond: number;
  /** Share of frames that never arrive. */
  readonly lossShare: number;
}

/** The links of network.md. */
export const DESIGN_LINKS: LinkModel = { minLatencyMs: 40, maxLatencyMs: 130, megabitsPerSecond: 50, lossShare: 0 };

/** Whole frames and their bytes with framing. What was sent was received, lost, came to a dead node, or is under way. */
export interface Ledger {
  sentFrames: number;
  sentBytes: number;
  /** Of them, what TCP carries: without its headers and IP's. */
  sentStreamBytes: number;
  receivedFrames: number;
  receivedBytes: number;
  lostFrames: number;
  lostBytes: number;
  /** Arrived at a node that had died. */
  deadFrames: number;
  deadBytes: number;
}

export interface NetworkOptions<Frame> {
  readonly nodeCount: number;
  readonly seed: number;
  readonly links: LinkModel;
  /** The whole frame has arrived. */
  readonly receive: (node: number, from: number, frame: Frame) => void;
  /** Names of the kinds of traffic that are counted apart. */
  readonly classes: readonly string[];
}

/** Wall time between two looks at the signal: a run stays stoppable. */
const TURN_MS = 100;
/** Events between two looks at the wall clock. */
const EVENTS_A_LOOK = 8_192;
const FIRST_CAPACITY = 1_024;
/** In `to` of a timer. */
const TIMER = -1;

/**
 * Discrete-event network. Times are microseconds of simulated time; the same seed and calls give the same run. A frame leaves when
 * the sender's link is free, takes its bytes' time on it, then the pair's latency; if the receiver's link is busy it waits there.
 */
export class Network<Frame> {
  readonly ledger: Ledger = {
    sentFrames: 0,
    sentBytes: 0,
    sentStreamBytes: 0,
    receivedFrames: 0,
    receivedBytes: 0,
    lostFrames: 0,
    lostBytes: 0,
    deadFrames: 0,
    deadBytes: 0,
  };
  /** Bytes sent, by class. */
  readonly bytesByClass: Float64Array;
  /** Bytes sent, by node. */
  readonly bytesByNode: Float64Array;
  /** Random numbers for what runs on the network; its own losses come from another sequence. */
  readonly random: () => number;
  readonly #options: NetworkOptions<Frame>;
  readonly #lossRandom: () => number;
  readonly #microsecondsPerByte: number;
  readonly #queue = new EventQueue();
  readonly #upFreeAt: Float64Array;
  readonly #downFreeAt: Float64Array;
  readonly #isDead: Uint8Array;
  #froms = new Int32Array(FIRST_CAPACITY);
  #tos = new Int32Array(FIRST_CAPACITY);
  #bytes = new Int32Array(FIRST_CAPACITY);
  readonly #loads: (Frame | (() => void) | undefined)[] = [];
  readonly #freeSlots: number[] = [];
  #slotCount = 0;
  #nowUs = 0;
  #eventCount = 0;

  constructor(options: NetworkOptions<Frame>) {
    this.#options = options;
    this.random = createRandom(options.seed);
    this.#lossRandom = createRandom(options.seed + 1_000_003);
    this.#microsecondsPerByte = 8 / options.links.megabitsPerSecond;
    this.#upFreeAt = new Float64Array(options.nodeCount);
    this.#downFreeAt = new Float64Array(options.nodeCount);
    this.#isDead = new Uint8Array(options.nodeCount);
    this.bytesByClass = new Float64Array(options.classes.length);
    this.bytesByNode = new Float64Array(options.nodeCount);
  }

  get nodeCount(): number {
    return this.#options.nodeCount;
  }
  get nowMs(): number {
    return this.#nowUs / 1_000;
  }
  get eventCount(): number {
    return this.#eventCount;
  }
  /** When the sender's link will have sent all that was given to it. */
  uplinkFreeAtMs(node: number): number {
    return this.#upFreeAt[node]! / 1_000;
  }
  isDead(node: number): boolean {
    return this.#isDead[node] === 1;
  }
  /** The node falls silent; frames to it are lost. Its timers still fire: whoever set them asks `isDead`. */
  kill(node: number): void {
    this.#isDead[node] = 1;
  }
  revive(node: number): void {
    this.#isDead[node] = 0;
  }

  /** Mixed from the pair and the seed, the same both ways. */
  latencyMs(a: number, b: number): number {
    const { minLatencyMs, maxLatencyMs } = this.#options.links;
    let hash = Math.imul((a < b ? a : b) ^ Math.imul(this.#options.seed, 0x9e3779b9), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15) ^ (a < b ? b : a), 0xc2b2ae35);
    hash = Math.imul(hash ^ (hash >>> 13), 0x27d4eb2f);
    return minLatencyMs + ((hash ^ (hash >>> 16)) >>> 0) * ((maxLatencyMs - minLatencyMs) / 2 ** 32);
  }

  /** @param frameBytes with its envelope, before framing; @param trafficClass index into `classes` */
  send(from: number, to: number, frame: Frame, frameBytes: number, trafficClass: number): void {
    if (this.#isDead[from] === 1) return;
    const bytes = wireBytesOf(frameBytes);
    const { ledger } = this;
    ledger.sentFrames++;
    ledger.sentBytes += bytes;
    ledger.sentStreamBytes += streamBytesOf(frameBytes);
    this.bytesByClass[trafficClass]! += bytes;
    this.bytesByNode[from]! += bytes;
    const leavesAt = Math.max(this.#nowUs, this.#upFreeAt[from]!) + bytes * this.#microsecondsPerByte;
    this.#upFreeAt[from] = leavesAt;
    if (this.#options.links.lossShare > 0 && this.#lossRandom() < this.#options.links.lossShare) {
      ledger.lostFrames++;
      ledger.lostBytes += bytes;
      return;
    }
    this.#push(leavesAt + this.latencyMs(from, to) * 1_000, from, to, bytes, frame);
  }

  /** @param delayMs from now; not cancelled by the death of anybody */
  after(delayMs: number, action: () => void): void {
    this.#push(this.#nowUs + Math.max(0, delayMs) * 1_000, 0, TIMER, 0, action);
  }

  /** Runs what happens up to a time; @returns whether anything is left */
  async run(untilMs: number, signal?: AbortSignal): Promise<boolean> {
    const untilUs = untilMs * 1_000;
    let turnEndsAt = performance.now() + TURN_MS;
    for (let count = 1; this.#queue.nextTime <= untilUs; count++) {
      this.#step();
      if (count % EVENTS_A_LOOK !== 0 || performance.now() < turnEndsAt) continue;
      await setImmediate();
      signal?.throwIfAborted();
      turnEndsAt = performance.now() + TURN_MS;
    }
    this.#nowUs = Math.max(this.#nowUs, Number.isFinite(untilUs) ? untilUs : 0);
    return this.#queue.size > 0;
  }

  #step(): void {
    const atUs = this.#queue.nextTime;
    const slot = this.#queue.pop();
    const to = this.#tos[slot]!;
    const load = this.#loads[slot]!;
    this.#nowUs = atUs;
    if (to !== TIMER && this.#isWaiting(slot, to, atUs)) return;
    const from = this.#froms[slot]!;
    const bytes = this.#bytes[slot]!;
    this.#loads[slot] = undefined;
    this.#freeSlots.push(slot);
    this.#eventCount++;
    if (to === TIMER) (load as () => void)();
    else this.#deliver(to, from, bytes, load as Frame);
  }

  /** The last byte comes when the receiver's link has taken in what came before; an idle link adds nothing to the sender's. */
  #isWaiting(slot: number, to: number, atUs: number): boolean {
    const bytes = this.#bytes[slot]!;
    // A negative count marks a frame that has queued already.
    if (bytes < 0) {
      this.#bytes[slot] = -bytes;
      return false;
    }
    const durationUs = bytes * this.#microsecondsPerByte;
    const freeAt = this.#downFreeAt[to]!;
    if (freeAt <= atUs - durationUs) {
      this.#downFreeAt[to] = atUs;
      return false;
    }
    const doneAt = freeAt + durationUs;
    this.#downFreeAt[to] = doneAt;
    if (doneAt <= atUs) return false;
    this.#bytes[slot] = -bytes;
    this.#queue.push(doneAt, slot);
    return true;
  }

  #deliver(to: number, from: number, bytes: number, frame: Frame): void {
    const { ledger } = this;
    if (this.#isDead[to] === 1) {
      ledger.deadFrames++;
      ledger.deadBytes += bytes;
      return;
    }
    ledger.receivedFrames++;
    ledger.receivedBytes += bytes;
    this.#options.receive(to, from, frame);
  }

  #push(atUs: number, from: number, to: number, bytes: number, load: Frame | (() => void)): void {
    const slot = this.#freeSlots.pop() ?? this.#newSlot();
    this.#froms[slot] = from;
    this.#tos[slot] = to;
    this.#bytes[slot] = bytes;
    this.#loads[slot] = load;
    this.#queue.push(atUs, slot);
  }

  #newSlot(): number {
    if (this.#slotCount === this.#froms.length) {
      this.#froms = doubled(this.#froms);
      this.#tos = doubled(this.#tos);
      this.#bytes = doubled(this.#bytes);
    }
    return this.#slotCount++;
  }
}

function doubled(array: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * array.length);
  larger.set(array);
  return larger;
}
