import type { IncomingMessage, ServerResponse } from "node:http";
import type { IndexerStatus } from "../status.ts";

/** Clients that listen at once; each holds a connection. */
const MAX_LISTENERS = 128;
/** Bytes that a client may leave unread: it is slow by hundreds of blocks then, and had better ask again. */
const MAX_UNREAD_BYTES = 64 * 1024;
/** Proxies cut silent connections after a minute, some after half of one. */
const HEARTBEAT_MS = 15_000;

export interface EventStream {
  /** @returns false = not a question for events */
  answer(request: IncomingMessage, response: ServerResponse): boolean;
  close(): void;
}

interface Told {
  readonly number: number | undefined;
  readonly hash: string | undefined;
  readonly isServing: boolean;
  readonly reorgs: number;
  readonly undoneBlocks: number;
  readonly rebuilds: number;
}

/**
 * `/events` (SSE): `block` when rows are as of another block, `reorg` when blocks are undone whose rows were answered, `rebuild`
 * when everything is read again, `serving` when queries begin or cease to be answered. Whoever keeps rows forgets, after a
 * reorg, those above `from - undoneBlocks`.
 */
export function createEventStream(parts: {
  readonly status: () => IndexerStatus;
  readonly watch: (tell: (status: IndexerStatus) => void) => () => void;
  readonly corsOrigins?: readonly string[];
}): EventStream {
  const listeners = new Set<ServerResponse>();
  let told = toldOf(parts.status());
  const unwatch = parts.watch((status) => {
    const messages = messagesOf(told, status);
    told = toldOf(status);
    if (messages !== "") for (const response of listeners) send(response, messages);
  });
  const heartbeat = setInterval(() => {
    for (const response of listeners) send(response, ": still here\n\n");
  }, HEARTBEAT_MS).unref();
  return {
    answer(request, response) {
      if (request.url?.split("?", 1)[0] !== "/events") return false;
      if (listeners.size >= MAX_LISTENERS) {
        response.writeHead(503, { "retry-after": "10" }).end();
        return true;
      }
      response.writeHead(200, { ...headersFor(request, parts.corsOrigins), "content-type": "text/event-stream" });
      listeners.add(response);
      response.on("close", () => listeners.delete(response));
      send(response, firstMessages(parts.status()));
      return true;
    },
    close() {
      clearInterval(heartbeat);
      unwatch();
      for (const response of listeners) response.end();
    },
  };
}

function headersFor({ headers }: IncomingMessage, origins: readonly string[] = []): Record<string, string> {
  const { origin } = headers;
  const isAllowed = origin !== undefined && origins.includes(origin);
  return {
    "cache-control": "no-store",
    ...(isAllowed ? { "access-control-allow-origin": origin, vary: "origin" } : {}),
  };
}

function send(response: ServerResponse, text: string): void {
  if (response.writableLength > MAX_UNREAD_BYTES) response.destroy();
  else response.write(text);
}

function toldOf({ checkpoint, isServing, counts }: IndexerStatus): Told {
  const { reorgs, undoneBlocks, rebuilds } = counts;
  return { number: checkpoint?.number, hash: checkpoint?.hash, isServing, reorgs, undoneBlocks, rebuilds };
}

/** What a client that comes now has to know. */
function firstMessages(status: IndexerStatus): string {
  const { isServing } = status;
  return message("serving", { isServing }) + (isServing ? blockMessage(status) : "");
}

function messagesOf(told: Told, status: IndexerStatus): string {
  const { checkpoint, isServing, counts } = status;
  let messages = "";
  // Before anything was told, nothing is void.
  if (counts.reorgs > told.reorgs && told.number !== undefined) {
    // From what was told: a reader of another process's rows may see the undoing and what followed at once.
    messages += message("reorg", { from: told.number, undoneBlocks: counts.undoneBlocks - told.undoneBlocks });
  }
  if (counts.rebuilds > told.rebuilds && told.number !== undefined) messages += message("rebuild", {});
  if (isServing !== told.isServing) messages += message("serving", { isServing });
  // Rows that become answerable without a new block are told of as well: nobody heard of them before.
  if (isServing && (checkpoint?.hash !== told.hash || !told.isServing)) messages += blockMessage(status);
  return messages;
}

function blockMessage({ checkpoint, finalized }: IndexerStatus): string {
  if (checkpoint === undefined) return "";
  const { number, hash, timestamp } = checkpoint;
  return message("block", { number, hash, timestamp, finalized });
}

const message = (event: string, fields: object): string => `event: ${event}\ndata: ${JSON.stringify(fields)}\n\n`;
