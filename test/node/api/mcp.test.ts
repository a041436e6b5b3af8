// A node's tools over MCP, used by the official client as it comes, on a real chain with a real provider.
import { join } from "node:path";
import { Client, StreamableHTTPClientTransport, type CallToolResult } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { expect } from "chai";
import { readBundle } from "../../../scripts/audit/bundle.ts";
import { runChecks } from "../../../scripts/audit/checks.ts";
import { verifyBundle } from "../../../scripts/audit/verify-bundle.ts";
import { root } from "../../../scripts/checks/run-tool.ts";
import { PRICE_WEI, READER, RICH, series, SPENDER, startMarket, TOPIC, type Market } from "../../fixtures/market.ts";

type Found = { agents: { agentId: string; priceWei: string; untrusted: { name: string } }[]; notice: string };
type Assigned = Record<string, unknown> & {
  taskId: string;
  state: string;
  delivery: { untrusted: { content: string } };
};

describe("an agent's tools over MCP", function () {
  this.timeout(120_000);
  let market: Market;
  const clients: Client[] = [];
  before(async () => {
    market = await startMarket();
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.close();
  });
  after(() => market?.stop());

  async function connect({ token }: { token: string }, headers: Record<string, string> = {}): Promise<Client> {
    const client = new Client({ name: "test", version: "1" });
    const requestInit = { headers: { authorization: `Bearer ${token}`, ...headers } };
    await client.connect(new StreamableHTTPClientTransport(new URL(`${market.buyer.apiUrl}/mcp`), { requestInit }));
    clients.push(client);
    return client;
  }
  const call = async <T>(client: Client, name: string, input: Record<string, unknown>): Promise<T> => {
    const { isError, structuredContent, content } = (await client.callTool({
      name,
      arguments: input,
    })) as CallToolResult;
    if (isError) throw new Error(JSON.stringify(content));
    return structuredContent as T;
  };
  const refusalOf = async (client: Client, name: string, input: Record<string, unknown>): Promise<string> => {
    const { isError, content } = (await client.callTool({ name, arguments: input })) as CallToolResult;
    expect(isError).to.equal(true);
    const [first] = content as { text: string }[];
    return first?.text ?? "";
  };
  const order = { topic: TOPIC, title: "Describe a series of integers", input: series, maxPriceWei: "5000000" };

  it("finds, verifies, negotiates, settles and proves, with nothing but the address and a token", async () => {
    const client = await connect(RICH);
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).to.deep.equal([
      ...["find_agents", "verify_identity", "get_reputation", "negotiate", "settle", "audit"],
    ]);
    const { agents, notice } = await call<Found>(client, "find_agents", { query: "statistics of a series" });
    expect(notice).to.include("never an instruction");
    const [found] = agents;
    const agentId = market.seller.agentId.toString();
    expect([found?.agentId, found?.priceWei]).to.deep.equal([agentId, PRICE_WEI.toString()]);

    const identity = await call<{ holds: boolean; checks: unknown[] }>(client, "verify_identity", { agentId });
    expect(identity.holds, JSON.stringify(identity)).to.equal(true);
    expect(identity.checks).to.have.length(7);
    const reputation = await call<{ isProven: boolean }>(client, "get_reputation", { agentId, topic: TOPIC });
    expect(reputation.isProven).to.equal(false);

    const delivered = await call<Assigned>(client, "negotiate", { ...order, waitSeconds: 50 });
    expect(delivered).to.include({ state: "settling", dealState: "Submitted", isReviewOpen: true });
    expect(JSON.parse(delivered.delivery.untrusted.content)).to.deep.equal({
      result: { count: 6, sum: 93, min: 3, q1: 7, median: 8, q3: 19, max: 44 },
    });
    const { taskId } = delivered;
    const settled = await call<Assigned>(client, "settle", { taskId, action: "accept", rating: 90, waitSeconds: 50 });
    expect(settled).to.include({ state: "settled", rating: 90, priceWei: "5000000" });

    const deal = await call<Record<string, unknown>>(client, "audit", { taskId });
    expect(deal).to.include({ kind: "deal", holds: true, dealId: settled["dealId"] });
    const proof = await call<{ bundle: string; blockHash: `0x${string}` }>(client, "audit", { agentId });
    const bundle = readBundle(proof.bundle);
    if (bundle.kind !== "accept") throw new Error(bundle.detail);
    const report = await runChecks("bundle", verifyBundle(bundle.value, proof.blockHash));
    expect(report.isOk).to.equal(true);
  });

  it("lets nobody spend without limits of the owner, beyond a price, or beyond the budget", async () => {
    const reader = await connect(READER);
    expect(await refusalOf(reader, "negotiate", order)).to.include("SPENDING_NOT_ALLOWED");
    expect((await call<Found>(reader, "find_agents", { query: "" })).agents).to.have.length(1);

    const model = await connect(SPENDER);
    expect(await refusalOf(model, "negotiate", { ...order, maxPriceWei: "5000001" })).to.include("SPENDING_PRICE");
    // Both at once: 5 and 5 are more than 9.
    const both = await Promise.all(
      [0, 1].map(() => model.callTool({ name: "negotiate", arguments: { ...order, waitSeconds: 0 } })),
    );
    expect(both.map(({ isError = false }) => isError).sort()).to.deep.equal([false, true]);
    expect(JSON.stringify(both)).to.include("SPENDING_BUDGET");
    const { taskId } = both.find(({ isError }) => isError !== true)?.structuredContent as Assigned;
    expect(await refusalOf(await connect(RICH), "settle", { taskId, action: "wait" })).to.include("TASK_UNKNOWN");
    const ended = await call<Assigned>(model, "settle", { taskId, action: "wait", waitSeconds: 50 });
    expect(ended).to.include({ isReviewOpen: true });
    await call(model, "settle", { taskId, action: "accept", rating: 100, waitSeconds: 50 });
    // A restart is no new budget: 5 of 9 are gone, and 4 are left.
    await market.restartBuyer();
    const again = await connect(SPENDER);
    expect(await refusalOf(again, "negotiate", { ...order, maxPriceWei: "4000001" })).to.include("SPENDING_BUDGET");
  });

  it("serves the same tools over stdio by `surety mcp`, under the same limits", async () => {
    const client = new Client({ name: "test", version: "1" });
    const args = [join(root, "scripts/surety.ts"), "mcp", "--node", market.buyer.apiUrl];
    const env = { ...(process.env as Record<string, string>), SURETY_NODE_TOKEN: READER.token };
    await client.connect(new StdioClientTransport({ command: process.execPath, args, env, stderr: "ignore" }));
    clients.push(client);
    const { agents } = await call<Found>(client, "find_agents", { query: "series" });
    expect(agents.map(({ agentId }) => agentId)).to.deep.equal([market.seller.agentId.toString()]);
    expect(await refusalOf(client, "negotiate", order)).to.include("SPENDING_NOT_ALLOWED");
    expect(await refusalOf(client, "settle", { taskId: "none", action: "wait" })).to.include("TASK_UNKNOWN");
  });

  it("names what a hostile input is refused for, and does nothing of it", async () => {
    const client = await connect(RICH);
    const inputs: [string, Record<string, unknown>, string][] = [
      ["find_agents", { query: "x".repeat(513) }, "characters"],
      ["find_agents", { query: "", limit: 1e9 }, "<= 20"],
      ["find_agents", { query: "", extra: 1 }, "additional"],
      ["verify_identity", { agentId: "-1" }, "pattern"],
      ["verify_identity", { agentId: "0" }, "AGENT_UNKNOWN"],
      ["negotiate", { ...order, maxPriceWei: 5e6 }, "string"],
      ["negotiate", { ...order, input: "x".repeat(40_000) }, "TASK_INVALID"],
      ["settle", { taskId: "none", action: "accept" }, "TASK_UNKNOWN"],
      ["settle", { taskId: "none", action: "steal" }, "allowed values"],
      ["audit", {}, "AUDIT_SUBJECT"],
    ];
    for (const [name, input, reason] of inputs) expect(await refusalOf(client, name, input), name).to.include(reason);
    const { holds } = await call<{ holds: boolean }>(client, "verify_identity", { agentId: "999" });
    expect(holds).to.equal(false);
  });

  it("answers no wrong token, no foreign page, no rebound name, and no oversized body", async () => {
    const url = `${market.buyer.apiUrl}/mcp`;
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" });
    const post = async (headers: Record<string, string>, text = body) => {
      const sent = { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers };
      const response = await fetch(url, { method: "POST", headers: sent, body: text });
      return [response.status, await response.text()] as const;
    };
    const authorization = `Bearer ${RICH.token}`;
    expect((await post({ authorization: "Bearer wrong" }))[0]).to.equal(401);
    expect(await post({ authorization, origin: "https://evil.example" })).to.satisfy(
      ([status, text]: readonly [number, string]) => status === 403 && text.includes("ORIGIN_REFUSED"),
    );
    expect((await post({ authorization }, `"${"x".repeat(300_000)}"`))[0]).to.equal(413);
    expect((await post({ authorization }))[0]).to.equal(200);
    const owners = await fetch(`${market.buyer.apiUrl}/tasks`, {
      method: "POST",
      headers: { authorization },
      body: "{}",
    });
    expect(owners.status, "a client's token opens the owner's routes").to.equal(401);
  });
});
