import type { ServerResponse } from "node:http";
import {
  encodeFileHeader,
  FILE_HEADER_BYTES,
  fileLayoutOf,
  fileNameOf,
  LEAF_BYTES,
  MAX_PIECE_BYTES,
  type LeavesId,
} from "#protocol";
import type { LeafShelf } from "../reputation/leaves/shelf.ts";
import { failure, type Mount } from "./server.ts";
import { writeJson, writeStream } from "./web.ts";

const PATH = "/leaves/";
/** Downloads at once; each holds one piece of a file. */
const MAX_DOWNLOADS = 8;
/** The largest file at 230 KB a second; who reads more slowly comes back with a range. */
const MAX_DOWNLOAD_MS = 600_000;
/** What we understand of RFC 9110 §14: one range, from a byte on or to another one. */
const RANGE = /^bytes=(\d{1,12})-(\d{0,12})$/;

/**
 * `GET /leaves/<root>.leaves`: files of leaves by their root, for indexers and marketplaces. Open, because whoever reads one
 * checks it against the chain. With ranges, so that a download goes on where it broke off.
 */
export function createLeavesMount(shelf: LeafShelf): Mount {
  let downloads = 0;
  return {
    path: PATH,
    isOpen: true,
    async serve({ request, response, url, signal }) {
      if (request.method !== "GET" && request.method !== "HEAD")
        return writeJson(response, failure(405, "METHOD_WRONG", "a file is read by GET"));
      const id = fileAt(url.pathname, shelf);
      if (id === undefined) return writeJson(response, failure(404, "LEAVES_UNKNOWN", "no such leaves are kept here"));
      if (downloads >= MAX_DOWNLOADS)
        return writeJson(response, failure(503, "LEAVES_BUSY", `${MAX_DOWNLOADS} downloads are under way`));
      const { fileBytes } = fileLayoutOf(id.leafCount);
      const range = rangeOf(request.headers.range, fileBytes);
      writeHead(response, range, fileBytes);
      if (request.method === "HEAD" || range === undefined) return void response.end();
      downloads++;
      const until = AbortSignal.any([signal, AbortSignal.timeout(MAX_DOWNLOAD_MS)]);
      try {
        await writeStream(response, partsOf(id, range, shelf), until);
        if (until.aborted) response.destroy();
        else response.end();
      } catch {
        // Less than what was promised is told by a broken connection.
        response.destroy();
      } finally {
        downloads--;
      }
    },
  };
}

function fileAt(path: string, shelf: LeafShelf): LeavesId | undefined {
  const [, root] = /^(0x[0-9a-f]{64})\.leaves$/.exec(path.slice(PATH.length)) ?? [];
  const leafCount = root === undefined ? undefined : shelf.leafCountOf(root);
  return leafCount === undefined ? undefined : { root: root as LeavesId["root"], leafCount };
}

interface ByteRange {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  readonly isPart: boolean;
}

/** @returns undefined = not to be satisfied; what is not understood is the whole file, as RFC 9110 §14.2 has it */
function rangeOf(header: string | undefined, fileBytes: number): ByteRange | undefined {
  const [, first, last] = RANGE.exec(header ?? "") ?? [];
  if (first === undefined) return { from: 0, to: fileBytes, isPart: false };
  const from = Number(first);
  const to = last === undefined || last === "" ? fileBytes : Math.min(Number(last) + 1, fileBytes);
  return from < to ? { from, to, isPart: true } : undefined;
}

function writeHead(response: ServerResponse, range: ByteRange | undefined, fileBytes: number): void {
  const common = { "accept-ranges": "bytes", "access-control-allow-origin": "*" };
  if (range === undefined) return void response.writeHead(416, { ...common, "content-range": `bytes */${fileBytes}` });
  const { from, to, isPart } = range;
  response.writeHead(isPart ? 206 : 200, {
    ...common,
    "content-type": "application/octet-stream",
    "content-length": to - from,
    // A root names one file for ever.
    "cache-control": "public, max-age=31536000, immutable",
    ...(isPart ? { "content-range": `bytes ${from}-${to - 1}/${fileBytes}` } : {}),
  });
}

/** The file's parts, as far as they lie in the range; one piece in memory at a time. */
function* partsOf(id: LeavesId, { from, to }: ByteRange, shelf: LeafShelf): Generator<Uint8Array> {
  const { leavesOffset, pieceCount } = fileLayoutOf(id.leafCount);
  const cut = (bytes: Uint8Array, offset: number) =>
    bytes.subarray(Math.max(from - offset, 0), Math.max(Math.min(to - offset, bytes.length), 0));
  if (from < FILE_HEADER_BYTES) yield cut(encodeFileHeader(id.leafCount), 0);
  if (from < leavesOffset) yield cut(kept(shelf.outlineOf(id), id), FILE_HEADER_BYTES);
  const first = Math.max(Math.floor((from - leavesOffset) / MAX_PIECE_BYTES), 0);
  for (let piece = first; piece < pieceCount; piece++) {
    const offset = leavesOffset + piece * MAX_PIECE_BYTES;
    if (offset >= to) return;
    yield cut(kept(shelf.pieceOf(id, piece), id), offset);
  }
}

/** The shelf may let a file go while somebody reads it: the connection breaks, and its reader knows. */
function kept(bytes: Uint8Array | undefined, id: LeavesId): Uint8Array {
  if (bytes !== undefined && bytes.length % LEAF_BYTES === 0) return bytes;
  throw new Error(`${fileNameOf(id.root)} is not kept any more`);
}
