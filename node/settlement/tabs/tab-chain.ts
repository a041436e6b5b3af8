import { zeroAddress, type Address, type Hex } from "viem";
import { tabEscrowAbi, tabStates, type Deployment } from "#protocol";
import { withSignal } from "../../chain/clock.ts";
import { unreachable, type ChainClient } from "../../chain/connect.ts";
import type { ChainSender, Heads, WriteArgs, WriteName } from "../../chain/port.ts";
import { Payments } from "../payments.ts";
import type { TabRecord, TabSighting, TabStep } from "./tab-machine.ts";

/** The tab escrow, as one side of a tab uses it. */
export interface TabChain {
  sight(record: TabRecord, signal: AbortSignal): Promise<TabSighting>;
  /** Resolves when mined. */
  take(step: TabStep, record: TabRecord, signal: AbortSignal): Promise<Hex>;
  topUp(record: TabRecord, amountWei: bigint, signal: AbortSignal): Promise<Hex>;
  time(): number;
  onHead(listener: () => void): () => void;
}

export interface TabChainOptions {
  readonly client: ChainClient;
  readonly heads: Heads;
  readonly sender: ChainSender;
  readonly deployment: Deployment;
  readonly chainTime: () => number;
}

export function createTabChain({ client, heads, sender, deployment, chainTime }: TabChainOptions): TabChain {
  const address: Address = deployment.contracts.tabEscrow;
  const escrow = { address, abi: tabEscrowAbi } as const;
  const payments = new Payments(client, sender);

  const ask = async <T>(answer: Promise<T>, signal: AbortSignal): Promise<T> => {
    try {
      return await withSignal(answer, signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw unreachable(cause);
    }
  };
  const send = async <F extends WriteName<typeof tabEscrowAbi>>(
    functionName: F,
    args: WriteArgs<typeof tabEscrowAbi, F>,
    signal: AbortSignal,
    valueWei = 0n,
  ) => {
    const call = { ...escrow, functionName, args, valueWei, isOnce: true };
    const { hash } = await sender.send(call, signal);
    await heads.refresh(signal);
    return hash;
  };
  /** In native value with the call, else by an allowance of just this amount. */
  const pay = async (
    functionName: "open" | "topUp",
    { tab }: TabRecord,
    amount: bigint,
    signal: AbortSignal,
  ): Promise<Hex> => {
    if (tab.token === zeroAddress) return await send(functionName, [tab, amount], signal, amount);
    let transaction: Hex = "0x";
    const use = async () => {
      transaction = await send(functionName, [tab, amount], signal);
    };
    await payments.withAllowance({ token: tab.token, spender: address, amount }, use, signal);
    return transaction;
  };

  return {
    async sight({ tabId, tab }, signal) {
      const reading = client.readContract({ ...escrow, functionName: "tabOf", args: [tabId] });
      const [stateIndex, , closesAt, depositWei, paidWei] = await ask(reading, signal);
      const state = tabStates[stateIndex] ?? "None";
      const args = [tab.token, sender.address] as const;
      const credit = () => client.readContract({ ...escrow, functionName: "creditOf", args });
      const creditWei = state === "Closed" ? await ask(credit(), signal) : 0n;
      return { state, closesAt, depositWei, paidWei, time: chainTime(), creditWei };
    },
    async take(step, record, signal) {
      const { tab, signer } = record;
      switch (step.kind) {
        case "open":
          return await pay("open", record, step.depositWei, signal);
        case "claim": {
          const { voucher, signature } = step.signed;
          return await send("claim", [tab, voucher, signer, signature, step.isLast], signal);
        }
        case "startClose":
        case "close":
          return await send(step.kind, [tab], signal);
        case "withdrawCredit":
          return await send("withdrawCredit", [tab.token, sender.address], signal);
      }
    },
    topUp: (record, amountWei, signal) => pay("topUp", record, amountWei, signal),
    time: chainTime,
    onHead: (listener) => heads.subscribe(listener),
  };
}
