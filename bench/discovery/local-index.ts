import { Arrivals } from "../gossip/arrivals.ts";
import { cheapHash, createEntry } from "../gossip/entries.ts";
import { DESIGN_LINKS } from "../gossip/network.ts";
import { measureReconciliation } from "../gossip/repair.ts";
import { DIAL_BYTES, DIAL_ROUND_TRIPS, Swarm } from "../gossip/swarm.ts";
import { draw } from "../gossip/topology.ts";
import { DEADLINE_MS, MESSAGE_BYTES, SMALL_BYTES, type Scheme, type World } from "./world.ts";

/** Peers that a node dials when it starts. */
const CONNECTIONS = 8;
/** A start-up entry is said once the first links have formed. */
const SPEAK_AFTER_MS = 2_000;
/** A silent neighbour is given up after it. */
const GIVE_UP_MS = 10_000;
/** Candidates asked at once, and when the next are, if none has answered: longer than any round trip. */
const ASKED_AT_ONCE = 3;
const NEXT_AFTER_MS = 300;
/** Nonce, timestamp and signature: the answer is the proof of life. */
const PROOF_BYTES = 160;

interface Declaration {
  readonly message: number;
  readonly provider: number;
}

/**
 * Ours: every node hears every start-up entry through the dissemination core and pulls its body of 1 KB, finds candidates in its own
 * index, sends three of them the request at once, as a call for proposals does, and takes the first signed answer. A node that comes back reconciles with one peer.
 */
export class LocalIndex implements Scheme {
  readonly #world: World;
  readonly #swarm: Swarm;
  readonly #headers: Arrivals;
  readonly #bodies: Arrivals;
  readonly #byTopic = new Map<number, Declaration[]>();
  readonly #costs = new Map<number, number>();
  #published = 0;

  constructor(world: World, seed: number) {
    const { nodeCount, network } = world;
    this.#world = world;
    this.#headers = new Arrivals(nodeCount);
    this.#bodies = new Arrivals(nodeCount);
    this.#swarm = new Swarm({
      ...{ nodeCount, seed, network, links: DESIGN_LINKS, wants: () => true },
      ...{ headers: this.#headers, bodies: this.#bodies },
    });
    world.onBytes = (node, from, bytes) => this.#swarm.receive(node, from, bytes);
  }

  join(node: number): void {
    this.#swarm.restart(node);
    const { network } = this.#world;
    const others = Array.from({ length: this.#world.nodeCount }, (_, other) => other).filter(
      (other) => other !== node && this.#world.isAlive(other),
    );
    draw(others, CONNECTIONS, network.random).forEach((peer, k) => this.#dial(node, peer, k === 0));
    const session = this.#world.sessionOf(node);
    network.after(SPEAK_AFTER_MS, () => {
      if (this.#world.isAlive(node) && this.#world.sessionOf(node) === session) this.#speak(node);
    });
  }

  leave(node: number): void {
    const session = this.#world.sessionOf(node);
    this.#world.network.after(GIVE_UP_MS, () => {
      if (this.#world.sessionOf(node) !== session) return;
      for (const peer of [...this.#swarm.peersOf(node)]) this.#swarm.disconnect(node, peer);
    });
  }

  find(node: number, topic: number, found: (provider: number | undefined, isAnswered: boolean) => void): void {
    const tried = new Set([node]);
    let isFound = false;
    const ask = (provider: number) =>
      this.#world.call(
        [node, provider],
        MESSAGE_BYTES,
        () => ({ bytes: PROOF_BYTES + MESSAGE_BYTES, value: true }),
        (isLive) => {
          if (isFound || isLive !== true) return;
          isFound = true;
          found(provider, true);
        },
      );
    const untilMs = this.#world.network.nowMs + DEADLINE_MS;
    const go = (more: readonly number[]) => {
      if (isFound || this.#world.network.nowMs > untilMs) return;
      const next = [...new Set([...more, ...this.#candidates(node, topic)])].filter((one) => !tried.has(one));
      for (const provider of next.slice(0, ASKED_AT_ONCE)) {
        tried.add(provider);
        ask(provider);
      }
      if (next.length > 0) this.#world.network.after(NEXT_AFTER_MS, () => go([]));
      else this.#askPeers(node, topic, (theirs) => go(theirs.filter((one) => !tried.has(one))));
    };
    go([]);
  }

  /** Own index: who spoke last is asked first, because it is the likeliest to be there. */
  #candidates(node: number, topic: number): number[] {
    const known = (this.#byTopic.get(topic) ?? []).filter(({ message }) => this.#bodies.has(message, node));
    return [...new Set(known.map(({ provider }) => provider).reverse())];
  }

  /** Where the own index has nobody left: those of a peer, after a pause in which news may have come. */
  #askPeers(node: number, topic: number, done: (candidates: readonly number[]) => void): void {
    const [peer] = draw([...this.#swarm.peersOf(node)], 1, this.#world.network.random);
    this.#world.network.after(NEXT_AFTER_MS, () => {
      if (peer === undefined) return done([]);
      const answer = () => ({ bytes: MESSAGE_BYTES, value: this.#candidates(peer, topic) });
      this.#world.call([node, peer], SMALL_BYTES, answer, (theirs) => done(theirs ?? []));
    });
  }

  #speak(node: number): void {
    const message = this.#published++;
    const topic = this.#world.topicOf(node);
    const declarations = this.#byTopic.get(topic) ?? [];
    this.#byTopic.set(topic, [...declarations, { message, provider: node }]);
    const entry = createEntry({ author: node, seq: this.#world.sessionOf(node), bodyBytes: MESSAGE_BYTES }, cheapHash);
    this.#swarm.publish(node, message, entry);
  }

  #dial(node: number, peer: number, catchesUp: boolean): void {
    const { network } = this.#world;
    const session = this.#world.sessionOf(node);
    this.#world.send(node, peer, DIAL_BYTES, () => undefined);
    this.#world.send(peer, node, DIAL_BYTES, () => undefined);
    network.after(DIAL_ROUND_TRIPS * 2 * network.latencyMs(node, peer), () => {
      if (this.#world.sessionOf(node) !== session) return;
      this.#swarm.connect(node, peer);
      if (catchesUp && this.#swarm.areConnected(node, peer)) this.#catchUp(node, peer);
    });
  }

  /** Finds by reconciliation what was said meanwhile, and fetches headers and bodies. Its disk holds what it had. */
  #catchUp(node: number, peer: number): void {
    const missing: number[] = [];
    for (let message = 0; message < this.#published; message++)
      if (this.#bodies.has(message, peer) && !this.#bodies.has(message, node)) missing.push(message);
    const fetched = missing.reduce(
      (sum, message) => sum + this.#swarm.entryOf(message)!.header.length + MESSAGE_BYTES,
      0,
    );
    this.#world.send(node, peer, SMALL_BYTES, () =>
      this.#world.send(peer, node, this.#costOf(missing.length) + fetched, () => {
        for (const message of missing) {
          this.#headers.note(message, node, this.#world.network.nowMs);
          this.#bodies.note(message, node, this.#world.network.nowMs);
        }
      }),
    );
  }

  /** Bytes of the node's own reconciliation at so many differences. */
  #costOf(differences: number): number {
    const changed = Math.max(1, Math.min(differences, this.#world.nodeCount));
    let bytes = this.#costs.get(changed);
    if (bytes === undefined) {
      bytes = measureReconciliation(this.#world.nodeCount, changed, 1).frameBytes;
      this.#costs.set(changed, bytes);
    }
    return bytes;
  }
}
