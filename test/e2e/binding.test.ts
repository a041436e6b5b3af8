import { expect } from "chai";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { zeroHash, type Hex } from "viem";
import { decodeBody, isBoundHeader } from "#protocol";
import { connectChain } from "../../node/chain/connect.ts";
import { createLogStore } from "../../node/log/log-store.ts";
import { openStore } from "../../node/store/sqlite.ts";
import { root } from "../../scripts/checks/run-tool.ts";
import { createCommitment } from "../../scripts/cli/commitment.ts";
import { updateCommitment } from "../../scripts/commands/baid.ts";
import { spawnNode, type NodeProcess, type ReadyAgent } from "../../scripts/devnet/child.ts";
import { NodeClient, type NodeStatus } from "../../scripts/devnet/node-client.ts";
import { startLocalNetwork, type LocalNetwork } from "../fixtures/local-network.ts";

const module_ = join(root, "scripts/scenarios/applications/skill.ts");
const TOKEN = "a test's token";
/** No limit of its own but the test's. */
const signal = new AbortController().signal;

interface Found {
  readonly found: readonly { readonly agentId: string; readonly isBound: boolean }[];
}

describe("a node and its agent's commitment", function () {
  this.timeout(180_000);
  let world: LocalNetwork;
  const running: NodeProcess[] = [];
  let commitment: Hex;
  const at = (...names: string[]) => join(world.dir, ...names);
  const options = { topic: "data_analysis", priceWei: "4000000", quality: 95 };
  const writeConfig = (budgetPolicy: unknown) => {
    const none = { model: null, promptTemplate: null, toolPermissions: null, safetyPolicy: null };
    writeFileSync(at("agent.json"), JSON.stringify({ ...none, budgetPolicy, application: options }));
  };

  before(async () => {
    world = await startLocalNetwork(2);
    mkdirSync(at("keep"));
    writeFileSync(at("deployment.json"), JSON.stringify(world.deployment));
    for (const [index, name] of ["bound", "other"].entries()) {
      writeFileSync(at(`${name}.key`), `${world.agents[index]?.key}\n`, { mode: 0o600 });
    }
    writeConfig({ perDayWei: "1" });
    const files = { configFile: at("agent.json"), out: at("keep/b.json") };
    const request = { code: dirname(module_), ...files, isRuntimeBound: true, userId: zeroHash };
    ({ commitment } = await createCommitment(request, signal));
    const { rpcUrl, deployment } = world;
    const connection = { rpcUrl, deployment, endpoints: {}, client: await connectChain(rpcUrl, deployment, signal) };
    const [agent] = world.agents;
    if (agent === undefined) throw new Error("the network has no agent");
    await updateCommitment(connection, agent.key, { agentId: agent.agentId, commitment }, signal);
  });
  after(async () => {
    await Promise.all(running.map((node) => node.stop()));
    await world.stop();
  });

  async function start(
    name: string,
    fields: object,
  ): Promise<{ node: NodeProcess; api: NodeClient; ready: ReadyAgent }> {
    const agent = { name, keyFile: at(`${name}.key`), application: { module: module_, options }, ...fields };
    const paths = { deploymentFile: at("deployment.json"), dataDir: at("nodes") };
    writeFileSync(
      at(`${name}.json`),
      JSON.stringify({ rpcUrl: world.rpcUrl, ...paths, apiToken: TOKEN, agents: [agent] }),
    );
    const node = await spawnNode(at(`${name}.json`), at(`${name}.log`), signal);
    running.push(node);
    const ready = node.agents[0] as ReadyAgent;
    return { node, ready, api: new NodeClient(ready, TOKEN) };
  }

  /** The entries of a stopped node's own log. */
  function readLog(name: string, index: number) {
    const store = openStore(at("nodes", name, "node.sqlite"));
    const logs = createLogStore(store);
    const log = world.agents[index]?.address as Hex;
    const entries = logs.range(log, 0, 10).map(({ header }) => {
      const decoded = decodeBody(header.kind, logs.bodyOf(header.bodyHash) ?? new Uint8Array());
      if (decoded.kind !== "accept") throw new Error(decoded.detail);
      return { isBound: isBoundHeader(header), ...decoded.value };
    });
    store.close();
    return entries;
  }

  const failureIn = (name: string) => {
    const lines = readFileSync(at(`${name}.log`), "utf8")
      .trim()
      .split("\n");
    return (JSON.parse(lines.at(-1) ?? "{}") as { code?: string }).code;
  };

  it("starts with what was committed, attests it first, and is found as bound beside one that is not", async () => {
    const bound = await start("bound", { binding: at("keep/b.json") });
    const other = await start("other", { bootstrap: bound.ready.addresses });
    await bound.api.until<NodeStatus>("/status", ({ declarations }) => declarations === 2, signal);
    const { found } = await bound.api.ask<Found>("/find?query=", signal);
    expect(new Map(found.map(({ agentId, isBound }) => [agentId, isBound]))).to.deep.equal(
      new Map([
        ["1", true],
        ["2", false],
      ]),
    );
    await bound.node.stop();
    await other.node.stop();
    const [attest, ...rest] = readLog("bound", 0);
    if (attest?.kind !== "attest") throw new Error(`the first entry is ${attest?.kind}`);
    expect(attest.body).to.include({ agentId: 1n, commitment, peerId: bound.ready.peerId });
    expect(attest.body.codeCommitment).to.match(/^0x01[0-9a-f]{64}$/);
    expect(rest.map(({ kind }) => kind)).to.deep.equal(["declare"]);
    expect([attest, ...rest].every(({ isBound }) => isBound)).to.equal(true);
    const others = readLog("other", 1);
    expect(others.map(({ kind, isBound }) => [kind, isBound])).to.deep.equal([
      ["attest", false],
      ["declare", false],
    ]);
  });

  it("refuses to start when the config is another, and starts marked when it is told to", async () => {
    writeConfig({ perDayWei: "1000000" });
    const refused = await start("bound", { binding: at("keep/b.json") }).catch((error: unknown) => error);
    expect(refused).to.be.an("error");
    expect(failureIn("bound")).to.equal("NODE_CONFIG_CHANGED");
    expect(await start("bound", {}).catch(() => "refused")).to.equal("refused");
    expect(failureIn("bound")).to.equal("NODE_BINDING_MISSING");
    const before = readLog("bound", 0).length;
    const { node } = await start("bound", { binding: at("keep/b.json"), unbound: true });
    await node.stop();
    const [attest, ...rest] = readLog("bound", 0).slice(before);
    expect([attest?.kind, attest?.isBound]).to.deep.equal(["attest", false]);
    expect(rest.every(({ isBound }) => !isBound)).to.equal(true);
  });
});
