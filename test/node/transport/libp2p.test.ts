import { expect } from "chai";
import { accept, addressOfPeerId, ignore, reject, type Verdict } from "#protocol";
import { protocolId, type Responder, type Transport } from "../../../node/transport/port.ts";
import { addressOf, expectation, patience, startHosts, subscribed } from "../../fixtures/hosts.ts";
import { testSigner } from "../../fixtures/log.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const topic = "/surety/test/1";

describe("libp2p transport", function () {
  this.timeout(20_000);
  let hosts: Transport[];
  let stop: () => Promise<unknown>;
  const faults: unknown[] = [];
  const [a, b, c] = [0, 1, 2].map((i) => () => hosts[i] as Transport) as [
    () => Transport,
    () => Transport,
    () => Transport,
  ];
  const ask = (protocol: string, body: Uint8Array, signal = patience()): Promise<Verdict<Uint8Array>> =>
    a().request(addressOf(b()), protocolId(protocol), body, { signal, maxResponseBytes: 1000 });

  before(async () => {
    ({ hosts, stop } = await startHosts(3, { topics: [topic], onFault: (fault) => faults.push(fault) }));
    const responders: Record<string, Responder> = {
      echo: async (request, from) => accept(bytes(`${from} said ${new TextDecoder().decode(request)}`)),
      large: async () => accept(new Uint8Array(1001)),
      ignore: async () => ignore("BODY_UNKNOWN", "never heard of it"),
      reject: async () => reject("HEADER_TRUNCATED", "3 bytes"),
      broken: async () => Promise.reject(new Error("secret detail")),
    };
    for (const [name, responder] of Object.entries(responders)) {
      await b().serve(protocolId(name), responder, { maxRequestBytes: 1000 });
    }
  });
  after(() => stop());

  it("has the peer id that belongs to the key's address", () => {
    expect(addressOfPeerId(a().peerId)).to.deep.equal({ kind: "accept", value: testSigner(0).address });
    expect(addressOf(a())).to.match(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/16Uiu2/);
  });

  it("carries a request and its answer, and tells the responder who asks", async () => {
    const verdict = await ask("echo", bytes("hello"));
    expect(verdict.kind === "accept" && new TextDecoder().decode(verdict.value)).to.equal(`${a().peerId} said hello`);
  });

  it("reaches a peer by its id alone once its address is known", async () => {
    const unknown = await c().request(b().peerId, protocolId("echo"), bytes("x"), { signal: patience() });
    expect(unknown).to.include({ kind: "ignore", code: "PEER_UNREACHABLE" });
    await c().learnAddresses(b().peerId, b().addresses());
    const known = await c().request(b().peerId, protocolId("echo"), bytes("x"), { signal: patience() });
    expect(known.kind).to.equal("accept");
  });

  it("returns the responder's refusal by its name", async () => {
    expect(await ask("ignore", bytes(""))).to.include({
      code: "REMOTE_IGNORED",
      detail: "BODY_UNKNOWN: never heard of it",
    });
    expect(await ask("reject", bytes(""))).to.include({ code: "REMOTE_REJECTED", detail: "HEADER_TRUNCATED: 3 bytes" });
  });

  it("tells nothing of a responder's own fault but that it failed", async () => {
    expect(await ask("broken", bytes(""))).to.include({ kind: "ignore", code: "REMOTE_FAILED" });
    expect(faults).to.have.length(1);
  });

  it("refuses frames beyond their limit by name, in both directions", async () => {
    const request = await ask("echo", new Uint8Array(1001));
    expect(request).to.include({ kind: "ignore", code: "REMOTE_REJECTED" });
    expect(request).to.have.property("detail").that.includes("FRAME_TOO_LARGE");
    const huge = await ask("echo", new Uint8Array(5_000_000));
    expect(huge.kind).to.equal("ignore");
    expect(await ask("large", bytes(""))).to.include({ kind: "reject", code: "FRAME_TOO_LARGE" });
  });

  it("names an unknown protocol, an invalid name and an absent peer", async () => {
    expect(await ask("absent", bytes(""))).to.include({ kind: "ignore", code: "PROTOCOL_UNKNOWN" });
    expect(await a().dial("nobody", patience())).to.include({ kind: "ignore", code: "PEER_NAME_INVALID" });
    const closed = addressOf(b()).replace(/tcp\/\d+/, "tcp/1");
    const nobody = closed.replace(b().peerId, "16Uiu2HAmVrUuXqRWGG4QAd7GnBDoL6Rrvp4FhKrqHkhUzzWyGhMr");
    expect((await a().dial(nobody, patience())).kind).to.equal("ignore");
  });

  it("does not take one peer for another", async () => {
    const wrong = addressOf(b()).replace(b().peerId, c().peerId);
    expect((await a().dial(wrong, patience())).kind).to.equal("ignore");
  });

  it("works on a bounded number of requests of one peer, and ends what the asker gives up", async () => {
    const started = expectation<AbortSignal>("two requests");
    const ended = expectation<undefined>("the responder's signal");
    let count = 0;
    await b().serve(
      protocolId("slow"),
      async (_request, _from, signal) => {
        if (++count === 2) started.resolve(signal);
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        ended.resolve(undefined);
        return accept(bytes("late"));
      },
      { maxConcurrentPerPeer: 2 },
    );
    const giveUp = new AbortController();
    const slow = [ask("slow", bytes("1"), giveUp.signal), ask("slow", bytes("2"), giveUp.signal)];
    await started.promise;
    expect(await ask("slow", bytes("3"))).to.include({ kind: "ignore", code: "REMOTE_BUSY" });
    giveUp.abort();
    for (const verdict of await Promise.all(slow))
      expect(verdict).to.include({ kind: "ignore", code: "REQUEST_ABORTED" });
    await ended.promise;
  });

  it("asks again over the stream that is kept, over a new one where the other side keeps none, and at once beside another", async () => {
    for (const areStreamsKept of [true, false]) {
      const protocol = protocolId(areStreamsKept ? "kept" : "closed");
      const signals: AbortSignal[] = [];
      const responder: Responder = async (request, _, signal) => {
        signals.push(signal);
        return request[0] === 9 ? ignore("NINE", "none of it") : accept(request);
      };
      await b().serve(protocol, responder, { areStreamsKept, timeoutMs: 60_000, maxRequestBytes: 10 });
      const again = (body: Uint8Array) =>
        a().request(addressOf(b()), protocol, body, { signal: patience(), isStreamKept: true });
      for (const k of [1, 2, 9, 3]) {
        const verdict = await again(Uint8Array.of(k));
        if (k === 9) expect(verdict).to.include({ code: "REMOTE_IGNORED", detail: "NINE: none of it" });
        else expect(verdict).to.deep.equal(accept(Uint8Array.of(k)));
      }
      // A request's signal ends with its stream.
      const [first] = signals as [AbortSignal];
      if (areStreamsKept) expect(signals.map(({ aborted }) => aborted)).to.deep.equal([false, false, false, false]);
      else if (!first.aborted) await new Promise((resolve) => first.addEventListener("abort", resolve, { once: true }));
      const all = await Promise.all([4, 5, 6].map((k) => again(Uint8Array.of(k))));
      expect(all).to.deep.equal([4, 5, 6].map((k) => accept(Uint8Array.of(k))));
      expect(await again(new Uint8Array(11))).to.include({ code: "REMOTE_REJECTED" });
      expect(await again(Uint8Array.of(7))).to.deep.equal(accept(Uint8Array.of(7)));
      await a().disconnect(b().peerId);
      expect(await again(Uint8Array.of(8))).to.deep.equal(accept(Uint8Array.of(8)));
    }
  });

  it("publishes to subscribers, whose validators decide, and survives a validator that throws", async () => {
    const heard = expectation<string[]>("the third message");
    const messages: string[] = [];
    b().subscribe(topic, async (message, from) => {
      messages.push(new TextDecoder().decode(message));
      expect(from).to.equal(a().peerId);
      if (messages.length === 1) throw new Error("own fault");
      if (messages.length === 3) heard.resolve(messages);
      return messages.length === 2 ? reject("BAD", "for the test") : accept(undefined);
    });
    expect(() => b().subscribe(topic, async () => accept(undefined)))
      .to.throw()
      .with.property("code", "TOPIC_SUBSCRIBED");
    const ready = subscribed(a(), b().peerId, topic);
    await a().dial(addressOf(b()), patience());
    await ready;
    for (const text of ["one", "two", "three"]) expect(await a().publish(topic, bytes(text))).to.equal(1);
    expect(await heard.promise).to.deep.equal(["one", "two", "three"]);
  });

  it("refuses to listen on an address that is not its own", async () => {
    const failure = startHosts(1, { listen: ["/ip4/203.0.113.1/tcp/0"] });
    const error: unknown = await failure.then(
      () => undefined,
      (cause: unknown) => cause,
    );
    expect(error).to.have.property("code", "TRANSPORT_LISTEN_FAILED");
  });
});
