// agent0-sdk 1.7.1 as npm has it (test/interop/agent0), against our contracts by `registryOverrides` and our GraphQL by
// `subgraphOverrides`: what an ERC-8004 marketplace runs today, with nothing of ours but addresses and a URL.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect } from "chai";
import { zeroAddress, type Hex } from "viem";
import { createIndexer, type Indexer } from "../../indexer/index.ts";
import { root } from "../../scripts/checks/run-tool.ts";
import { testKey, testSigner } from "../fixtures/keys.ts";
import { startSuretyChain, type SuretyChain } from "../indexer/surety-chain.ts";

const entry = join(root, "test/interop/agent0/node_modules/agent0-sdk/dist/index.js");
const CHAIN_ID = 31_337;

/** What of the SDK the test calls; the SDK itself is not typed here, as it is not installed everywhere. */
interface Sent<T> {
  waitMined(options?: { timeoutMs?: number }): Promise<{ result: T; receipt: { status: string; gasUsed?: bigint } }>;
}
interface SdkAgent {
  readonly agentId: string;
  setMCP(endpoint: string, version: string, autoFetch: boolean): Promise<SdkAgent>;
  setA2A(endpoint: string, version: string, autoFetch: boolean): Promise<SdkAgent>;
  setTrust(reputation: boolean, cryptoEconomic: boolean, tee: boolean): SdkAgent;
  setActive(isActive: boolean): SdkAgent;
  setMetadata(entries: Record<string, string>): SdkAgent;
  setWallet(address: string, options: { newWalletPrivateKey: Hex }): Promise<Sent<unknown>>;
  getWallet(): Promise<string | undefined>;
  updateInfo(name?: string, description?: string): SdkAgent;
  registerOnChain(): Promise<Sent<unknown>>;
}
interface Summary {
  readonly agentId: string;
  readonly name: string;
  readonly feedbackCount?: number;
  readonly walletAddress?: string;
  readonly [field: string]: unknown;
}
interface SdkFeedback {
  readonly id: readonly [string, string, number];
  readonly value: number;
  readonly tags: readonly string[];
  readonly isRevoked: boolean;
  readonly endpoint?: string;
  readonly answers: readonly { responder: string; responseUri: string }[];
}
interface Sdk {
  createAgent(name: string, description: string, image?: string): SdkAgent;
  loadAgent(agentId: string): Promise<SdkAgent>;
  getAgent(agentId: string): Promise<Summary | null>;
  getAgentOwner(agentId: string): Promise<string>;
  searchAgents(filters: Record<string, unknown>, options?: { sort?: string[] }): Promise<Summary[]>;
  giveFeedback(id: string, value: number, tag1?: string, tag2?: string, endpoint?: string): Promise<Sent<SdkFeedback>>;
  getFeedback(id: string, client: string, index: number): Promise<SdkFeedback>;
  searchFeedback(filters: Record<string, unknown>, options?: Record<string, unknown>): Promise<SdkFeedback[]>;
  appendResponse(id: string, client: string, index: number, answer: { uri: string; hash: Hex }): Promise<Sent<unknown>>;
  revokeFeedback(id: string, index: number): Promise<Sent<unknown>>;
  getReputationSummary(id: string, tag1?: string): Promise<{ count: number; averageValue: number }>;
}
type SdkClass = new (config: Record<string, unknown>) => Sdk;

const addressAt = (index: number): Hex => testSigner(index).address;

describe("agent0-sdk 1.7.1, unmodified", function () {
  // Its client looks for receipts every few seconds.
  this.timeout(240_000);
  const signal = AbortSignal.timeout(240_000);
  let chain: SuretyChain | undefined;
  let indexer: Indexer | undefined;
  let sdkOf: (accountIndex: number) => Sdk;
  let agent: SdkAgent;
  const [OWNER, CLIENT, RIVAL] = [10, 11, 12];

  before(async function () {
    if (!existsSync(entry)) {
      if (process.env["SURETY_AGENT0"] === "required") throw new Error("agent0-sdk is missing: npm run agent0:setup");
      console.log("      agent0-sdk is not installed (npm run agent0:setup): skipped");
      this.skip();
    }
    const { SDK } = (await import(pathToFileURL(entry).href)) as { SDK: SdkClass };
    chain = await startSuretyChain();
    const { client, deployment, folder, url } = chain;
    indexer = createIndexer({ client, deployment, store: { folder: join(folder, "index") }, pollIntervalMs: 50 });
    await indexer.start(signal);
    const { graphqlUrl } = indexer;
    const { identityRegistry, feedbackRegistry, validationRegistry } = deployment.contracts;
    sdkOf = (account) =>
      new SDK({
        ...{ chainId: CHAIN_ID, rpcUrl: url, privateKey: testKey(account) },
        registryOverrides: {
          [CHAIN_ID]: { IDENTITY: identityRegistry, REPUTATION: feedbackRegistry, VALIDATION: validationRegistry },
        },
        subgraphOverrides: { [CHAIN_ID]: graphqlUrl },
      });
  });
  after(async () => {
    await indexer?.stop();
    await chain?.close();
  });

  const here = { chains: [CHAIN_ID] };
  const indexed = async () => {
    const number = Number(await (chain as SuretyChain).client.getBlockNumber());
    await indexer?.reached({ number }, signal);
  };
  const mined = async <T>(sending: Promise<Sent<T>>): Promise<T> => {
    const { result } = await (await sending).waitMined({ timeoutMs: 60_000 });
    await indexed();
    return result;
  };

  it("registers an agent whose file stands on chain, and finds it by id", async () => {
    agent = sdkOf(OWNER).createAgent("Lexica", "Translates contracts", "https://lexica.example/face.png");
    await agent.setMCP("https://lexica.example/mcp", "2025-06-18", false);
    await agent.setA2A("https://lexica.example/agent-card.json", "0.30", false);
    agent.setTrust(true, true, false).setActive(true).setMetadata({ version: "3" });
    await mined(agent.registerOnChain());
    expect(agent.agentId).to.equal(`${CHAIN_ID}:7`);
    const found = await sdkOf(CLIENT).getAgent(agent.agentId);
    expect(found).to.deep.include({
      ...{ agentId: agent.agentId, name: "Lexica", description: "Translates contracts", chainId: CHAIN_ID },
      ...{ mcp: "https://lexica.example/mcp", a2a: "https://lexica.example/agent-card.json", active: true },
      ...{ image: "https://lexica.example/face.png", supportedTrusts: ["reputation", "crypto-economic"] },
      ...{ agentURIType: "data", feedbackCount: 0 },
    });
    expect((await sdkOf(CLIENT).getAgentOwner(agent.agentId)).toLowerCase()).to.equal(addressAt(OWNER).toLowerCase());
    expect((await sdkOf(CLIENT).loadAgent(agent.agentId)).agentId).to.equal(agent.agentId);
  });

  it("sets a wallet by the wallet's own key", async () => {
    const wallet = addressAt(15);
    await mined(agent.setWallet(wallet, { newWalletPrivateKey: testKey(15) }));
    expect((await agent.getWallet())?.toLowerCase()).to.equal(wallet.toLowerCase());
    const found = await sdkOf(CLIENT).searchAgents({ ...here, walletAddress: wallet });
    expect(found.map(({ agentId }) => agentId)).to.deep.equal([agent.agentId]);
  });

  it("searches by name, owner, endpoint, trust, metadata and activity", async () => {
    const rival = sdkOf(RIVAL).createAgent("Rival of lexica", "Does nothing");
    await mined(rival.registerOnChain());
    const ids = async (filters: Record<string, unknown>, sort?: string[]) =>
      (await sdkOf(CLIENT).searchAgents({ ...here, ...filters }, sort === undefined ? {} : { sort })).map(
        (a) => a.agentId,
      );
    const both = [agent.agentId, rival.agentId];
    expect(await ids({}, ["createdAt:asc"])).to.deep.equal(both);
    expect(await ids({ name: "LEXICA" }, ["updatedAt:asc"])).to.have.members(both);
    expect(await ids({ name: "rival" })).to.deep.equal([rival.agentId]);
    expect(await ids({ owners: [addressAt(OWNER)] })).to.deep.equal([agent.agentId]);
    expect(await ids({ hasMCP: true })).to.deep.equal([agent.agentId]);
    expect(await ids({ hasMCP: false })).to.deep.equal([rival.agentId]);
    expect(await ids({ hasEndpoints: false })).to.deep.equal([rival.agentId]);
    expect(await ids({ active: true, supportedTrust: ["crypto-economic"] })).to.deep.equal([agent.agentId]);
    expect(await ids({ supportedTrust: ["tee-attestation"] })).to.deep.equal([]);
    expect(await ids({ metadataValue: { key: "version", value: "3" } })).to.deep.equal([agent.agentId]);
    // Agents whose file is elsewhere stand with those that have none: nothing is fetched.
    expect(await ids({ hasRegistrationFile: false })).to.have.length(6);
    const { registry } = chain as SuretyChain;
    expect(await ids({ operators: [addressAt(18)] })).to.deep.equal([]);
    await registry.write.setApprovalForAll([addressAt(18), true], { account: addressAt(OWNER) });
    await indexed();
    expect(await ids({ operators: [addressAt(18)] })).to.deep.equal([agent.agentId]);
  });

  it("gives feedback with its fixed 300,000 gas, reads it, answers it, finds it, and summarizes", async () => {
    const client = sdkOf(CLIENT);
    const given = await mined(
      client.giveFeedback(agent.agentId, 87.5, "starred", "translation", "https://lexica.example/mcp"),
    );
    expect(given.id[2]).to.equal(1);
    await mined(sdkOf(13).giveFeedback(agent.agentId, -4, "starred"));
    const read = await client.getFeedback(agent.agentId, addressAt(CLIENT), 1);
    expect(read).to.deep.include({ value: 87.5, isRevoked: false, endpoint: "https://lexica.example/mcp" });
    expect(read.tags).to.deep.equal(["starred", "translation"]);

    const answer = { uri: "ipfs://answer", hash: `0x${"11".repeat(32)}` as Hex };
    await mined(sdkOf(OWNER).appendResponse(agent.agentId, addressAt(CLIENT), 1, answer));
    const [best, ...rest] = await client.searchFeedback({ agents: [agent.agentId], tags: ["translation"] });
    expect(rest).to.deep.equal([]);
    expect(best?.answers.map(({ responder, responseUri }) => [responder, responseUri])).to.deep.equal([
      [addressAt(OWNER).toLowerCase(), "ipfs://answer"],
    ]);
    const above = await client.searchFeedback({ agents: [agent.agentId] }, { minValue: -3.9, maxValue: 100 });
    expect(above.map(({ value }) => value)).to.deep.equal([87.5]);
    expect(await client.getReputationSummary(agent.agentId)).to.deep.equal({ count: 2, averageValue: 41.75 });
    expect((await client.getReputationSummary(agent.agentId, "starred")).count).to.equal(2);

    const ids = async (feedback: Record<string, unknown>) =>
      (await client.searchAgents({ ...here, feedback })).map(({ agentId }) => agentId);
    expect(await ids({ hasFeedback: true })).to.deep.equal([agent.agentId]);
    expect(await ids({ hasNoFeedback: true })).to.have.length(1);
    expect(await ids({ minCount: 2, minValue: 40 })).to.deep.equal([agent.agentId]);
    expect(await ids({ hasResponse: true, tag: "translation" })).to.deep.equal([agent.agentId]);
    expect(await ids({ fromReviewers: [addressAt(RIVAL)] })).to.deep.equal([]);
  });

  it("revokes, and what is revoked counts no more", async () => {
    const client = sdkOf(CLIENT);
    await mined(client.revokeFeedback(agent.agentId, 1));
    expect((await client.getFeedback(agent.agentId, addressAt(CLIENT), 1)).isRevoked).to.equal(true);
    expect((await client.searchFeedback({ agents: [agent.agentId] })).map(({ value }) => value)).to.deep.equal([-4]);
    const all = await client.searchFeedback({ agents: [agent.agentId], includeRevoked: true });
    expect(all.map(({ value }) => value)).to.have.members([87.5, -4]);
    expect((await client.getReputationSummary(agent.agentId)).count).to.equal(1);
    expect((await client.getAgent(agent.agentId))?.feedbackCount).to.equal(1);
  });

  it("updates its file, and the index follows", async () => {
    agent.updateInfo("Lexica II", "Translates and explains contracts");
    await mined(agent.registerOnChain());
    expect((await sdkOf(CLIENT).getAgent(agent.agentId))?.name).to.equal("Lexica II");
    expect(await sdkOf(CLIENT).searchAgents({ ...here, name: "Lexica II" })).to.have.length(1);
    expect((await agent.getWallet()) ?? zeroAddress).to.not.equal(zeroAddress);
  });
});
