import { join } from "node:path";
import { expect } from "chai";
import { GraphQLClient } from "graphql-request";
import { createIndexer, createSqliteStore, verifyIndex, type Indexer } from "../../indexer/index.ts";
import { act, ACTION_COUNT, agentAt, settleDeal, startSuretyChain, type SuretyChain } from "./surety-chain.ts";

describe("indexer on a real chain", () => {
  let chain: SuretyChain;
  let indexer: Indexer;
  let graphql: GraphQLClient;
  const path = () => join(chain.folder, "index", "indexer.sqlite");

  before(async function () {
    this.timeout(60_000);
    chain = await startSuretyChain();
    const { client, deployment } = chain;
    const store = createSqliteStore({ path: path(), chainId: deployment.chainId });
    indexer = createIndexer({ client, deployment, store, pollIntervalMs: 10 });
    await indexer.start();
    graphql = new GraphQLClient(indexer.graphqlUrl);
  });

  after(async () => {
    await indexer?.stop();
    await chain?.close();
  });

  async function catchUp(): Promise<void> {
    const { number, hash } = await chain.client.getBlock();
    await indexer.reached({ number: Number(number), hash });
  }

  async function expectNoDifference(): Promise<number> {
    const store = createSqliteStore({ path: path(), chainId: chain.deployment.chainId });
    const snapshot = await store.snapshot();
    const report = await verifyIndex(chain.client, chain.deployment, snapshot);
    snapshot.close();
    await store.close();
    expect(report.differences).to.deep.equal([]);
    return report.rowCount;
  }

  it("follows every kind of event, and every row equals the chain folded from nothing", async function () {
    this.timeout(60_000);
    for (let kind = 0; kind < 2 * ACTION_COUNT; kind++) await act(chain, kind, kind * 7);
    await catchUp();
    expect(await expectNoDifference()).to.be.greaterThan(50);
  });

  it("shows a deal with its terms, parties, outcome and the local trust that it moved", async () => {
    const [client, provider] = [agentAt(chain, 0), agentAt(chain, 1)];
    const deal = await settleDeal(chain, [client, provider], 80, { price: 123_456_789_012_345_678_901n });
    await catchUp();
    const { deals } = await graphql.request<{ deals: Record<string, unknown>[] }>(
      `query ($price: BigInt!) {
        deals(where: { price: $price }) {
          state price rating payout client { id owner } provider { signers { signer } } submitBy endedTx
        }
      }`,
      { price: deal.price.toString() },
    );
    expect(deals).to.have.length(1);
    expect(deals[0]).to.deep.include({
      state: "Completed",
      price: "123456789012345678901",
      payout: "123456789012345678901",
      rating: 80,
      submitBy: String(deal.submitBy),
      client: { id: `31337:${client.agentId}`, owner: client.account.toLowerCase() },
    });
  });
});
