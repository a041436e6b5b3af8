// Requests over HTTP that are paid for, between real node processes on a real chain, bought from the command line; and what
// becomes of a purchase whose seller is killed (SIGKILL) while it works.
import { expect } from "chai";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { testTokenAbi, type Deployment } from "#protocol";
import type { Hex } from "viem";
import { spawnNode, type NodeProcess, type ReadyAgent } from "../../scripts/devnet/child.ts";
import { NodeClient } from "../../scripts/devnet/node-client.ts";
import type { LocalAgent } from "../../scripts/devnet/provision.ts";
import { CommandLine } from "../fixtures/cli.ts";
import { startLocalNetwork, type LocalNetwork } from "../fixtures/local-network.ts";

const skillPath = fileURLToPath(new URL("../../scripts/scenarios/applications/skill.ts", import.meta.url));
const hungPath = fileURLToPath(new URL("../fixtures/hung-application.ts", import.meta.url));
const skill = { module: skillPath, options: { topic: "data_analysis" } };
const TOKEN = "token-of-the-test";
const PRICE = 2_000n;
const SERIES = "[3, 1, 2]";
const wanted = ["--body", SERIES, "--max", PRICE.toString()];

interface Bought {
  readonly text: string;
  readonly mimeType: string;
  readonly contentHash: Hex;
  readonly paid: { by: string; amountWei: string; dealId: Hex; tabId: Hex; seq: string };
}
interface Deals {
  readonly deals: readonly { readonly dealId: Hex; readonly state?: string }[];
}

describe("a resource that is paid for over HTTP", function () {
  this.timeout(180_000);
  const cli = new CommandLine();
  const ending = new AbortController();
  const nodes: NodeProcess[] = [];
  let world: LocalNetwork;
  let seller: ReadyAgent;
  let buyer: ReadyAgent;
  let shopUrl: string;

  before(async () => {
    world = await startLocalNetwork(2, { tokens: 1_000_000n });
    writeFileSync(join(world.dir, "deployment.json"), JSON.stringify(world.deployment));
    seller = await start("seller", { application: skill, shop: shop(0) });
    shopUrl = seller.shopUrl as string;
    buyer = await start("buyer", {});
  });
  after(async () => {
    ending.abort(new Error("the tests are over"));
    cli.killAll();
    await Promise.all(nodes.map((node) => node.stop()));
    await world.stop();
  });

  const shop = (port: number) => ({
    port,
    resources: [{ path: "/describe", topic: "data_analysis", priceWei: PRICE.toString(), description: "Quartiles" }],
  });

  async function start(name: "seller" | "buyer", fields: object): Promise<ReadyAgent> {
    const [key, path] = [join(world.dir, `${name}.key`), join(world.dir, `${name}.json`)];
    writeFileSync(key, `${(world.agents[name === "seller" ? 0 : 1] as LocalAgent).key}\n`, { mode: 0o600 });
    const agent = { name, keyFile: key, ...fields };
    const common = { rpcUrl: world.rpcUrl, deploymentFile: "deployment.json", dataDir: "nodes", apiToken: TOKEN };
    writeFileSync(path, JSON.stringify({ ...common, agents: [agent] }));
    const node = await spawnNode(path, join(world.dir, `${name}.log`), ending.signal);
    nodes.push(node);
    return node.agents[0] as ReadyAgent;
  }

  const at = ({ apiUrl }: ReadyAgent) => ["--node-url", apiUrl, "--node-token", TOKEN];
  const pay = (...args: string[]) => cli.json<Bought>("pay", `${shopUrl}/describe`, ...wanted, ...args, ...at(buyer));
  const fail = (...args: string[]) => cli.failure("pay", ...args, ...at(buyer));
  const balances = async () => {
    const { contracts }: Deployment = world.deployment;
    const of = (account: Hex) =>
      world.client.readContract({
        abi: testTokenAbi,
        address: contracts.token,
        functionName: "balanceOf",
        args: [account],
      });
    const [s, b] = world.agents as [LocalAgent, LocalAgent];
    return { seller: await of(s.address), buyer: await of(b.address) };
  };
  /** Polls a node until it has such a deal. */
  async function seen(node: ReadyAgent, isIt: (deal: Deals["deals"][number]) => boolean): Promise<Hex> {
    const { deals } = await new NodeClient(node, TOKEN).until<Deals>(
      "/deals",
      (all) => all.deals.some(isIt),
      ending.signal,
    );
    return deals.find(isIt)?.dealId as Hex;
  }

  it("by a deal, rated at once: the answer is on stdout, the money with the seller", async () => {
    const before = await balances();
    const { code, result } = await pay("--rating", "80");
    expect(code).to.equal(0);
    expect(JSON.parse(result.text)).to.include({ count: 3, sum: 6, median: 2 });
    expect([result.mimeType, result.paid.by, result.paid.amountWei]).to.deep.equal([
      "application/json",
      "deal",
      "2000",
    ]);
    await seen(seller, ({ dealId, state }) => dealId === result.paid.dealId && state === "Completed");
    const after = await balances();
    expect([after.seller - before.seller, before.buyer - after.buyer]).to.deep.equal([PRICE, PRICE]);
  });

  it("on a tab: one deposit for many requests", async () => {
    const first = await pay("--by", "tab", "--deposit", "10000");
    const second = await pay();
    expect([first, second].map(({ result: { paid } }) => [paid.by, paid.tabId, paid.seq])).to.deep.equal([
      ["tab", first.result.paid.tabId, "1"],
      ["tab", first.result.paid.tabId, "2"],
    ]);
    const text = await cli.run("pay", `${shopUrl}/describe`, ...wanted, ...at(buyer));
    expect([text.code, text.stdout]).to.deep.equal([
      0,
      `{"count":3,"sum":6,"min":1,"q1":1,"median":2,"q3":3,"max":3}\n\npaid 2000 on tab ${first.result.paid.tabId}, request 3; content ${first.result.contentHash}\n`,
    ]);
  });

  it("is delivered and paid though its seller is killed between payment and answer", async () => {
    await nodes.shift()?.stop();
    const { port } = new URL(shopUrl);
    seller = await start("seller", { application: { module: hungPath }, shop: shop(Number(port)) });
    const buying = cli.failure("pay", `${shopUrl}/describe`, ...wanted, "--by", "deal", "--rating", "60", ...at(buyer));
    const dealId = await seen(seller, ({ state }) => state === "Funded");
    await nodes.pop()?.kill();
    expect(await buying).to.deep.equal([3, "X402_UNREACHABLE"]);
    seller = await start("seller", { application: skill, shop: shop(Number(port)) });
    for (const side of [buyer, seller]) {
      await seen(side, (deal) => deal.dealId === dealId && deal.state === "Completed");
    }
  });

  it("names what is wrong, and what to do next", async () => {
    const url = `${shopUrl}/describe`;
    expect(await fail(url, "--max", "1999")).to.deep.equal([3, "X402_UNPAYABLE"]);
    expect(await fail(`${shopUrl}/none`, "--max", "1")).to.deep.equal([3, "X402_REFUSED"]);
    expect(await fail("ftp://example.org/", "--max", "1")).to.deep.equal([3, "X402_REQUEST_INVALID"]);
    expect(await fail(url)).to.deep.equal([2, "USAGE_MISSING_MANDATORY_OPTION_VALUE"]);
    expect(await fail(url, "--max", "1", "--rating", "101")).to.deep.equal([2, "USAGE_INVALID_ARGUMENT"]);
    expect(await fail(url, "--max", "1", "--body", "x", "--body-file", "y")).to.deep.equal([2, "USAGE_BODY"]);
  });
});
