import { LEASE_MS, MESSAGE_BYTES, RENEWAL_MS, SMALL_BYTES, type Scheme, type World } from "./world.ts";

/** One server that never fails: providers announce themselves under a lease and renew it; askers get one name drawn evenly. */
export class Registry implements Scheme {
  readonly #world: World;
  readonly #server: number;
  /** By provider: until when. */
  readonly #leases = new Map<number, number>();

  constructor(world: World) {
    this.#world = world;
    this.#server = world.nodeCount;
  }

  join(node: number): void {
    this.#renew(node, MESSAGE_BYTES);
    this.#world.every(node, RENEWAL_MS, () => this.#renew(node, SMALL_BYTES));
  }
  leave(): void {}

  find(node: number, topic: number, found: (provider: number | undefined, isAnswered: boolean) => void): void {
    const { network } = this.#world;
    const look = () => {
      const listed = [...this.#leases]
        .filter(([provider, untilMs]) => untilMs > network.nowMs && this.#world.topicOf(provider) === topic)
        .map(([provider]) => provider);
      return { bytes: MESSAGE_BYTES, value: listed[Math.floor(network.random() * listed.length)] };
    };
    this.#world.call([node, this.#server], SMALL_BYTES, look, (provider) => found(provider, false));
  }

  #renew(node: number, bytes: number): void {
    const { network } = this.#world;
    this.#world.send(node, this.#server, bytes, () => this.#leases.set(node, network.nowMs + LEASE_MS));
  }
}
