import { expect } from "chai";
import { network } from "hardhat";
import { http, custom } from "viem";
import { type SuretyError, type Deployment } from "#protocol";
import { connectChain, createChainClient } from "../../../node/chain/connect.ts";
import { watchHeads } from "../../../node/chain/heads.ts";

const never = new AbortController().signal;
/** Longer than any test here: what a socket announces cannot have come by polling. */
const POLL_NEVER_MS = 3_600_000;

describe("chain heads", () => {
  it("are announced by WebSocket as they are mined", async () => {
    const server = await network.createServer({ network: "node" }, "127.0.0.1", 0);
    const { address, port } = await server.listen();
    const client = createChainClient(http(`http://${address}:${port}`), 31_337);
    const heads = await watchHeads(
      { client, webSocketUrl: `ws://${address}:${port}`, pollIntervalMs: POLL_NEVER_MS },
      never,
    );
    try {
      const first = heads.latest();
      // The subscription opens when it opens: mine until it is heard, as a chain does.
      const heard = heads.next(first, never);
      let isHeard = false;
      void heard.then(() => (isHeard = true));
      while (!isHeard) await client.request({ method: "evm_mine" } as never);
      expect((await heard).number > first.number).to.equal(true);
    } finally {
      heads.stop();
      await server.close();
    }
  });

  it("are found by polling alone, and a reorg shows as another hash", async () => {
    const { provider, networkHelpers } = await network.create();
    const client = createChainClient(custom(provider), 31_337);
    const heads = await watchHeads({ client, pollIntervalMs: 5 }, never);
    try {
      const snapshot = await networkHelpers.takeSnapshot();
      const first = heads.latest();
      await networkHelpers.mine();
      const second = await heads.next(first, never);
      expect(second.parentHash).to.equal(first.hash);
      await snapshot.restore();
      await networkHelpers.time.increase(100);
      let other = await heads.next(second, never);
      while (other.number < second.number) other = await heads.next(other, never);
      expect(other.number).to.equal(second.number);
      expect(other.hash).to.not.equal(second.hash);
    } finally {
      heads.stop();
    }
  });

  it("end waiting with a named error when stopped, and with the reason when aborted", async () => {
    const { provider } = await network.create();
    const client = createChainClient(custom(provider), 31_337);
    const heads = await watchHeads({ client, pollIntervalMs: POLL_NEVER_MS }, never);
    const abort = new AbortController();
    const outcomes = Promise.allSettled([heads.next(heads.latest(), abort.signal), heads.next(heads.latest(), never)]);
    abort.abort(new Error("enough"));
    heads.stop();
    const [aborted, stopped] = (await outcomes) as PromiseRejectedResult[];
    expect((aborted?.reason as Error).message).to.equal("enough");
    expect((stopped?.reason as SuretyError).code).to.equal("CHAIN_HEADS_STOPPED");
  });
});

describe("chain connection", () => {
  it("refuses another chain, a chain without the contracts, and no chain at all", async () => {
    const { provider } = await network.create();
    const contracts = Object.fromEntries(
      ["identityRegistry", "stakeVault", "dealEscrow", "trustLedger", "reputationEpochs", "structHashes", "token"].map(
        (name) => [name, "0x00000000000000000000000000000000000000AA"],
      ),
    ) as unknown as Deployment["contracts"];
    const codeOf = async (rpc: Parameters<typeof connectChain>[0], chainId: number) => {
      try {
        await connectChain(rpc, { chainId, deployedAtBlock: 0, contracts }, never);
      } catch (error) {
        return (error as SuretyError).code;
      }
      return "connected";
    };
    expect(await codeOf(custom(provider), 1)).to.equal("CHAIN_WRONG_ID");
    expect(await codeOf(custom(provider), 31_337)).to.equal("CHAIN_NOT_DEPLOYED");
    const refused = { request: () => Promise.reject(new Error("connection refused")) };
    expect(await codeOf(custom(refused, { retryCount: 0 }), 31_337)).to.equal("CHAIN_UNREACHABLE");
  });
});
