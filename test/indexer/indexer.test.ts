import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect } from "chai";
import { GraphQLClient } from "graphql-request";
import { createPublicClient, webSocket, zeroAddress, zeroHash, type Hex } from "viem";
import type { Row, TableName } from "../../indexer/entities.ts";
import { createIndexer, createSqliteStore, verifyIndex, type Indexer } from "../../indexer/index.ts";
import { WebhookReceiver } from "../fixtures/webhook-receiver.ts";
import {
  act,
  ACTION_COUNT,
  agentAt,
  EPOCH_LENGTH_SECONDS,
  settleDeal,
  startSuretyChain,
  type SuretyChain,
} from "./surety-chain.ts";

const dealStates = ["Open", "Funded", "Submitted", "Completed", "Refunded", "Disputed", "Resolved", "Cancelled"];
const tabStates = ["None", "Open", "Closing", "Closed"];
const feeStages = ["None", "ProviderOwes", "ClientOwes", "Paid", "Created", "Ruled", "Closed"];
/** agentId of chainId:agentId. */
const numberOf = (id: string) => BigInt(id.split(":")[1] ?? 0);

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

  it("says of every agent, signer, stake, deal, seat and pair what the contracts say", async function () {
    this.timeout(60_000);
    const { registry, vault, escrow, ledger } = chain;
    const store = createSqliteStore({ path: path(), chainId: chain.deployment.chainId });
    const snapshot = await store.snapshot();
    const all = <T extends TableName>(table: T) => [...(snapshot.scan(table) as Iterable<Row<T>>)];
    const none = zeroHash;
    for (const agent of all("agents")) {
      const id = agent.agentId;
      expect(agent.owner).to.equal((await registry.read.ownerOf([id])).toLowerCase());
      expect(agent.agentURI).to.equal(await registry.read.tokenURI([id]));
      expect(agent.agentWallet ?? zeroAddress).to.equal((await registry.read.getAgentWallet([id])).toLowerCase());
      const commitment = [agent.commitment ?? none, agent.version, agent.head ?? none];
      expect(commitment).to.deep.equal([...(await registry.read.commitmentOf([id]))]);
    }
    for (const { id, agent, purpose, validFrom, validUntil, invalidFrom } of all("signers")) {
      const stored = [numberOf(agent), purpose, validFrom, validUntil, invalidFrom ?? 0];
      expect(stored).to.deep.equal([...(await registry.read.signerOf([id as Hex]))]);
    }
    for (const { agent, staked, locked, unbonding, withdrawableAt } of all("stakes")) {
      const stored = [staked, locked, unbonding, withdrawableAt];
      expect(stored).to.deep.equal([...(await vault.read.stakeOf([Number(numberOf(agent))]))]);
    }
    const states = new Set<string>();
    for (const { id, state, payer, reviewUntil } of all("deals")) {
      const [actualState, actualPayer, actualReview] = await escrow.read.dealOf([id as Hex]);
      expect([state, payer]).to.deep.equal([dealStates[actualState], actualPayer.toLowerCase()]);
      if (state === "Submitted") expect(reviewUntil).to.equal(actualReview);
      states.add(state);
    }
    expect([...states].sort()).to.deep.equal(["Cancelled", "Completed", "Funded", "Refunded", "Resolved"]);
    for (const { id, undistributed, released } of all("deals")) {
      expect(undistributed).to.equal(await escrow.read.potOf([id as Hex]));
      expect(released).to.equal(await escrow.read.releasedOf([id as Hex]));
    }
    const { disputes, tabs, recovery } = chain;
    for (const { id, clientFee, providerFee, feeBy, stage } of all("disputes")) {
      const stored = await disputes.read.disputeOf([id as Hex]);
      expect([clientFee, providerFee, feeBy, stage]).to.deep.equal([...stored.slice(0, 3), feeStages[stored[3]]]);
    }
    const tabStatesMet = new Set<string>();
    for (const { id, state, payer, closesAt, deposit, paid, satisfiedSum, unsatisfiedSum } of all("tabs")) {
      const [storedState, storedPayer, ...rest] = await tabs.read.tabOf([id as Hex]);
      expect([state, payer]).to.deep.equal([tabStates[storedState], storedPayer.toLowerCase()]);
      expect([closesAt ?? 0, deposit, paid, satisfiedSum, unsatisfiedSum]).to.deep.equal(rest);
      tabStatesMet.add(state);
    }
    expect(tabStatesMet.size).to.be.greaterThan(1);
    expect(all("shares").map(({ amount }) => amount)).to.include.members([250n, 750n]);
    for (const { agent, threshold, delay } of all("recoveries"))
      expect([threshold, delay]).to.deep.equal([...(await recovery.read.recoveryOf([numberOf(agent)]))].slice(0, 2));
    for (const table of ["disputes", "logAnchors", "recoveries", "tabClaims", "forks"] as const)
      expect(all(table).length, table).to.be.greaterThan(0);
    for (const { id, offence, taken } of all("forks")) {
      expect(offence).to.equal("Equivocation");
      expect(taken).to.equal(await chain.slasher.read.takenOf([id as Hex]));
    }
    for (const { topic, client, provider, satisfied, unsatisfied } of all("localTrusts")) {
      const pair = [BigInt(topic), Number(numberOf(client)), Number(numberOf(provider))] as const;
      expect([satisfied, unsatisfied]).to.deep.equal([...(await ledger.read.pairOf(pair))]);
    }
    // Seats are readable on chain once their epoch has closed.
    await chain.rpc("evm_increaseTime", EPOCH_LENGTH_SECONDS);
    await chain.rpc("evm_mine");
    for (const { topic, agent, seat } of all("seats")) {
      expect(seat).to.equal((await ledger.read.nodeAt([BigInt(topic), Number(numberOf(agent))]))[0]);
    }
    for (const { id, seatCount } of all("topics")) {
      expect(seatCount).to.equal(await ledger.read.seatsAt([BigInt(id)]));
    }
    snapshot.close();
    await store.close();
  });

  it("reports a row that was changed, lost or invented behind its back", async () => {
    const copy = join(chain.folder, "tampered.sqlite");
    const from = new DatabaseSync(path(), { readOnly: true });
    from.exec(`VACUUM INTO '${copy}'`);
    from.close();
    const database = new DatabaseSync(copy);
    database.exec("UPDATE agents SET owner = '0x00' WHERE id = '31337:1'");
    database.exec("DELETE FROM signers WHERE id = (SELECT min(id) FROM signers)");
    database.exec("UPDATE localTrusts SET id = 'invented' WHERE id = (SELECT min(id) FROM localTrusts)");
    database.close();
    const store = createSqliteStore({ path: copy, chainId: chain.deployment.chainId });
    const snapshot = await store.snapshot();
    const { differences } = await verifyIndex(chain.client, chain.deployment, snapshot);
    snapshot.close();
    await store.close();
    const kinds = differences.map(({ table, stored, expected }) => [
      table,
      stored !== undefined,
      expected !== undefined,
    ]);
    expect(kinds).to.have.deep.members([
      ["agents", true, true],
      ["signers", false, true],
      ["localTrusts", true, false],
      ["localTrusts", false, true],
    ]);
  });

  it("is told of heads by a WebSocket, long before its next poll", async () => {
    const { deployment, folder, url } = chain;
    const client = createPublicClient({ transport: webSocket(url.replace("http", "ws"), { reconnect: false }) });
    const options = { client, deployment, store: { folder: join(folder, "socket") }, pollIntervalMs: 3_600_000 };
    const socketed = createIndexer(options);
    await socketed.start();
    await socketed.ready();
    for (let kind = 0; kind < 3; kind++) {
      await act(chain, kind, 5);
      const { number, hash } = await chain.client.getBlock();
      await socketed.reached({ number: Number(number), hash });
    }
    await socketed.stop();
    (await client.transport.getRpcClient()).close();
  });

  it("posts the chain's events to a receiver, in order, through failures, a restart and a reorganisation", async function () {
    this.timeout(60_000);
    const { client, deployment, folder } = chain;
    const secret = new TextEncoder().encode("a secret of 24 bytes or more");
    const receiver = new WebhookReceiver(secret);
    const url = await receiver.listen();
    const start = async () => {
      const where = { url, secret, network: "loopback" as const };
      const rules = [{ contract: "dealEscrow" as const, events: ["DealFunded", "DealCompleted"], args: {} }];
      const webhook = { name: "shop", ...where, rules, finality: "unsafe" as const, fromBlock: 0 };
      const store = { folder: join(folder, "webhooks") };
      const posting = createIndexer({ client, deployment, store, webhooks: [webhook], pollIntervalMs: 10 });
      await posting.start();
      return posting;
    };
    const { deliveries } = receiver;
    const eventsOnChain = async () => {
      const { address, abi } = chain.escrow;
      const logs = await client.getContractEvents({ address, abi, fromBlock: 0n, strict: true });
      return logs.flatMap((log) =>
        log.eventName === "DealFunded" || log.eventName === "DealCompleted"
          ? [`${log.eventName} ${log.args.dealId} ${log.transactionHash} ${log.logIndex}`]
          : [],
      );
    };
    /** What a receiver has that drops ids that it knows. */
    const told = () =>
      [...new Map(deliveries.map(({ id, body }) => [id, body])).values()].map(({ type, name, args, ...place }) => {
        if (type === "reorg") return "reorg";
        const { dealId } = args as { dealId: Hex };
        return `${String(name)} ${dealId} ${String(place["transaction"])} ${String(place["logIndex"])}`;
      });
    let posting: Indexer | undefined;
    try {
      receiver.answers.push((response) => response.writeHead(503).end());
      posting = await start();
      const before = await eventsOnChain();
      expect(before.length).to.be.greaterThan(2);
      await receiver.until(() => told().length === before.length);
      expect(told()).to.deep.equal(before);
      expect(deliveries[0]?.id, "tried again").to.equal(deliveries[1]?.id);
      await posting.stop();

      const snapshot = await chain.rpc("evm_snapshot");
      await settleDeal(chain, [agentAt(chain, 0), agentAt(chain, 1)], 10);
      const longer = await eventsOnChain();
      posting = await start();
      await receiver.until(() => told().length === longer.length);
      expect(told()).to.deep.equal(longer);
      expect(longer.length).to.equal(before.length + 2);
      await posting.stop();

      // Undone while nobody looked: the cursor knows what it told of.
      await chain.rpc("evm_revert", snapshot);
      const { number: last } = await client.getBlock();
      await settleDeal(chain, [agentAt(chain, 2), agentAt(chain, 1)], 20);
      const instead = (await eventsOnChain()).slice(before.length);
      posting = await start();
      await receiver.until(() => told().length === longer.length + 1 + instead.length);
      expect(told()).to.deep.equal([...longer, "reorg", ...instead]);
      const notice = deliveries.find(({ body }) => body["type"] === "reorg");
      expect(notice?.body["voidAbove"]).to.be.at.most(Number(last));
      expect(deliveries.every(({ isGenuine }) => isGenuine)).to.equal(true);
      const health = (await (await fetch(`${posting.url}/health`)).json()) as { webhooks: unknown[] };
      expect(health.webhooks).to.have.length(1);
      expect(health.webhooks[0]).to.deep.include({ name: "shop", failures: 0 });
      expect(await (await fetch(`${posting.url}/metrics`)).text()).to.match(/webhook_block\{webhook="shop"\} [1-9]/);
    } finally {
      await posting?.stop();
      await receiver.close();
    }
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
