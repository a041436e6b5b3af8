import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { GraphQLClient, type ClientError } from "graphql-request";
import { createPublicClient, http, keccak256, type Hex } from "viem";
import {
  createIndexer,
  createPostgresStore,
  createSqliteStore,
  verifyIndex,
  type Indexer,
  type Store,
} from "../../indexer/index.ts";
import { UNDO_BLOCKS } from "../../indexer/sync/core.ts";
import { findPostgres, startPostgres } from "../fixtures/postgres.ts";
import { startRpcProxy, type RpcProxy } from "./rpc-proxy.ts";
import { act, ACTION_COUNT, startSuretyChain, type SuretyChain } from "./surety-chain.ts";
import { isNightly, nightly } from "../fixtures/profile.ts";

const CHILD = fileURLToPath(new URL("./fixtures/indexer-child.ts", import.meta.url));
/** Two seconds each; half of them during the backfill. */
const KILLS = isNightly ? 200 : 4;
/** Only nightly: what dies is the same process, and `test/indexer/replica.test.ts` kills a writer on PostgreSQL by day. */
const POSTGRES_KILLS = 200;

/** A small seeded generator (mulberry32): the same kills and acts in every run. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

describe("indexer under faults", function () {
  this.timeout(180_000);
  let chain: SuretyChain;
  let proxy: RpcProxy;
  let indexer: Indexer | undefined;
  let fileCount = 0;
  let path = "";

  before(async () => {
    chain = await startSuretyChain();
    proxy = await startRpcProxy(chain.url);
  });

  after(async () => {
    await proxy?.close();
    await chain?.close();
  });

  beforeEach(() => {
    path = join(chain.folder, `faults-${++fileCount}.sqlite`);
    proxy.target = chain.url;
    proxy.tamper = ({ result }) => result;
  });

  afterEach(async () => {
    await indexer?.stop();
    indexer = undefined;
  });

  /** A file, or PostgreSQL where the path is its URL. */
  function openStore(): Store {
    const { chainId } = chain.deployment;
    return path.startsWith("postgres:")
      ? createPostgresStore({ url: path, chainId })
      : createSqliteStore({ path, chainId });
  }

  async function startIndexer(url = proxy.url, ...others: readonly string[]): Promise<Indexer> {
    const { deployment } = chain;
    const store = openStore();
    const clientOf = (endpoint: string) => createPublicClient({ transport: http(endpoint, { retryCount: 0 }) });
    const [client, witnesses] = [clientOf(url), others.map(clientOf)];
    const started = createIndexer({ client, witnesses, deployment, store, pollIntervalMs: 5, maxRangeBlocks: 16 });
    indexer = started;
    await started.start();
    return started;
  }

  async function catchUp(started: Indexer): Promise<void> {
    const { number, hash } = await chain.client.getBlock();
    await started.reached({ number: Number(number), hash });
  }

  async function actTimes(count: number, random: (below: number) => number): Promise<void> {
    for (let k = 0; k < count; k++) await act(chain, random(ACTION_COUNT), random(1_000));
  }

  async function expectRowsOfChain(): Promise<void> {
    const store = openStore();
    const snapshot = await store.snapshot();
    try {
      expect(snapshot.chain?.checkpoint.hash).to.equal((await chain.client.getBlock()).hash);
      const { differences, rowCount } = await verifyIndex(chain.client, chain.deployment, snapshot);
      expect(differences).to.deep.equal([]);
      expect(rowCount).to.be.greaterThan(0);
    } finally {
      snapshot.close();
      await store.close();
    }
  }

  it("undoes what a reorganisation took back, and folds what came instead", async () => {
    const random = createRandom(1);
    const started = await startIndexer();
    for (let round = 0; round < 4; round++) {
      await actTimes(3, random);
      const snapshot = await chain.rpc("evm_snapshot");
      await actTimes(1 + random(8), random);
      await catchUp(started);
      await chain.rpc("evm_revert", snapshot);
      // A block more than before or fewer: the new branch is sometimes shorter.
      await actTimes(1 + random(8), random);
      await catchUp(started);
      await expectRowsOfChain();
    }
    expect(started.status().counts).to.include({ reorgs: 4, rebuilds: 0 });
  });

  it("finds a reorganisation that happened while it was down", async () => {
    const random = createRandom(2);
    const first = await startIndexer();
    const snapshot = await chain.rpc("evm_snapshot");
    await actTimes(5, random);
    await catchUp(first);
    await first.stop();
    await chain.rpc("evm_revert", snapshot);
    await actTimes(5, random);
    const second = await startIndexer();
    await catchUp(second);
    await expectRowsOfChain();
    expect(second.status().counts).to.include({ reorgs: 1, rebuilds: 0 });
  });

  it("rebuilds after a reorganisation below its undo log, and answers 503 with progress meanwhile", async () => {
    const random = createRandom(3);
    const started = await startIndexer();
    const snapshot = await chain.rpc("evm_snapshot");
    await actTimes(4, random);
    await chain.rpc("hardhat_mine", `0x${(UNDO_BLOCKS + 20).toString(16)}`);
    await catchUp(started);
    const graphql = new GraphQLClient(started.graphqlUrl);
    const refusal = Promise.withResolvers<ClientError>();
    let isAsked = false;
    proxy.tamper = async ({ result }) => {
      // The endpoint holds the rebuild's first answer back until a query has been answered.
      if (started.status().sync === "rebuilding" && !isAsked) {
        isAsked = true;
        await graphql.request("{ agents { id } }").then(
          () => refusal.reject(new Error("answered while rebuilding")),
          (error: unknown) => refusal.resolve(error as ClientError),
        );
      }
      return result;
    };
    await chain.rpc("evm_revert", snapshot);
    await actTimes(6, random);
    await chain.rpc("hardhat_mine", `0x${(UNDO_BLOCKS + 40).toString(16)}`);
    const { response } = await refusal.promise;
    expect(response.status).to.equal(503);
    expect(response.errors?.[0]?.extensions["code"]).to.equal("INDEXER_REBUILDING");
    expect(response.errors?.[0]?.extensions).to.include.keys("progress", "head");
    await catchUp(started);
    await expectRowsOfChain();
    expect(started.status().counts.rebuilds).to.equal(1);
  });

  it("rebuilds when the endpoint serves another chain with the same contracts", async () => {
    const random = createRandom(4);
    const started = await startIndexer();
    await actTimes(4, random);
    await catchUp(started);
    const other = await startSuretyChain();
    try {
      expect(other.deployment.contracts).to.deep.equal(chain.deployment.contracts);
      await act(other, 0, 77);
      proxy.target = other.url;
      const { number, hash } = await other.client.getBlock();
      await started.reached({ number: Number(number), hash });
      const store = createSqliteStore({ path, chainId: 31_337 });
      const snapshot = await store.snapshot();
      const { differences } = await verifyIndex(other.client, other.deployment, snapshot);
      snapshot.close();
      await store.close();
      expect(differences).to.deep.equal([]);
    } finally {
      await started.stop();
      await other.close();
    }
  });

  it("refuses logs of another block than their header's, says so, and is right when the endpoint is", async () => {
    const random = createRandom(5);
    const started = await startIndexer();
    await catchUp(started);
    const before = started.status().checkpoint?.number;
    const refused = Promise.withResolvers<undefined>();
    proxy.tamper = ({ method, result }) => {
      if (method !== "eth_getLogs") return result;
      if (started.status().counts.refusals >= 3) refused.resolve(undefined);
      return (result as { blockHash: Hex }[]).map((log) => ({ ...log, blockHash: keccak256(log.blockHash) }));
    };
    await act(chain, 0, random(100));
    await refused.promise;
    expect(started.status().isReady).to.equal(false);
    expect(started.status().trouble).to.match(/^LOG_BLOCK_HASH/);
    expect(started.status().checkpoint?.number).to.equal(before);
    expect((await fetch(`${started.url}/ready`)).status).to.equal(503);
    expect(await (await fetch(`${started.url}/metrics`)).text()).to.match(/refused_answers_total [1-9]/);
    proxy.tamper = ({ result }) => result;
    await catchUp(started);
    await started.ready();
    await expectRowsOfChain();
  });

  it("takes nothing from an endpoint that leaves logs out while its witness has them, and is right when it has, too", async () => {
    const started = await startIndexer(proxy.url, chain.url);
    await catchUp(started);
    const before = started.status().checkpoint?.number;
    const contradicted = Promise.withResolvers<undefined>();
    proxy.tamper = ({ method, result }) => {
      if (started.status().trouble?.includes("contradict each other") === true) contradicted.resolve(undefined);
      return method === "eth_getLogs" ? (result as unknown[]).slice(1) : result;
    };
    await act(chain, 0, createRandom(9)(100));
    await contradicted.promise;
    expect(started.status()).to.include({ isReady: false });
    expect(started.status().checkpoint?.number).to.equal(before);
    proxy.tamper = ({ result }) => result;
    await catchUp(started);
    await expectRowsOfChain();
  });

  it("goes on with its other endpoint when the first one is gone, and says which failed", async () => {
    const started = await startIndexer(proxy.url, chain.url);
    await catchUp(started);
    proxy.tamper = () => Promise.reject(new Error("told to fail"));
    await actTimes(3, createRandom(10));
    await catchUp(started);
    await expectRowsOfChain();
    const health = (await (await fetch(`${started.url}/health`)).json()) as { endpoints: { isCurrent: boolean }[] };
    expect(health.endpoints.map(({ isCurrent }) => isCurrent)).to.deep.equal([false, true]);
    expect(await (await fetch(`${started.url}/metrics`)).text()).to.match(
      /endpoint_failures_total\{endpoint="1 127[^"]+"\} [1-9]/,
    );
  });

  it("stays right through an endpoint that fails at random", async () => {
    const random = createRandom(6);
    proxy.tamper = ({ result }) => {
      if (random(4) === 0) throw new Error("told to fail");
      return result;
    };
    const started = await startIndexer();
    await actTimes(6, random);
    proxy.tamper = ({ result }) => result;
    await catchUp(started);
    await expectRowsOfChain();
    expect(started.status().counts.failures).to.be.greaterThan(0);
  });

  it("refuses an endpoint of another chain id", async () => {
    proxy.tamper = ({ method, result }) => (method === "eth_chainId" ? "0x1" : result);
    const started = await startIndexer();
    const error = await started.ended.then(
      () => undefined,
      (reason: unknown) => reason as { code?: string },
    );
    expect(error?.code).to.equal("INDEXER_WRONG_CHAIN");
    await started.stop();
  });

  it(`loses no row and has no wrong row when it is killed at ${KILLS} points of backfill and live`, async () => {
    await killAt(KILLS, createRandom(7));
  }).timeout(KILLS * 20_000 + 60_000);

  nightly(`nor on PostgreSQL, killed at ${POSTGRES_KILLS} points`, async function () {
    const binaries = findPostgres();
    if (binaries === undefined) {
      console.log("        no PostgreSQL on this machine: skipped; apt-get install postgresql, or set SURETY_POSTGRES");
      return this.skip();
    }
    const postgres = await startPostgres(binaries);
    path = postgres.url;
    try {
      await killAt(POSTGRES_KILLS, createRandom(8));
      await indexer?.stop();
      indexer = undefined;
    } finally {
      await postgres.stop();
    }
  }).timeout(POSTGRES_KILLS * 20_000 + 60_000);

  async function killAt(kills: number, random: (below: number) => number): Promise<void> {
    const deploymentFile = join(chain.folder, "deployment", "deployment.json");
    await actTimes(30, random);
    await chain.rpc("hardhat_mine", `0x${UNDO_BLOCKS.toString(16)}`);
    const phases = { backfill: 0, live: 0 };
    for (let kill = 0; kill < kills; kill++) {
      const child = spawn(process.execPath, [CHILD, chain.url, deploymentFile, path], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const lines = createInterface({ input: child.stdout });
      // Blocks come while it lives, at least three: five lines after the first of a live block.
      const acting = actTimes(3, random);
      // The first half dies within the backfill, the second half after it has come to single blocks.
      const isLiveKill = kill >= kills / 2;
      let [left, isLive] = [1 + random(4), false];
      for await (const line of lines) {
        isLive ||= line.endsWith("live");
        if ((isLive || !isLiveKill) && --left === 0) break;
      }
      phases[isLive ? "live" : "backfill"]++;
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      expect(child.signalCode).to.equal("SIGKILL");
      await acting;
    }
    expect(phases).to.deep.equal({ backfill: kills / 2, live: kills / 2 });
    const started = await startIndexer();
    await catchUp(started);
    await expectRowsOfChain();
    expect(started.status().counts.rebuilds).to.equal(0);
  }
});
