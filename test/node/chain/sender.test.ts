import { expect } from "chai";
import { encodeFunctionData, getAddress, zeroAddress, type Address } from "viem";
import { SuretyError, testTokenAbi } from "#protocol";
import { watchHeads } from "../../../node/chain/heads.ts";
import type { ContractCall, Heads } from "../../../node/chain/port.ts";
import { createSender } from "../../../node/chain/sender.ts";
import { accountOf } from "../../../node/chain/account.ts";
import { createChainClient } from "../../../node/chain/connect.ts";
import { createFlightStore } from "../../../node/chain/flight-store.ts";
import { openStore } from "../../../node/store/sqlite.ts";
import { createFaultyTransport } from "../../fixtures/faulty-transport.ts";
import { createTestChain, testSigner } from "./test-chain.ts";

const { viem, networkHelpers, provider, client } = await createTestChain();
const token = await viem.deployContract("TestToken");
const receiver = getAddress("0x00000000000000000000000000000000000000aa");
const never = new AbortController().signal;

const tokenCall = (functionName: string, args: readonly unknown[]): ContractCall => ({
  abi: testTokenAbi,
  address: token.address,
  functionName,
  args,
});
const mint = (amount: bigint, to: Address = receiver) => tokenCall("mint", [to, amount]);

async function errorOf(work: Promise<unknown>): Promise<SuretyError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof SuretyError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** Waits for a condition of the pool; if the work behind it fails first, the test fails with it. */
async function until(condition: () => Promise<boolean>, work: Promise<unknown>): Promise<void> {
  let failure: unknown;
  work.catch((error: unknown) => (failure = error));
  while (!(await condition())) {
    if (failure !== undefined) throw failure as Error;
    await new Promise(setImmediate);
  }
}
const hasPending = (address: Address, count: number) => async () =>
  (await client.getTransactionCount({ address, blockTag: "pending" })) >= count;

describe("chain sender", () => {
  let heads: Heads;
  let nextAccount = 1;
  const senderOf = (bumpAfterMs = 30_000) => {
    const signer = testSigner(nextAccount++);
    return { signer, sender: createSender({ client, heads, signer, bumpAfterMs }) };
  };

  before(async () => {
    heads = await watchHeads({ client, pollIntervalMs: 20 }, never);
  });
  afterEach(async () => {
    await provider.request({ method: "evm_setAutomine", params: [true] });
    await networkHelpers.mine();
  });
  after(() => {
    heads.stop();
  });

  it("sends many calls at once with consecutive nonces, each mined once", async () => {
    const { sender } = senderOf();
    const before = await token.read.balanceOf([receiver]);
    const mined = await Promise.all([1n, 2n, 4n, 8n, 16n].map((amount) => sender.send(mint(amount), never)));
    expect(new Set(mined.map(({ hash }) => hash)).size).to.equal(5);
    expect(await token.read.balanceOf([receiver])).to.equal(before + 31n);
    expect(await client.getTransactionCount({ address: sender.address })).to.equal(5);
  });

  it("pipelines: broadcasts the next call before the last one is mined", async () => {
    const { sender } = senderOf();
    await provider.request({ method: "evm_setAutomine", params: [false] });
    const both = Promise.all([sender.send(mint(1n), never), sender.send(mint(1n), never)]);
    await until(hasPending(sender.address, 2), both);
    await networkHelpers.mine();
    const [first, second] = await both;
    expect(first.blockNumber).to.equal(second.blockNumber);
  });

  it("names the contract's error and its arguments, uses up no nonce, and goes on", async () => {
    const { sender } = senderOf();
    const error = await errorOf(sender.send(tokenCall("transfer", [receiver, 5n]), never));
    expect(error.code).to.equal("CALL_REVERTED_ERC20_INSUFFICIENT_BALANCE");
    expect(error.values).to.deep.include({ error: "ERC20InsufficientBalance", balance: 0n, needed: 5n });
    expect(error.values["sender"]).to.equal(sender.address);
    expect(error.next).to.match(/token/);
    await sender.send(mint(1n), never);
    expect(await client.getTransactionCount({ address: sender.address })).to.equal(1);
  });

  it("names the reason of a call that was fine when sent and reverted when mined", async () => {
    const { sender } = senderOf();
    const thief = senderOf().signer;
    await sender.send(mint(5n, sender.address), never);
    await sender.send(tokenCall("approve", [thief.address, 5n]), never);
    await provider.request({ method: "evm_setAutomine", params: [false] });
    const sending = sender.send(tokenCall("transfer", [receiver, 5n]), never);
    await until(hasPending(sender.address, 3), sending);
    const outcome = errorOf(sending);
    // Another account's transaction of a higher fee comes first in the block and takes the tokens.
    const first = await accountOf(thief).signTransaction({
      ...{ type: "eip1559", chainId: 31_337, nonce: 0, gas: 100_000n, to: token.address },
      data: encodeFunctionData(tokenCall("transferFrom", [sender.address, receiver, 5n])),
      ...{ maxFeePerGas: 10n ** 12n, maxPriorityFeePerGas: 10n ** 11n },
    });
    await client.sendRawTransaction({ serializedTransaction: first });
    await networkHelpers.mine();
    expect(await outcome).to.include({ code: "CALL_REVERTED_ERC20_INSUFFICIENT_BALANCE" });
  });

  it("raises the fee with the same nonce when a call is not mined in time", async () => {
    const { sender } = senderOf(60);
    await provider.request({ method: "evm_setAutomine", params: [false] });
    const sending = sender.send(mint(3n), never);
    const seen = new Set<string>();
    await until(async () => {
      const { transactions } = await client.getBlock({ blockTag: "pending", includeTransactions: true });
      for (const { from, hash } of transactions) if (getAddress(from) === sender.address) seen.add(hash);
      return seen.size >= 2;
    }, sending);
    await networkHelpers.mine();
    const { hash } = await sending;
    expect(hash).to.not.equal([...seen][0]);
    expect(await client.getTransactionCount({ address: sender.address })).to.equal(1);
  });

  it("replaces what an earlier life left stuck in the pool", async () => {
    const { signer, sender } = senderOf(60);
    await provider.request({ method: "evm_setAutomine", params: [false] });
    const serialized = await accountOf(signer).signTransaction({
      ...{ type: "eip1559", chainId: 31_337, nonce: 0, gas: 100_000n, to: token.address },
      data: encodeFunctionData(mint(1_000n)),
      ...{ maxFeePerGas: 25n * 10n ** 8n, maxPriorityFeePerGas: 10n ** 9n },
    });
    const stuck = await client.sendRawTransaction({ serializedTransaction: serialized });
    const sending = sender.send(mint(3n), never);
    await until(async () => {
      const { transactions } = await client.getBlock({ blockTag: "pending" });
      return !transactions.includes(stuck);
    }, sending);
    await networkHelpers.mine();
    const { receipt } = await sending;
    expect(receipt.status).to.equal("success");
    expect(await client.getTransactionCount({ address: sender.address })).to.equal(1);
  });

  it("says so when another program used the nonce", async () => {
    const { signer, sender } = senderOf();
    await provider.request({ method: "evm_setAutomine", params: [false] });
    const sending = sender.send(mint(1n), never);
    await until(hasPending(sender.address, 1), sending);
    const outcome = errorOf(sending);
    const serialized = await accountOf(signer).signTransaction({
      ...{ type: "eip1559", chainId: 31_337, nonce: 0, gas: 21_000n, to: zeroAddress },
      ...{ maxFeePerGas: 10n ** 12n, maxPriorityFeePerGas: 10n ** 11n },
    });
    await client.sendRawTransaction({ serializedTransaction: serialized });
    await networkHelpers.mine();
    expect(await outcome).to.include({ code: "TRANSACTION_REPLACED", isRetryable: true });
    await provider.request({ method: "evm_setAutomine", params: [true] });
    await sender.send(mint(1n), never);
  });

  it("stops waiting when the signal aborts, and sends the next call after it", async () => {
    const { sender } = senderOf();
    await provider.request({ method: "evm_setAutomine", params: [false] });
    const abort = new AbortController();
    const sending = sender.send(mint(1n), abort.signal);
    await until(hasPending(sender.address, 1), sending);
    abort.abort(new Error("stop"));
    const [outcome] = await Promise.allSettled([sending]);
    expect(outcome).to.include({ status: "rejected" });
    await networkHelpers.mine();
    await provider.request({ method: "evm_setAutomine", params: [true] });
    await sender.send(mint(1n), never);
    expect(await client.getTransactionCount({ address: sender.address })).to.equal(2);
  });

  it("raises the fee no further than the cap, and is mined at it", async () => {
    const maxFeePerGasWei = 3n * 10n ** 9n;
    const signer = testSigner(nextAccount++);
    const sender = createSender({ client, heads, signer, bumpAfterMs: 1, maxFeePerGasWei });
    await provider.request({ method: "evm_setAutomine", params: [false] });
    const sending = sender.send(mint(3n), never);
    const fees = new Set<bigint>();
    let quiet = 0;
    await until(async () => {
      const { transactions } = await client.getBlock({ blockTag: "pending", includeTransactions: true });
      const ours = transactions.find(({ from }) => getAddress(from) === sender.address);
      if (ours?.maxFeePerGas === undefined || fees.has(ours.maxFeePerGas)) quiet++;
      else {
        fees.add(ours.maxFeePerGas);
        quiet = 0;
      }
      return fees.size > 1 && quiet > 1_000;
    }, sending);
    await networkHelpers.mine();
    await sending;
    expect([...fees].every((fee) => fee <= maxFeePerGasWei)).to.equal(true);
    expect(await client.getTransactionCount({ address: sender.address })).to.equal(1);
  });

  it("sends the same bytes again when the pool has lost them", async () => {
    const { sender } = senderOf();
    await provider.request({ method: "evm_setAutomine", params: [false] });
    const sending = sender.send(mint(3n), never);
    await until(hasPending(sender.address, 1), sending);
    const { transactions } = await client.getBlock({ blockTag: "pending" });
    await provider.request({ method: "hardhat_dropTransaction", params: [transactions[0]] });
    await until(hasPending(sender.address, 1), sending);
    await networkHelpers.mine();
    expect((await sending).hash).to.equal(transactions[0]);
  });

  it("uses the next nonce when another program sent something between two calls", async () => {
    const { signer, sender } = senderOf();
    await sender.send(mint(1n), never);
    const serialized = await accountOf(signer).signTransaction({
      ...{ type: "eip1559", chainId: 31_337, nonce: 1, gas: 21_000n, to: zeroAddress },
      ...{ maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 10n ** 9n },
    });
    await client.sendRawTransaction({ serializedTransaction: serialized });
    await sender.send(mint(1n), never);
    expect(await client.getTransactionCount({ address: sender.address })).to.equal(3);
  });

  describe("with a store", () => {
    const stored = (options: { finalityDepth?: number; bumpAfterMs?: number } = {}) => {
      const signer = testSigner(nextAccount++);
      const store = openStore(":memory:");
      const flights = createFlightStore(store, 31_337, signer.address);
      const start = () => createSender({ client, heads, signer, flights, ...options });
      return { signer, store, flights, start };
    };
    const once = (amount: bigint, to: Address = receiver): ContractCall => ({ ...mint(amount, to), isOnce: true });
    const reorgTo = async (snapshot: { restore(): Promise<void> }) => {
      await snapshot.restore();
      await networkHelpers.mine();
      await heads.refresh(never);
    };

    it("takes up its unmined transactions after a restart: the same call is not sent twice, and is bumped", async () => {
      const { start, flights } = stored({ bumpAfterMs: 60 });
      const before = await token.read.balanceOf([receiver]);
      await provider.request({ method: "evm_setAutomine", params: [false] });
      const first = start();
      const lost = first.send(once(5n), never).catch((error: unknown) => error);
      await until(hasPending(first.address, 1), lost);
      first.stop();
      expect(await lost).to.include({ code: "SENDER_STOPPED" });

      const second = start();
      const again = second.send(once(5n), never);
      const other = second.send(once(7n), never);
      await until(hasPending(first.address, 2), Promise.all([again, other]));
      await until(() => Promise.resolve((flights.all()[0]?.forms.length ?? 0) > 1), again);
      await networkHelpers.mine();
      await Promise.all([again, other]);
      expect(await token.read.balanceOf([receiver])).to.equal(before + 12n);
      expect(await client.getTransactionCount({ address: first.address })).to.equal(2);
      second.stop();
    });

    it("sends again what a reorg took back, without being asked", async () => {
      const { start } = stored();
      const sender = start();
      const account = testSigner(60).address;
      const snapshot = await networkHelpers.takeSnapshot();
      await sender.send(once(5n, account), never);
      await reorgTo(snapshot);
      expect(await token.read.balanceOf([account])).to.equal(0n);
      await until(async () => (await token.read.balanceOf([account])) === 5n, Promise.resolve());
      expect(await client.getTransactionCount({ address: sender.address })).to.equal(1);
      sender.stop();
    });

    it("gives up what a reorg took back and the new chain refuses, and uses its nonce for the next call", async () => {
      const { start, flights } = stored();
      const sender = start();
      const snapshot = await networkHelpers.takeSnapshot();
      await token.write.mint([sender.address, 5n]);
      await sender.send({ ...tokenCall("transfer", [receiver, 5n]), isOnce: true }, never);
      await reorgTo(snapshot);
      await until(() => Promise.resolve(flights.all().length === 0), Promise.resolve());
      await sender.send(once(1n), never);
      expect(await client.getTransactionCount({ address: sender.address })).to.equal(1);
      sender.stop();
    });

    it("fills the nonce of a pointless transaction when later ones wait for it", async () => {
      const { start } = stored();
      const sender = start();
      const account = testSigner(61).address;
      const snapshot = await networkHelpers.takeSnapshot();
      await token.write.mint([sender.address, 5n]);
      await sender.send({ ...tokenCall("transfer", [receiver, 5n]), isOnce: true }, never);
      await sender.send(once(3n, account), never);
      await reorgTo(snapshot);
      await until(async () => (await token.read.balanceOf([account])) === 3n, Promise.resolve());
      expect(await client.getTransactionCount({ address: sender.address })).to.equal(2);
      sender.stop();
    });

    it("forgets a transaction when it is as deep as finality asks, and not before", async () => {
      const { start, flights } = stored({ finalityDepth: 3 });
      const sender = start();
      await sender.send(once(1n), never);
      await networkHelpers.mine(2);
      await heads.refresh(never);
      expect(flights.all()).to.have.length(1);
      await networkHelpers.mine(1);
      await until(() => Promise.resolve(flights.all().length === 0), Promise.resolve());
      sender.stop();
    });

    it("drops the transactions of a chain that was restarted", async () => {
      const { start, flights } = stored();
      const stranger = { to: token.address, calldata: "0x", valueWei: 0n, gas: 1n, functionName: "gone" } as const;
      flights.put({ ...stranger, nonce: 7, forms: [], bumpAtMs: 0, misses: 0 });
      const sender = start();
      await sender.send(once(1n), never);
      expect(flights.all().map(({ nonce }) => nonce)).to.deep.equal([0]);
      sender.stop();
    });

    for (const seed of [1, 2, 3, 4]) {
      it(`has each call happen once over a transport that loses requests and answers (seed ${seed})`, async () => {
        const { signer, flights } = stored();
        await networkHelpers.setBalance(signer.address, 10n ** 18n);
        const faulty = createChainClient(createFaultyTransport(provider, { seed, lossPercent: 20 }), 31_337);
        const account = testSigner(62 + seed).address;
        let sender = createSender({ client: faulty, heads, signer, flights });
        for (const amount of [1n, 2n, 4n, 8n, 16n, 32n]) {
          for (;;) {
            // As a driver does: look at the state first, then ask again, sometimes from a new process.
            const done = await token.read.balanceOf([account]);
            if ((done & amount) !== 0n) break;
            await sender.send(once(amount, account), never).catch((error: unknown) => {
              expect(error).to.include({ code: "CHAIN_UNREACHABLE" });
              sender.stop();
              sender = createSender({ client: faulty, heads, signer, flights });
            });
          }
        }
        sender.stop();
        expect(await token.read.balanceOf([account])).to.equal(63n);
        expect(await client.getTransactionCount({ address: signer.address })).to.equal(6);
      });
    }
  });
});
