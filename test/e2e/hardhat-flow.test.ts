import { expect } from "chai";
import { gql, request } from "graphql-request";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTestClient, http, parseEther, publicActions, type Hex } from "viem";
import { CommandLine } from "../fixtures/cli.ts";
import { testAccount } from "../../scripts/devnet/accounts.ts";
import { root } from "../../scripts/checks/run-tool.ts";

/** Sells the statistics of a series, as the built-in scenario's analyst does. */
const seller = [
  ...["--app", join(root, "scripts/scenarios/applications/skill.ts")],
  ...["--app-options", '{"topic":"data_analysis","priceWei":"4000000","quality":95}'],
];

describe("the usual Hardhat flow", function () {
  this.timeout(180_000);
  const cli = new CommandLine();
  const dir = mkdtempSync(join(tmpdir(), "surety-flow-"));
  after(() => {
    cli.killAll();
    rmSync(dir, { recursive: true, force: true });
  });

  it("deploys once, lets nodes join and an indexer follow, and ends with nothing left running", async () => {
    const chain = cli.hardhat(["node", "--port", "0", "--hostname", "127.0.0.1"]);
    const rpcUrl = (await chain.said(/server at (http:\/\/[\d.:]+)/))[1] as string;
    const on = ["--network", "localhost", "--rpc-url", rpcUrl, "--data-dir", dir];
    const client = createTestClient({ mode: "hardhat", transport: http(rpcUrl) }).extend(publicActions);

    const first = await cli.json("deploy", ...on);
    expect(first.code).to.equal(0);
    const height = await client.getBlockNumber({ cacheTime: 0 });
    const second = await cli.json("deploy", ...on);
    expect(second).to.deep.equal(first);
    expect(await client.getBlockNumber({ cacheTime: 0 })).to.equal(height);

    // Another deployment on the same chain, as on any network: its endpoint and its key are named nowhere but in the environment.
    const remote = ["deploy", "--network", "remote", "--data-dir", dir, "--json"];
    const secrets = { SURETY_RPC_URL: rpcUrl, SURETY_DEPLOYER_KEY: testAccount(5).key };
    const elsewhere = await cli.surety(remote, secrets).ended;
    expect(elsewhere.code, elsewhere.stderr).to.equal(0);
    expect(JSON.parse(elsewhere.stdout)).to.include({ chainId: 31_337 }).and.not.deep.equal(first.result);

    const keys = { seller: join(dir, "seller.key"), buyer: join(dir, "buyer.key") };
    for (const keyFile of Object.values(keys)) {
      const { result } = await cli.json<{ address: Hex }>("agent", "key", "--key-file", keyFile);
      await client.setBalance({ address: result.address, value: parseEther("1") });
      expect((await cli.json("agent", "register", "--key-file", keyFile, ...on)).code).to.equal(0);
    }

    const indexer = cli.surety(["indexer", ...on, "--json"]);
    const graphqlUrl = (await indexer.said(/GraphQL at (\S+),/))[1] as string;
    const start = (name: "seller" | "buyer", options: readonly string[]) =>
      cli.surety([
        "node",
        "--name",
        name,
        "--key-file",
        keys[name],
        ...options,
        "--graphql-url",
        graphqlUrl,
        ...on,
        "--json",
      ]);
    const selling = start("seller", ["--role", "watcher", ...seller]);
    const address = (await selling.said(/(\/ip4\/\S+\/p2p\/\w+)/))[1] as string;
    const buying = start("buyer", ["--bootstrap", address]);
    const nodeUrl = (await buying.said(/local interface (http:\/\/[\d.:]+)/))[1] as string;
    const nodeToken = readFileSync(join(dir, "localhost/nodes/buyer/api-token"), "utf8").trim();
    await until(nodeUrl, nodeToken, ({ declarations }) => declarations === 1);
    const find = ["find", "statistics of a series", "--node-url", nodeUrl, "--node-token", nodeToken];
    const { code, result } = await cli.json<{ found: { agentId: string; priceWei: string }[] }>(...find, ...on);
    expect([code, result.found.map(({ agentId, priceWei }) => [agentId, priceWei])]).to.deep.equal([
      0,
      [["1", "4000000"]],
    ]);
    const ask = ["--node-url", nodeUrl, "--node-token", nodeToken, ...on];
    const { result: peers } = await cli.json("network", "peers", ...ask);
    expect(peers).to.have.nested.property("peers[0].agentId", "1");
    const status = await cli.json<{ held: object; seen: { headers: number } }>("network", "status", ...ask);
    expect([status.code, status.result.held])
      .to.deep.include(0)
      .and.deep.include({ logs: 2, entries: 3, bodiless: 0, forks: 0 });
    const watching = cli.surety(["network", "watch", ...ask, "--json"]);
    await watching.said(/header {8}declare/);
    const watched = await watching.interrupt();
    expect(watched.code, watched.stderr).to.equal(0);
    const scraped = await fetch(`${nodeUrl}/metrics`, { headers: { authorization: `Bearer ${nodeToken}` } });
    const metrics = await scraped.text();
    expect(scraped.headers.get("content-type")).to.match(/^text\/plain; version=/);
    for (const line of [
      "surety_node_peers 1",
      "surety_node_logs 2",
      `surety_node_headers_total ${status.result.seen.headers}`,
    ]) {
      expect(metrics.split("\n")).to.include(line);
    }
    expect((await fetch(`${nodeUrl}/metrics`)).status).to.equal(401);
    expect(await cli.failure("find", "x", "--node-url", nodeUrl, "--node-token", "wrong")).to.deep.equal([
      3,
      "TOKEN_WRONG",
    ]);

    const query = gql`
      {
        agents {
          id
        }
      }
    `;
    const { agents } = await request<{ agents: unknown[] }>(graphqlUrl, query);
    expect(agents).to.have.length(2);

    for (const running of [buying, selling, indexer]) {
      const ended = await running.interrupt();
      expect(ended.code, ended.stderr).to.equal(0);
      expect(JSON.parse(ended.stdout)).to.include({ stopped: true });
    }
    await chain.interrupt();
    expect(cli.leftovers() ?? []).to.deep.equal([]);
  });
});

/** Polls a node's status: gossip tells nobody when it has spread. */
async function until(
  nodeUrl: string,
  nodeToken: string,
  isReached: (status: { declarations: number }) => boolean,
): Promise<void> {
  for (;;) {
    const response = await fetch(`${nodeUrl}/status`, { headers: { authorization: `Bearer ${nodeToken}` } });
    if (isReached((await response.json()) as { declarations: number })) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
