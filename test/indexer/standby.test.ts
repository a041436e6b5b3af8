// An API process over a standby of the writer's database, and what is left when the primary dies: streaming replication as
// PostgreSQL itself does it.
import { expect } from "chai";
import { createPublicClient, http } from "viem";
import {
  createIndexer,
  createPostgresStore,
  createReplica,
  identityOf,
  type Indexer,
  type Replica,
} from "../../indexer/index.ts";
import {
  canReplicate,
  findPostgres,
  startPostgres,
  startStandby,
  type TestPostgres,
  type TestStandby,
} from "../fixtures/postgres.ts";
import { act, startSuretyChain, type SuretyChain } from "./surety-chain.ts";

const POLL_MS = 20;

describe("an API process over a standby of the database", function () {
  this.timeout(180_000);
  let chain: SuretyChain;
  let primary: TestPostgres | undefined;
  let standby: TestStandby | undefined;
  let writer: Indexer | undefined;
  let replica: Replica | undefined;

  before(async function () {
    const binaries = findPostgres();
    if (binaries === undefined || !canReplicate(binaries)) {
      console.log("        no PostgreSQL with pg_basebackup on this machine: skipped; apt-get install postgresql");
      return this.skip();
    }
    [primary, chain] = await Promise.all([startPostgres(binaries), startSuretyChain()]);
    writer = await write(primary.url);
    standby = await startStandby(binaries, primary);
    const { client, deployment } = chain;
    const options = { client, deployment, databaseUrl: standby.url, explorer: false, pollIntervalMs: POLL_MS } as const;
    replica = createReplica(options);
    await replica.start();
  });

  after(async () => {
    await replica?.stop();
    await writer?.stop();
    await standby?.stop();
    await primary?.stop();
    await chain?.close();
  });

  async function write(url: string): Promise<Indexer> {
    const { deployment } = chain;
    const client = createPublicClient({ transport: http(chain.url) });
    const store = createPostgresStore({ url, chainId: deployment.chainId });
    const indexer = createIndexer({ client, deployment, store, explorer: false, pollIntervalMs: POLL_MS });
    await indexer.start();
    return indexer;
  }

  async function ask(): Promise<{ status: number; deals: number; hash: string }> {
    const query = "{ deals { id } _meta { block { hash } } }";
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ query });
    const response = await fetch(`${(replica as Replica).url}/graphql`, { method: "POST", headers, body });
    const { data } = (await response.json()) as { data: { deals: unknown[]; _meta: { block: { hash: string } } } };
    return { status: response.status, deals: data.deals.length, hash: data._meta.block.hash };
  }

  /** Waits until the standby has the chain's last block. */
  async function reach(): Promise<string> {
    const { hash } = await chain.client.getBlock();
    await (replica as Replica).until(({ checkpoint, isReady }) => checkpoint?.hash === hash && isReady);
    return hash;
  }

  it("answers the rows as they stream in", async () => {
    for (let kind = 0; kind < 8; kind++) await act(chain, kind, kind * 7);
    const hash = await reach();
    const answer = await ask();
    expect([answer.status, answer.hash]).to.deep.equal([200, hash]);
    expect(answer.deals).to.be.greaterThan(0);
  });

  it("is no place to write to: an indexer that starts there is refused", async () => {
    const { deployment } = chain;
    const store = createPostgresStore({ url: (standby as TestStandby).url, chainId: deployment.chainId });
    const refusal = await store.open(identityOf(deployment)).catch((reason: { code?: string }) => reason.code);
    expect(refusal).to.equal("STORE_STANDBY");
    await store.close();
  });

  it("answers the last rows when the primary is gone, and goes on when the standby takes its place", async () => {
    const before = await ask();
    await writer?.stop();
    await primary?.stop();
    [writer, primary] = [undefined, undefined];
    expect(await ask()).to.deep.equal(before);
    (standby as TestStandby).promote();
    writer = await write((standby as TestStandby).url);
    await act(chain, 0, 1);
    const hash = await reach();
    expect((await ask()).hash).to.equal(hash);
    expect((replica as Replica).status().counts.rebuilds, "rows were kept").to.equal(0);
  });
});
