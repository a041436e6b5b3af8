import { expect } from "chai";
import { accept, encodeLogHeader, type VerifiedHeader } from "#protocol";
import { HEADERS_TOPIC } from "../../../node/gossip/gossip.ts";
import { protocols } from "../../../node/gossip/sync.ts";
import { entries, heads } from "../../../node/gossip/wire.ts";
import type { Transport } from "../../../node/transport/port.ts";
import { connect, startNode, testNowMs, type GossipNode } from "../../fixtures/gossip-node.ts";
import { addressOf, patience, startHosts, subscribed } from "../../fixtures/hosts.ts";
import { chainOf, signedEntry, signedHeader, testDeclare, testSigner } from "../../fixtures/log.ts";

describe("gossip over libp2p", function () {
  this.timeout(30_000);
  const running: { stop(): Promise<unknown> }[] = [];
  const start = async (...args: Parameters<typeof startNode>): Promise<GossipNode> => {
    const node = await startNode(...args);
    running.push(node);
    return node;
  };
  /** A stranger: a bare host that speaks whatever it likes. */
  const startStranger = async (node: GossipNode, bodyAnswer?: Uint8Array): Promise<Transport> => {
    const { hosts, stop } = await startHosts(1, { privateKey: `0x${"77".repeat(32)}` });
    running.push({ stop });
    const stranger = hosts[0] as Transport;
    await stranger.serve(protocols.heads, async () => accept(heads.answer.encode([])));
    await stranger.serve(protocols.bodies, async () => accept(bodyAnswer ?? new Uint8Array()));
    // Gossipsub has a stream for each direction: both are there once each side heard the other's subscription.
    stranger.subscribe(HEADERS_TOPIC, async () => accept(undefined));
    const ready = [
      subscribed(stranger, node.transport.peerId, HEADERS_TOPIC),
      subscribed(node.transport, stranger.peerId, HEADERS_TOPIC),
    ];
    await stranger.dial(addressOf(node.transport), patience());
    await Promise.all(ready);
    return stranger;
  };
  afterEach(async () => {
    await Promise.all(running.splice(0).map((node) => node.stop()));
  });

  it("carries a header to every node of a line and lets each pull the body", async () => {
    const nodes = [await start(0), await start(1), await start(2)] as const;
    await connect(nodes[0], nodes[1]);
    await connect(nodes[1], nodes[2]);
    const { header } = await nodes[0].declare("hello");
    for (const node of nodes) {
      await node.until("the entry", () => node.entries.some((entry) => entry.header.digest === header.digest));
      expect(node.logs.entryByDigest(header.digest)?.body).to.not.equal(undefined);
      expect(node.entries[0]?.body).to.deep.include({ kind: "declare" });
    }
    expect(nodes.flatMap((node) => node.faults)).to.deep.equal([]);
  });

  it("reaches all of eight nodes in a ring, each of which speaks", async () => {
    const nodes = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((index) => start(index)));
    for (const [i, node] of nodes.entries()) await connect(node, nodes[(i + 1) % nodes.length]!);
    const said = await Promise.all(nodes.map((node, i) => node.declare(`agent ${i}`)));
    const digests = said.map(({ header }) => header.digest);
    for (const node of nodes) {
      await node.until("all entries", () => node.entries.length === nodes.length);
      expect(node.entries.map(({ header }) => header.digest)).to.have.members(digests);
      expect(node.refusals.filter(({ kind }) => kind === "reject")).to.deep.equal([]);
    }
    expect(nodes.flatMap((node) => node.faults)).to.deep.equal([]);
  });

  it("brings a late joiner to the same logs and bodies", async () => {
    const [a, b] = [await start(0), await start(1)];
    await connect(a, b);
    for (let i = 0; i < 70; i++) a.writer.append("declare", testDeclare({ name: `entry ${i}` }), 3600);
    await b.gossip.syncWith(a.transport.peerId, patience());
    await b.until("all bodies at b", () => b.entries.length === 70);
    await a.stop();
    const late = await start(2);
    await connect(late, b);
    await late.until("all bodies", () => late.entries.length === 70);
    expect(late.logs.headOf(a.writer.log)).to.deep.equal(b.logs.headOf(a.writer.log));
  });

  it("rejects a tampered body by name, scores the liar and gets the body from another", async () => {
    const [node, honest] = [await start(0), await start(1)];
    const { header, bytes } = signedEntry(testSigner(5), "declare", testDeclare(), { timeMs: testNowMs });
    const tampered = bytes.map((byte, i) => (i === 9 ? byte ^ 1 : byte));
    const stranger = await startStranger(node, tampered);
    await stranger.publish(HEADERS_TOPIC, encodeLogHeader(header));
    await node.until("the refusal", () => node.refusals.some((refusal) => refusal.code === "BODY_HASH"));
    expect(node.refusals).to.deep.include.members([node.refusals.find((refusal) => refusal.from === stranger.peerId)]);
    expect(node.logs.bodyOf(header.header.bodyHash)).to.equal(undefined);
    honest.logs.addHeaders([header], testNowMs);
    honest.logs.addBody(header.header.bodyHash, bytes);
    await connect(node, honest);
    await node.until("the true body", () => node.entries.length === 1);
  });

  it("rejects a truncated and a forged header by name, and cuts off who goes on sending them", async () => {
    const node = await start(0);
    const stranger = await startStranger(node);
    const good = encodeLogHeader(signedHeader(testSigner(5), { timeMs: testNowMs }));
    await stranger.publish(HEADERS_TOPIC, good.subarray(0, 100));
    await node.until("the refusal", () => node.refusals.some(({ code }) => code === "HEADER_TRUNCATED"));
    const forged = good.map((byte, i) => (i === good.length - 70 ? byte ^ 1 : byte));
    await stranger.publish(HEADERS_TOPIC, forged);
    await node.until("the forgery", () => node.refusals.some(({ code }) => code === "HEADER_SIGNER"));
    expect(node.logs.headOf(testSigner(5).address)).to.equal(undefined);
    for (let i = 0; i < 3; i++) await stranger.publish(HEADERS_TOPIC, good.subarray(0, 90 + i));
    await node.until("five refusals", () => node.refusals.filter(({ kind }) => kind === "reject").length === 5);
    expect(node.faults).to.deep.equal([]);
  });

  it("ignores a signer that the chain does not know, without blaming who relayed it", async () => {
    const known = testSigner(6).address;
    const node = await start(0, { signers: { isSignerValidAt: async (log) => log === known } });
    const stranger = await startStranger(node);
    await stranger.publish(HEADERS_TOPIC, encodeLogHeader(signedHeader(testSigner(5), { timeMs: testNowMs })));
    await node.until("the refusal", () => node.refusals.some(({ code }) => code === "SIGNER_UNKNOWN"));
    expect(node.refusals).to.have.length(1);
    expect(node.refusals[0]).to.include({ kind: "ignore" });
    await stranger.publish(HEADERS_TOPIC, encodeLogHeader(signedHeader(testSigner(6), { timeMs: testNowMs })));
    await node.until("the known signer's header", () => node.logs.headOf(known) !== undefined);
  });

  it("finds a fork, keeps both headers, and passes the evidence on, to late joiners too", async () => {
    const [a, b] = [await start(0), await start(1)];
    await connect(a, b);
    const stranger = await startStranger(a);
    const author = testSigner(5);
    const branches = [chainOf(author, 1), chainOf(author, 1, 1)].map(([first]) => first as VerifiedHeader);
    for (const header of branches) await stranger.publish(HEADERS_TOPIC, encodeLogHeader(header));
    for (const node of [a, b]) {
      await node.until("the fork", () => node.forks.length === 1);
      const fork = node.logs.forkOf(author.address);
      expect([fork?.first.digest, fork?.second.digest]).to.have.members(branches.map(({ digest }) => digest));
    }
    const late = await start(2);
    await connect(late, b);
    await late.until("the fork", () => late.forks.length === 1);
    expect(late.logs.forkOf(author.address)).to.deep.equal(b.logs.forkOf(author.address));
  });

  it("fetches the entries between what it holds and what it hears", async () => {
    const [a, b] = [await start(0), await start(1)];
    await connect(a, b);
    for (let i = 0; i < 5; i++) a.writer.append("declare", testDeclare({ name: `silent ${i}` }), 3600);
    await a.declare("loud");
    await b.until("the whole log", () => b.logs.headOf(a.writer.log)?.header.seq === 5);
    await b.until("all bodies", () => b.entries.length === 6);
  });

  it("gives a writer with an empty disk its own entries back", async () => {
    const [a, b] = [await start(0), await start(1)];
    await connect(a, b);
    await a.declare("one");
    await b.until("the entry", () => b.entries.length === 1);
    const own = b.logs.headOf(a.writer.log);
    await a.stop();
    const again = await start(0);
    await connect(again, b);
    const held = await again.gossip.fetchOwnHeaders(again.writer.log, 0, patience());
    expect(held).to.deep.equal([encodeLogHeader(own!)]);
    await again.until("the own entry", () => again.logs.headOf(again.writer.log)?.digest === own?.digest);
    expect(again.writer.append("declare", testDeclare(), 60).header.header.seq).to.equal(1);
  });

  it("refuses oversized and malformed requests of strangers by name", async () => {
    const node = await start(0);
    const stranger = await startStranger(node);
    const ask = (protocol: string, body: Uint8Array) =>
      stranger.request(node.transport.peerId, protocol, body, { signal: patience() });
    const long = await ask(protocols.heads, new Uint8Array(257));
    expect(long)
      .to.include({ code: "REMOTE_REJECTED" })
      .and.to.have.property("detail")
      .that.includes("FRAME_TOO_LARGE");
    expect(await ask(protocols.bodies, new Uint8Array(31))).to.include({ code: "REMOTE_REJECTED" });
    expect(await ask(protocols.bodies, new Uint8Array(32))).to.include({ code: "REMOTE_IGNORED" });
    const range = { log: testSigner(0).address, fromSeq: 0, limit: 65 };
    const unbounded = await ask(protocols.entries, entries.request.encode(range));
    expect(unbounded).to.have.property("detail").that.includes("entries.limit");
  });
});
