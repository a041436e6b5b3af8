import { expect } from "chai";
import { createIndexer, type Indexer } from "../../indexer/index.ts";
import { createDirectory } from "../../node/directory.ts";
import { agentAt, settleDeal, startSuretyChain, type SuretyChain } from "../indexer/surety-chain.ts";

const signal = new AbortController().signal;

describe("the chain's registry by way of an indexer", function () {
  this.timeout(60_000);
  let chain: SuretyChain;
  let indexer: Indexer;
  const faults: unknown[] = [];

  async function describeAgent(index: number, name: string, description: string): Promise<void> {
    const agent = agentAt(chain, index);
    const uri = `data:application/json,${encodeURIComponent(JSON.stringify({ name, description }))}`;
    await chain.registry.write.setAgentURI([BigInt(agent.agentId), uri], { account: agent.account });
  }

  before(async () => {
    chain = await startSuretyChain();
    const { client, deployment, folder } = chain;
    await describeAgent(0, "Lexica", "Translates contracts from German");
    await describeAgent(1, "Contracts by Ada", "Reviews contracts, and translates them");
    await describeAgent(2, "Painter", "Paints");
    await settleDeal(chain, [agentAt(chain, 3), agentAt(chain, 4)], 90);
    indexer = createIndexer({ client, deployment, store: { folder }, pollIntervalMs: 10 });
    await indexer.start();
    const { number, hash } = await client.getBlock();
    await indexer.reached({ number: Number(number), hash });
  });
  after(async () => {
    await indexer?.stop();
    await chain?.close();
  });
  beforeEach(() => void faults.splice(0));
  const agentsOf = (query: string, limit: number, url = indexer.graphqlUrl) =>
    createDirectory(url, (fault) => faults.push(fault)).agentsOf(query, limit, signal);

  it("names the agents whose file has most words of a question first, then those that did something last", async () => {
    const found = await agentsOf("Ada translates contracts", 4);
    expect(found.slice(0, 2)).to.deep.equal([2n, 1n]);
    expect(found).to.have.lengthOf(4);
    expect(new Set(found).size).to.equal(4);
    expect(await agentsOf("PAINTS", 1), "whatever the case").to.deep.equal([3n]);
    expect(faults).to.deep.equal([]);
  });

  it("names those that did something last where no file has a word of it, and no more than were asked for", async () => {
    const found = await agentsOf("zymurgy", 2);
    expect(found).to.have.lengthOf(2);
    expect(found.some((id) => id === 4n || id === 5n)).to.equal(true);
  });

  it("names nobody when the indexer does not answer, and tells of it; not when the asker gave up", async () => {
    expect(await agentsOf("contracts", 2, "http://127.0.0.1:1/graphql")).to.deep.equal([]);
    expect(faults).to.have.lengthOf(1);
    const directory = createDirectory(indexer.graphqlUrl, (fault) => faults.push(fault));
    expect(await directory.agentsOf("contracts", 2, AbortSignal.abort())).to.deep.equal([]);
    expect(faults).to.have.lengthOf(1);
  });
});
