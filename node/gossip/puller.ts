import { bodyHashOf, kinds, matchBody, type VerifiedHeader, type Verdict } from "#protocol";
import type { Hex } from "viem";
import type { PeerName } from "../transport/port.ts";

/** Bodies wanted at once; further ones are taken up again from the store at the next synchronisation. */
export const MAX_WANTS = 1_024;
/** Peers remembered per body: enough to survive liars, few enough to forget. */
export const MAX_HOLDERS = 8;
/** A responder works on 16 requests of one peer; half of them are for bodies. */
const MAX_PULLS_PER_PEER = 8;
const MAX_PULLS = 32;

interface Want {
  readonly header: VerifiedHeader;
  /** Who said that it has the body, in order, and is still to be asked. */
  readonly holders: PeerName[];
  /** Who sent other bytes under this hash; never asked for it again. */
  readonly liars: Set<PeerName>;
  /** Who was asked since somebody last said that it has the body. */
  readonly asked: Set<PeerName>;
  current: PeerName | undefined;
}

export type PullerEvent =
  | { readonly kind: "want"; readonly header: VerifiedHeader; readonly from: PeerName | undefined }
  /** A peer can be expected to have what was said up to `seq` of the log. */
  | { readonly kind: "holds"; readonly peer: PeerName; readonly log: Hex; readonly seq: number }
  | { readonly kind: "answer"; readonly digest: Hex; readonly peer: PeerName; readonly answer: Verdict<Uint8Array> }
  /** Peers that may have the body although they have not said so: the answer to `stranded`. */
  | { readonly kind: "offer"; readonly digest: Hex; readonly peers: readonly PeerName[] }
  | { readonly kind: "gone"; readonly peer: PeerName }
  /** The body came another way. */
  | { readonly kind: "drop"; readonly digest: Hex };

export type PullerEffect =
  | { readonly kind: "pull"; readonly peer: PeerName; readonly header: VerifiedHeader }
  | { readonly kind: "body"; readonly header: VerifiedHeader; readonly bytes: Uint8Array; readonly peer: PeerName }
  /** The author's header lies about the length of this body: nobody can have what it names. */
  | { readonly kind: "void"; readonly header: VerifiedHeader; readonly detail: string }
  /** Nobody is left to ask. */
  | { readonly kind: "stranded"; readonly header: VerifiedHeader }
  /** The peer sent what it must not have sent: BODY_HASH, BODY_LENGTH, FRAME_TOO_LARGE… */
  | { readonly kind: "fault"; readonly peer: PeerName; readonly code: string; readonly detail: string };

/**
 * Decides whom to ask for which body. IO-less: events in, effects out; the state is changed in place and owned by the
 * puller, because a copy of a thousand wants for each event would cost more than the decision.
 */
export interface Puller {
  step(event: PullerEvent): PullerEffect[];
  /** Whether this body is wanted, so that it will be here soon. */
  has(hash: Hex): boolean;
  /** Number of bodies wanted. */
  readonly size: number;
}

export function createPuller(): Puller {
  /** By digest of the header, not by hash of the body: who copies a body hash must not take over another's want. */
  const wants = new Map<Hex, Want>();
  const loads = new Map<PeerName, number>();

  function step(event: PullerEvent): PullerEffect[] {
    switch (event.kind) {
      case "want":
        want(event.header, event.from);
        break;
      case "holds":
        for (const entry of wants.values()) {
          const { log, seq } = entry.header.header;
          if (log === event.log && seq <= event.seq) addHolder(entry, event.peer);
        }
        break;
      case "answer":
        return [...settle(event.digest, event.peer, event.answer), ...ask()];
      case "offer": {
        const entry = wants.get(event.digest);
        for (const peer of event.peers) if (entry && !entry.asked.has(peer)) addHolder(entry, peer);
        break;
      }
      case "gone":
        for (const { holders } of wants.values()) remove(holders, event.peer);
        break;
      case "drop":
        wants.delete(event.digest);
    }
    return ask();
  }

  function want(header: VerifiedHeader, from: PeerName | undefined): void {
    let entry = wants.get(header.digest);
    if (entry === undefined) {
      if (wants.size >= MAX_WANTS && !dropOne()) return;
      wants.set(
        header.digest,
        (entry = { header, holders: [], liars: new Set(), asked: new Set(), current: undefined }),
      );
    }
    if (from !== undefined) addHolder(entry, from);
  }

  /** The body that waits longest without anybody to ask makes room. */
  function dropOne(): boolean {
    for (const [digest, { holders, current }] of wants) {
      if (holders.length > 0 || current !== undefined) continue;
      return wants.delete(digest);
    }
    return false;
  }

  function settle(digest: Hex, peer: PeerName, answer: Verdict<Uint8Array>): PullerEffect[] {
    release(peer);
    const entry = wants.get(digest);
    if (entry === undefined || entry.current !== peer) return [];
    entry.current = undefined;
    const { header } = entry;
    const matched = answer.kind === "accept" ? matchBody(header.header, answer.value) : answer;
    if (matched.kind === "accept") {
      wants.delete(digest);
      return [{ kind: "body", header, bytes: matched.value, peer }];
    }
    if (answer.kind === "accept" && bodyHashOf(answer.value) === header.header.bodyHash) {
      wants.delete(digest);
      return [{ kind: "void", header, detail: matched.detail }];
    }
    const effects: PullerEffect[] = [];
    if (matched.kind === "reject") {
      entry.liars.add(peer);
      effects.push({ kind: "fault", peer, code: matched.code, detail: matched.detail });
    }
    if (entry.holders.length === 0) effects.push({ kind: "stranded", header });
    return effects;
  }

  function release(peer: PeerName): void {
    const load = (loads.get(peer) ?? 1) - 1;
    if (load > 0) loads.set(peer, load);
    else loads.delete(peer);
  }

  function ask(): PullerEffect[] {
    const effects: PullerEffect[] = [];
    let underWay = loads.values().reduce((sum, load) => sum + load, 0);
    // What no longer holds is learned first.
    const withdrawals = wants.values().filter(isWithdrawal);
    const others = wants.values().filter((entry) => !isWithdrawal(entry));
    for (const entry of [...withdrawals, ...others]) {
      if (underWay >= MAX_PULLS) break;
      if (entry.current !== undefined) continue;
      const at = entry.holders.findIndex((peer) => (loads.get(peer) ?? 0) < MAX_PULLS_PER_PEER);
      const [peer] = at < 0 ? [] : entry.holders.splice(at, 1);
      if (peer === undefined) continue;
      entry.current = peer;
      entry.asked.add(peer);
      loads.set(peer, (loads.get(peer) ?? 0) + 1);
      underWay++;
      effects.push({ kind: "pull", peer, header: entry.header });
    }
    return effects;
  }

  return {
    step,
    has: (hash) => wants.values().some(({ header }) => header.header.bodyHash === hash),
    get size() {
      return wants.size;
    },
  };
}

const isWithdrawal = ({ header }: Want): boolean => header.header.kind === kinds.withdraw;

function addHolder({ holders, liars, current }: Want, peer: PeerName): void {
  if (peer === current || liars.has(peer) || holders.includes(peer) || holders.length >= MAX_HOLDERS) return;
  holders.push(peer);
}

function remove(list: PeerName[], peer: PeerName): void {
  const at = list.indexOf(peer);
  if (at >= 0) list.splice(at, 1);
}
