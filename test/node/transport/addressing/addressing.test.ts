import { expect } from "chai";
import type { Address } from "viem";
import { createAddressBook, type AddressBook, type KnownPeer } from "../../../../node/transport/addressing/book.ts";
import { askPeers, PEERS_PROTOCOL, peersWire } from "../../../../node/transport/addressing/exchange.ts";
import { createKeeper, type Keeper } from "../../../../node/transport/addressing/keeper.ts";
import { OUTBOUND, planRound } from "../../../../node/transport/addressing/plan.ts";
import type { SignedRecord } from "../../../../node/transport/addressing/record.ts";
import { createResolver, type Speaker } from "../../../../node/transport/addressing/resolver.ts";
import { createLibp2pTransport } from "../../../../node/transport/libp2p.ts";
import type { ConnectionView, Transport } from "../../../../node/transport/port.ts";
import { openStore } from "../../../../node/store/sqlite.ts";
import type { Store } from "../../../../node/store/port.ts";
import { accept } from "#protocol";
import { addressOf, patience, startHosts } from "../../../fixtures/hosts.ts";
import { testKey, testSigner } from "../../../fixtures/log.ts";
import { bytesToHex } from "viem";

const recordOf = (index: number, address = `/ip4/198.51.${index}.1/tcp/1`, seq = 1n): SignedRecord => ({
  ...{ peer: `peer${index}`, address: undefined, addresses: [address], seq, bytes: Uint8Array.of(index & 255) },
});
const subnetAddress = (i: number) => `/ip4/198.${i}.0.1/tcp/1`;

describe("the address book", () => {
  const world = () => createAddressBook(openStore(":memory:"));

  it("keeps the newest record of a peer", () => {
    const book = world();
    expect(book.add(recordOf(1, subnetAddress(1), 5n), "exchange", "teller", 1)).to.equal(true);
    expect(book.add(recordOf(1, subnetAddress(2), 5n), "exchange", "other", 2)).to.equal(false);
    expect(book.add(recordOf(1, subnetAddress(3), 2n ** 63n), "exchange", "other", 2)).to.equal(true);
    expect(book.get("peer1")).to.deep.include({ addresses: [subnetAddress(3)], seq: 2n ** 63n, teller: "teller" });
  });

  it("takes 64 unreached peers of one teller and 32 of one subnet, and no more", () => {
    const book = world();
    for (let i = 0; i < 100; i++) book.add(recordOf(i, subnetAddress(i)), "exchange", "liar", 1);
    expect(book.count()).to.equal(64);
    book.reached("peer0", 2);
    expect(book.add(recordOf(100, subnetAddress(100)), "exchange", "liar", 3), "one was true").to.equal(true);
    for (let i = 200; i < 300; i++) book.add(recordOf(i, `/ip4/203.0.113.${i % 256}/tcp/${i}`), "exchange", `t${i}`, 1);
    expect(book.count()).to.equal(65 + 32);
  });

  it("forgets whom it never reached before whom it did, and anchors never", () => {
    const book = world();
    book.add(recordOf(0, subnetAddress(0)), "exchange", "t", 1);
    book.setAnchors(["peer0"]);
    book.add(recordOf(1, subnetAddress(1)), "exchange", "t", 1);
    book.reached("peer1", 5);
    for (let i = 2; i < 2_100; i++) {
      book.add(recordOf(i, `/ip4/${(i % 90) + 20}.${i % 250}.0.1/tcp/1`), "exchange", `t${i}`, i);
    }
    expect(book.count()).to.equal(2_048);
    expect(book.get("peer0")?.isAnchor).to.equal(true);
    expect(book.get("peer1")?.reachedMs).to.equal(5);
    expect(book.get("peer2")).to.equal(undefined);
    for (let i = 0; i < 8; i++) [0, 1].forEach((peer) => book.failed(`peer${peer}`));
    expect([book.get("peer0")?.failures, book.get("peer1")]).to.deep.equal([8, undefined]);
  });
});

describe("the plan of a round", () => {
  const nowMs = 1_000_000;
  const known = (i: number, fields: Partial<KnownPeer> = {}): KnownPeer => ({
    ...recordOf(i, subnetAddress(i)),
    ...{ source: "exchange", teller: "t", reachedMs: 0, failures: 0, isAnchor: false },
    ...fields,
  });
  const open = (peer: string, address: string, direction: "inbound" | "outbound", openedMs = 0): ConnectionView => ({
    ...{ peer, address, direction, openedMs, isRelayed: false },
  });
  const plan = (connections: ConnectionView[], peers: KnownPeer[], triedMs = new Map<string, number>()) =>
    planRound({ connections, bootstrap: [], known: peers, triedMs, nowMs });

  it("opens connections of its own choice however many others have opened", () => {
    const inbound = Array.from({ length: 50 }, (_, i) => open(`in${i}`, subnetAddress(i), "inbound"));
    expect(plan(inbound, [known(1), known(2), known(3)]).peers).to.have.length(2);
    const outbound = Array.from({ length: OUTBOUND }, (_, i) => open(`out${i}`, subnetAddress(i), "outbound"));
    expect(plan(outbound, [known(1)]).peers).to.deep.equal([]);
  });

  it("dials at most two of one subnet, and anchors before others", () => {
    const one = subnetAddress(9);
    const two = [open("a", one, "outbound"), open("b", one, "outbound")];
    const peers = [known(1, { addresses: [one] }), known(2), known(3, { isAnchor: true })];
    expect(plan(two, peers).peers.map(({ peer }) => peer)).to.deep.equal(["peer3", "peer2"]);
  });

  it("leaves alone for longer and longer who fails", () => {
    const failing = known(1, { failures: 2 });
    const at = (triedMs: number) => plan([], [failing], new Map([["peer1", triedMs]])).peers.length;
    expect([at(nowMs - 19_999), at(nowMs - 20_000)]).to.deep.equal([0, 1]);
  });

  it("names the outbound peers that stayed longest as anchors, of different subnets first", () => {
    const connections = [
      open("late", subnetAddress(1), "outbound", 9),
      open("twin", subnetAddress(2), "outbound", 2),
      open("old", subnetAddress(2), "outbound", 1),
      open("in", subnetAddress(3), "inbound", 0),
    ];
    expect(plan(connections, []).anchors).to.deep.equal(["old", "late", "twin"]);
  });
});

describe("addressing over libp2p", function () {
  this.timeout(60_000);

  interface Peer {
    readonly transport: Transport;
    readonly store: Store;
    readonly book: AddressBook;
    readonly keeper: Keeper;
  }
  const faults: unknown[] = [];
  const onFault = (fault: unknown) => void faults.push(fault);

  async function startPeer(index: number, bootstrap: readonly string[], store = openStore(":memory:")): Promise<Peer> {
    const transport = await createLibp2pTransport({ privateKey: testKey(index) });
    await transport.start();
    const book = createAddressBook(store);
    const keeper = createKeeper({
      ...{ transport, book, ownAddress: testSigner(index).address, bootstrap, nowMs: Date.now, random: Math.random },
      ...{ roundMs: 600_000, onFault },
    });
    await keeper.start(patience());
    return { transport, store, book, keeper };
  }
  const stopPeer = async ({ transport, keeper }: Peer) => {
    await keeper.stop();
    await transport.stop();
  };
  /** Rounds until it holds; each is one dial or question, and records come with the identification that follows it. */
  async function roundsUntil(what: string, peers: readonly Peer[], holds: () => boolean): Promise<void> {
    const signal = patience();
    while (!holds()) {
      if (signal.aborted) throw new Error(`waited in vain for ${what}`);
      await Promise.all(peers.map(({ keeper }) => keeper.round(signal)));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  const known = (peer: Peer, of: Peer) => peer.book.get(of.transport.peerId) !== undefined;

  it("makes no star around the first node: peers find each other, stay when it goes, and come back to anchors", async () => {
    const first = await startPeer(0, []);
    const others: Peer[] = [];
    for (let i = 1; i <= 4; i++) others.push(await startPeer(i, [addressOf(first.transport)]));
    await roundsUntil("everybody's record at the first", [], () => others.every((peer) => known(first, peer)));
    const isMeshed = (peer: Peer) => peer.transport.peers().length === 4;
    await roundsUntil("a mesh", others, () => others.every(isMeshed));
    const [last] = others.slice(-1) as [Peer];
    const sources = others.flatMap((peer) => others.map((other) => peer.keeper.sourceOf(other.transport.peerId)));
    expect(sources).to.include("exchange");
    expect(last.keeper.sourceOf(first.transport.peerId)).to.equal("bootstrap");

    await roundsUntil("an anchor that is not the first", [last], () =>
      last.book.anchors().some(({ peer }) => peer !== first.transport.peerId),
    );
    await stopPeer(first);
    await stopPeer(last);
    const again = await startPeer(4, [], last.store);
    await roundsUntil("the anchors", [again], () => again.transport.peers().length > 0);
    const [back] = again.transport.peers() as [string];
    expect(["anchor", "inbound"]).to.include(again.keeper.sourceOf(back));
    expect(faults).to.deep.equal([]);
    await Promise.all([...others.slice(0, -1), again].map(stopPeer));
  });

  it("dials an agent by its id: its key from the chain, its record from a peer, and no word of who lies", async () => {
    const [honest, sought] = [await startPeer(0, []), await startPeer(1, [])];
    const [liar, asker] = [await startPeer(2, []), await startPeer(3, [addressOf(honest.transport)])];
    await sought.transport.dial(addressOf(honest.transport), patience());
    await roundsUntil("the record", [], () => known(honest, sought));
    const speakers = new Map<bigint, Speaker[]>([
      [7n, [{ kind: "account", address: testSigner(1).address }]],
      [8n, [{ kind: "account", address: testSigner(9).address }]],
      [9n, [{ kind: "peer", peer: sought.transport.peerId }]],
    ]);
    const resolver = createResolver({
      ...{ transport: asker.transport, book: asker.book, nowMs: Date.now, declared: () => undefined },
      speakersOf: async (agentId) => speakers.get(agentId) ?? [],
    });
    expect(await resolver.dialAgent(6n, patience())).to.include({ kind: "ignore", code: "AGENT_UNBOUND" });
    expect(await resolver.dialAgent(8n, patience())).to.include({ kind: "ignore", code: "AGENT_UNLOCATED" });
    expect(await resolver.dialAgent(7n, patience())).to.deep.equal(accept(sought.transport.peerId));
    expect(asker.transport.peers()).to.include(sought.transport.peerId);
    expect(asker.book.get(sought.transport.peerId)?.source).to.equal("resolved");
    expect(await resolver.dialAgent(9n, patience())).to.deep.equal(accept(sought.transport.peerId));

    // A teller that has a third key's place taken by its own signature is refused with everything that it said.
    const other = await createLibp2pTransport({ privateKey: testKey(5) });
    await other.start();
    const forged = (await other.record()).slice();
    forged[forged.length - 1] = (forged.at(-1) as number) ^ 1;
    await other.serve(PEERS_PROTOCOL, async () =>
      accept(peersWire.answer.encode([bytesToHex(await other.record()), bytesToHex(forged)])),
    );
    await liar.transport.dial(addressOf(other), patience());
    const answer = await askPeers(other.peerId, { wanted: [], limit: 16 }, liar, patience());
    expect(answer).to.include({ kind: "reject", code: "RECORD_INVALID" });
    await other.stop();
    await Promise.all([honest, sought, liar, asker].map(stopPeer));
  });

  it("gives a key's record to who asks for it, and refuses what is no question", async () => {
    const { hosts, stop } = await startHosts(1);
    const peer = await startPeer(1, []);
    const ask = (body: Uint8Array) =>
      (hosts[0] as Transport).request(addressOf(peer.transport), PEERS_PROTOCOL, body, { signal: patience() });
    const wanted = [testSigner(1).address] as Address[];
    const answer = await ask(peersWire.request.encode({ wanted, limit: 0 }));
    const decoded = answer.kind === "accept" ? peersWire.answer.decode(answer.value) : answer;
    expect(decoded.kind === "accept" && decoded.value.length).to.equal(1);
    expect(await ask(new Uint8Array(513)))
      .to.have.property("detail")
      .that.includes("FRAME_TOO_LARGE");
    expect(await ask(Uint8Array.of(1, 2, 3))).to.include({ code: "REMOTE_REJECTED" });
    await stopPeer(peer);
    await stop();
  });
});
