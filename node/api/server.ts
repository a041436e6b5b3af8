import { timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { SuretyError } from "#protocol";

/** What one route answers: a status and a JSON value. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export interface Request {
  readonly url: URL;
  /** The parsed JSON body, undefined where none was sent. */
  readonly body: unknown;
  /** Fires when the asker has gone or the server stops. */
  readonly signal: AbortSignal;
}

export interface Route {
  readonly method: "GET" | "POST";
  /** Exact path, or a prefix when it ends in "/". */
  readonly path: string;
  /** Open routes answer anybody on this machine; all others want the token. */
  readonly isOpen?: boolean;
  answer(request: Request): Promise<Answer> | Answer;
}

export interface ApiServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** A task with its specification fits; anything larger is not a local application's call. */
const MAX_BODY_BYTES = 256 * 1024;

/**
 * The node's local interface for its own application and for people: JSON over HTTP on the loopback interface, with a
 * bearer token, because any web page in a browser on this machine can send requests to loopback.
 */
export async function startApi(
  routes: readonly Route[],
  { token, port = 0 }: { token: string; port?: number },
): Promise<ApiServer> {
  const stopping = new AbortController();
  const server = createServer((request, response) => {
    void respond(request, response, routes, token, stopping.signal);
  });
  await listen(server, port);
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${bound}`,
    async stop() {
      stopping.abort();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, rejectListen) => {
    server.once("error", (cause) =>
      rejectListen(
        new SuretyError("API_LISTEN_FAILED", `The node's interface cannot listen on port ${port}.`, {
          values: { port },
          next: "Let the system choose a free port (0), or stop what holds this one.",
          cause,
        }),
      ),
    );
    server.listen(port, "127.0.0.1", resolve);
  });
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  routes: readonly Route[],
  token: string,
  stopping: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const answer = await answerOf(request, routes, token, AbortSignal.any([gone.signal, stopping]));
  if (response.destroyed) return;
  response.writeHead(answer.status, { "content-type": "application/json" });
  response.end(JSON.stringify(answer.body, (_, v: unknown) => (typeof v === "bigint" ? v.toString() : v)));
}

async function answerOf(
  request: IncomingMessage,
  routes: readonly Route[],
  token: string,
  signal: AbortSignal,
): Promise<Answer> {
  const url = new URL(request.url ?? "/", "http://node");
  const route = routes.find(({ method, path }) => method === request.method && isMatch(path, url.pathname));
  if (route === undefined) return failure(404, "ROUTE_UNKNOWN", `${request.method} ${url.pathname} is not served`);
  if (route.isOpen !== true && !isAuthorized(request, token)) {
    return failure(401, "TOKEN_WRONG", "send the node's token as `authorization: Bearer …`");
  }
  try {
    const body = await readBody(request);
    if (body.kind === "refused") return failure(body.status, body.code, body.detail);
    return await route.answer({ url, body: body.value, signal });
  } catch (error) {
    if (error instanceof SuretyError)
      return failure(error.isRetryable ? 503 : 422, error.code, error.message, error.next);
    return failure(500, "UNEXPECTED", error instanceof Error ? error.message : String(error));
  }
}

const isMatch = (path: string, asked: string) => (path.endsWith("/") ? asked.startsWith(path) : asked === path);

const failure = (status: number, code: string, message: string, next?: string): Answer => ({
  status,
  body: { error: { code, message, next } },
});

function isAuthorized(request: IncomingMessage, token: string): boolean {
  const given = Buffer.from(request.headers.authorization ?? "");
  const expected = Buffer.from(`Bearer ${token}`);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

type Body =
  | { readonly kind: "read"; readonly value: unknown }
  | { readonly kind: "refused"; readonly status: number; readonly code: string; readonly detail: string };

async function readBody(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) {
      return { kind: "refused", status: 413, code: "BODY_TOO_LARGE", detail: `more than ${MAX_BODY_BYTES} bytes` };
    }
    chunks.push(chunk);
  }
  if (length === 0) return { kind: "read", value: undefined };
  try {
    return { kind: "read", value: JSON.parse(Buffer.concat(chunks).toString("utf8")) };
  } catch {
    return { kind: "refused", status: 400, code: "BODY_NOT_JSON", detail: "the body is not JSON" };
  }
}
