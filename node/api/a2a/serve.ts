// The official packages take 0.1 to 0.2 s to load: only a node that is asked for A2A imports this file.
import {
  AgentCard as AgentCardJson,
  Extensions,
  formatSSEErrorEvent,
  formatSSEEvent,
  HTTP_EXTENSION_HEADER,
  SSE_HEADERS,
} from "@a2a-js/sdk";
import { JsonRpcTransportHandler, ServerCallContext, validateVersion } from "@a2a-js/sdk/server";
import { LegacyJsonRpcTransportHandler } from "@a2a-js/sdk/compat/v0_3/server";
import { failure, type Exchange } from "../server.ts";
import type { AgentSelf } from "../self.ts";
import { writeJson, writeStream } from "../web.ts";
import { createCard, createLegacyCard } from "./card.ts";
import { A2aHandler, withCaller, type A2aOptions } from "./handler.ts";
import type { CardKeys } from "./keys.ts";
import { isLegacy, type A2aService } from "./service.ts";

/** Cards change with the agent's addresses only, which a run keeps. */
export async function createA2aService(self: AgentSelf, keys: CardKeys, options: A2aOptions): Promise<A2aService> {
  const card = createCard(self, keys);
  const legacyCard = await createLegacyCard(card, self, keys);
  const handler = new A2aHandler(card, options);
  const [modern, legacy] = [new JsonRpcTransportHandler(handler), new LegacyJsonRpcTransportHandler(handler)];

  async function answer({ request, response, body, caller, signal }: Exchange): Promise<void> {
    if (request.method !== "POST") return writeJson(response, failure(405, "METHOD_WRONG", "A2A is served by POST"));
    if (caller === undefined) return writeJson(response, failure(401, "TOKEN_WRONG", "send the client's token"));
    const isOld = isLegacy(request);
    const map = isOld
      ? LegacyJsonRpcTransportHandler.mapToLegacyJSONRPCError
      : JsonRpcTransportHandler.mapToJSONRPCError;
    const transport = isOld ? legacy : modern;
    const context = new ServerCallContext({
      user: { isAuthenticated: true, userName: caller.name },
      requestedVersion: headerOf(request.headers["a2a-version"]) ?? "0.3",
      requestedExtensions: Extensions.parseServiceParameter(
        headerOf(request.headers[HTTP_EXTENSION_HEADER.toLowerCase()]),
      ),
    });
    try {
      validateVersion(context.requestedVersion, card, "JSONRPC");
      const reply = await transport.handle(readRpc(body), withCaller(context, caller));
      if (!isStream(reply)) return writeJson(response, { status: 200, body: reply });
      response.writeHead(200, { ...SSE_HEADERS });
      await writeStream(response, eventsOf(reply, map), signal);
      response.end();
    } catch (error) {
      if (response.headersSent) return void response.end();
      writeJson(response, { status: 200, body: { jsonrpc: "2.0", id: null, error: map(error) } });
    }
  }

  return { answer, cardFor: (request) => (isLegacy(request) ? legacyCard : cardJson(card)) };
}

/** Without empty fields, as every implementation of A2A 1.0 writes a card. */
const cardJson = (card: ReturnType<typeof createCard>): object => AgentCardJson.toJSON(card) as object;

const headerOf = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value[0] : value;

/** Only an object is a request; the handlers name what else is wrong with it. */
function readRpc(body: Uint8Array): string | Record<string, unknown> {
  const text = Buffer.from(body).toString("utf8");
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : "{}";
  } catch {
    return text;
  }
}

const isStream = (reply: object): reply is AsyncGenerator<unknown, void> => Symbol.asyncIterator in reply;

async function* eventsOf(replies: AsyncIterable<unknown>, map: (error: unknown) => unknown): AsyncGenerator<string> {
  try {
    for await (const reply of replies) yield formatSSEEvent(reply);
  } catch (error) {
    yield formatSSEErrorEvent({ jsonrpc: "2.0", id: null, error: map(error) });
  }
}
