import {
  FILE_HEADER_BYTES,
  fileLayoutOf,
  MAX_PIECE_BYTES,
  pieceRangeOf,
  PIECE_CHUNKS,
  readFileHeader,
} from "#protocol";
import type { LeafFile, LeafFileStore } from "../store/store.ts";
import { ByteReader } from "./byte-reader.ts";
import type { Outcome } from "./core.ts";
import type { LeafJudge } from "./judge.ts";
import type { FileSource } from "./sources.ts";

export interface DownloadParts {
  readonly store: LeafFileStore;
  readonly judge: LeafJudge;
  /** For each part of a file. */
  readonly partTimeoutMs: number;
}

/** What an attempt at one source came to, and how far the file has come with it. */
export interface Attempt {
  readonly file: LeafFile;
  readonly outcome: Outcome;
}

/**
 * Loads a file from one source, from where it broke off: each piece is judged in the worker and stored before the next is
 * read, so that a kill at any point costs a piece, and so does a liar.
 * @throws what the store throws, and the signal's reason; what the source does wrong is an outcome
 */
export async function download(
  file: LeafFile,
  source: FileSource,
  { store, judge, partTimeoutMs }: DownloadParts,
  signal: AbortSignal,
): Promise<Attempt> {
  const gone = new AbortController();
  const until = AbortSignal.any([signal, gone.signal]);
  const { outlineBytes, leavesOffset, pieceCount } = fileLayoutOf(file.leafCount);
  let current = file;
  let reader: ByteReader | undefined;
  const refused = (code: string, detail: string): Attempt => ({
    file: current,
    outcome: { kind: "false", detail: `${source.name}: ${code}, ${detail}` },
  });
  const ask = createAsk(source.name, until);
  const askJudge = createAsk("the judging thread", until);
  try {
    let top = await store.top(file);
    const isResumed = top !== undefined;
    const firstPiece = Math.floor(file.knownChunks / PIECE_CHUNKS);
    const stream = await ask(() =>
      openLate(source, file, isResumed ? leavesOffset + firstPiece * MAX_PIECE_BYTES : 0, partTimeoutMs, until),
    );
    if (stream === undefined) return { file, outcome: { kind: "missing", detail: `${source.name} has no such file` } };
    reader = new ByteReader(stream, partTimeoutMs);
    const take = (length: number) => ask(() => (reader as ByteReader).take(length, until));
    if (!isResumed) {
      const header = readFileHeader(await take(FILE_HEADER_BYTES));
      if (header.kind !== "accept") return refused("LEAVES_HEADER", "it is no file of leaves");
      if (header.value !== file.leafCount) return refused("LEAVES_COUNT", `it holds ${header.value} leaves`);
    }
    const outline = top?.slice(0, outlineBytes) ?? (await take(outlineBytes));
    const judged = await askJudge(() => judge.outline(file, outline));
    if (judged.kind !== "accept") return refused(judged.code, judged.detail);
    top ??= judged.value;
    current = { ...current, state: "available" };
    await store.write(current, top);
    for (let piece = firstPiece; piece < pieceCount; piece++) {
      const bytes = await take(pieceRangeOf(file.leafCount, piece).byteLength);
      const chunks = await askJudge(() => judge.piece(piece, bytes));
      if (chunks.kind !== "accept") return refused(chunks.code, chunks.detail);
      const first = piece * PIECE_CHUNKS;
      current = { ...current, knownChunks: first + chunks.value.length };
      await store.writeChunks(current, first, chunks.value);
      signal.throwIfAborted();
    }
    return { file: current, outcome: { kind: "verified" } };
  } catch (error) {
    if (!(error instanceof SourceFault)) throw error;
    return { file: current, outcome: { kind: "broken", detail: error.message } };
  } finally {
    gone.abort();
    reader?.close();
  }
}

/** What a source or the judging thread did: another attempt may mend it, unlike what the store does. */
class SourceFault extends Error {}

function createAsk(name: string, signal: AbortSignal) {
  return async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (cause) {
      signal.throwIfAborted();
      const detail = cause instanceof Error ? cause.message : String(cause);
      throw new SourceFault(`${name}: ${detail}`, { cause });
    }
  };
}

/** Headers that never come are a stall too. */
async function openLate(source: FileSource, file: LeafFile, from: number, timeoutMs: number, signal: AbortSignal) {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`it gave nothing for ${timeoutMs} ms`)), timeoutMs);
  const onAbort = () => reject(signal.reason as Error);
  signal.addEventListener("abort", onAbort, { once: true });
  const opening = source.open(file.root, from, signal);
  opening.catch(() => undefined);
  try {
    return await Promise.race([opening, promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
