import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createYoga } from "graphql-yoga";
import type { Registry } from "prom-client";
import type { Deployment } from "#protocol";
import { lagOf, type IndexerStatus } from "../status.ts";
import type { Snapshot, Store } from "../store/store.ts";
import { MAX_BODY_BYTES } from "./limits.ts";
import type { EndpointReport } from "../sync/endpoints.ts";
import { createEventStream } from "./event-stream.ts";
import { createMetrics } from "./metrics.ts";
import { limitPlugin, snapshotPlugin } from "./plugins.ts";
import { createSchema } from "./schema.ts";
import type { Site } from "../site/site.ts";
import type { WebhookStatus } from "../webhooks/lane.ts";

/** Connections at once; each may hold a body of MAX_BODY_BYTES. */
const MAX_CONNECTIONS = 512;
/** A request that is not sent completely within this time is cut off. */
const REQUEST_TIMEOUT_MS = 10_000;

export interface ServerOptions {
  readonly deployment: Deployment;
  readonly store: Pick<Store, "snapshot">;
  readonly status: () => IndexerStatus;
  /** Whether a snapshot's rows are answered for; called after it was taken. */
  readonly statusOf: (snapshot: Snapshot) => IndexerStatus;
  readonly endpoints: EndpointReport;
  /** How far each subscriber has been told. */
  readonly webhooks?: () => readonly WebhookStatus[];
  /** Tells of every new status until the returned function is called. */
  readonly watch: (tell: (status: IndexerStatus) => void) => () => void;
  /** Loopback unless told otherwise: an indexer is not an API for the world before somebody decides so. */
  readonly host?: string;
  /** 0 = any free one. */
  readonly port?: number;
  /** Origins of web pages that may ask; none unless told otherwise. */
  readonly corsOrigins?: readonly string[];
  /** The explorer; absent = no pages. */
  readonly site?: Site;
}

export interface IndexerServer {
  /** Base URL, without a path. */
  readonly url: string;
  close(): Promise<void>;
}

/** Serves /graphql, /events, /health, /ready and /metrics, and the explorer. */
export async function startServer(options: ServerOptions): Promise<IndexerServer> {
  const counts = { requests: 0 };
  const yoga = createYoga({
    schema: createSchema(),
    graphqlEndpoint: "/graphql",
    // The root span of the answer is our status, not yoga's own endpoint.
    healthCheckEndpoint: "/graphql/health",
    landingPage: false,
    graphiql: false,
    logging: false,
    multipart: false,
    maxRequestBodySize: MAX_BODY_BYTES,
    cors: options.corsOrigins === undefined ? false : { origin: [...options.corsOrigins], methods: ["GET", "POST"] },
    plugins: [limitPlugin(), snapshotPlugin(options)],
  });
  const stream = createEventStream(options);
  const metrics = createMetrics(options, () => counts.requests);
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    counts.requests++;
    if (options.site?.(request, response) === true) return;
    if (stream.answer(request, response)) return;
    if (answerStatus(options, metrics, request, response)) return;
    void yoga(request, response);
  });
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, options.port ?? 0, options.host ?? "127.0.0.1");
  const { address, port, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${port}`,
    close: () => {
      stream.close();
      return close(server);
    },
  };
}

/** @returns false = not a question about the status */
function answerStatus(
  { status: read, endpoints, webhooks }: Pick<ServerOptions, "status" | "endpoints" | "webhooks">,
  metrics: Registry,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  const path = request.url?.split("?", 1)[0];
  const status = read();
  const words = { ...describe(status), endpoints: endpoints.status(), webhooks: webhooks?.() };
  if (path === "/health") sendJson(response, status.fatal === undefined ? 200 : 503, words);
  else if (path === "/ready") sendJson(response, status.isReady ? 200 : 503, words);
  else if (path === "/metrics") void sendMetrics(response, metrics);
  else if (path !== "/graphql") sendJson(response, 404, { code: "NOT_FOUND", next: "Ask /graphql." });
  else return false;
  return true;
}

function describe(status: IndexerStatus): object {
  const { sync, isReady, isServing, progress, etaSeconds, trouble, fatal, checkpoint, head, finalized, counts } =
    status;
  const blocks = { block: checkpoint?.number, hash: checkpoint?.hash, head: head?.number, finalized, ...lagOf(status) };
  return { sync, isReady, isServing, progress, etaSeconds, ...blocks, trouble, fatal: fatal?.message, counts };
}

async function sendMetrics(response: ServerResponse, metrics: Registry): Promise<void> {
  send(response, 200, metrics.contentType, await metrics.metrics());
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  send(response, status, "application/json", JSON.stringify(body));
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { "content-type": type, "cache-control": "no-store" }).end(body);
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
