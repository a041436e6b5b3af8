import { LEASE_MS, MESSAGE_BYTES, RENEWAL_MS, SMALL_BYTES, type Scheme, type World } from "./world.ts";

/** Kademlia's α, and its k made small for a network this small. */
const PARALLEL = 3;
const REPLICAS = 8;
/** A contact in an answer: id, address and port of 38 bytes; the paper's k of them. */
const CONTACT_BYTES = 38;
/** Contacts that a node keeps for each distance. */
const BUCKET = 8;
const KEY_BITS = 32;

interface Lease {
  readonly provider: number;
  readonly untilMs: number;
}
interface Reply {
  readonly contacts: readonly number[];
  readonly providers: readonly number[];
}

/**
 * Kademlia (Maymounkov and Mazières, 2002): providers store a record at the nodes nearest to their topic's key and renew it; askers
 * look the key up. Records and tables die with the node that holds them; contacts that do not answer are dropped.
 */
export class Kademlia implements Scheme {
  readonly #world: World;
  readonly #keys: Uint32Array;
  readonly #contacts: (Set<number> | undefined)[];
  readonly #records: Map<number, Lease[]>[];

  constructor(world: World) {
    const { nodeCount, network } = world;
    this.#world = world;
    this.#keys = Uint32Array.from({ length: nodeCount }, () => Math.floor(network.random() * 2 ** KEY_BITS));
    this.#contacts = Array.from({ length: nodeCount });
    this.#records = Array.from({ length: nodeCount }, () => new Map<number, Lease[]>());
  }

  /** A node keeps its table on disk; a first one is filled as a crawl of the network would. */
  join(node: number): void {
    this.#contacts[node] ??= this.#fill(node);
    const announce = (bytes: number) => this.#store(node, bytes);
    announce(MESSAGE_BYTES);
    this.#world.every(node, RENEWAL_MS, () => announce(SMALL_BYTES));
  }
  leave(node: number): void {
    this.#records[node]!.clear();
  }

  find(node: number, topic: number, found: (provider: number | undefined, isAnswered: boolean) => void): void {
    this.#lookUp(node, keyOf(topic), true, ({ providers }) =>
      found(providers[Math.floor(this.#world.network.random() * providers.length)], false),
    );
  }

  #fill(node: number): Set<number> {
    const buckets = new Map<number, number[]>();
    for (let other = 0; other < this.#world.nodeCount; other++) {
      if (other === node) continue;
      const bucket = Math.clz32(this.#keys[node]! ^ this.#keys[other]!);
      const list = buckets.get(bucket) ?? [];
      buckets.set(bucket, list);
      if (list.length < BUCKET) list.push(other);
      else if (this.#world.network.random() < 0.5) list[Math.floor(this.#world.network.random() * BUCKET)] = other;
    }
    return new Set([...buckets.values()].flat());
  }

  #store(node: number, bytes: number): void {
    const topic = this.#world.topicOf(node);
    this.#lookUp(node, keyOf(topic), false, ({ contacts }) => {
      for (const holder of contacts)
        this.#world.send(node, holder, bytes, () => {
          const untilMs = this.#world.network.nowMs + LEASE_MS;
          const others = (this.#records[holder]!.get(topic) ?? []).filter(({ provider }) => provider !== node);
          this.#records[holder]!.set(topic, [...others, { provider: node, untilMs }]);
        });
    });
  }

  /** Asks the nearest known, three at a time, until the nearest eight have answered, or, for a value, until somebody has it. */
  #lookUp(node: number, key: number, wantsValue: boolean, done: (reply: Reply) => void): void {
    const near = (list: Iterable<number>) =>
      [...list].sort((a, b) => ((this.#keys[a]! ^ key) >>> 0) - ((this.#keys[b]! ^ key) >>> 0));
    const table = this.#contacts[node]!;
    const known = new Set(near(table).slice(0, REPLICAS * 2));
    const asked = new Set<number>();
    const answered = new Set<number>();
    let underWay = 0;
    let isDone = false;
    const finish = (providers: readonly number[]) => {
      isDone = true;
      done({ contacts: near(answered).slice(0, REPLICAS), providers });
    };
    const go = () => {
      if (isDone) return;
      const candidates = near(known).slice(0, REPLICAS);
      const next = candidates.filter((contact) => !asked.has(contact)).slice(0, PARALLEL - underWay);
      if (next.length === 0 && underWay === 0) return finish([]);
      for (const contact of next) {
        asked.add(contact);
        underWay++;
        this.#world.call(
          [node, contact],
          SMALL_BYTES,
          () => this.#answer(contact, key),
          (reply) => {
            underWay--;
            if (reply === undefined) {
              known.delete(contact);
              table.delete(contact);
            } else {
              answered.add(contact);
              table.add(contact);
              for (const other of reply.contacts) if (other !== node && !asked.has(other)) known.add(other);
              if (wantsValue && reply.providers.length > 0 && !isDone) return finish(reply.providers);
            }
            go();
          },
        );
      }
    };
    go();
  }

  #answer(holder: number, key: number): { bytes: number; value: Reply } {
    const { nowMs } = this.#world.network;
    const near = [...(this.#contacts[holder] ?? [])]
      .sort((a, b) => ((this.#keys[a]! ^ key) >>> 0) - ((this.#keys[b]! ^ key) >>> 0))
      .slice(0, REPLICAS);
    const records = this.#records[holder]!.get(topicOfKey(key)) ?? [];
    const providers = records.filter(({ untilMs }) => untilMs > nowMs).map(({ provider }) => provider);
    return {
      bytes: SMALL_BYTES + (near.length + providers.length) * CONTACT_BYTES,
      value: { contacts: near, providers },
    };
  }
}

/** Topics are few: a key names its topic back. */
const SPREAD = 0x9e3779b1;
const keyOf = (topic: number): number => Math.imul(topic + 1, SPREAD) >>> 0;
const topicOfKey = (key: number): number => {
  for (let topic = 0; ; topic++) if (keyOf(topic) === key) return topic;
};
