// An agent over A2A, used by the official clients of 1.0 and of 0.3 as they come, on a real chain with a real provider.
import { createPublicKey, verify } from "node:crypto";
import { canonicalizeAgentCard, TaskState, verifyAgentCardSignature, type AgentCard, type Task } from "@a2a-js/sdk";
import { ClientFactory } from "@a2a-js/sdk/client";
import * as v03 from "a2a-sdk-v03/client";
import { expect } from "chai";
import fc from "fast-check";
import { identityRegistryAbi, signerHashOf } from "#protocol";
import { accountOfCard } from "../../../node/api/a2a/keys.ts";
import { auditCard } from "../../../scripts/audit/card.ts";
import { runChecks } from "../../../scripts/audit/checks.ts";
import { readCard } from "../../../scripts/cli/card-source.ts";
import { OWNER_TOKEN, READER, RICH, series, startMarket, TOPIC, type Market } from "../../fixtures/market.ts";

const fetchAs =
  (token: string): typeof fetch =>
  (input, init) =>
    fetch(input, {
      ...init,
      headers: { ...Object.fromEntries(new Headers(init?.headers)), authorization: `Bearer ${token}` },
    });

const part = (content: { $case: "text"; value: string } | { $case: "data"; value: unknown }) => ({
  ...{ content, metadata: {}, filename: "", mediaType: "" },
});
const messageOf = (parts: ReturnType<typeof part>[], ids: { taskId?: string; contextId?: string } = {}) => ({
  ...{ messageId: crypto.randomUUID(), contextId: "", taskId: "", role: 1, parts, metadata: {}, extensions: [] },
  ...{ referenceTaskIds: [], ...ids },
});
const requestOf = (message: ReturnType<typeof messageOf>, returnImmediately = false) => ({
  ...{ tenant: "", message, metadata: {} },
  configuration: {
    ...{ acceptedOutputModes: [], taskPushNotificationConfig: undefined, historyLength: undefined, returnImmediately },
  },
});
const methods = fc.constantFrom(
  ...["SendMessage", "SendStreamingMessage", "GetTask", "CancelTask", "ListTasks", "SubscribeToTask"],
  ...["message/send", "message/stream", "tasks/get", "tasks/cancel", "tools/call", "initialize", "__proto__"],
);
const data = (value: object) => part({ $case: "data", value });
const order = { topic: TOPIC, title: "Describe a series of integers", input: series, maxPriceWei: "5000000" };
const statistics = { count: 6, sum: 93, min: 3, q1: 7, median: 8, q3: 19, max: 44 };

describe("an agent over A2A", function () {
  this.timeout(120_000);
  let market: Market;
  before(async () => {
    market = await startMarket();
  });
  after(() => market?.stop());

  async function connect(token: string) {
    const { ClientFactoryOptions, JsonRpcTransportFactory, DefaultAgentCardResolver } =
      await import("@a2a-js/sdk/client");
    const factory = new ClientFactory(
      ClientFactoryOptions.createFrom(ClientFactoryOptions.default, {
        transports: [new JsonRpcTransportFactory({ fetchImpl: fetchAs(token) })],
        cardResolver: new DefaultAgentCardResolver({ fetchImpl: fetchAs(token) }),
      }),
    );
    return await factory.createFromUrl(market.buyer.apiUrl);
  }
  const contentOf = (task: Task, name: string): Record<string, unknown> => {
    const content = task.artifacts.find(({ artifactId }) => artifactId === name)?.parts[0]?.content;
    return content?.$case === "data" ? (content.value as Record<string, unknown>) : {};
  };
  const resultOf = (task: Task) =>
    JSON.parse((contentOf(task, "delivery") as { untrusted: { content: string } }).untrusted.content) as unknown;

  it("shows a card that a stock client verifies, and whose LOG key the chain knows as the agent's", async () => {
    const headers = { "a2a-version": "1.0" };
    const card = (await (
      await fetch(`${market.buyer.apiUrl}/.well-known/agent-card.json`, { headers })
    ).json()) as AgentCard;
    const keys = async (kid: string, jku?: string) => {
      const { keys: published } = (await (await fetch(jku ?? "")).json()) as { keys: { kid: string }[] };
      return published.find((key) => key.kid === kid) as never;
    };
    await verifyAgentCardSignature(keys)(card);
    // The package's client parses the card into another form first, and verifies that.
    const { DefaultAgentCardResolver } = await import("@a2a-js/sdk/client");
    await verifyAgentCardSignature(keys)(await new DefaultAgentCardResolver().resolve(market.buyer.apiUrl));
    const forged = { ...card, name: "somebody else" };
    const refusal = await verifyAgentCardSignature(keys)(forged).then(() => "verified", String);
    expect(refusal).to.include("No valid signatures");

    const account = accountOfCard(canonicalizeAgentCard(card), card.signatures);
    if (account.kind !== "accept") throw new Error(account.detail);
    const { client, deployment } = market.network;
    const agentId = await client.readContract({
      ...{ address: deployment.contracts.identityRegistry, abi: identityRegistryAbi, functionName: "agentOfSigner" },
      args: [signerHashOf(account.value.address)],
    });
    expect(agentId).to.equal(market.buyer.agentId);
    expect(accountOfCard(canonicalizeAgentCard(forged), card.signatures).kind).to.equal("reject");
    const evidence = await readCard(market.buyer.apiUrl, undefined, new AbortController().signal);
    const verdict = await runChecks("the card", auditCard(client, deployment, evidence));
    expect(verdict.isOk, JSON.stringify(verdict.checks.at(-1))).to.equal(true);
    expect(verdict.checks.map(({ name }) => name)).to.include.members(["registry", "log key", "signer", "card key"]);
    const { params } = card.capabilities?.extensions[0] ?? {};
    expect(params).to.include({ agentId: agentId.toString(), cardKeyThumbprint: (await firstKey()).kid });
  });

  it("signs by a P-256 key that Node itself takes for one", async () => {
    const { kid: _kid, ...jwk } = await firstKey();
    const card = (await (
      await fetch(`${market.buyer.apiUrl}/.well-known/agent-card.json`, { headers: { "a2a-version": "1.0" } })
    ).json()) as AgentCard;
    const [jws] = card.signatures;
    const payload = Buffer.from(canonicalizeAgentCard(card)).toString("base64url");
    const key = { key: createPublicKey({ key: jwk, format: "jwk" }), dsaEncoding: "ieee-p1363" } as const;
    const input = Buffer.from(`${jws?.protected}.${payload}`);
    expect(verify("sha256", input, key, Buffer.from(jws?.signature ?? "", "base64url"))).to.equal(true);
  });
  async function firstKey() {
    const response = await fetch(`${market.buyer.apiUrl}/.well-known/jwks.json`);
    const { keys } = (await response.json()) as { keys: { kid: string; kty: string }[] };
    return keys[0] as { kid: string; kty: string };
  }

  it("takes an order by 1.0, has it done on chain, and returns delivery and receipt", async () => {
    const client = await connect(RICH.token);
    const task = (await client.sendMessage(requestOf(messageOf([data(order)])))) as Task;
    expect(task.status?.state, JSON.stringify(task.status)).to.equal(TaskState.TASK_STATE_COMPLETED);
    expect(resultOf(task)).to.deep.equal({ result: statistics });
    const receipt = contentOf(task, "receipt");
    expect(receipt).to.include({ state: "settled", rating: 100, providerAgentId: market.seller.agentId.toString() });
    const again = await client.getTask({ tenant: "", id: task.id, historyLength: 0 });
    expect(again.status?.state).to.equal(TaskState.TASK_STATE_COMPLETED);
    const stranger = await connect(READER.token);
    const refusal = await stranger.getTask({ tenant: "", id: task.id, historyLength: 0 }).then(() => "read", String);
    expect(refusal).to.include("not found");
  });

  it("streams each state of a plain text's task, and asks the client to judge where it wants to", async () => {
    const client = await connect(RICH.token);
    const states: number[] = [];
    let [taskId, contextId] = ["", ""];
    const parts = [part({ $case: "text", value: "Describe a series of integers" }), data({ ...order, review: true })];
    for await (const { payload } of client.sendMessageStream(requestOf(messageOf(parts)))) {
      if (payload?.$case === "task") [taskId, contextId] = [payload.value.id, payload.value.contextId];
      const { status } = (payload?.value ?? {}) as { status?: { state: number } };
      if (status !== undefined) states.push(status.state);
    }
    expect(states[0]).to.equal(TaskState.TASK_STATE_SUBMITTED);
    expect(states.at(-1)).to.equal(TaskState.TASK_STATE_INPUT_REQUIRED);
    expect(states).to.include(TaskState.TASK_STATE_WORKING);
    const unclear = messageOf([part({ $case: "text", value: "well…" })], { taskId, contextId });
    const asked = (await client.sendMessage(requestOf(unclear, true))) as Task;
    expect(asked.status?.state).to.equal(TaskState.TASK_STATE_INPUT_REQUIRED);
    const judged = messageOf([part({ $case: "text", value: "accept 70" })], { taskId, contextId });
    const task = (await client.sendMessage(requestOf(judged))) as Task;
    expect(task.status?.state, JSON.stringify(task.status)).to.equal(TaskState.TASK_STATE_COMPLETED);
    expect(contentOf(task, "receipt")).to.include({ rating: 70, priceWei: "5000000" });
  });

  it("serves a stock client of 0.3 in the same way", async () => {
    const fetchImpl = fetchAs(RICH.token);
    const factory = new v03.ClientFactory(
      v03.ClientFactoryOptions.createFrom(v03.ClientFactoryOptions.default, {
        transports: [new v03.JsonRpcTransportFactory({ fetchImpl })],
        cardResolver: new v03.DefaultAgentCardResolver({ fetchImpl }),
      }),
    );
    const client = await factory.createFromUrl(market.buyer.apiUrl);
    const answer = await client.sendMessage({
      message: { kind: "message", messageId: "m1", role: "user", parts: [{ kind: "data", data: order }] },
      configuration: { blocking: true },
    });
    if (answer.kind !== "task") throw new Error("a message came instead of a task");
    expect(answer.status.state, JSON.stringify(answer)).to.equal("completed");
    expect(answer.artifacts?.map(({ artifactId }) => artifactId)).to.deep.equal(["delivery", "receipt"]);
  });

  it("refuses what exceeds the limits, is unclear, or comes without a token, and orders nothing", async () => {
    const client = await connect(RICH.token);
    const said = async (parts: ReturnType<typeof part>[], as = client) => {
      const { status } = (await as.sendMessage(requestOf(messageOf(parts)))) as Task;
      const [first] = status?.message?.parts ?? [];
      return [status?.state, first?.content?.value as string] as const;
    };
    const refused: [ReturnType<typeof part>[], string][] = [
      [[data({ ...order, maxPriceWei: "100000001" })], "SPENDING_PRICE"],
      [[data({ ...order, maxPriceWei: 5 })], "FIELD_AMOUNT"],
      [[data({ ...order, title: 7 })], "FIELD_TEXT"],
      [[data({ topic: TOPIC })], "INPUT_MISSING"],
      [[data(order), data(order)], "DATA_TWICE"],
      [[], "MESSAGE_EMPTY"],
      [[part({ $case: "text", value: "x".repeat(20_000) })], "TEXT_TOO_LONG"],
      [[data({ ...order, input: "x".repeat(40_000) })], "TASK_INVALID"],
    ];
    for (const [parts, code] of refused) {
      const [state, text] = await said(parts);
      expect([state, text.split(":")[0]], code).to.deep.equal([TaskState.TASK_STATE_REJECTED, code]);
    }
    expect((await said([data(order)], await connect(READER.token)))[1]).to.include("SPENDING_NOT_ALLOWED");
    expect((await said([data(order)], await connect(OWNER_TOKEN)))[1]).to.include("SPENDING_NOT_ALLOWED");
    const denied = await (
      await connect("wrong")
    )
      .sendMessage(requestOf(messageOf([data(order)])))
      .then(() => "", String);
    expect(denied).to.include("401");
  });

  it("answers anything that is no request with an error of the protocol, and stays up", async () => {
    const headers = { authorization: `Bearer ${RICH.token}`, "content-type": "application/json" };
    const send = async (path: string, body: string, more: Record<string, string> = {}) => {
      const answer = await fetch(market.buyer.apiUrl + path, {
        method: "POST",
        headers: { ...headers, ...more },
        body,
      });
      await answer.arrayBuffer();
      return answer.status;
    };
    const rpc = fc.record({ jsonrpc: fc.constant("2.0"), id: fc.jsonValue(), method: methods, params: fc.jsonValue() });
    const bodies = fc.oneof(
      fc.string(),
      fc.json(),
      rpc.map((value) => JSON.stringify(value)),
    );
    const paths = fc.constantFrom("/a2a", "/mcp", "/tools/negotiate", "/tools/audit", "/tools/none");
    const versions = fc.constantFrom("", "0.3", "1.0", "9.9", "x");
    await fc.assert(
      fc.asyncProperty(paths, bodies, versions, async (path, body, version) => {
        expect(await send(path, body, { "a2a-version": version }), `${path} ${body}`).to.be.below(500);
      }),
      { numRuns: Number(process.env["SURETY_FUZZ_RUNS"] ?? 150) },
    );
    expect((await fetch(`${market.buyer.apiUrl}/health`)).status).to.equal(200);
  });

  it("cancels what nobody has agreed to, and nothing that stands", async () => {
    const client = await connect(RICH.token);
    const nobody = { ...order, topic: "nobody_sells_this" };
    const failed = (await client.sendMessage(requestOf(messageOf([data(nobody)])))) as Task;
    expect(failed.status?.state).to.equal(TaskState.TASK_STATE_FAILED);
    const task = (await client.sendMessage(requestOf(messageOf([data({ ...order, review: true })])))) as Task;
    expect(task.status?.state).to.equal(TaskState.TASK_STATE_INPUT_REQUIRED);
    const refusal = await client.cancelTask({ tenant: "", id: task.id, metadata: {} }).then(() => "cancelled", String);
    expect(refusal).to.include("cannot be cancelled");
  });

  it("publishes registration, catalog and DID documents to anybody, as the registry has the agent", async () => {
    const { buyer, network } = market;
    const read = async (path: string) => {
      const response = await fetch(buyer.apiUrl + path);
      expect(response.status, path).to.equal(200);
      return (await response.json()) as Record<string, unknown>;
    };
    const registration = await read("/.well-known/agent-registration.json");
    const registry = `eip155:31337:${network.deployment.contracts.identityRegistry}`;
    expect(registration["registrations"]).to.deep.equal([{ agentId: Number(buyer.agentId), agentRegistry: registry }]);
    const catalog = await read("/.well-known/ai-catalog.json");
    const urls = (catalog["entries"] as { url: string }[]).map(({ url }) => url);
    expect(urls).to.have.length(2);
    for (const url of urls) expect((await fetch(url)).status, url).to.equal(200);
    const did = await read("/.well-known/did.json");
    expect(did["id"]).to.equal(`did:web:127.0.0.1%3A${new URL(buyer.apiUrl).port}`);
    const pkh = await read("/did/pkh.json");
    expect(did["alsoKnownAs"]).to.deep.equal([pkh["id"]]);
  });
});
