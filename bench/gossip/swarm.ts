// The node's own dissemination core, many times, on the simulated network.
import { bytesToHex } from "viem";
import { createMesh } from "../../node/gossip/mesh/mesh.ts";
import type { Judgement, Mesh, MeshEffect, MeshEvent, MeshTuning, MessageId } from "../../node/gossip/mesh/port.ts";
import type { Arrivals } from "./arrivals.ts";
import { cheapHash, ENTRY_SHARDS, type Entry } from "./entries.ts";
import { LENGTH_BYTES } from "./framing.ts";
import { Network, type LinkModel } from "./network.ts";
import type { Topology } from "./topology.ts";

/** A signature check by noble's secp256k1 on one core; a node checks one after the other. */
export const SIGNATURE_CHECK_MS = 1.3;
/** A real timer is no finer. */
const TIMER_MS = 1;
/** Connections of a simulated node come one by one in its first second. */
const CONNECT_WITHIN_MS = 1_000;
/** A link that is behind by so much takes no more frames: what a socket's buffer of 256 KB is at 50 Mbit/s. */
const BUFFER_MS = 42;
/** TCP 1, noise and yamux 2, the stream 1: round trips until the first frame; bytes each way, identify included. Measured on real hosts. */
export const DIAL_ROUND_TRIPS = 4;
export const DIAL_BYTES = 1_900;

/** Kinds of traffic by the frame's second byte, as wire.ts numbers them, and dials. */
export const CLASSES = [
  "other",
  "hello",
  "graft",
  "prune",
  "headers",
  "announce",
  "askHeaders",
  "askBody",
  "body",
  "noBody",
  "dial",
  "repair",
] as const;
const DIAL = CLASSES.indexOf("dial");
export const REPAIR = CLASSES.indexOf("repair");

/** A node that does not run the core as it is. */
export interface Stranger {
  connected?(peer: number): void;
  disconnected?(peer: number): void;
  frame(from: number, bytes: Uint8Array): void;
}

export interface SwarmOptions {
  readonly nodeCount: number;
  readonly seed: number;
  readonly links: LinkModel;
  /** Runs on this network, which must give `receive` its bytes; default one of its own. */
  readonly network?: Network<Load>;
  readonly tuning?: Partial<MeshTuning>;
  /** Whether a node pulls the body of a message. */
  readonly wants: (message: number, node: number) => boolean;
  readonly headers: Arrivals;
  readonly bodies: Arrivals;
  /** How late an effect of a node's core is carried out; Infinity = never. Default at once. A censoring relay withholds some. */
  readonly holdBackMs?: (node: number, effect: MeshEffect) => number;
  /** Where a node lies; default each in a part of the network of its own. */
  readonly subnetOf?: (node: number) => string;
  /** Nodes that run something else. */
  readonly strangers?: ReadonlyMap<number, Stranger>;
}

/** Frames between cores, or a step that runs at its receiver. */
export type Load = Uint8Array | (() => void);

export class Swarm {
  readonly network: Network<Load>;
  readonly meshes: (Mesh | undefined)[];
  /** Frames that honest cores found at fault, and peers that they cut off. */
  faults = 0;
  cutOff = 0;
  /** Headers judged by each node, valid or not: each costs a signature check. */
  readonly judgedBy: Uint32Array;
  readonly #options: SwarmOptions;
  readonly #names: readonly string[];
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #wakeAt: Float64Array;
  readonly #cpuFreeAt: Float64Array;
  readonly #links: Set<number>[];
  readonly #blocked = new Map<number, Set<number>>();
  readonly #messages = new Map<MessageId, number>();
  /** Log of each forking entry, and how many of a log's a node has judged. */
  readonly #forks = new Map<MessageId, string>();
  readonly #forksSeen = new Map<string, number>();
  readonly #entries: (Entry & { readonly author: number })[] = [];

  constructor(options: SwarmOptions) {
    const { nodeCount, seed, links, strangers } = options;
    this.#options = options;
    this.network =
      options.network ??
      new Network<Load>({
        ...{ nodeCount, seed, links, classes: CLASSES },
        receive: (node, from, load) => (typeof load === "function" ? load() : this.receive(node, from, load)),
      });
    this.#names = Array.from({ length: nodeCount }, (_, node) => `n${node}`);
    this.#numbers = new Map(this.#names.map((name, node) => [name, node]));
    this.#wakeAt = new Float64Array(nodeCount).fill(Infinity);
    this.judgedBy = new Uint32Array(nodeCount);
    this.#cpuFreeAt = new Float64Array(nodeCount);
    this.#links = Array.from({ length: nodeCount }, () => new Set<number>());
    this.meshes = this.#names.map((_, node) => (strangers?.has(node) === true ? undefined : this.createCore()));
  }

  /** The node's process has started again: its core knows nothing, its connections are gone. */
  restart(node: number): void {
    for (const peer of [...this.#links[node]!]) this.disconnect(node, peer);
    this.#wakeAt[node] = Infinity;
    this.meshes[node] = this.createCore();
  }

  createCore(): Mesh {
    const { tuning = {} } = this.#options;
    return createMesh({ random: this.network.random, hash: cheapHash, shards: ENTRY_SHARDS, tuning });
  }

  /** Connects everybody with his neighbours within the first second. */
  connectAll(topology: Topology): void {
    topology.forEach((list, node) => {
      for (const peer of list)
        if (node < peer) {
          // Half of a node's connections are its own choice, as in a network where each opens as many.
          const [from, to] = (node + peer) % 2 === 0 ? [node, peer] : [peer, node];
          this.network.after(this.network.random() * CONNECT_WITHIN_MS, () => this.connect(from, to));
        }
    });
  }

  /** `a` dials `b`. */
  connect(a: number, b: number, isGuest = false): void {
    if (a === b || this.#links[a]!.has(b) || this.network.isDead(a) || this.network.isDead(b)) return;
    this.#links[a]!.add(b);
    this.#links[b]!.add(a);
    for (const [node, peer, isOutbound] of [
      [a, b, true],
      [b, a, false],
    ] as const) {
      this.#options.strangers?.get(node)?.connected?.(peer);
      const subnet = this.#options.subnetOf?.(peer) ?? this.#names[peer]!;
      this.tell(node, { kind: "connected", peer: this.#names[peer]!, isGuest, isOutbound, subnet });
    }
  }

  disconnect(a: number, b: number): void {
    if (!this.#links[a]!.delete(b)) return;
    this.#links[b]!.delete(a);
    for (const [node, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      this.#options.strangers?.get(node)?.disconnected?.(peer);
      this.tell(node, { kind: "disconnected", peer: this.#names[peer]! });
    }
  }

  areConnected(a: number, b: number): boolean {
    return this.#links[a]!.has(b);
  }
  peersOf(node: number): ReadonlySet<number> {
    return this.#links[node]!;
  }

  /** An author that runs the core says something. */
  publish(author: number, message: number, entry: Entry): void {
    this.register(author, message, entry);
    this.#options.headers.publish(message, author, this.network.nowMs);
    this.#options.bodies.publish(message, author, this.network.nowMs);
    this.tell(author, { kind: "publish", header: entry.header });
  }

  /** Makes an entry known as valid, without saying it. */
  register(author: number, message: number, entry: Entry): void {
    this.#entries[message] = { ...entry, author };
    this.#messages.set(this.#idOf(message), message);
  }

  /** A node that holds the header pulls its body. */
  want(node: number, message: number): void {
    this.tell(node, { kind: "want", id: this.#idOf(message) });
  }

  #idOf(message: number): MessageId {
    const mesh = this.meshes.find((one) => one !== undefined)!;
    return mesh.idOf(this.#entries[message]!.header);
  }

  /** An entry that forks its author's log: a node keeps the first two as evidence and passes them on, and no more. */
  registerFork({ header }: Entry): void {
    this.#forks.set(this.meshes.find((one) => one !== undefined)!.idOf(header), bytesToHex(header.subarray(2, 22)));
  }

  entryOf(message: number): Entry | undefined {
    return this.#entries[message];
  }

  /** A frame of a node that does not run the core. */
  sendRaw(from: number, to: number, bytes: Uint8Array): void {
    if (this.#links[from]!.has(to)) this.#send(from, to, bytes);
  }

  /** Tells a node's core, and does what it says. */
  tell(node: number, event: MeshEvent): void {
    const mesh = this.meshes[node];
    if (mesh === undefined || this.network.isDead(node)) return;
    for (const effect of mesh.handle(event, this.network.nowMs)) {
      const holdBackMs = this.#options.holdBackMs?.(node, effect) ?? 0;
      if (holdBackMs === 0) this.#perform(node, effect);
      else if (Number.isFinite(holdBackMs)) this.network.after(holdBackMs, () => this.#perform(node, effect));
    }
    this.#scheduleWake(node, mesh);
  }

  #scheduleWake(node: number, mesh: Mesh): void {
    const wakeAtMs = mesh.wakeAtMs();
    if (wakeAtMs >= this.#wakeAt[node]!) return;
    this.#wakeAt[node] = wakeAtMs;
    this.network.after(Math.max(TIMER_MS, wakeAtMs - this.network.nowMs), () => {
      // An earlier wake has been set since: that one has come, and has set the next.
      if (this.#wakeAt[node] !== wakeAtMs) return;
      this.#wakeAt[node] = Infinity;
      this.tell(node, { kind: "wake" });
    });
  }

  /** A frame has arrived. */
  receive(node: number, from: number, bytes: Uint8Array): void {
    // What was under way when a link was cut is lost with it.
    if (!this.#links[node]!.has(from)) return;
    this.#options.strangers?.get(node)?.frame(from, bytes);
    this.tell(node, { kind: "frame", peer: this.#names[from]!, bytes });
  }

  #perform(node: number, effect: MeshEffect): void {
    switch (effect.kind) {
      case "send":
        this.#send(node, this.#numbers.get(effect.peer)!, effect.bytes);
        break;
      case "judge":
        this.#judge(node, effect.id);
        break;
      case "body":
        this.#options.bodies.note(this.#messages.get(effect.id)!, node, this.network.nowMs);
        break;
      case "seek":
        this.#seek(node, effect.id);
        break;
      case "readBody":
        this.#read(node, effect.id, effect.peer);
        break;
      case "disconnect":
        this.cutOff++;
        this.network.after(0, () => this.disconnect(node, this.#numbers.get(effect.peer)!));
        break;
      case "fault":
        this.faults++;
        break;
      case "published":
      case "listening":
    }
  }

  #send(from: number, to: number, bytes: Uint8Array): void {
    this.network.send(from, to, bytes, LENGTH_BYTES + bytes.length, Math.min(bytes[1] ?? 0, DIAL - 1));
    const behindMs = this.network.uplinkFreeAtMs(from) - this.network.nowMs;
    if (behindMs > BUFFER_MS) this.#block(from, to, behindMs);
  }

  /** The core is told only after its present answer was carried out; the link takes more when half of its buffer is empty. */
  #block(node: number, peer: number, behindMs: number): void {
    const blocked = this.#blocked.get(node) ?? new Set<number>();
    if (blocked.has(peer)) return;
    blocked.add(peer);
    this.#blocked.set(node, blocked);
    this.network.after(0, () => this.tell(node, { kind: "blocked", peer: this.#names[peer]! }));
    this.network.after(behindMs - BUFFER_MS / 2, () => {
      blocked.delete(peer);
      if (this.#links[node]!.has(peer)) this.tell(node, { kind: "writable", peer: this.#names[peer]! });
    });
  }

  /** One signature after the other; an entry that was never published is a forgery. */
  #judge(node: number, id: MessageId): void {
    const { headers, bodies, wants } = this.#options;
    const message = this.#messages.get(id);
    this.judgedBy[node]!++;
    const doneAt = Math.max(this.network.nowMs, this.#cpuFreeAt[node]!) + SIGNATURE_CHECK_MS;
    this.#cpuFreeAt[node] = doneAt;
    this.network.after(doneAt - this.network.nowMs, () => {
      if (this.network.isDead(node)) return;
      const judgement: Judgement = message === undefined ? this.#judgeOther(node, id) : "accept";
      if (message !== undefined) headers.note(message, node, this.network.nowMs);
      if (message !== undefined && !bodies.has(message, node) && wants(message, node))
        this.tell(node, { kind: "want", id });
      this.tell(node, { kind: "judged", id, judgement });
    });
  }

  /** Nobody published it honestly: a forgery, or one of two and more entries for one seq. */
  #judgeOther(node: number, id: MessageId): Judgement {
    const log = this.#forks.get(id);
    if (log === undefined) return "reject";
    const key = `${node} ${log}`;
    const count = (this.#forksSeen.get(key) ?? 0) + 1;
    this.#forksSeen.set(key, count);
    return count <= 2 ? "accept" : "ignore";
  }

  #read(node: number, id: MessageId, peer: string): void {
    const message = this.#messages.get(id);
    const isHeld = message !== undefined && this.#options.bodies.has(message, node);
    const bytes = isHeld ? this.#entries[message]!.body : undefined;
    this.tell(node, { kind: "bodyRead", id, peer, bytes });
  }

  /** Nobody connected has it: dial the author, as a node does by the address in its signed record. */
  #seek(node: number, id: MessageId): void {
    const message = this.#messages.get(id);
    if (message === undefined) return;
    const { author } = this.#entries[message]!;
    const offer = () => this.tell(node, { kind: "offer", id, peer: this.#names[author]! });
    if (this.#links[node]!.has(author)) {
      this.network.after(0, offer);
      return;
    }
    const roundTripMs = 2 * this.network.latencyMs(node, author);
    this.network.send(node, author, () => undefined, DIAL_BYTES, DIAL);
    this.network.send(author, node, () => undefined, DIAL_BYTES, DIAL);
    this.network.after(DIAL_ROUND_TRIPS * roundTripMs, () => {
      if (this.network.isDead(author)) return;
      this.connect(node, author, true);
      offer();
    });
  }
}
