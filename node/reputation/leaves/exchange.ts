import { CHUNK_LEAVES, fileLayoutOf, MAX_FILE_LEAVES, PIECE_CHUNKS, type Verdict } from "#protocol";
import type { Store } from "../../store/port.ts";
import type { PeerName, Transport } from "../../transport/port.ts";
import type { FoundChunks, LeafExchange, WantedLeaves } from "../port.ts";
import { loadLeaves, partBytesOf, type FinderOptions, type LeafSource } from "./finder.ts";
import { createLeafShelf, type LeafShelf } from "./shelf.ts";
import { encodePartRequest, LEAVES_PROTOCOL, serveLeaves } from "./wire.ts";

/** Peers that are asked at once beside the publisher. */
const MAX_PEERS = 8;

export interface LeafExchangeOptions {
  readonly transport: Pick<Transport, "serve" | "request" | "peers">;
  readonly store: Store;
  /** Connects to a node of an agent; Resolver of node/transport/addressing is one. */
  readonly dialAgent: (agentId: bigint, signal: AbortSignal) => Promise<Verdict<PeerName>>;
  readonly nowMs: () => number;
  /** Told of a peer that gave what a root does not prove. */
  readonly onLie: FinderOptions["onLie"];
  readonly partTimeoutMs?: number;
}

/** Leaves between nodes: serves what is on the shelf, and asks the publisher, then other peers, for what is not. */
export async function openLeafExchange(
  options: LeafExchangeOptions,
): Promise<LeafExchange & { readonly shelf: LeafShelf }> {
  const { transport, store, nowMs } = options;
  const shelf = createLeafShelf(store);
  await serveLeaves(transport, shelf, nowMs);
  return {
    shelf,
    keep: (epoch, tree) => shelf.keepTree(epoch, tree),
    async find(wanted, signal) {
      if (wanted.leafCount > MAX_FILE_LEAVES || wanted.leafCount === 0) return [];
      await findLeaves(wanted, shelf, options, signal);
      return chunksOf(wanted, shelf);
    },
  };
}

/** The publisher has half of the time for itself: it owes the leaves. Then whoever else is connected helps. */
async function findLeaves(
  wanted: WantedLeaves,
  shelf: LeafShelf,
  { transport, dialAgent, onLie, partTimeoutMs }: LeafExchangeOptions,
  signal: AbortSignal,
): Promise<void> {
  const isWhole = () => shelf.outlineOf(wanted) !== undefined && shelf.missingPieces(wanted).length === 0;
  if (isWhole() || wanted.patienceMs <= 0) return;
  const finder = { shelf, epoch: wanted.epoch, onLie, ...(partTimeoutMs === undefined ? {} : { partTimeoutMs }) };
  const first = AbortSignal.any([signal, AbortSignal.timeout(wanted.patienceMs / 2)]);
  const dialled = await dialAgent(BigInt(wanted.publisher), first);
  const publisher = dialled.kind === "accept" ? dialled.value : undefined;
  if (publisher !== undefined) await loadLeaves(wanted, [sourceOf(publisher, transport)], finder, first);
  if (isWhole() || signal.aborted) return;
  const others = transport.peers().filter((peer) => peer !== publisher);
  const asked = [...others.slice(0, MAX_PEERS), ...(publisher === undefined ? [] : [publisher])];
  await loadLeaves(
    wanted,
    asked.map((peer) => sourceOf(peer, transport)),
    finder,
    AbortSignal.any([signal, AbortSignal.timeout(wanted.patienceMs / 2)]),
  );
}

function sourceOf(peer: PeerName, transport: Pick<Transport, "request">): LeafSource {
  return {
    name: peer,
    ask: (id, part, signal) =>
      transport.request(peer, LEAVES_PROTOCOL, encodePartRequest({ id, part }), {
        ...{ signal, maxResponseBytes: partBytesOf(id, part) },
      }),
  };
}

function chunksOf(wanted: WantedLeaves, shelf: LeafShelf): FoundChunks {
  const { chunkCount, pieceCount } = fileLayoutOf(wanted.leafCount);
  const chunks: (readonly bigint[] | undefined)[] = Array.from({ length: chunkCount }, () => undefined);
  for (let piece = 0; piece < pieceCount; piece++) {
    const words = shelf.wordsOf(wanted, piece);
    if (words === undefined) continue;
    for (let offset = 0; offset < words.length; offset += CHUNK_LEAVES) {
      chunks[piece * PIECE_CHUNKS + offset / CHUNK_LEAVES] = words.slice(offset, offset + CHUNK_LEAVES);
    }
  }
  return chunks;
}
