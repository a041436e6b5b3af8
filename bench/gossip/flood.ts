// The anchors: whole messages pushed to every neighbour. With few neighbours it is gossipsub's mesh (libp2p specs, pubsub/gossipsub):
// v1.1 adds IHAVE/IWANT among other connections at each heartbeat, v1.2 IDONTWANT.
import { chooseAttackers, delayOf, TARGET, type AttackName } from "./attackers.ts";
import { averageSpreads, Arrivals, type Spread } from "./arrivals.ts";
import { RPC_BYTES } from "./framing.ts";
import { Network, type Ledger, type LinkModel } from "./network.ts";
import { countLinkEnds, createTopology, draw, type Topology } from "./topology.ts";
import { drawPublications, killShare, spaceOut, type Publication } from "./workload.ts";

/** Between arrival and forwarding: what a signature check on a fast machine takes, as in the anchors' own model. */
const VALIDATION_MS = 0.5;
/** A short message id with its field tags. */
const ID_BYTES = 24;
/** gossipsub 1.1's defaults: heartbeat, ids of how many heartbeats are told, to how many, and to which share of the others. */
const HEARTBEAT_MS = 1_000;
const HISTORY_GOSSIP = 3;
const D_LAZY = 6;
const GOSSIP_FACTOR = 0.25;

export interface FloodOptions {
  readonly nodeCount: number;
  readonly seed: number;
  readonly links: LinkModel;
  /** Neighbours that get whole messages. */
  readonly degree: number;
  /** Further connections, for IHAVE; 0 = no IHAVE. */
  readonly lazyDegree: number;
  readonly hasDontWant: boolean;
  readonly messageBytes: number;
  readonly messageCount: number;
  /** Between publications. */
  readonly gapMs: number;
  readonly deadShare: number;
  /** Attackers among the nodes; they run the protocol and do not pass on. */
  readonly attack?: AttackName;
  readonly signal?: AbortSignal;
}

export interface FloodOutcome {
  readonly spread: Spread;
  readonly bytesPerNodeMessage: number;
  readonly duplicatesPerNode: number;
  readonly linkEnds: number;
  readonly ledger: Ledger;
}

type Frame =
  | { readonly kind: "message"; readonly id: number }
  | { readonly kind: "dontwant"; readonly id: number }
  | { readonly kind: "have" | "want"; readonly ids: readonly number[] };
const CLASSES = ["message", "control"] as const;
const [MESSAGE, CONTROL] = [0, 1];

/** Runs flooding or gossipsub on the simulated links. */
export async function runFlood(options: FloodOptions): Promise<FloodOutcome> {
  const { nodeCount, messageCount, gapMs } = options;
  const flood = new Flood(options);
  const { network, arrivals } = flood;
  killShare(network, options.deadShare);
  const drawn = flood.authorise(drawPublications(network, { count: messageCount, perSecond: 1, fromMs: 0 }));
  spaceOut(drawn, gapMs).forEach(({ author, atMs }, id) => network.after(atMs, () => flood.publish(author, id)));
  await network.run(messageCount * gapMs, options.signal);
  const spreads = drawn.map((_, id) => arrivals.spreadOf(id, (node) => !network.isDead(node) && flood.isSeen(node)));
  return {
    spread: averageSpreads(spreads),
    bytesPerNodeMessage: network.ledger.sentBytes / nodeCount / messageCount,
    duplicatesPerNode: flood.duplicates / nodeCount / messageCount,
    linkEnds: countLinkEnds(flood.mesh),
    ledger: network.ledger,
  };
}

class Flood {
  readonly network: Network<Frame>;
  readonly arrivals: Arrivals;
  readonly mesh: Topology;
  duplicates = 0;
  readonly #options: FloodOptions;
  readonly #lazy: Topology;
  /** By message and node: which of the neighbours have said IDONTWANT, one bit each. */
  readonly #unwilling: Int32Array[];
  /** By node: ids heard since each of the last heartbeats, and ids asked for. */
  readonly #recent: number[][][];
  readonly #asked: (Set<number> | undefined)[] = [];
  readonly #heartbeatAt: Float64Array;
  readonly #attackers: ReadonlySet<number>;

  constructor(options: FloodOptions) {
    const { nodeCount, messageCount, degree, lazyDegree } = options;
    this.#options = options;
    this.network = new Network<Frame>({
      nodeCount,
      seed: options.seed,
      links: options.links,
      classes: CLASSES,
      receive: (node, from, frame) => this.#receive(node, from, frame),
    });
    const { random } = this.network;
    this.mesh = createTopology(nodeCount, degree, random);
    this.#lazy = lazyDegree > 0 ? createTopology(nodeCount, lazyDegree, random) : [];
    const around = [...new Set([...this.mesh[TARGET]!, ...(this.#lazy[TARGET] ?? [])])];
    this.#attackers = chooseAttackers(options.attack ?? "none", around, nodeCount, random);
    this.arrivals = new Arrivals(nodeCount);
    this.#unwilling = options.hasDontWant ? Array.from({ length: messageCount }, () => new Int32Array(nodeCount)) : [];
    this.#recent = lazyDegree > 0 ? Array.from({ length: nodeCount }, () => []) : [];
    this.#heartbeatAt = Float64Array.from({ length: nodeCount }, () => random() * HEARTBEAT_MS);
  }

  /** Authors are honest; while a publisher is surrounded, it is the only one. */
  authorise(publications: readonly Publication[]): Publication[] {
    const { attack, nodeCount } = this.#options;
    return publications.map(({ author, atMs }) => {
      let honest = attack === "eclipse of a publisher" ? TARGET : author;
      while (this.#attackers.has(honest)) honest = (honest + 1) % nodeCount;
      return { author: honest, atMs };
    });
  }

  /** Whose deliveries count. */
  isSeen(node: number): boolean {
    const { attack } = this.#options;
    if (attack === "eclipse of a target") return node === TARGET;
    return !this.#attackers.has(node);
  }

  /** How late a node passes on what it hears; Infinity = never. */
  #delayMs(node: number): number {
    if (!this.#attackers.has(node)) return 0;
    const { attack = "none", messageCount, gapMs } = this.#options;
    return delayOf(attack, this.network.nowMs, (messageCount / 2) * gapMs);
  }

  publish(author: number, id: number): void {
    this.arrivals.publish(id, author, this.network.nowMs);
    this.#remember(author, id);
    this.#forward(author, id, -1, 0);
  }

  #receive(node: number, from: number, frame: Frame): void {
    switch (frame.kind) {
      case "message":
        this.#hear(node, from, frame.id);
        break;
      case "dontwant":
        this.#unwilling[frame.id]![node]! |= 1 << this.mesh[node]!.indexOf(from);
        break;
      case "have":
        this.#ask(node, from, frame.ids);
        break;
      case "want":
        for (const id of frame.ids)
          if (this.arrivals.has(id, node) && this.#delayMs(node) === 0)
            this.#send(node, from, { kind: "message", id }, MESSAGE);
    }
  }

  #hear(node: number, from: number, id: number): void {
    if (!this.arrivals.note(id, node, this.network.nowMs)) {
      this.duplicates++;
      return;
    }
    this.#remember(node, id);
    if (this.#options.hasDontWant)
      for (const peer of this.mesh[node]!) if (peer !== from) this.#send(node, peer, { kind: "dontwant", id }, CONTROL);
    const delayMs = VALIDATION_MS + this.#delayMs(node);
    if (Number.isFinite(delayMs)) this.network.after(delayMs, () => this.#forward(node, id, from, 0));
  }

  /** One by one as the link gets free, so that an IDONTWANT which comes meanwhile still saves the rest. */
  #forward(node: number, id: number, except: number, first: number): void {
    const peers = this.mesh[node]!;
    for (let k = first; k < peers.length; k++) {
      const waitMs = this.network.uplinkFreeAtMs(node) - this.network.nowMs;
      if (this.#options.hasDontWant && waitMs > 0.01) {
        this.network.after(waitMs, () => this.#forward(node, id, except, k));
        return;
      }
      const isUnwilling = this.#options.hasDontWant && (this.#unwilling[id]![node]! & (1 << k)) !== 0;
      if (peers[k] !== except && !isUnwilling) this.#send(node, peers[k]!, { kind: "message", id }, MESSAGE);
    }
  }

  #send(node: number, to: number, frame: Frame, trafficClass: number): void {
    const bytes =
      frame.kind === "message"
        ? this.#options.messageBytes
        : frame.kind === "dontwant"
          ? ID_BYTES
          : frame.ids.length * ID_BYTES;
    this.network.send(node, to, frame, RPC_BYTES + bytes, trafficClass);
  }

  /** Puts an id into the history that the next heartbeats tell; only nodes with a history have heartbeats. */
  #remember(node: number, id: number): void {
    const recent = this.#recent[node];
    if (recent === undefined) return;
    if (recent.length === 0) {
      const sinceMs = (this.network.nowMs - this.#heartbeatAt[node]!) % HEARTBEAT_MS;
      this.network.after(HEARTBEAT_MS - ((sinceMs + HEARTBEAT_MS) % HEARTBEAT_MS), () => this.#beat(node));
      recent.push([]);
    }
    recent.at(-1)!.push(id);
  }

  #beat(node: number): void {
    const recent = this.#recent[node]!;
    const ids = recent.flat();
    const peers = this.#lazy[node]!;
    const count = Math.max(D_LAZY, Math.ceil(GOSSIP_FACTOR * peers.length));
    if (ids.length > 0 && this.#delayMs(node) === 0)
      for (const peer of draw(peers, count, this.network.random))
        this.#send(node, peer, { kind: "have", ids }, CONTROL);
    recent.push([]);
    if (recent.length > HISTORY_GOSSIP) recent.shift();
    if (recent.every((list) => list.length === 0)) recent.length = 0;
    else this.network.after(HEARTBEAT_MS, () => this.#beat(node));
  }

  #ask(node: number, from: number, offered: readonly number[]): void {
    const asked = (this.#asked[node] ??= new Set());
    const ids = offered.filter((id) => !this.arrivals.has(id, node) && !asked.has(id));
    if (ids.length === 0) return;
    for (const id of ids) asked.add(id);
    this.#send(node, from, { kind: "want", ids }, CONTROL);
    // IWANT is asked again after gossipsub's follow-up time of 3 s.
    this.network.after(3 * HEARTBEAT_MS, () => ids.forEach((id) => asked.delete(id)));
  }
}
