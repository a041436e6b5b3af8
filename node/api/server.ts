import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { SuretyError } from "#protocol";
import type { ClientConfig } from "../config.ts";
import type { Caller } from "../desk/desk.ts";

/** What one route answers: a status and a JSON value, or a text of another type. */
export type Answer = JsonAnswer | TextAnswer;

export interface JsonAnswer {
  readonly status: number;
  readonly body: unknown;
}

interface TextAnswer {
  readonly status: number;
  readonly text: string;
  readonly contentType: string;
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

/** A request that a mount answers by itself. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  /** undefined where the mount is open and no token was sent. */
  readonly caller: Caller | undefined;
  /** At most MAX_BODY_BYTES. */
  readonly body: Uint8Array;
  /** Fires when the asker has gone or the server stops. */
  readonly signal: AbortSignal;
}

/** A part of the interface with a protocol of its own: MCP, A2A, documents. Clients reach mounts only. */
export interface Mount {
  /** Exact path, or a prefix when it ends in "/". */
  readonly path: string;
  /** Open mounts answer anybody, and web pages of any origin. */
  readonly isOpen?: boolean;
  serve(exchange: Exchange): Promise<void>;
}

export interface ApiOptions {
  /** The owner's. */
  readonly token: string;
  readonly port?: number;
  readonly mounts?: readonly Mount[];
  readonly clients?: readonly ClientConfig[];
  /** Origin under which a reverse proxy shows this server. */
  readonly publicUrl?: string | undefined;
}

export interface ApiServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** A task with its specification fits; anything larger is not a local application's call. */
const MAX_BODY_BYTES = 256 * 1024;

/** Calls of one client at once: a model that asks in a loop must not hold the node's own program up. */
const MAX_CALLS_PER_CLIENT = 32;

/** What every request is judged by. */
interface Gate {
  readonly mounts: readonly Mount[];
  readonly routes: readonly Route[];
  /** The caller of an `authorization` header. */
  readonly callerOf: (request: IncomingMessage) => Caller | undefined;
  /** Known once the server listens. */
  hosts: ReadonlySet<string>;
  origins: ReadonlySet<string>;
  readonly underway: Map<string, number>;
}

/**
 * The node's local interface for its own application, for people, and for its clients: HTTP on the loopback interface, with
 * bearer tokens, because any web page in a browser on this machine can send requests to loopback. For the same reason every
 * request has to name this server as its host (DNS rebinding), and no foreign origin is answered.
 */
export async function startApi(routes: readonly Route[], options: ApiOptions): Promise<ApiServer> {
  const { token, port = 0, mounts = [], clients = [], publicUrl } = options;
  const stopping = new AbortController();
  const gate: Gate = {
    ...{ mounts, routes, callerOf: createCallerOf(token, clients), underway: new Map() },
    ...{ hosts: new Set(), origins: new Set() },
  };
  const server = createServer((request, response) => {
    void respond(request, response, gate, stopping.signal);
  });
  await listen(server, port);
  const { port: bound } = server.address() as AddressInfo;
  const local = ["127.0.0.1", "localhost", "[::1]"].map((name) => `${name}:${bound}`);
  gate.hosts = new Set([...local, ...(publicUrl === undefined ? [] : [new URL(publicUrl).host])]);
  gate.origins = new Set([...local.map((host) => `http://${host}`), ...(publicUrl === undefined ? [] : [publicUrl])]);
  return {
    url: `http://127.0.0.1:${bound}`,
    async stop() {
      stopping.abort();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Tokens are compared by their hashes, each time with all of them: how long it takes says nothing of any. */
function createCallerOf(token: string, clients: readonly ClientConfig[]): Gate["callerOf"] {
  const hashOf = (text: string) => createHash("sha256").update(text).digest();
  const owner: Caller = { name: "owner", isOwner: true, spending: undefined };
  const known = [
    { hash: hashOf(`Bearer ${token}`), caller: owner },
    ...clients.map(({ name, token: own, spending }) => ({
      ...{ hash: hashOf(`Bearer ${own}`), caller: { name, isOwner: false, spending } },
    })),
  ];
  return (request) => {
    const given = hashOf(request.headers.authorization ?? "");
    return known.filter(({ hash }) => timingSafeEqual(hash, given)).at(0)?.caller;
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
  gate: Gate,
  stopping: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const signal = AbortSignal.any([gone.signal, stopping]);
  const url = new URL(request.url ?? "/", "http://node");
  const mount = gate.mounts.find(({ path }) => isMatch(path, url.pathname));
  const refusal = refusalOf(request, gate, mount?.isOpen === true);
  if (refusal !== undefined) return writeAnswer(response, refusal);
  if (mount !== undefined) return await serveMount(mount, { request, response, url, signal }, gate);
  writeAnswer(response, await answerOf(request, url, gate, signal));
}

/** A page of another site, or one whose name was made to point here, gets nothing. */
function refusalOf({ headers }: IncomingMessage, { hosts, origins }: Gate, isOpen: boolean): Answer | undefined {
  if (!hosts.has((headers.host ?? "").toLowerCase())) {
    return failure(403, "HOST_REFUSED", "this interface is not served under that host name");
  }
  if (isOpen || headers.origin === undefined || origins.has(headers.origin)) return undefined;
  return failure(403, "ORIGIN_REFUSED", "pages of other origins are not answered");
}

function writeAnswer(response: ServerResponse, answer: Answer): void {
  if (response.destroyed || response.headersSent) return;
  const { status } = answer;
  response.writeHead(status, {
    "content-type": "text" in answer ? answer.contentType : "application/json",
    ...(status === 401 ? { "www-authenticate": "Bearer" } : {}),
  });
  if ("text" in answer) response.end(answer.text);
  else response.end(JSON.stringify(answer.body, (_, v: unknown) => (typeof v === "bigint" ? v.toString() : v)));
}

async function serveMount(
  mount: Mount,
  { request, response, url, signal }: Omit<Exchange, "caller" | "body">,
  gate: Gate,
): Promise<void> {
  const caller = gate.callerOf(request);
  if (mount.isOpen !== true && caller === undefined) return writeAnswer(response, tokenWrong);
  const name = caller?.name ?? "anybody";
  const underway = gate.underway.get(name) ?? 0;
  if (underway >= MAX_CALLS_PER_CLIENT) {
    return writeAnswer(response, failure(429, "CLIENT_BUSY", `${MAX_CALLS_PER_CLIENT} calls of ${name} are under way`));
  }
  gate.underway.set(name, underway + 1);
  try {
    const bytes = await readBytes(request);
    if (!(bytes instanceof Uint8Array)) return writeAnswer(response, failure(bytes.status, bytes.code, bytes.detail));
    await mount.serve({ request, response, url, caller, body: bytes, signal });
  } catch (error) {
    writeAnswer(response, failureOf(error));
    if (!response.writableEnded) response.end();
  } finally {
    gate.underway.set(name, (gate.underway.get(name) ?? 1) - 1);
  }
}

async function answerOf(request: IncomingMessage, url: URL, gate: Gate, signal: AbortSignal): Promise<Answer> {
  const route = gate.routes.find(({ method, path }) => method === request.method && isMatch(path, url.pathname));
  if (route === undefined) return failure(404, "ROUTE_UNKNOWN", `${request.method} ${url.pathname} is not served`);
  if (route.isOpen !== true && gate.callerOf(request)?.isOwner !== true) return tokenWrong;
  try {
    const body = await readBody(request);
    if (body.kind === "refused") return failure(body.status, body.code, body.detail);
    return await route.answer({ url, body: body.value, signal });
  } catch (error) {
    return failureOf(error);
  }
}

function failureOf(error: unknown): JsonAnswer {
  if (error instanceof SuretyError)
    return failure(error.isRetryable ? 503 : 422, error.code, error.message, error.next);
  return failure(500, "UNEXPECTED", error instanceof Error ? error.message : String(error));
}

const isMatch = (path: string, asked: string) => (path.endsWith("/") ? asked.startsWith(path) : asked === path);

export function failure(status: number, code: string, message: string, next?: string): JsonAnswer {
  return { status, body: { error: { code, message, next } } };
}

const tokenWrong = failure(401, "TOKEN_WRONG", "send the node's token as `authorization: Bearer …`");

interface Refusal {
  readonly kind: "refused";
  readonly status: number;
  readonly code: string;
  readonly detail: string;
}
type Body = { readonly kind: "read"; readonly value: unknown } | Refusal;

async function readBytes(request: IncomingMessage): Promise<Uint8Array | Refusal> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) {
      return { kind: "refused", status: 413, code: "BODY_TOO_LARGE", detail: `more than ${MAX_BODY_BYTES} bytes` };
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function readBody(request: IncomingMessage): Promise<Body> {
  const bytes = await readBytes(request);
  if (!(bytes instanceof Uint8Array)) return bytes;
  if (bytes.length === 0) return { kind: "read", value: undefined };
  try {
    return { kind: "read", value: JSON.parse(Buffer.from(bytes).toString("utf8")) };
  } catch {
    return { kind: "refused", status: 400, code: "BODY_NOT_JSON", detail: "the body is not JSON" };
  }
}
