import { createTopology, draw, type Topology } from "../gossip/topology.ts";
import { MESSAGE_BYTES, type Scheme, type World } from "./world.ts";

/** Neighbours in the overlay that carries requests. */
const DEGREE = 6;
/** Flooded requests end here: more hops than 200 nodes need. */
const MAX_HOPS = 8;

/**
 * The request itself travels: everybody who hears it passes it on, and every provider answers the asker. `public` = over all nodes;
 * `topic` = over the members of the topic, entered at some of them (the paper's topic route).
 */
export class Broadcast implements Scheme {
  readonly #world: World;
  readonly #isPublic: boolean;
  /** Neighbours of a node: among all nodes, or among those of its topic. */
  readonly #neighbours: readonly (readonly number[])[];
  readonly #members: readonly (readonly number[])[];
  readonly #heard = new Map<number, Set<number>>();
  #nextId = 0;

  constructor(world: World, reach: "public" | "topic") {
    this.#world = world;
    this.#isPublic = reach === "public";
    const nodes = Array.from({ length: world.nodeCount }, (_, node) => node);
    const topics = new Set(nodes.map((node) => world.topicOf(node)));
    const groups = this.#isPublic
      ? [nodes]
      : [...topics].sort((a, b) => a - b).map((topic) => nodes.filter((node) => world.topicOf(node) === topic));
    this.#members = groups;
    const neighbours: number[][] = nodes.map(() => []);
    for (const group of groups) {
      const overlay: Topology = createTopology(group.length, DEGREE, world.network.random);
      group.forEach((node, k) => neighbours[node]!.push(...Array.from(overlay[k]!, (other) => group[other]!)));
    }
    this.#neighbours = neighbours;
  }

  join(): void {}
  leave(): void {}

  find(node: number, topic: number, found: (provider: number | undefined, isAnswered: boolean) => void): void {
    const id = this.#nextId++;
    this.#heard.set(id, new Set([node]));
    // An asker outside the topic knows some members of it; those that have gone lose the request.
    const first = this.#isPublic
      ? this.#neighbours[node]!
      : draw(this.#members[topic]!, DEGREE, this.#world.network.random);
    const answer = (provider: number) => this.#world.send(provider, node, MESSAGE_BYTES, () => found(provider, true));
    for (const peer of first) this.#pass(node, peer, { id, topic, hops: 1 }, answer);
  }

  #pass(
    from: number,
    to: number,
    request: { readonly id: number; readonly topic: number; readonly hops: number },
    answer: (provider: number) => void,
  ): void {
    this.#world.send(from, to, MESSAGE_BYTES, () => {
      const heard = this.#heard.get(request.id)!;
      if (heard.has(to)) return;
      heard.add(to);
      if (this.#world.topicOf(to) === request.topic) answer(to);
      if (request.hops === MAX_HOPS) return;
      const next = { ...request, hops: request.hops + 1 };
      for (const peer of this.#neighbours[to]!) if (peer !== from) this.#pass(to, peer, next, answer);
    });
  }
}
