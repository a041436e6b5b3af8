import type { AgentSelf } from "../self.ts";
import { failure, type Mount } from "../server.ts";
import { writeJson } from "../web.ts";
import type { A2aOptions } from "./handler.ts";
import type { CardKeys } from "./keys.ts";
import type { A2aService } from "./service.ts";

/** `/a2a`: JSON-RPC of A2A 1.0 and 0.3. `/.well-known/agent-card.json`: the signed card of either, to anybody. */
export function createA2aMounts(self: AgentSelf, keys: CardKeys, options: A2aOptions): Mount[] {
  let service: Promise<A2aService> | undefined;
  const load = async () => (await import("./serve.ts")).createA2aService(self, keys, options);
  const serviceOf = () => (service ??= load());
  return [
    { path: "/a2a", serve: async (exchange) => (await serviceOf()).answer(exchange) },
    {
      path: "/.well-known/agent-card.json",
      isOpen: true,
      async serve({ request, response }) {
        if (request.method !== "GET")
          return writeJson(response, failure(405, "METHOD_WRONG", "a document is read by GET"));
        const body = (await serviceOf()).cardFor(request);
        writeJson(response, { status: 200, body }, { vary: "a2a-version", "access-control-allow-origin": "*" });
      },
    },
  ];
}
