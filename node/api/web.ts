import type { ServerResponse } from "node:http";
import { once } from "node:events";
import type { Exchange, JsonAnswer } from "./server.ts";

// Between Node's HTTP and the web's Request and Response, in which the official packages speak.

/** Headers of one hop, which a Request must not carry on. */
const HOP_BY_HOP = new Set(["connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "expect"]);

/** The exchange's request as the web has it; its body was read and bounded before. */
export function toWebRequest({ request, url, body, signal }: Exchange): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (HOP_BY_HOP.has(name) || value === undefined) continue;
    for (const item of Array.isArray(value) ? value : [value]) headers.append(name, item);
  }
  const method = request.method ?? "GET";
  const hasBody = body.length > 0 && method !== "GET" && method !== "HEAD";
  return new Request(url, { method, headers, signal, ...(hasBody ? { body: Uint8Array.from(body) } : {}) });
}

/** Writes a web response, as fast as its reader takes it. */
export async function writeWebResponse(response: ServerResponse, answer: Response, signal: AbortSignal): Promise<void> {
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  if (answer.body !== null) await writeStream(response, answer.body, signal);
  response.end();
}

/** Ends quietly when the reader has gone: there is nobody to tell. */
export async function writeStream(
  response: ServerResponse,
  chunks: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const chunk of chunks) {
      if (signal.aborted || response.destroyed) return;
      if (!response.write(chunk)) await once(response, "drain", { signal });
    }
  } catch (fault) {
    if (!signal.aborted) throw fault;
  }
}

/** Writes JSON, 256-bit integers as decimal text. */
export function writeJson(
  response: ServerResponse,
  { status, body }: JsonAnswer,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body, (_, v: unknown) => (typeof v === "bigint" ? v.toString() : v)));
}
