import { numberToHex } from "viem";
import { encodeHeader, SuretyError, trustLedgerAbi, windowValidatorsAbi, type Deployment } from "#protocol";
import { withSignal } from "../chain/clock.ts";
import { unreachable, type ChainClient } from "../chain/connect.ts";
import type { ChainSender, WriteArgs, WriteName } from "../chain/port.ts";
import type { WindowChain } from "./port.ts";

export interface WindowChainOptions {
  readonly client: ChainClient;
  readonly deployment: Deployment;
  readonly sender: ChainSender;
}

/** What another validator did first is no fault. */
const OVERTAKEN = /^CALL_REVERTED_WINDOW_VALIDATORS_(DRAWN|SCHEDULED|NOT_SCHEDULED|NOT_LATER)/;

/** The contract of window validators. @throws SuretyError CHAIN_UNREACHABLE */
export async function createWindowChain(options: WindowChainOptions, signal: AbortSignal): Promise<WindowChain> {
  const { client, deployment, sender } = options;
  const { windowValidators, trustLedger } = deployment.contracts;
  const windows = { abi: windowValidatorsAbi, address: windowValidators } as const;
  const ledger = { abi: trustLedgerAbi, address: trustLedger } as const;
  const [genesis, epochLength, windowSeconds] = await ask(
    Promise.all([
      client.readContract({ ...ledger, functionName: "genesis" }),
      client.readContract({ ...ledger, functionName: "epochLength" }),
      client.readContract({ ...windows, functionName: "windowSeconds" }),
    ]),
    signal,
  );

  async function send<F extends WriteName<typeof windowValidatorsAbi>>(
    functionName: F,
    args: WriteArgs<typeof windowValidatorsAbi, F>,
    asked: AbortSignal,
  ): Promise<void> {
    try {
      await sender.send({ ...windows, functionName, args, isOnce: true }, asked);
    } catch (fault) {
      if (!(fault instanceof SuretyError && OVERTAKEN.test(fault.code))) throw fault;
    }
  }

  return {
    clock: {
      ...{ genesis: Number(genesis), epochLengthSeconds: Number(epochLength) },
      windowSeconds: Number(windowSeconds),
    },
    validatorsOf: (topic, epoch, asked) =>
      ask(client.readContract({ ...windows, functionName: "validatorsOf", args: [topic, BigInt(epoch)] }), asked),
    async drawOf(topic, asked) {
      const reading = client.readContract({ ...windows, functionName: "drawOf", args: [topic] });
      const [drawnEpoch, nextEpoch, seedBlock] = await ask(reading, asked);
      return { drawnEpoch: Number(drawnEpoch), nextEpoch: Number(nextEpoch), seedBlock };
    },
    async isCandidate(topic, agentId, asked) {
      const reading = client.readContract({ ...windows, functionName: "enlistmentOf", args: [topic, agentId] });
      return (await ask(reading, asked))[1] !== 0n;
    },
    async anchoredWindowOf(topic, epoch, asked) {
      const reading = client.readContract({ ...windows, functionName: "anchorOf", args: [topic, BigInt(epoch)] });
      return (await ask(reading, asked))[1];
    },
    scheduleDraw: (topic, asked) => send("scheduleDraw", [topic], asked),
    async draw(topic, seedBlock, asked) {
      const params = [numberToHex(seedBlock), false] as const;
      const block = await ask(client.request({ method: "eth_getBlockByNumber", params: [...params] }), asked);
      await send("draw", [topic, encodeHeader(block as unknown as Record<string, unknown>)], asked);
    },
    anchor: (header, signatures, asked) =>
      send("anchor", [header, signatures.map((signature) => signature ?? ("0x" as const))], asked),
  };
}

async function ask<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await withSignal(answer, signal);
  } catch (cause) {
    signal.throwIfAborted();
    throw unreachable(cause);
  }
}
