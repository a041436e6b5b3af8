import { expect } from "chai";
import { accept, ignore } from "#protocol";
import { fetchHeads, protocols, serveLogs } from "../../../../node/gossip/sync.ts";
import { createLogStore } from "../../../../node/log/log-store.ts";
import { openStore } from "../../../../node/store/sqlite.ts";
import type { Transport } from "../../../../node/transport/port.ts";
import { startNode, testNowMs, type GossipNode } from "../../../fixtures/gossip-node.ts";
import { addressOf, patience, startHosts } from "../../../fixtures/hosts.ts";
import { chainOf, signedEntry, testDeclare, testSigner } from "../../../fixtures/log.ts";

describe("reconciliation over libp2p", function () {
  this.timeout(30_000);
  const running: { stop(): Promise<unknown> }[] = [];
  afterEach(async () => {
    await Promise.all(running.splice(0).map((node) => node.stop()));
  });
  const start = async (index: number): Promise<GossipNode> => {
    const node = await startNode(index);
    running.push(node);
    return node;
  };
  const startStranger = async (): Promise<Transport> => {
    const { hosts, stop } = await startHosts(1, { privateKey: `0x${"77".repeat(32)}` });
    running.push({ stop });
    return hosts[0] as Transport;
  };
  const meet = async (node: GossipNode, other: Transport) => {
    expect((await node.transport.dial(addressOf(other), patience())).kind).to.equal("accept");
    return node.gossip.syncWith(other.peerId, patience());
  };

  it("mends both sides in one session", async () => {
    const [a, b] = [await start(0), await start(1)];
    const [left, right] = [chainOf(testSigner(3), 1), chainOf(testSigner(4), 1)];
    const shared = chainOf(testSigner(5), 4);
    a.logs.addHeaders([...left, ...shared], testNowMs);
    b.logs.addHeaders([...right, ...shared.slice(0, 2)], testNowMs);
    await meet(a, b.transport);
    const logs = [3, 4, 5].map((index) => testSigner(index).address);
    for (const node of [a, b]) {
      await node.until("all three logs", () => logs.every((log) => node.logs.headOf(log) !== undefined));
      await node.until("the longer log", () => node.logs.headOf(testSigner(5).address)?.header.seq === 3);
    }
    expect([...a.refusals, ...b.refusals].filter(({ kind }) => kind === "reject")).to.deep.equal([]);
    expect([...a.faults, ...b.faults]).to.deep.equal([]);
  });

  it("goes on with a log that is longer than one answer", async () => {
    const [a, b] = [await start(0), await start(1)];
    for (let i = 0; i < 150; i++) a.writer.append("declare", testDeclare({ name: `entry ${i}` }), 3600);
    await meet(b, a.transport);
    await b.until("the whole log", () => b.logs.headOf(a.writer.log)?.header.seq === 149);
  });

  it("sends logs with a withdrawal first", async () => {
    const node = await start(0);
    const declared = [3, 4, 5].map((index) =>
      signedEntry(testSigner(index), "declare", testDeclare(), { timeMs: testNowMs }),
    );
    const [, last] = declared;
    const target = last!.header.digest;
    const end = signedEntry(
      testSigner(4),
      "withdraw",
      { target, outcome: "withdrawn", reason: "" },
      { seq: 1, prev: target, timeMs: testNowMs },
    );
    node.logs.addHeaders([...declared.map(({ header }) => header), end.header], testNowMs);
    const fresh = await start(1);
    const heard: string[] = [];
    fresh.gossip.onHeader(({ header }) => heard.push(header.log));
    await meet(fresh, node.transport);
    await fresh.until("all", () => heard.length === 4);
    expect(heard.slice(0, 2)).to.deep.equal([testSigner(4).address, testSigner(4).address]);
  });

  it("talks to a peer of before: by heads in both directions", async () => {
    const [node, old, store] = [await start(0), await startStranger(), openStore(":memory:")];
    running.push({ stop: async () => store.close() });
    const logs = createLogStore(store);
    const chain = chainOf(testSigner(5), 3);
    logs.addHeaders(chain, testNowMs);
    await serveLogs(old, logs, async () => undefined);
    expect(await meet(node, old)).to.deep.equal({ kind: "accept", value: old.peerId });
    await node.until("the old peer's log", () => node.logs.headOf(testSigner(5).address)?.header.seq === 2);
    const answer = await fetchHeads(old, node.transport.peerId, undefined, patience());
    expect(answer.kind === "accept" && answer.value.map(({ log, seq }) => [log, seq])).to.deep.equal([
      [testSigner(5).address, 2],
    ]);
    expect(node.refusals.filter(({ kind }) => kind === "reject")).to.deep.equal([]);
  });

  it("takes nothing from a peer whose cells are of no set, and compares by heads", async () => {
    const [node, stranger] = [await start(0), await startStranger()];
    await stranger.serve(protocols.reconcile, async (question) => {
      if (question[0] !== 1) return ignore("SESSION_UNKNOWN", "no");
      const count = (question[21]! << 8) | question[22]!;
      return accept(new Uint8Array((question[20] === 0 ? 228 : 0) + 12 * count).fill(7));
    });
    await serveLogs(stranger, node.logs, async () => undefined);
    await node.declare("own");
    const verdict = await meet(node, stranger);
    expect(verdict.kind).to.equal("accept");
    expect(node.logs.counts()).to.include({ logs: 1, entries: 1 });
    await stranger.stop();
    expect(node.faults).to.deep.equal([]);
  });

  it("names a peer that answers what is no answer", async () => {
    const [node, stranger] = [await start(0), await startStranger()];
    await stranger.serve(protocols.reconcile, async () => accept(new Uint8Array(5)));
    expect(await meet(node, stranger)).to.include({ kind: "reject", code: "RECONCILE_ANSWER" });
    expect(node.refusals).to.deep.include.members([node.refusals.find(({ code }) => code === "RECONCILE_ANSWER")]);
  });
});
