// API processes over the rows that another process writes: real processes, a real PostgreSQL, a real chain.
import { expect } from "chai";
import { Client } from "pg";
import { createPublicClient, http } from "viem";
import {
  createIndexer,
  createPostgresStore,
  createReplica,
  identityOf,
  type Indexer,
  type Replica,
} from "../../indexer/index.ts";
import { CommandLine, type Running } from "../fixtures/cli.ts";
import { findPostgres, startPostgres, type TestPostgres } from "../fixtures/postgres.ts";
import { listen, until } from "../fixtures/server-events.ts";
import { act, agentAt, settleDeal, startSuretyChain, type SuretyChain } from "./surety-chain.ts";

const POLL_MS = 20;

interface Asked {
  readonly status: number;
  readonly body: {
    readonly data?: { deals: { id: string }[]; _meta: { block: { hash: string }; behindBlocks: number } };
    readonly errors?: { extensions: { code: string } }[];
  };
}

describe("an API process beside the indexer that writes", function () {
  this.timeout(180_000);
  const commands = new CommandLine();
  let postgres: TestPostgres | undefined;
  let chain: SuretyChain;
  let writer: Running;
  let api: Running;
  let apiUrl: string;
  let replica: Replica;
  let next: Indexer | undefined;

  before(async function () {
    const binaries = findPostgres();
    if (binaries === undefined) {
      console.log("        no PostgreSQL on this machine: skipped; apt-get install postgresql, or set SURETY_POSTGRES");
      return this.skip();
    }
    [postgres, chain] = await Promise.all([startPostgres(binaries), startSuretyChain()]);
    const at = ["--data-dir", chain.folder, "--network", "deployment"];
    const variables = { DATABASE_URL: postgres.url, SURETY_RPC_URL: chain.url };
    writer = commands.surety(["indexer", ...at, "--no-explorer"], variables);
    // The API process has no endpoint of the chain: it must not need one.
    const noChain = { ...variables, SURETY_RPC_URL: "http://127.0.0.1:1" };
    api = commands.surety(["indexer", ...at, "--read-only", "--no-explorer"], noChain);
    apiUrl = (await api.said(/GraphQL at (\S+)\/graphql/))[1] as string;
    const { client, deployment } = chain;
    replica = createReplica({
      client,
      deployment,
      databaseUrl: postgres.url,
      explorer: false,
      pollIntervalMs: POLL_MS,
    });
    await replica.start();
  });

  after(async () => {
    await next?.stop();
    await replica?.stop();
    for (const running of [api, writer]) await running?.kill();
    await chain?.close();
    await postgres?.stop();
  });

  const query = "{ deals(orderBy: id) { id } _meta { block { hash } behindBlocks } }";
  async function ask(url: string): Promise<Asked> {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${url}/graphql`, { method: "POST", headers, body: JSON.stringify({ query }) });
    return { status: response.status, body: (await response.json()) as Asked["body"] };
  }

  /** Waits by the events of the API process itself. */
  async function reach(url: string): Promise<string> {
    const { hash } = await chain.client.getBlock();
    const stopping = new AbortController();
    const heard = listen(await fetch(`${url}/events`, { signal: stopping.signal }));
    await until(heard, ([event, told]) => event === "block" && told["hash"] === hash);
    stopping.abort();
    return hash;
  }

  it("answers the rows that the writer has committed, and says how far behind it is", async () => {
    for (let kind = 0; kind < 8; kind++) await act(chain, kind, kind * 7);
    const hash = await reach(apiUrl);
    const { status, body } = await ask(apiUrl);
    expect([status, body.data?._meta]).to.deep.equal([200, { block: { hash }, behindBlocks: 0 }]);
    expect(body.data?.deals.length).to.be.greaterThan(0);
    await replica.until(({ isReady }) => isReady);
    const ready = (await (await fetch(`${replica.url}/ready`)).json()) as object;
    expect(ready).to.include({ sync: "live", isReady: true, behindBlocks: 0 });
    expect(ready).to.include.keys("headAgeSeconds");
    expect(await (await fetch(`${apiUrl}/metrics`)).text()).to.match(/^surety_indexer_head_age_seconds [0-4]\b/m);
  });

  it("tells its listeners of a reorganisation that the writer undid", async () => {
    const snapshot = await chain.rpc("evm_snapshot");
    await settleDeal(chain, [agentAt(chain, 0), agentAt(chain, 1)], 10);
    const orphan = await reach(apiUrl);
    const stopping = new AbortController();
    const heard = listen(await fetch(`${apiUrl}/events`, { signal: stopping.signal }));
    await until(heard, ([event, told]) => event === "block" && told["hash"] === orphan);
    const tip = Number(await chain.client.getBlockNumber());
    await chain.rpc("evm_revert", snapshot);
    await chain.rpc("evm_mine");
    const { hash } = await chain.client.getBlock();
    const [, reorg] = await until(heard, ([event]) => event === "reorg");
    expect(reorg["from"]).to.equal(tip);
    expect(reorg["undoneBlocks"]).to.be.at.least(3);
    await until(heard, ([event, told]) => event === "block" && told["hash"] === hash);
    stopping.abort();
    expect((await ask(apiUrl)).body.data?._meta.block.hash).to.equal(hash);
  });

  const codeOf = (reason: unknown) => (reason as { code?: string }).code;

  it("leaves the writer's lock to it: a second writer is refused while the first lives", async () => {
    const { deployment } = chain;
    const second = createPostgresStore({ url: (postgres as TestPostgres).url, chainId: deployment.chainId });
    expect(await second.open(identityOf(deployment)).catch(codeOf)).to.equal("STORE_SECOND_WRITER");
    await second.close();
    expect((await ask(apiUrl)).status).to.equal(200);
  });

  it("answers on when the writer is killed, and is not ready any more", async () => {
    await writer.kill();
    const database = new Client({ connectionString: (postgres as TestPostgres).url });
    await database.connect();
    await database.query(`UPDATE surety_31337.writer SET "headAt" = clock_timestamp() - interval '1 minute'`);
    // The database finds out by itself that the writer's connection is gone.
    for (let locks = 1; locks > 0;) {
      const held = await database.query("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'");
      locks = held.rows.length;
    }
    await database.end();
    await replica.until(({ isReady }) => !isReady);
    expect((await fetch(`${replica.url}/ready`)).status).to.equal(503);
    expect((await ask(apiUrl)).status).to.equal(200);
    expect(replica.status().headAgeMs).to.be.at.least(60_000);
  });

  it("cannot write, even where nobody else does: the database refuses it", async () => {
    const options = { url: (postgres as TestPostgres).url, chainId: chain.deployment.chainId };
    const reader = createPostgresStore({ ...options, isReadOnly: true });
    // SQLSTATE read_only_sql_transaction.
    expect(await reader.wipe().catch(codeOf)).to.equal("25006");
    await reader.close();
  });

  it("answers 503 while the rows are rebuilt, and the right rows after", async () => {
    const { deployment, url } = chain;
    const store = createPostgresStore({ url: (postgres as TestPostgres).url, chainId: deployment.chainId });
    await store.open(identityOf(deployment));
    await store.wipe();
    await replica.until(({ isServing }) => !isServing);
    for (const one of [apiUrl, replica.url]) {
      const { status, body } = await ask(one);
      expect([status, body.errors?.[0]?.extensions.code]).to.deep.equal([503, "INDEXER_REBUILDING"]);
    }
    await act(chain, 0, 1);
    const client = createPublicClient({ transport: http(url) });
    next = createIndexer({ client, deployment, store, explorer: false, pollIntervalMs: POLL_MS });
    await next.start();
    const hash = await reach(apiUrl);
    const { body } = await ask(apiUrl);
    expect(body.data?._meta.block.hash).to.equal(hash);
    expect(replica.status().counts.rebuilds).to.equal(1);
  });

  it("answers 503 while the database is away, and lives on", async () => {
    await next?.stop();
    next = undefined;
    await postgres?.stop();
    postgres = undefined;
    await replica.until(({ isServing }) => !isServing);
    const { status, body } = await ask(replica.url);
    expect([status, body.errors?.[0]?.extensions.code]).to.deep.equal([503, "STORE_UNAVAILABLE"]);
    expect((await fetch(`${replica.url}/health`)).status).to.equal(200);
  });
});
