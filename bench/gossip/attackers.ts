// Who attacks, and what he does with what he hears.
import { decodeFrame, encodeFrame, MAX_FRAME_BYTES, type PushedHeader } from "../../node/gossip/mesh/wire.ts";
import type { MeshEffect } from "../../node/gossip/mesh/port.ts";
import { createEntry, cheapHash, ENTRY_SHARDS, type Entry } from "./entries.ts";
import type { Stranger, Swarm } from "./swarm.ts";

/** Attackers run the protocol, but keep to themselves what they should pass on, or pass it on late. */
export const passiveAttacks = [
  "eclipse of a target",
  "eclipse of a publisher",
  "censoring relays",
  "degradation",
  "cold boot",
  "covert flash",
  "attack at dawn",
  "colocation",
] as const;
/** Attackers say what they must not. */
export const activeAttacks = [
  "header flood",
  "bad-signature twins",
  "want flood",
  "fork flood",
  "announce and not deliver",
  "oversized frames",
] as const;
export type PassiveAttack = (typeof passiveAttacks)[number];
export type ActiveAttack = (typeof activeAttacks)[number];
export type AttackName = PassiveAttack | ActiveAttack | "none";

/** gossipsub is attacked by those that need neither a message of ours nor meshes that form. */
export const isComparable = (name: AttackName): boolean => !isActive(name) && name !== "colocation";
export const isActive = (name: AttackName): name is ActiveAttack => activeAttacks.some((active) => active === name);

/** The node that is surrounded, or publishes while it is. */
export const TARGET = 0;
/** Links of a surrounded node that are not the attacker's: one of eight. */
const ECLIPSED_SHARE = 7 / 8;
/** Identities of one attacker that all dial the target, besides its own links, and are there first. */
const COLOCATED = 48;
/** How late attackers pass on what they degrade. */
const DEGRADED_BY_MS = 1_000;

/** Share of all nodes that attack; those of an eclipse are neighbours of the target instead. */
const SHARES: Readonly<Record<Exclude<PassiveAttack, `eclipse of a ${string}` | "colocation">, number>> = {
  "censoring relays": 1 / 3,
  degradation: 1 / 3,
  "cold boot": 2 / 3,
  "covert flash": 1 / 2,
  "attack at dawn": 1 / 2,
};
const ACTIVE_SHARE = 0.05;

/** @param neighbours of the target */
export function chooseAttackers(
  name: AttackName,
  neighbours: readonly number[],
  nodeCount: number,
  random: () => number,
): ReadonlySet<number> {
  if (name === "none") return new Set();
  if (name === "colocation") return new Set(Array.from({ length: COLOCATED }, (_, k) => nodeCount - 1 - k));
  if (name === "eclipse of a target" || name === "eclipse of a publisher")
    return new Set(neighbours.slice(0, Math.round(ECLIPSED_SHARE * neighbours.length)));
  const share = isActive(name) ? ACTIVE_SHARE : SHARES[name];
  const chosen = new Set<number>();
  while (chosen.size < Math.round(share * nodeCount)) chosen.add(1 + Math.floor(random() * (nodeCount - 1)));
  return chosen;
}

/** By how much an attacker delays what it passes on; Infinity = never. Covert ones behave until `flashMs`. */
export function delayOf(name: AttackName, nowMs: number, flashMs: number): number {
  if (name === "degradation") return DEGRADED_BY_MS;
  return name === "covert flash" && nowMs < flashMs ? 0 : Infinity;
}

/** Second byte of the frames that pass something on: headers, announcements, bodies. */
const PASSED_ON: ReadonlySet<number> = new Set([4, 5, 8]);
export const passesOn = (effect: MeshEffect): boolean => effect.kind === "send" && PASSED_ON.has(effect.bytes[1] ?? 0);

const TICK_MS = 100;
/** By link and tick: 500 headers a second, and as many questions. */
const PER_TICK = 50;
const BATCH = 10;
const TWINS = 5;
const FORKS = 60;
const OVERSIZED_BYTES = MAX_FRAME_BYTES + 4_096;

/** A node that joins meshes and then attacks each of its links, ten times a second, until `untilMs`. */
export function createAttacker(
  name: ActiveAttack,
  node: number,
  swarm: () => Swarm,
  untilMs: number,
): Stranger & { start(): void; readonly forks: readonly Entry[] } {
  const heard = new Map<string, PushedHeader>();
  const forks = name === "fork flood" ? createForks(node) : [];
  let ticks = 0;
  const toAll = (bytes: Uint8Array) => {
    for (const peer of swarm().peersOf(node)) swarm().sendRaw(node, peer, bytes);
  };
  const pushAll = (headers: readonly PushedHeader[]) => {
    for (let at = 0; at < headers.length; at += BATCH)
      toAll(encodeFrame({ kind: "headers", headers: headers.slice(at, at + BATCH) }));
  };
  const tick = () => {
    const { network } = swarm();
    if (network.nowMs > untilMs) return;
    act();
    ticks++;
    network.after(TICK_MS, tick);
  };
  const act = () => {
    const known = [...heard.keys()];
    switch (name) {
      case "header flood":
        return pushAll(
          Array.from({ length: PER_TICK }, (_, k) => ({
            body: "none",
            hops: 0,
            bytes: forgery(node, ticks * PER_TICK + k),
          })),
        );
      case "want flood":
        for (let k = 0; k < PER_TICK && known.length > 0; k++)
          toAll(encodeFrame({ kind: "askBody", id: known[k % known.length]! }));
        return;
      case "fork flood":
        return pushAll(
          forks
            .slice((ticks * BATCH) % FORKS)
            .slice(0, BATCH)
            .map(({ header }) => ({ body: "has", hops: 0, bytes: header })),
        );
      case "announce and not deliver":
        return toAll(
          encodeFrame({
            kind: "announce",
            announcements: Array.from({ length: PER_TICK }, (_, k) => ({
              id: nameOf(node, ticks * PER_TICK + k),
              shard: shardNumber,
              entryKind: 1,
              body: "has",
            })),
          }),
        );
      case "oversized frames":
        return toAll(new Uint8Array(OVERSIZED_BYTES).fill(1));
      case "bad-signature twins":
        return;
    }
  };
  return {
    forks,
    start: tick,
    connected(peer) {
      swarm().network.after(TICK_MS, () => {
        swarm().sendRaw(node, peer, encodeFrame({ kind: "hello", shards: ENTRY_SHARDS, extensions: [] }));
        swarm().sendRaw(node, peer, encodeFrame({ kind: "graft", shards: ENTRY_SHARDS, isLonely: false }));
      });
    },
    frame(_from, bytes) {
      const frame = decodeFrame(bytes);
      if (frame.kind !== "accept" || frame.value.kind !== "headers" || swarm().network.nowMs > untilMs) return;
      for (const header of frame.value.headers) {
        const id = String.fromCharCode(...cheapHash(header.bytes).subarray(0, 20));
        if (heard.has(id)) continue;
        heard.set(id, header);
        if (name === "announce and not deliver") pushAll([{ ...header, body: "has", hops: 0 }]);
        if (name === "bad-signature twins")
          pushAll(Array.from({ length: TWINS }, (_, k) => ({ ...header, bytes: twinOf(header.bytes, k + 1) })));
      }
    },
  };
}

const shardNumber = ENTRY_SHARDS.toString(2).length - 1;
const template = createEntry({ author: 1, seq: 0, bodyBytes: 100 }, cheapHash).header;
/** Where the body's hash lies in a header: after version, kind, log, a seq of one byte and prev. */
const BODY_HASH_AT = 1 + 1 + 20 + 1 + 32;

/** A header in the right shard that nobody signed. */
function forgery(node: number, count: number): Uint8Array {
  const bytes = template.slice();
  new DataView(bytes.buffer).setUint32(BODY_HASH_AT, node);
  new DataView(bytes.buffer).setUint32(BODY_HASH_AT + 4, count);
  return bytes;
}

function twinOf(header: Uint8Array, count: number): Uint8Array {
  const bytes = header.slice();
  bytes[bytes.length - 1]! ^= count;
  return bytes;
}

function nameOf(node: number, count: number): string {
  return String.fromCharCode(
    ...cheapHash(Uint8Array.of(node & 255, node >> 8, count & 255, (count >> 8) & 255, count >> 16)).subarray(0, 20),
  );
}

/** Signed entries of one seq. */
function createForks(node: number): Entry[] {
  return Array.from({ length: FORKS }, (_, k) =>
    createEntry({ author: node, seq: 0, bodyBytes: 100 }, cheapHash, { timeMs: 1_795_000_000_000 + k }),
  );
}
