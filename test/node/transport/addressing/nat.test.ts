import { expect } from "chai";
import { accept } from "#protocol";
import type { ConnectionView } from "../../../../node/transport/port.ts";
import { missingForNats, startNatNetwork, type NatHost } from "../../../fixtures/nat-network.ts";

/** In a namespace of its own no port is taken. */
const listenOn = (ip: string) => `/ip4/${ip}/tcp/4001`;

describe("two hosts behind NATs", function () {
  this.timeout(120_000);
  let network: Awaited<ReturnType<typeof startNatNetwork>>;

  before(async function () {
    const missing = missingForNats();
    if (missing !== undefined) {
      console.log(`      needs ${missing}`);
      return this.skip();
    }
    network = await startNatNetwork();
  });
  after(() => network?.stop());

  async function until<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
    const endMs = Date.now() + 30_000;
    for (;;) {
      const found = await ask();
      if (found !== undefined) return found;
      if (Date.now() > endMs) throw new Error(`waited in vain for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  const connectionsTo = async (host: NatHost, peer: string) =>
    ((await host.ask({ kind: "connections" })) as ConnectionView[]).filter((connection) => connection.peer === peer);

  it("reach each other through a relay, and then directly through both NATs", async () => {
    const { relay, left, right } = network;
    const relayId = (await relay.ask({
      ...{ kind: "start", index: 0, relay: "serve", listen: listenOn("44.1.0.1") },
    })) as string;
    const relayAddress = `${listenOn("44.1.0.1")}/p2p/${relayId}`;
    const leftId = (await left.ask({ kind: "start", index: 1, relay: "use", listen: listenOn("10.1.0.2") })) as string;
    const rightId = (await right.ask({
      kind: "start",
      index: 2,
      relay: "use",
      listen: listenOn("10.2.0.2"),
    })) as string;
    for (const host of [left, right])
      expect(await host.ask({ kind: "dial", target: relayAddress })).to.have.property("kind", "accept");
    const relayed = await until("a reservation", async () =>
      ((await right.ask({ kind: "addresses" })) as string[]).find((at) => at.includes("/p2p-circuit")),
    );
    expect(await left.ask({ kind: "dial", target: "/ip4/44.1.0.3/tcp/9/p2p/" + rightId }), "no way in").to.include({
      kind: "ignore",
    });
    expect(await left.ask({ kind: "dial", target: relayed })).to.deep.equal(accept(rightId));
    // While one connection takes the place of the other, a request may break with the first.
    const answers = (host: NatHost, peer: string) => async () =>
      (await host.ask({ kind: "echo", peer })) === "accept" ? true : undefined;
    await until("an answer", answers(left, rightId));
    const direct = await until("a direct connection", async () =>
      (await connectionsTo(left, rightId)).find(({ isRelayed }) => !isRelayed),
    );
    expect(direct.address).to.match(/^\/ip4\/44\.1\.0\.3\/tcp\//);
    await until("the end of the relayed connection", async () =>
      (await connectionsTo(left, rightId)).every(({ isRelayed }) => !isRelayed) ? true : undefined,
    );
    await until("an answer over it", answers(left, rightId));
    expect(await right.ask({ kind: "echo", peer: leftId })).to.equal("accept");
  });
});
