// A real HTTP endpoint between an indexer and its chain. It passes everything on, and lies, fails or changes its chain
// when a test tells it to.
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

export interface RpcAnswer {
  readonly method: string;
  readonly params: readonly unknown[];
  readonly result: unknown;
}

export interface RpcProxy {
  readonly url: string;
  /** Where requests go. */
  target: string;
  /** Changes answers, or holds them back; identity unless set. */
  tamper: (answer: RpcAnswer) => unknown;
  /** Requests that went through so far. */
  requestCount: number;
  close(): Promise<void>;
}

export async function startRpcProxy(target: string): Promise<RpcProxy> {
  const server = createServer((request, response) => {
    void (async () => {
      const call = JSON.parse(await bodyOf(request)) as { id: unknown; method: string; params?: unknown[] };
      const passed = await fetch(proxy.target, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(call),
      });
      const answer = (await passed.json()) as { result?: unknown };
      proxy.requestCount++;
      if ("result" in answer) {
        answer.result = await proxy.tamper({ method: call.method, params: call.params ?? [], result: answer.result });
      }
      response.setHeader("content-type", "application/json").end(JSON.stringify(answer));
    })().catch(() => response.writeHead(502).end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const { port } = server.address() as AddressInfo;
  const proxy: RpcProxy = {
    url: `http://127.0.0.1:${port}`,
    target,
    tamper: ({ result }) => result,
    requestCount: 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return proxy;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}
