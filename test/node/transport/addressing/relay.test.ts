import { expect } from "chai";
import { accept } from "#protocol";
import { createLibp2pTransport } from "../../../../node/transport/libp2p.ts";
import { protocolId, type Transport } from "../../../../node/transport/port.ts";
import { createAddressBook } from "../../../../node/transport/addressing/book.ts";
import { createKeeper } from "../../../../node/transport/addressing/keeper.ts";
import { createResolver } from "../../../../node/transport/addressing/resolver.ts";
import type { RelayMode } from "../../../../node/transport/addressing/relay-modes.ts";
import { openStore } from "../../../../node/store/sqlite.ts";
import { addressOf, patience } from "../../../fixtures/hosts.ts";
import { testKey, testSigner } from "../../../fixtures/log.ts";

const echo = protocolId("echo");

describe("relays", function () {
  this.timeout(60_000);
  const hosts: Transport[] = [];
  async function start(index: number, relay: RelayMode, listen?: readonly string[]): Promise<Transport> {
    const host = await createLibp2pTransport({ privateKey: testKey(index), relay, ...(listen ? { listen } : {}) });
    await host.start();
    hosts.push(host);
    await host.serve(echo, async (request) => accept(request));
    return host;
  }
  after(() => Promise.all(hosts.map((host) => host.stop())));

  it("reach an agent that nobody can dial, by its id and its signed record, and carry a request", async () => {
    const relay = await start(0, "serve");
    // It listens nowhere: all that others learn of it is an address at the relay.
    const hidden = await start(1, "use", []);
    const asker = await start(2, "use");
    const book = createAddressBook(openStore(":memory:"));
    const keeper = createKeeper({
      ...{ transport: relay, book, ownAddress: testSigner(0).address, bootstrap: [], nowMs: Date.now },
      ...{ random: Math.random, onFault: () => undefined },
    });
    await keeper.start(patience());
    await hidden.dial(addressOf(relay), patience());
    await asker.dial(addressOf(relay), patience());
    const signal = patience();
    while (!hidden.addresses().some((address) => address.includes("/p2p-circuit"))) {
      if (signal.aborted) throw new Error("no reservation at the relay");
      await new Promise((resolve) => setImmediate(resolve));
    }
    const own = createAddressBook(openStore(":memory:"));
    const resolver = createResolver({
      ...{ transport: asker, book: own, nowMs: Date.now, declared: () => undefined },
      speakersOf: async () => [{ kind: "account", address: testSigner(1).address }],
    });
    let dialled = await resolver.dialAgent(2n, patience());
    // The relay tells of the hidden peer's new address as soon as that has identified itself again.
    while (dialled.kind !== "accept" && !signal.aborted) dialled = await resolver.dialAgent(2n, patience());
    expect(dialled).to.deep.equal(accept(hidden.peerId));
    const [connection] = asker.connections().filter(({ peer }) => peer === hidden.peerId);
    expect(connection).to.include({ isRelayed: true, direction: "outbound" });
    const answer = await asker.request(hidden.peerId, echo, Uint8Array.of(1, 2, 3), { signal: patience() });
    expect(answer).to.deep.equal(accept(Uint8Array.of(1, 2, 3)));
    await keeper.stop();
  });
});
