import {
  fileLayoutOf,
  ignore,
  judgeOutline,
  judgePiece,
  MAX_FILE_LEAVES,
  pieceRangeOf,
  type LeavesId,
  type Verdict,
} from "#protocol";
import type { LeafShelf } from "./shelf.ts";
import type { LeavesPart } from "./wire.ts";

/** One part; who answers later is passed over. At 26 KB a second a piece still comes in time. */
const PART_TIMEOUT_MS = 10_000;
/** Parts that one source may fail to give before it is left: a peer that is busy is not a peer without. */
const MAX_FAILURES = 3;
/** Between two attempts at one source. */
const PAUSE_MS = 500;

/** Somebody who may have the leaves, and may lie. */
export interface LeafSource {
  readonly name: string;
  /** @returns what the source gave, unjudged */
  ask(id: LeavesId, part: LeavesPart, signal: AbortSignal): Promise<Verdict<Uint8Array>>;
}

export interface FinderOptions {
  readonly shelf: LeafShelf;
  readonly epoch: number;
  /** Told of a source that gave what the root does not prove. */
  readonly onLie: (source: string, lie: Extract<Verdict<never>, { kind: "reject" }>) => void;
  readonly partTimeoutMs?: number;
  readonly pauseMs?: number;
}

/**
 * Loads what the shelf lacks of a file from several sources at once. The outline comes first, so that each piece is judged as
 * it comes: a liar is left after one part, one that stalls holds one part, which another source is then asked for too.
 * Never throws for what a source does; returns when all is here, when nobody is left, or with the signal.
 */
export async function loadLeaves(
  id: LeavesId,
  sources: readonly LeafSource[],
  options: FinderOptions,
  signal: AbortSignal,
): Promise<void> {
  if (id.leafCount > MAX_FILE_LEAVES) return;
  const lost = new Set<LeafSource>();
  const outline = await loadOutline(id, sources, lost, options, signal);
  if (outline === undefined) return;
  const left = sources.filter((source) => !lost.has(source));
  const queue = new PieceQueue(options.shelf.missingPieces(id));
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  await Promise.all(
    left.map(async (source) => {
      await drain(source, { id, outline, queue }, options, until);
      if (queue.isEmpty) over.abort();
    }),
  );
}

/** The first that folds to the root; all are asked at once. */
async function loadOutline(
  id: LeavesId,
  sources: readonly LeafSource[],
  lost: Set<LeafSource>,
  options: FinderOptions,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const known = options.shelf.outlineOf(id);
  if (known !== undefined) return known;
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  let found: Uint8Array | undefined;
  await Promise.all(
    sources.map(async (source) => {
      for (let failures = 0; failures < MAX_FAILURES && !until.aborted; failures++) {
        if (failures > 0) await pause(options.pauseMs ?? PAUSE_MS, until);
        const judged = await askJudged(source, id, "outline", (bytes) => judgeOutline(bytes, id), options, until);
        if (judged.kind === "reject" || isEmptyHanded(judged)) return void lost.add(source);
        if (judged.kind !== "accept") continue;
        found ??= judged.value;
        return over.abort();
      }
    }),
  );
  if (found !== undefined) options.shelf.keepOutline(id, options.epoch, found);
  return found;
}

interface Loading {
  readonly id: LeavesId;
  readonly outline: Uint8Array;
  readonly queue: PieceQueue;
}

/** Takes pieces from one source until none is missing, the source is no use, or the signal aborts. */
async function drain(
  source: LeafSource,
  { id, outline, queue }: Loading,
  options: FinderOptions,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0;
  while (!signal.aborted && failures < MAX_FAILURES) {
    const piece = queue.take();
    if (piece === undefined) return;
    const judge = (bytes: Uint8Array): Verdict<Uint8Array> => {
      const judged = judgePiece(bytes, piece, outline, id.leafCount);
      return judged.kind === "accept" ? { kind: "accept", value: bytes } : judged;
    };
    const judged = await askJudged(source, id, piece, judge, options, signal);
    queue.giveBack(piece);
    if (judged.kind === "accept") {
      options.shelf.keepPiece(id, piece, judged.value);
      queue.done(piece);
      failures = 0;
      continue;
    }
    if (judged.kind === "reject" || isEmptyHanded(judged)) return;
    if (++failures < MAX_FAILURES) await pause(options.pauseMs ?? PAUSE_MS, signal);
  }
}

async function askJudged(
  source: LeafSource,
  id: LeavesId,
  part: LeavesPart,
  judge: (bytes: Uint8Array) => Verdict<Uint8Array>,
  { partTimeoutMs = PART_TIMEOUT_MS, onLie }: FinderOptions,
  signal: AbortSignal,
): Promise<Verdict<Uint8Array>> {
  const until = AbortSignal.any([signal, AbortSignal.timeout(partTimeoutMs)]);
  // A source that minds no signal must not hold us.
  const given = await Promise.race([source.ask(id, part, until), aborted(until)]);
  if (given.kind !== "accept") return given;
  const judged = judge(given.value);
  if (judged.kind === "reject") onLie(source.name, judged);
  return judged;
}

function aborted(signal: AbortSignal): Promise<Verdict<never>> {
  const { promise, resolve } = Promise.withResolvers<Verdict<never>>();
  const end = () => resolve(ignore("LEAVES_LATE", "no answer in time"));
  if (signal.aborted) end();
  else signal.addEventListener("abort", end, { once: true });
  return promise;
}

/** Says itself that it has no such leaves, or does not speak the protocol: asking again is no use. */
const isEmptyHanded = (verdict: Verdict<unknown>): boolean =>
  verdict.kind === "ignore" &&
  (verdict.code === "PROTOCOL_UNKNOWN" ||
    verdict.code === "PEER_UNREACHABLE" ||
    (verdict.code === "REMOTE_IGNORED" && verdict.detail.startsWith("LEAVES_UNKNOWN")));

/** A pause that the signal ends. */
function pause(ms: number, signal: AbortSignal): Promise<unknown> {
  return aborted(AbortSignal.any([signal, AbortSignal.timeout(ms)]));
}

/** Missing pieces, those first that fewest are asked for. */
class PieceQueue {
  /** How many are asked for each. */
  readonly #askers: Map<number, number>;

  constructor(missing: readonly number[]) {
    this.#askers = new Map(missing.map((piece) => [piece, 0]));
  }

  get isEmpty(): boolean {
    return this.#askers.size === 0;
  }

  take(): number | undefined {
    let best: number | undefined;
    for (const [piece, count] of this.#askers) {
      if (best === undefined || count < (this.#askers.get(best) as number)) best = piece;
      if (count === 0) break;
    }
    if (best !== undefined) this.#askers.set(best, (this.#askers.get(best) as number) + 1);
    return best;
  }

  giveBack(piece: number): void {
    const count = this.#askers.get(piece);
    if (count !== undefined) this.#askers.set(piece, count - 1);
  }

  done(piece: number): void {
    this.#askers.delete(piece);
  }
}

/** Bytes that a whole file costs: what a budget is made of. */
export const partBytesOf = ({ leafCount }: LeavesId, part: LeavesPart): number =>
  part === "outline" ? fileLayoutOf(leafCount).outlineBytes : pieceRangeOf(leafCount, part).byteLength;
