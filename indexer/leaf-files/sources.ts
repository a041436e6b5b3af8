import { open } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fileNameOf, SuretyError } from "#protocol";
import type { Hex } from "viem";

/** A folder, or a URL under which files of leaves lie by their root. */
export interface FileSource {
  readonly name: string;
  /** The file's bytes from an offset on; undefined = the source has no such file. @throws what went wrong on the way */
  open(root: Hex, from: number, signal: AbortSignal): Promise<AsyncIterable<Uint8Array> | undefined>;
}

/** Read at once from a folder. */
const READ_BYTES = 262_144;

/** @param place an http(s) URL, a file: URL or a path @throws SuretyError LEAVES_SOURCE */
export function createFileSource(place: string): FileSource {
  const protocol = URL.parse(place)?.protocol;
  if (protocol === "http:" || protocol === "https:") return httpSource(place);
  if (protocol === undefined || protocol === "file:") return folderSource(protocol ? fileURLToPath(place) : place);
  throw new SuretyError("LEAVES_SOURCE", `${place} is no source of leaves.`, {
    values: { place },
    next: "Name a folder, or a URL that begins with http: or https:.",
  });
}

function folderSource(folder: string): FileSource {
  return {
    name: folder,
    async open(root, from) {
      const file = await open(join(folder, fileNameOf(root))).catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw error;
      });
      // Closes with the iteration, however it ends.
      return file?.createReadStream({ start: from, highWaterMark: READ_BYTES });
    },
  };
}

function httpSource(base: string): FileSource {
  const folder = base.endsWith("/") ? base : `${base}/`;
  return {
    // Users and paths of a URL are often its key.
    name: new URL(base).host,
    async open(root, from, signal) {
      const response = await fetch(new URL(fileNameOf(root), folder), {
        ...{ signal, headers: from > 0 ? { range: `bytes=${from}-` } : {} },
        // A source that was named by the operator must not send us to a place that was not.
        redirect: "error",
      });
      if (response.body === null || response.status === 404 || response.status === 410) {
        await response.body?.cancel();
        return undefined;
      }
      const start = startOf(response);
      if (start === undefined || start > from) {
        await response.body.cancel();
        throw new Error(`it answers with status ${response.status}`);
      }
      return skip(response.body, from - start);
    },
  };
}

/** Where the body begins; undefined = it is not the file. */
function startOf({ status, headers }: Response): number | undefined {
  if (status === 200) return 0;
  const [, from] = /^bytes (\d{1,12})-/.exec(headers.get("content-range") ?? "") ?? [];
  return status === 206 && from !== undefined ? Number(from) : undefined;
}

/** A server that knows no ranges sends all of it. */
async function* skip(body: ReadableStream<Uint8Array>, count: number): AsyncIterable<Uint8Array> {
  let left = count;
  for await (const bytes of body) {
    if (left < bytes.length) yield bytes.subarray(left);
    left = Math.max(left - bytes.length, 0);
  }
}
