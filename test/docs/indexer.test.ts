// Runs the questions of docs/run-an-indexer.md as they stand there, against a real indexer, and listens to its events.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect } from "chai";
import { JsonRpcProvider } from "ethers";
import { buildSchema, printSchema } from "graphql";
import { bytesToHex, keccak256, toHex, type Hex } from "viem";
import { encodeLeaves } from "#protocol";
import { createSchema } from "../../indexer/graphql/schema.ts";
import { createIndexer, type Indexer } from "../../indexer/index.ts";
import { root } from "../../scripts/checks/run-tool.ts";
import {
  agentAt,
  EPOCH_LENGTH_SECONDS,
  settleDeal,
  startSuretyChain,
  TOPICS,
  type SuretyChain,
} from "../indexer/surety-chain.ts";
import { listen, until } from "../fixtures/server-events.ts";
import { solveHonestly, TrustGraph } from "../reputation-contracts/trust-graph.ts";
import { topicRootOf } from "../reputation-contracts/world.ts";

interface Deals {
  readonly completedDeals: (url: string) => Promise<{ id: Hex; rating: number }[]>;
}
interface Score {
  readonly confirmedScore: (...args: [string, JsonRpcProvider, string, bigint, bigint]) => Promise<bigint>;
}

const page = readFileSync(join(root, "docs/run-an-indexer.md"), "utf8");
const blocks = new Map(
  [...page.matchAll(/^```\w+ (\S+\.\w+)\n(.*?)^```$/gms)].map(([, name = "", text = ""]) => [name, text]),
);
const snapshotPath = join(root, "indexer/graphql/schema.graphql");

describe("the guide to indexers", function () {
  this.timeout(120_000);
  let chain: SuretyChain;
  let indexer: Indexer;
  let dir: string;
  const [topic] = TOPICS;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "surety-guide-"));
    symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
    writeFileSync(join(dir, "package.json"), '{"type":"module"}');
    const protocol = pathToFileURL(join(root, "contracts/protocol/index.ts")).href;
    for (const [name, text] of blocks)
      writeFileSync(join(dir, name), text.replaceAll('"surety/protocol"', `"${protocol}"`));
    chain = await startSuretyChain();
    const { client, deployment, folder } = chain;
    indexer = createIndexer({ client, deployment, store: { folder }, pollIntervalMs: 10 });
    await indexer.start();
  });
  after(async () => {
    await indexer?.stop();
    await chain?.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const load = async <T>(name: string) => (await import(pathToFileURL(join(dir, name)).href)) as T;

  async function catchUp(): Promise<{ number: number; hash: Hex }> {
    const { number, hash } = await chain.client.getBlock();
    await indexer.reached({ number: Number(number), hash });
    return { number: Number(number), hash };
  }

  it("asks by curl", async () => {
    const { number } = await catchUp();
    const child = spawn("sh", ["-e", join(dir, "ask.sh")], { env: { ...process.env, INDEXER: indexer.url } });
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    expect(await new Promise((resolve) => child.once("close", resolve))).to.equal(0);
    const { data } = JSON.parse(said) as { data: { agents: { id: string }[]; counts: unknown; _meta: unknown } };
    expect(data.agents.map(({ id }) => id)).to.deep.equal(["31337:1", "31337:2"]);
    expect([data.counts, data._meta]).to.deep.equal([{ agents: 6 }, { block: { number } }]);
  });

  it("pages through all completed deals by graphql-request, and confirms a score by ethers", async () => {
    const graph = new TrustGraph(topic);
    for (const { agentId, account } of chain.agents) await chain.vault.write.stake([agentId, 1_000n], { account });
    for (const [from, to, rating] of [
      [0, 1, 90],
      [1, 2, 50],
      [2, 0, 70],
    ] as const) {
      const [a, b] = [agentAt(chain, from), agentAt(chain, to)];
      await settleDeal(chain, [a, b], rating);
      graph.record(a.agentId, b.agentId, rating, 0);
    }
    await catchUp();
    const deals = await (await load<Deals>("all-deals.ts")).completedDeals(indexer.url);
    expect(deals.map(({ rating }) => rating).sort()).to.deep.equal([50, 70, 90]);

    const epoch = solveHonestly(graph.close(() => 1_000n));
    const { agentId, account } = agentAt(chain, 0);
    await goToEpoch(2n);
    const leaves = bytesToHex(encodeLeaves(epoch.words));
    await chain.epochs.write.commit([agentId, keccak256(toHex("closing")), [topicRootOf(epoch)], leaves], { account });
    await goToEpoch(3n);
    await chain.epochs.write.finalize([1, [topic]], { account });
    await catchUp();
    const provider = new JsonRpcProvider(chain.url);
    const { confirmedScore } = await load<Score>("score-with-ethers.ts");
    const score = await confirmedScore(indexer.url, provider, chain.epochs.address, 2n, topic);
    provider.destroy();
    expect(score > 0n).to.equal(true);
  });

  async function goToEpoch(epoch: bigint): Promise<void> {
    const start = (await chain.ledger.read.genesis()) + (epoch - 1n) * BigInt(EPOCH_LENGTH_SECONDS);
    await chain.rpc("evm_setNextBlockTimestamp", `0x${start.toString(16)}`);
    await chain.rpc("evm_mine");
  }

  it("tells listeners of blocks, and of a reorganisation before the rows that follow it", async () => {
    await catchUp();
    const snapshot = await chain.rpc("evm_snapshot");
    const stopping = new AbortController();
    const response = await fetch(`${indexer.url}/events`, { signal: stopping.signal });
    expect(response.headers.get("content-type")).to.equal("text/event-stream");
    const heard = listen(response);
    expect((await heard.next()).value).to.deep.equal(["serving", { isServing: true }]);
    expect((await heard.next()).value?.[0]).to.equal("block");
    await settleDeal(chain, [agentAt(chain, 3), agentAt(chain, 4)], 10);
    const tip = await catchUp();
    await until(heard, ([event, told]) => event === "block" && told["hash"] === tip.hash);
    await chain.rpc("evm_revert", snapshot);
    await chain.rpc("evm_mine");
    const [, reorg] = await until(heard, ([event]) => event === "reorg");
    expect(reorg).to.deep.equal({ from: tip.number, undoneBlocks: reorg["undoneBlocks"] });
    expect(reorg["undoneBlocks"]).to.be.at.least(3);
    const { hash } = await catchUp();
    await until(heard, ([event, told]) => event === "block" && told["hash"] === hash);
    stopping.abort();
  });

  it("has the schema that was reviewed last: SURETY_UPDATE=1 writes it anew", () => {
    const schema = printSchema(createSchema());
    if (process.env["SURETY_UPDATE"] === "1") writeFileSync(snapshotPath, `${schema}\n`);
    // Parsed, so that the formatter may have its way with the file.
    const reviewed = printSchema(buildSchema(readFileSync(snapshotPath, "utf8")));
    expect(schema === reviewed, "indexer/graphql/schema.graphql is not the schema").to.equal(true);
  });
});
