import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { SuretyError } from "#protocol";
import { createChat, MAX_ANSWER_BYTES, type ChatApi } from "../../../../node/mechanism-loop/endpoint/chat.ts";
import { chatFromEnvironment } from "../../../../node/mechanism-loop/endpoint/environment.ts";
import { readAttacks, readAttributions, readProposals } from "../../../../node/mechanism-loop/endpoint/answers.ts";
import { createChatGenerator } from "../../../../node/mechanism-loop/endpoint/ports.ts";
import {
  createEvaluator,
  marketScenarios,
  noAttack,
  type MarketScenario,
} from "../../../../node/mechanism-loop/index.ts";

const question = { system: "s", user: "u", schemaName: "proposals", schema: { type: "object" } };
const answer = { proposals: [{ reason: "more eyes", edits: [{ clause: "review.share", value: "500000" }] }] };
const scenario = { ...(marketScenarios[0] as MarketScenario), rounds: 2 };
const { signal } = new AbortController();
const KEY = "key-of-a-test";

/** Answers as both kinds of endpoint were recorded to, around a given text or value. */
const forms: Readonly<Record<ChatApi, (value: unknown) => unknown>> = {
  openai: (value) => ({
    ...{ id: "chatcmpl-1", object: "chat.completion", model: "m" },
    choices: [
      {
        index: 0,
        finish_reason: "stop",
        message: { role: "assistant", content: JSON.stringify(value), refusal: null },
      },
    ],
  }),
  anthropic: (value) => ({
    ...{ id: "msg_1", type: "message", role: "assistant", stop_reason: "tool_use" },
    content: [
      { type: "text", text: "Here it is." },
      { type: "tool_use", id: "toolu_1", name: "proposals", input: value },
    ],
  }),
};

describe("chat endpoints", function () {
  this.timeout(20_000);
  let server: Server;
  let url: string;
  let respond: (request: IncomingMessage, response: ServerResponse, body: string) => void;

  before(async () => {
    server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () => respond(request, response, body));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1base`;
  });
  after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const chatOf = (api: ChatApi, timeoutMs = 5_000) => createChat({ api, url, model: "m", apiKey: KEY, timeoutMs });
  const json =
    (value: unknown, status = 200) =>
    (_: IncomingMessage, response: ServerResponse) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(value));
    };

  for (const api of ["openai", "anthropic"] as const) {
    it(`asks an ${api}-compatible endpoint in its own form and reads its structured answer`, async () => {
      let seen: { path: string; key: string; body: Record<string, unknown> } | undefined;
      respond = (request, response, body) => {
        const key = request.headers["authorization"] ?? request.headers["x-api-key"];
        seen = { path: request.url ?? "", key: String(key), body: JSON.parse(body) as Record<string, unknown> };
        json(forms[api](answer))(request, response);
      };
      expect(await chatOf(api).ask(question, signal)).to.deep.equal({ kind: "accept", value: answer });
      expect(seen?.path).to.equal(api === "openai" ? "/v1base/chat/completions" : "/v1base/v1/messages");
      expect(seen?.key).to.include(KEY);
      expect(seen?.body["model"]).to.equal("m");
      expect(JSON.stringify(seen?.body)).to.include('"proposals"');
    });

    it(`names what is wrong with an ${api}-compatible answer, and never throws for it`, async () => {
      const cut =
        api === "openai" ? { choices: [{ finish_reason: "length", message: {} }] } : { stop_reason: "max_tokens" };
      const refused = api === "openai" ? { choices: [{ message: { refusal: "no" } }] } : { stop_reason: "refusal" };
      const cases: readonly (readonly [string, typeof respond])[] = [
        ["ENDPOINT_STATUS", json({ error: "busy" }, 529)],
        ["ENDPOINT_MALFORMED", (_, response) => response.end("{ not json")],
        ["ENDPOINT_MALFORMED", json([])],
        ["ENDPOINT_MALFORMED", json({ choices: "x", content: {} })],
        ["ENDPOINT_CUT", json(cut)],
        ["ENDPOINT_REFUSED", json(refused)],
        ["ENDPOINT_TOO_LARGE", (_, response) => response.end(" ".repeat(MAX_ANSWER_BYTES + 1))],
        ["ENDPOINT_UNREACHABLE", (_, response) => response.writeHead(307, { location: "http://127.0.0.1:1/" }).end()],
        ["ENDPOINT_UNREACHABLE", (request) => request.socket.destroy()],
      ];
      for (const [code, behaviour] of cases) {
        respond = behaviour;
        const verdict = await chatOf(api).ask(question, signal);
        expect(verdict.kind === "reject" ? verdict.code : verdict.kind).to.equal(code);
        expect(JSON.stringify(verdict)).to.not.include(KEY);
      }
    });
  }

  it("gives up on a slow answer after its own time, and at once when the caller gives up", async () => {
    respond = (_, response) => response.write("{");
    const verdict = await chatOf("openai", 60).ask(question, signal);
    expect(verdict).to.include({ kind: "reject", code: "ENDPOINT_TIMEOUT" });
    const controller = new AbortController();
    const reason = new Error("enough");
    respond = () => controller.abort(reason);
    expect(
      await chatOf("openai")
        .ask(question, controller.signal)
        .catch((error: unknown) => error),
    ).to.equal(reason);
  });

  it("sends a key to https and to this machine only", () => {
    for (const bad of ["http://example.com", "ftp://localhost", "https://user:pass@example.com", "nonsense"]) {
      expect(() => createChat({ api: "openai", url: bad, model: "m", apiKey: KEY }), bad).to.throw(
        SuretyError,
        "address",
      );
    }
    expect(() => chatFromEnvironment({ SURETY_MODEL_API: "openai" })).to.throw(SuretyError, "SURETY_MODEL_URL");
    expect(() => chatFromEnvironment({ SURETY_MODEL_API: "other" })).to.throw(SuretyError, "neither");
  });

  it("goes on with solver and search alone when a model's answer is refused, and says so", async () => {
    const evaluator = createEvaluator(scenario, 1, 1);
    const found = { attack: noAttack, outcome: evaluator.run(scenario.initial, noAttack) };
    const input = { ...found, evaluator, rules: scenario.initial, attributions: [], seed: 1, scenario, effort: 1 };
    const own = { edits: [], origin: "solver", reason: "" };
    const base = { propose: () => Promise.resolve([own]) };
    const refusals: string[] = [];
    const generator = createChatGenerator(chatOf("openai"), base, (_, code) => refusals.push(code));
    respond = json(
      forms.openai({ proposals: [{ reason: "", edits: [{ clause: "review.share", value: "5000001" }] }] }),
    );
    expect(await generator.propose(input, signal)).to.deep.equal([own]);
    respond = json(forms.openai(answer));
    expect(await generator.propose(input, signal)).to.have.length(2);
    expect(refusals).to.deep.equal(["ANSWER_ITEM"]);
  });
});

describe("a model's answers", () => {
  const edit = { clause: "review.share", value: "500000" };
  const proposal = { reason: "r", edits: [edit] };

  it("reads edits, attributions and attacks of the asked form", () => {
    const attack = { ...noAttack, family: "shirking", turncoats: 2 };
    expect(readProposals({ proposals: [proposal] }, "m")).to.deep.equal({
      ...{ kind: "accept" },
      value: [{ edits: [{ clause: "review.share", value: 500_000n }], origin: "m", reason: "r" }],
    });
    const named = { clause: "bond.client", direction: "raise", reason: "r" };
    expect(readAttributions({ attributions: [named] })).to.deep.equal({ kind: "accept", value: [named] });
    expect(readAttacks({ attacks: [attack] }, scenario)).to.deep.equal({ kind: "accept", value: [attack] });
  });

  it("refuses the whole answer for one thing that was not asked for", () => {
    const hostile: unknown[] = [
      null,
      [],
      "proposals",
      { proposals: {} },
      { proposals: [proposal], more: 1 },
      { proposals: Array.from({ length: 17 }, () => proposal) },
      { proposals: [{ ...proposal, __proto__: null, extra: 1 }] },
      JSON.parse('{"proposals":[{"reason":"r","edits":[{"clause":"__proto__","value":"1"}]}]}'),
      JSON.parse('{"proposals":[{"__proto__":{"reason":"r"},"edits":[{"clause":"review.share","value":"1"}]}]}'),
      { proposals: [{ ...proposal, reason: "x".repeat(501) }] },
      { proposals: [{ ...proposal, edits: [] }] },
      ...["-1", "1e3", "0x1", "1000001", " 1", 1, "9".repeat(31)].map((value) => ({
        proposals: [{ ...proposal, edits: [{ ...edit, value }] }],
      })),
      { proposals: [{ ...proposal, edits: [{ ...edit, clause: "constructor" }] }] },
    ];
    for (const [k, each] of hostile.entries()) expect(readProposals(each, "m").kind, `${k}`).to.equal("reject");
    for (const direction of ["up", 1, undefined]) {
      const named = { clause: "bond.client", direction, reason: "r" };
      expect(readAttributions({ attributions: [named] }).kind).to.equal("reject");
    }
    const tooMany = { ...noAttack, family: "sybil-entry", entrants: 12, buyers: 6 };
    for (const attack of [
      tooMany,
      { ...noAttack, turncoats: 1.5 },
      { ...noAttack, family: "other" },
      { ...noAttack, turncoats: -1 },
    ]) {
      expect(readAttacks({ attacks: [attack] }, scenario).kind).to.equal("reject");
    }
  });
});
