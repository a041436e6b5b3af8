import type { MeshEffect } from "../../node/gossip/mesh/port.ts";
import { averageSpreads, Arrivals, type Spread } from "./arrivals.ts";
import { chooseAttackers, createAttacker, delayOf, isActive, passesOn, TARGET, type AttackName } from "./attackers.ts";
import { cheapHash, createEntry } from "./entries.ts";
import { DESIGN_LINKS } from "./network.ts";
import { Repair } from "./repair.ts";
import { REPAIR, Swarm } from "./swarm.ts";
import { createTopology } from "./topology.ts";
import { isInterested } from "./workload.ts";

export interface AttackOptions {
  readonly attack: AttackName;
  readonly nodeCount: number;
  readonly seed: number;
  readonly messageCount: number;
  readonly signal?: AbortSignal;
}

/** What honest nodes had of it; of an eclipsed target, what it had. */
export interface AttackOutcome {
  readonly headers: Spread;
  readonly bodies: Spread;
  /** Shares of the headers before anti-entropy and after two rounds of it. */
  readonly coverage: readonly [before: number, after: number];
  readonly bytesPerNodeMessage: number;
  /** Signature checks of an honest node by published message: 1 without an attack. */
  readonly checksPerMessage: number;
  /** Links of attackers that honest nodes have cut, of those that there were. */
  readonly cutLinks: number;
  readonly attackerLinks: number;
  /** Most that one honest node had queued whenever something was published, bytes. */
  readonly mostQueuedBytes: number;
}

/** As gossipsub has them: eight in its mesh and 16 besides. */
export const CONNECTIONS = 24;
export const GAP_MS = 200;
const SETTLE_MS = 6_000;
/** Meshes have hardly formed. */
const COLD_MS = 1_200;
const TAIL_MS = 4_000;
const ROUND_MS = 2_000;
const F = 0.05;
const BODY_BYTES = 4_096;

export async function runAttack(options: AttackOptions): Promise<AttackOutcome> {
  const { attack, nodeCount, seed, messageCount } = options;
  const stage = new Stage(options);
  const { network } = stage.swarm;
  const startMs = attack === "cold boot" ? COLD_MS : SETTLE_MS;
  await network.run(startMs, options.signal);
  const beforeBytes = stage.honestBytes();
  const beforeChecks = stage.honestChecks();
  stage.begin();
  await network.run(startMs + messageCount * GAP_MS + TAIL_MS, options.signal);
  const { headers, bodies } = stage.spreads();
  const bytes = stage.honestBytes() - beforeBytes;
  const checks = stage.honestChecks() - beforeChecks;
  const repair = new Repair(stage.swarm, {
    ...{ headers: stage.headers, messageCount, wants: stage.wants, seed, trafficClass: REPAIR },
    isSilent: (node) => stage.attackers.has(node),
  });
  for (let round = 0; round < 2; round++) {
    repair.round(ROUND_MS);
    await network.run(network.nowMs + 2 * ROUND_MS, options.signal);
  }
  const after = stage.spreads().headers;
  const honest = nodeCount - stage.attackers.size;
  const shareOf = ({ reached, expected }: Spread) => reached / Math.max(1, expected);
  return {
    ...{ headers, bodies, coverage: [shareOf(headers), shareOf(after)] },
    bytesPerNodeMessage: bytes / honest / messageCount,
    checksPerMessage: checks / honest / messageCount,
    ...stage.links(),
    mostQueuedBytes: stage.mostQueuedBytes,
  };
}

class Stage {
  readonly swarm: Swarm;
  readonly attackers: ReadonlySet<number>;
  readonly headers: Arrivals;
  readonly bodies: Arrivals;
  readonly wants = (message: number, node: number): boolean => isInterested(message, node, F);
  readonly #options: AttackOptions;
  readonly #endMs: number;
  readonly #flashMs: number;
  readonly #starts: (() => void)[] = [];
  mostQueuedBytes = 0;
  #linksAtStart = 0;

  constructor(options: AttackOptions) {
    const { attack, nodeCount, seed, messageCount } = options;
    this.#options = options;
    this.#endMs = SETTLE_MS + messageCount * GAP_MS + TAIL_MS;
    this.#flashMs = SETTLE_MS + (messageCount / 2) * GAP_MS;
    this.headers = new Arrivals(nodeCount);
    this.bodies = new Arrivals(nodeCount);
    const strangers = new Map<number, ReturnType<typeof createAttacker>>();
    this.swarm = new Swarm({
      ...{ nodeCount, seed, links: DESIGN_LINKS, wants: this.wants, headers: this.headers, bodies: this.bodies },
      ...{ strangers, holdBackMs: (node: number, effect: MeshEffect) => this.#holdBack(node, effect) },
      // Colocated identities are so many processes of one place; other attackers have places of their own.
      subnetOf: (node) => (attack === "colocation" && this.attackers.has(node) ? "one place" : `place ${node}`),
    });
    const topology = createTopology(nodeCount, CONNECTIONS, this.swarm.network.random);
    this.attackers = chooseAttackers(attack, [...topology[TARGET]!], nodeCount, this.swarm.network.random);
    if (isActive(attack))
      for (const node of this.attackers) {
        const attacker = createAttacker(attack, node, () => this.swarm, this.#endMs);
        strangers.set(node, attacker);
        this.swarm.meshes[node] = undefined;
        this.#starts.push(() => {
          for (const fork of attacker.forks) this.swarm.registerFork(fork);
          attacker.start();
        });
      }
    if (attack === "colocation") for (const node of this.attackers) this.swarm.connect(node, TARGET);
    this.swarm.connectAll(topology);
  }

  #holdBack(node: number, effect: MeshEffect): number {
    if (!this.attackers.has(node) || isActive(this.#options.attack) || !passesOn(effect)) return 0;
    return delayOf(this.#options.attack, this.swarm.network.nowMs, this.#flashMs);
  }

  /** Attackers and authors begin. */
  begin(): void {
    const { network } = this.swarm;
    this.#linksAtStart = this.#countLinks();
    for (const start of this.#starts) start();
    const isPublisher = this.#options.attack === "eclipse of a publisher";
    for (let message = 0; message < this.#options.messageCount; message++) {
      let author = TARGET;
      while (!isPublisher && (author === TARGET || this.attackers.has(author)))
        author = Math.floor(network.random() * network.nodeCount);
      const entry = createEntry({ author, seq: message, bodyBytes: BODY_BYTES }, cheapHash);
      network.after(message * GAP_MS, () => {
        this.swarm.publish(author, message, entry);
        this.#noteQueues();
      });
    }
  }

  spreads(): { readonly headers: Spread; readonly bodies: Spread } {
    const { attack, messageCount } = this.#options;
    const isSeen = (node: number) =>
      attack === "eclipse of a target" || attack === "colocation" ? node === TARGET : !this.attackers.has(node);
    const ids = Array.from({ length: messageCount }, (_, message) => message);
    return {
      headers: averageSpreads(ids.map((id) => this.headers.spreadOf(id, isSeen))),
      bodies: averageSpreads(ids.map((id) => this.bodies.spreadOf(id, (node) => isSeen(node) && this.wants(id, node)))),
    };
  }

  honestBytes(): number {
    return this.swarm.network.bytesByNode.reduce(
      (sum, bytes, node) => (this.attackers.has(node) ? sum : sum + bytes),
      0,
    );
  }

  honestChecks(): number {
    return this.swarm.judgedBy.reduce((sum, count, node) => (this.attackers.has(node) ? sum : sum + count), 0);
  }

  links(): { readonly cutLinks: number; readonly attackerLinks: number } {
    return { attackerLinks: this.#linksAtStart, cutLinks: this.#linksAtStart - this.#countLinks() };
  }

  /** Between attackers and honest nodes. */
  #countLinks(): number {
    return [...this.attackers].reduce(
      (sum, node) => sum + [...this.swarm.peersOf(node)].filter((peer) => !this.attackers.has(peer)).length,
      0,
    );
  }

  #noteQueues(): void {
    const { nowMs } = this.swarm.network;
    this.swarm.meshes.forEach((mesh, node) => {
      if (mesh === undefined || this.attackers.has(node)) return;
      const queued = mesh.peers(nowMs).reduce((sum, { queuedBytes }) => sum + queuedBytes, 0);
      this.mostQueuedBytes = Math.max(this.mostQueuedBytes, queued);
    });
  }
}
