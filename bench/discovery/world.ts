// The paper's experiment (arXiv 2606.17368): some agents ask for a capability while others come and go; a provider that has gone is a failure.
import { createRandom } from "../reputation/random-graph.ts";
import { DESIGN_LINKS, Network } from "../gossip/network.ts";
import { CLASSES, type Load } from "../gossip/swarm.ts";

export const REQUESTS = 100;
/** The paper's message: a request, an answer and a capability's description have 1 KB each. */
export const MESSAGE_BYTES = 1_024;
/** A question or an answer that names something by hash. */
export const SMALL_BYTES = 64;
/** Topics of capabilities: each agent offers one. */
const TOPICS = 10;
/** How long a node stays away; its presence is as long as the churn asks. */
const MEAN_ABSENCE_MS = 20_000;
/** Schemes settle before the first request; then two requests a second. */
export const WARM_UP_MS = 25_000;
const REQUEST_GAP_MS = 500;
/** After it a request has failed. */
export const DEADLINE_MS = 5_000;
/** What a caller waits for an answer: four times the longest round trip. */
export const CALL_TIMEOUT_MS = 1_000;
/** For how long an announcement of a capability stands in a registry or a table, and when it is renewed. */
export const LEASE_MS = 30_000;
export const RENEWAL_MS = 15_000;

export interface WorldOptions {
  readonly nodeCount: number;
  readonly seed: number;
  /** Share of the nodes that are away at any time. */
  readonly churn: number;
}

/** What a request came to; `void` = its asker went before it was settled, which no scheme can mend. */
export interface Answer {
  readonly outcome: "success" | "stale" | "none" | "void";
  readonly latencyMs: number;
}

/** One way to find a provider. Methods run at the node named first; nothing of a node's state is read by others but by frames. */
export interface Scheme {
  /** A node came, or came back. */
  join(node: number): void;
  /** A node fell silent. Nobody is told; the scheme may forget what only that node knew. */
  leave(node: number): void;
  /** @param found names a provider; the request itself is sent by the world, unless `isAnswered`: it was already */
  find(node: number, topic: number, found: (provider: number | undefined, isAnswered: boolean) => void): void;
}

export class World {
  readonly network: Network<Load>;
  /** Frames of bytes go to whoever runs cores on this network. */
  onBytes: (node: number, from: number, bytes: Uint8Array) => void = () => undefined;
  readonly nodeCount: number;
  readonly #random: () => number;
  readonly #churn: number;
  readonly #sessions: Int32Array;
  readonly answers: Answer[] = [];

  /** @param serverCount further nodes that take no part and never go */
  constructor({ nodeCount, seed, churn }: WorldOptions, serverCount = 1) {
    this.nodeCount = nodeCount;
    this.#churn = churn;
    // People, requests and absences come from a sequence of their own: all schemes meet the same.
    this.#random = createRandom(seed);
    this.#sessions = new Int32Array(nodeCount);
    this.network = new Network<Load>({
      nodeCount: nodeCount + serverCount,
      seed,
      links: DESIGN_LINKS,
      classes: CLASSES,
      receive: (node, from, load) => (typeof load === "function" ? load() : this.onBytes(node, from, load)),
    });
  }

  topicOf(node: number): number {
    return node % TOPICS;
  }
  isAlive(node: number): boolean {
    return !this.network.isDead(node);
  }
  /** Counts a node's comings: a timer of an earlier one must not act in a later one. */
  sessionOf(node: number): number {
    return this.#sessions[node] ?? 0;
  }

  /** @param step runs at the receiver */
  send(from: number, to: number, bytes: number, step: () => void): void {
    this.network.send(from, to, step, bytes, 0);
  }

  /** Repeats at a living node until it goes. */
  every(node: number, intervalMs: number, action: () => void): void {
    const session = this.sessionOf(node);
    const again = () =>
      this.network.after(intervalMs, () => {
        if (!this.isAlive(node) || this.sessionOf(node) !== session) return;
        action();
        again();
      });
    again();
  }

  /** Asks and waits for the answer, at most CALL_TIMEOUT_MS. @param answer runs at the callee */
  call<T>(
    [from, to]: readonly [number, number],
    askBytes: number,
    answer: () => { readonly bytes: number; readonly value: T },
    done: (value: T | undefined) => void,
  ): void {
    let isDone = false;
    const finish = (value: T | undefined) => {
      if (isDone) return;
      isDone = true;
      done(value);
    };
    this.send(from, to, askBytes, () => {
      const { bytes, value } = answer();
      this.send(to, from, bytes, () => finish(value));
    });
    this.network.after(CALL_TIMEOUT_MS, () => finish(undefined));
  }

  /** Runs a scheme through all requests. @returns bytes of all nodes, servers included, over the whole run */
  async run(scheme: Scheme, signal?: AbortSignal): Promise<number> {
    for (let node = 0; node < this.nodeCount; node++) this.#begin(scheme, node);
    for (let k = 0; k < REQUESTS; k++) this.network.after(WARM_UP_MS + k * REQUEST_GAP_MS, () => this.#request(scheme));
    await this.network.run(WARM_UP_MS + REQUESTS * REQUEST_GAP_MS + DEADLINE_MS, signal);
    return this.network.ledger.sentBytes;
  }

  /** Presence and absence are exponential; a first draw says who is away at the beginning. */
  #begin(scheme: Scheme, node: number): void {
    if (this.#random() < this.#churn) {
      this.network.kill(node);
      this.#stayAway(scheme, node);
    } else {
      scheme.join(node);
      this.#stay(scheme, node);
    }
  }

  #stay(scheme: Scheme, node: number): void {
    if (this.#churn === 0) return;
    this.network.after(this.#exponential((MEAN_ABSENCE_MS * (1 - this.#churn)) / this.#churn), () => {
      this.network.kill(node);
      scheme.leave(node);
      this.#stayAway(scheme, node);
    });
  }

  #stayAway(scheme: Scheme, node: number): void {
    this.network.after(this.#exponential(MEAN_ABSENCE_MS), () => {
      this.network.revive(node);
      this.#sessions[node]!++;
      scheme.join(node);
      this.#stay(scheme, node);
    });
  }

  #exponential(meanMs: number): number {
    return -Math.log(1 - this.#random()) * meanMs;
  }

  #request(scheme: Scheme): void {
    const asker = this.#drawLiving(() => true);
    const wanted = this.#drawLiving((node) => node !== asker && this.topicOf(node) !== this.topicOf(asker));
    const topic = this.topicOf(wanted);
    const startedMs = this.network.nowMs;
    const at = this.answers.push({ outcome: "none", latencyMs: DEADLINE_MS }) - 1;
    const session = this.sessionOf(asker);
    const hasGone = () => !this.isAlive(asker) || this.sessionOf(asker) !== session;
    const settle = (outcome: Answer["outcome"]) => {
      const latencyMs = this.network.nowMs - startedMs;
      if (latencyMs <= DEADLINE_MS) this.answers[at] = { outcome: hasGone() ? "void" : outcome, latencyMs };
    };
    this.network.after(DEADLINE_MS, () => {
      if (this.answers[at]!.outcome === "none" && hasGone()) this.answers[at] = { outcome: "void", latencyMs: 0 };
    });
    const look = () => {
      let isNamed = false;
      scheme.find(asker, topic, (provider, isAnswered) => {
        if (isNamed || provider === undefined) return;
        isNamed = true;
        // INVARIANT: a provider of another topic would be a wrong scheme, not a failed request.
        if (this.topicOf(provider) !== topic) throw new Error(`bench: provider ${provider} offers another topic`);
        if (isAnswered) return settle("success");
        const wasAlive = this.isAlive(provider);
        this.#ask(asker, provider, (hasAnswered) => {
          if (hasAnswered) settle("success");
          else if (!wasAlive) settle("stale");
          else if (this.network.nowMs < startedMs + DEADLINE_MS) look();
        });
      });
    };
    look();
  }

  /** The request itself. A provider that had gone when it was named makes the result stale; one that goes then is replaced by asking again. */
  #ask(asker: number, provider: number, done: (hasAnswered: boolean) => void): void {
    const answer = () => ({ bytes: MESSAGE_BYTES, value: true });
    this.call([asker, provider], MESSAGE_BYTES, answer, (value) => done(value === true));
  }

  #drawLiving(isSuitable: (node: number) => boolean): number {
    for (;;) {
      const node = Math.floor(this.#random() * this.nodeCount);
      if (this.isAlive(node) && isSuitable(node)) return node;
    }
  }
}
