import type { PeerName } from "../../transport/port.ts";
import type { Glimpse } from "./peek.ts";
import type { BodyState, MeshTuning, MessageId } from "./port.ts";
import { MAX_SENDERS } from "./tuning.ts";

/** A header that came by. */
export interface Heard {
  readonly id: MessageId;
  /** Until newer ones need its place. */
  header: Uint8Array | undefined;
  readonly glimpse: Glimpse | undefined;
  readonly isOwn: boolean;
  /** Links between its author and us. */
  readonly hops: number;
  status: "judging" | "accepted" | "ignored" | "rejected";
  /** Whether we have its body. */
  body: BodyState;
  /** Who sent it to us, the first one first. */
  readonly senders: PeerName[];
  /** Who said that it has the body or will have it, in order. */
  readonly holders: PeerName[];
}

/** Headers by id: known for a while, with their bytes for a shorter while. */
export interface Seen {
  get(id: MessageId): Heard | undefined;
  add(heard: Heard): void;
  forget(id: MessageId): void;
  readonly size: number;
}

export function createSeen({ seenHeaders, keptHeaders }: MeshTuning): Seen {
  const byId = new Map<MessageId, Heard>();
  const kept = new Set<Heard>();
  return {
    get: (id) => byId.get(id),
    add(heard) {
      byId.set(heard.id, heard);
      kept.add(heard);
      const oldest = kept.values().next();
      if (kept.size > keptHeaders && !oldest.done) release(oldest.value);
    },
    forget(id) {
      const heard = byId.get(id);
      if (heard !== undefined) kept.delete(heard);
      byId.delete(id);
    },
    get size() {
      return byId.size;
    },
  };

  function release(oldest: Heard): void {
    kept.delete(oldest);
    // A judge still holds the bytes that it was given, and an own header may wait for a slow peer.
    if (!oldest.isOwn) oldest.header = undefined;
    const first = byId.keys().next();
    if (byId.size > seenHeaders && !first.done) byId.delete(first.value);
  }
}

/** Notes who has a header, and whether it says that it has the body or will have it. */
export function noteSender(heard: Heard, peer: PeerName, body: BodyState): void {
  if (heard.senders.length < MAX_SENDERS && !heard.senders.includes(peer)) heard.senders.push(peer);
  noteHolder(heard, peer, body);
}

export function noteHolder({ holders }: Heard, peer: PeerName, body: BodyState): void {
  if (body === "none" || holders.length >= MAX_SENDERS || holders.includes(peer)) return;
  // Who has it comes before who will.
  if (body === "has") holders.unshift(peer);
  else holders.push(peer);
}
