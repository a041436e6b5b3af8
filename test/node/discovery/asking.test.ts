import { expect } from "chai";
import fc from "fast-check";
import { bytesToHex, zeroHash, type Address } from "viem";
import { accept, encodeLogHeader, ignore, type Bodies } from "#protocol";
import {
  createAsking,
  FIND_PROTOCOL,
  findWire,
  verifyAnswer,
  type DirectoryPort,
} from "../../../node/discovery/asking.ts";
import { createDiscovery, type Discovery } from "../../../node/discovery/discovery.ts";
import { createLiveness, type Liveness } from "../../../node/discovery/liveness.ts";
import { createLogStore, type LogStore } from "../../../node/log/log-store.ts";
import { openStore } from "../../../node/store/sqlite.ts";
import type { Transport } from "../../../node/transport/port.ts";
import { testNowMs } from "../../fixtures/gossip-node.ts";
import { addressOf, patience, startHosts } from "../../fixtures/hosts.ts";
import { signedEntry, testContracts, testDeclare, testSigner } from "../../fixtures/log.ts";

const signal = new AbortController().signal;

interface Node {
  readonly host: Transport;
  readonly logs: LogStore;
  readonly discovery: Discovery;
  readonly liveness: Liveness;
  /** Agents that its indexer names, best first. */
  readonly named: bigint[];
}

/** Agent i + 1 is the test signer i; who speaks for whom is the chain's, and the same for all. */
const agentOf = async (log: Address) =>
  [0, 1, 2, 3, 4].map((i) => testSigner(i).address).indexOf(log) === -1
    ? undefined
    : BigInt([0, 1, 2, 3, 4].map((i) => testSigner(i).address).indexOf(log) + 1);

describe("asking others", function () {
  this.timeout(30_000);
  let nodes: Node[];
  let stop: () => Promise<unknown>;

  async function open(host: Transport, index: number, hosts: readonly Transport[]): Promise<Node> {
    const store = openStore(":memory:");
    const logs = createLogStore(store);
    const named: bigint[] = [];
    const directory: DirectoryPort = { agentsOf: async () => named };
    const nowMs = () => testNowMs;
    const liveness = createLiveness({
      ...{ transport: host, signer: testSigner(index), contracts: testContracts, nowMs },
      ...{ random: () => bytesToHex(crypto.getRandomValues(new Uint8Array(32))), blockHash: () => zeroHash },
    });
    const asking = createAsking({
      ...{ transport: host, contracts: testContracts, directory, nowMs },
      async dialAgent(agentId, asked) {
        const other = hosts[Number(agentId) - 1];
        return other === undefined ? ignore("AGENT_UNBOUND", "") : host.dial(addressOf(other), asked);
      },
    });
    const scores = { scoresOf: async () => new Map<bigint, number>() };
    const agents = { agentOf, commitmentOf: async () => zeroHash };
    const discovery = createDiscovery({ store, logs, agents, scores, liveness, asking, nowMs });
    await liveness.start();
    await discovery.serve();
    return { host, logs, discovery, liveness, named };
  }

  beforeEach(async () => {
    const started = await startHosts(5);
    nodes = await Promise.all(started.hosts.map((host, i) => open(host, i, started.hosts)));
    stop = async () => {
      await Promise.all(nodes.map(({ liveness }) => liveness.stop()));
      await started.stop();
    };
  });
  afterEach(() => stop());

  const at = (i: number) => nodes[i] as Node;
  const connect = (from: number, to: number) => at(from).host.dial(addressOf(at(to).host), patience());
  const offerOf = (i: number, fields: Partial<Bodies["declare"]> = {}) => {
    const { peerId } = at(i).host;
    const body = testDeclare({ agentId: BigInt(i + 1), peerId, addresses: at(i).host.addresses(), ...fields });
    return signedEntry(testSigner(i), "declare", body);
  };
  /** Node `holder` has heard the offer of agent `author`. */
  function hear(holder: number, author: number, fields: Partial<Bodies["declare"]> = {}) {
    const { header, bytes } = offerOf(author, fields);
    at(holder).logs.appendOwn(header, bytes, testNowMs);
    const body = testDeclare({ agentId: BigInt(author + 1), peerId: at(author).host.peerId, ...fields });
    at(holder).discovery.apply({
      header,
      body: { kind: "declare", body: { ...body, addresses: at(author).host.addresses() } },
    });
    return header;
  }

  it("finds by a peer what this node has not heard, verified, challenged, and said where from", async () => {
    hear(1, 2);
    await connect(0, 1);
    const [found] = await at(0).discovery.find("legal contracts", {}, signal);
    expect(found).to.include({ agentId: 3n, source: "peer", isLive: true, log: testSigner(2).address });
    expect(await at(0).discovery.find("legal contracts", { scope: "local" }, signal)).to.deep.equal([]);
    expect(await at(0).discovery.find("legal contracts", { liveness: "known" }, signal)).to.deep.equal([]);
    expect(at(0).logs.headOf(testSigner(2).address), "a search stores nothing").to.equal(undefined);
  });

  it("asks agents that the registry names where no peer knows", async () => {
    hear(3, 3);
    at(0).named.push(4n, 77n);
    const [found] = await at(0).discovery.find("legal contracts", {}, signal);
    expect(found).to.include({ agentId: 4n, source: "directory", isLive: true });
  });

  it("holds answers to the question and to what it knows itself", async () => {
    hear(1, 2, { priceWei: 9n });
    await connect(0, 1);
    const find = async (query: string, filter = {}) =>
      (await at(0).discovery.find(query, filter, signal)).map(({ agentId }) => agentId);
    expect(await find("legal", { maxPriceWei: 8n })).to.deep.equal([]);
    expect(await find("legal", { maxPriceWei: 9n, topic: "translation" })).to.deep.equal([3n]);
    expect(await find("astrology")).to.deep.equal([]);
    const declared = hear(0, 2, { priceWei: 9n });
    const fields = { seq: 1, prev: declared.digest };
    const end = { target: declared.digest, outcome: "withdrawn", reason: "" } as const;
    const withdrawn = signedEntry(testSigner(2), "withdraw", end, fields);
    at(0).logs.appendOwn(withdrawn.header, withdrawn.bytes, testNowMs);
    at(0).discovery.apply({ header: withdrawn.header, body: { kind: "withdraw", body: end } });
    expect(await find("legal contracts"), "the peer has not heard of the end").to.deep.equal([]);
  });

  it("takes nothing of an answer of which one entry is forged, and asks who gave it nothing more", async () => {
    const { host } = at(4);
    const liar = (await startHosts(6)).hosts;
    const [, , , , , other] = liar as [Transport, Transport, Transport, Transport, Transport, Transport];
    let asked = 0;
    const [good, bad] = [offerOf(2), offerOf(3)];
    const forged = { ...bad.header, header: { ...bad.header.header, timeMs: bad.header.header.timeMs + 1 } };
    await other.serve(FIND_PROTOCOL, async () => {
      asked++;
      const entries = [good, { ...bad, header: forged }];
      return accept(
        findWire.answer.encode(
          entries.map(({ header, bytes }) => ({
            header: bytesToHex(encodeLogHeader(header)),
            body: bytesToHex(bytes),
          })),
        ),
      );
    });
    await host.dial(addressOf(other), patience());
    expect(await at(4).discovery.find("legal", {}, signal)).to.deep.equal([]);
    expect(await at(4).discovery.find("contracts", {}, signal)).to.deep.equal([]);
    expect(asked).to.equal(1);
    await Promise.all(liar.map((each) => each.stop()));
  });

  it("does not list an agent in whose name another signed", async () => {
    hear(1, 2, { agentId: 4n });
    await connect(0, 1);
    expect(await at(0).discovery.find("legal contracts", {}, signal)).to.deep.equal([]);
  });
});

describe("answers of peers", () => {
  it("are a verdict for any bytes, and what is accepted encodes to itself", async () => {
    const { header, bytes } = signedEntry(testSigner(0), "declare", testDeclare());
    const good = findWire.answer.encode([{ header: bytesToHex(encodeLogHeader(header)), body: bytesToHex(bytes) }]);
    const verified = verifyAnswer(good, testContracts);
    expect(verified.kind === "accept" && verified.value[0]?.header.digest).to.equal(header.digest);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const other = Uint8Array.from(good);
        other[at] = (other[at] as number) ^ change;
        expect(verifyAnswer(other, testContracts).kind).to.equal("reject");
      }),
      { numRuns: 40 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (any) => {
        for (const message of [findWire.request, findWire.answer]) {
          const decoded = message.decode(any);
          if (decoded.kind === "accept") expect(message.encode(decoded.value as never)).to.deep.equal(any);
        }
      }),
    );
  });
});
