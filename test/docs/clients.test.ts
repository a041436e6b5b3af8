// Runs the code of docs/connect-mcp.md and docs/speak-a2a.md as it stands there, against a real node on a real chain.
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { TaskState, type Task } from "@a2a-js/sdk";
import { expect } from "chai";
import { root } from "../../scripts/checks/run-tool.ts";
import { RICH, series, startMarket, TOPIC, type Market } from "../fixtures/market.ts";

const blocks = new Map(
  ["connect-mcp.md", "speak-a2a.md"].flatMap((page) =>
    [...readFileSync(join(root, "docs", page), "utf8").matchAll(/^```\w+ (\S+)\n(.*?)^```$/gms)].map(
      ([, name = "", text = ""]) => [name, text] as const,
    ),
  ),
);

describe("the guides for clients without new code", function () {
  this.timeout(120_000);
  let dir: string;
  let market: Market;
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "surety-clients-"));
    symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
    writeFileSync(join(dir, "package.json"), '{"type":"module"}');
    for (const [name, text] of blocks) writeFileSync(join(dir, name), text);
    market = await startMarket();
  });
  after(async () => {
    await market?.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const load = async <T>(name: string) => (await import(pathToFileURL(join(dir, name)).href)) as T;

  it("has work done over MCP by the program of the guide", async () => {
    type Guide = { haveDone(url: string, token: string, input: unknown): Promise<Record<string, unknown>> };
    const { haveDone } = await load<Guide>("use-mcp.ts");
    const task = await haveDone(`${market.buyer.apiUrl}/mcp`, RICH.token, series);
    expect(task).to.include({ state: "settled", rating: 80 });
  });

  it("has work done over A2A by the program of the guide", async () => {
    type Guide = { order(url: string, token: string, order: object): Promise<Task> };
    const { order } = await load<Guide>("use-a2a.ts");
    const task = await order(market.buyer.apiUrl, RICH.token, { topic: TOPIC, input: series, maxPriceWei: "5000000" });
    expect(task.status?.state).to.equal(TaskState.TASK_STATE_COMPLETED);
    expect(task.artifacts.map(({ artifactId }) => artifactId)).to.deep.equal(["delivery", "receipt"]);
  });

  it("configures what node and clients read", () => {
    expect(JSON.parse(blocks.get("clients") ?? "")).to.have.nested.property("spending.budgetWei");
    const { mcpServers } = JSON.parse(blocks.get("stdio") ?? "") as { mcpServers: { surety: { args: string[] } } };
    expect(mcpServers.surety.args.slice(0, 3)).to.deep.equal(["surety", "mcp", "--node"]);
  });
});
