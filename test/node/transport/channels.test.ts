import { expect } from "chai";
import {
  protocolId,
  type ChannelEvents,
  type Channels,
  type PeerName,
  type Transport,
} from "../../../node/transport/port.ts";
import { addressOf, expectation, patience, startHosts } from "../../fixtures/hosts.ts";

const protocol = protocolId("channel-test");
const limits = { maxFrameBytes: 1_000 };
const silent: ChannelEvents = {
  onOpen: () => undefined,
  onFrame: () => undefined,
  onWritable: () => undefined,
  onClosed: () => undefined,
  onRefused: () => undefined,
  onOversized: () => undefined,
};

describe("channels between hosts", function () {
  this.timeout(30_000);
  let hosts: Transport[];
  let stop: () => Promise<unknown>;
  const faults: unknown[] = [];

  beforeEach(async () => {
    ({ hosts, stop } = await startHosts(2, { onFault: (fault) => faults.push(fault) }));
  });
  afterEach(() => stop());

  /** Opens the protocol on both hosts, connects them and waits until both can send. */
  async function open(
    events: readonly [Partial<ChannelEvents>, Partial<ChannelEvents>],
  ): Promise<[Channels, Channels]> {
    const [a, b] = hosts as [Transport, Transport];
    const [first, second] = [expectation<PeerName>("a's stream"), expectation<PeerName>("b's stream")];
    const channels: [Channels, Channels] = [
      await a.openChannels(protocol, { ...silent, ...events[0], onOpen: first.resolve }, limits),
      await b.openChannels(protocol, { ...silent, ...events[1], onOpen: second.resolve }, limits),
    ];
    await a.dial(addressOf(b), patience());
    expect(await Promise.all([first.promise, second.promise])).to.deep.equal([b.peerId, a.peerId]);
    return channels;
  }

  it("carry frames both ways, each whole and in order", async () => {
    const [a, b] = hosts as [Transport, Transport];
    const heard: [number[], number[]] = [[], []];
    const [done, back] = [expectation<undefined>("b's last frame"), expectation<undefined>("a's frame")];
    const [ofA, ofB] = await open([
      {
        onFrame(peer, frame) {
          expect(peer).to.equal(b.peerId);
          heard[0].push(frame.length);
          back.resolve(undefined);
        },
      },
      {
        onFrame(_, frame) {
          heard[1].push(frame.length);
          if (frame.length === 1_000) done.resolve(undefined);
        },
      },
    ]);
    const lengths = [1, 127, 128, 300, 999, 1_000];
    for (const length of lengths) expect(ofA.send(b.peerId, new Uint8Array(length).fill(length))).to.equal(true);
    ofB.send(a.peerId, Uint8Array.of(1, 2, 3));
    await Promise.all([done.promise, back.promise]);
    expect(heard).to.deep.equal([[3], lengths]);
  });

  it("say when a stream is full, and when it takes more", async () => {
    const [, b] = hosts as [Transport, Transport];
    const writable = expectation<PeerName>("room in the stream");
    let bytes = 0;
    const [ofA] = await open([
      { onWritable: writable.resolve },
      { onFrame: (_, frame) => void (bytes += frame.length) },
    ]);
    let sent = 0;
    while (ofA.send(b.peerId, new Uint8Array(1_000))) sent += 1_000;
    expect(await writable.promise).to.equal(b.peerId);
    expect(ofA.send(b.peerId, Uint8Array.of(1)), "and takes the next").to.equal(true);
    expect(sent).to.be.lessThan(1_048_576);
    expect(bytes).to.be.at.most(sent + 1_001);
  });

  it("end a stream whose frame is too long, by name, and take what comes after a reconnection", async () => {
    const [a, b] = hosts as [Transport, Transport];
    const oversized = expectation<PeerName>("the refusal");
    const again = expectation<Uint8Array>("a frame on the next stream");
    const closed = expectation<PeerName>("the end of the stream");
    let reopened = (): void => undefined;
    const ready = new Promise<void>((resolve) => (reopened = resolve));
    let opens = 0;
    const ofA = await a.openChannels(
      protocol,
      { ...silent, onClosed: closed.resolve, onOpen: () => (++opens === 2 ? reopened() : undefined) },
      { maxFrameBytes: 5_000 },
    );
    const first = expectation<PeerName>("b's stream");
    await b.openChannels(
      protocol,
      { ...silent, onOpen: first.resolve, onOversized: oversized.resolve, onFrame: (_, frame) => again.resolve(frame) },
      limits,
    );
    await a.dial(addressOf(b), patience());
    await first.promise;
    while (opens === 0) await new Promise((resolve) => setImmediate(resolve));
    ofA.send(b.peerId, new Uint8Array(1_001));
    expect(await oversized.promise).to.equal(a.peerId);
    expect(await closed.promise).to.equal(b.peerId);
    await ready;
    ofA.send(b.peerId, Uint8Array.of(7));
    expect([...(await again.promise)]).to.deep.equal([7]);
  });

  it("tell of a peer that does not speak the protocol, and open once it does", async () => {
    const [a, b] = hosts as [Transport, Transport];
    const [refused, opened] = [expectation<PeerName>("the refusal"), expectation<PeerName>("the stream")];
    await a.openChannels(protocol, { ...silent, onRefused: refused.resolve, onOpen: opened.resolve }, limits);
    await a.dial(addressOf(b), patience());
    expect(await refused.promise).to.equal(b.peerId);
    await b.openChannels(protocol, silent, limits);
    expect(await opened.promise).to.equal(b.peerId);
  });

  it("close with the connection, and survive a listener that throws", async () => {
    const [a, b] = hosts as [Transport, Transport];
    const closed = expectation<PeerName>("the end");
    const [, ofB] = await open([
      {
        onFrame() {
          throw new Error("a listener's own fault");
        },
        onClosed: closed.resolve,
      },
      {},
    ]);
    ofB.send(a.peerId, Uint8Array.of(1));
    while (faults.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await b.disconnect(a.peerId);
    expect(await closed.promise).to.equal(b.peerId);
    expect(ofB.send(a.peerId, Uint8Array.of(1))).to.equal(false);
    expect(faults.splice(0)).to.have.length(1);
  });
});
