import { zeroAddress, type Address, type Hex } from "viem";
import {
  tabEscrowAbi,
  tabPaymentDigestOf,
  tabStates,
  typedDataDigest,
  type Deployment,
  type DomainContracts,
  type Signer,
} from "#protocol";
import { withSignal } from "../../chain/clock.ts";
import { unreachable, type ChainClient } from "../../chain/connect.ts";
import type { ChainSender, Heads, WriteArgs, WriteName } from "../../chain/port.ts";
import { Payments } from "../payments.ts";
import { ownSender } from "../relay.ts";
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
  /**
   * Another account that sends, and pays the gas of, what our signature makes valid or anybody may call: openings by
   * EIP-3009, claims, closings. A deposit in native value or of another token, its increase and credits stay with `sender`.
   */
  readonly relay?: ChainSender;
  readonly deployment: Deployment;
  /** The sender's key: it also signs for the relay. */
  readonly signer: Signer;
  readonly chainTime: () => number;
}

type TabCall = WriteName<typeof tabEscrowAbi>;

export function createTabChain(options: TabChainOptions): TabChain {
  const { client, heads, deployment, chainTime, relay, signer: key } = options;
  const address: Address = deployment.contracts.tabEscrow;
  const escrow = { address, abi: tabEscrowAbi } as const;
  const contracts: DomainContracts = { chainId: deployment.chainId, ...deployment.contracts };
  const own = ownSender(options.sender, relay);
  const payments = new Payments(client, own, relay && { sender: relay, signer: key, chainTime });
  const consent = (digest: Hex) => ({ signer: key.address, signature: key.sign(digest) });

  const ask = async <T>(answer: Promise<T>, signal: AbortSignal): Promise<T> => {
    try {
      return await withSignal(answer, signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw unreachable(cause);
    }
  };
  const sendAs = async <F extends TabCall>(
    sender: ChainSender,
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
    if (tab.token === zeroAddress) return await sendAs(own, functionName, [tab, amount], signal, amount);
    let transaction: Hex = "0x";
    const use = async () => {
      transaction = await sendAs(own, functionName, [tab, amount], signal);
    };
    await payments.withAllowance({ token: tab.token, spender: address, amount }, use, signal);
    return transaction;
  };
  /** By an EIP-3009 authorization, whose nonce is the tabId, where another account may send it and the token takes it. */
  const open = async (record: TabRecord, depositWei: bigint, signal: AbortSignal): Promise<Hex> => {
    const { tab } = record;
    const domain = relay && (await payments.authorizationDomainOf(tab.token, signal));
    if (relay === undefined || domain === undefined) return await pay("open", record, depositWei, signal);
    // Both bounds are exclusive; after its expiry the escrow would not open the tab anyway.
    const window = { payer: key.address, validAfter: 0n, validBefore: BigInt(tab.expiry) + 1n };
    const payment = key.sign(tabPaymentDigestOf(tab, depositWei, address, window, domain));
    const party = consent(typedDataDigest("Tab", tab, contracts));
    const args = [tab, depositWei, party, { ...window, signature: payment }] as const;
    return await sendAs(relay, "openWithAuthorization", args, signal);
  };
  const claim = async (
    { tabId, tab, signer }: TabRecord,
    step: Extract<TabStep, { kind: "claim" }>,
    signal: AbortSignal,
  ) => {
    const { signed, isLast } = step;
    const { voucher, signature } = signed;
    const args = [tab, voucher, signer, signature, isLast] as const;
    if (relay === undefined) return await sendAs(own, "claim", args, signal);
    const party = consent(typedDataDigest("TabClaim", { tabId, paid: voucher.paid, isLast }, contracts));
    return await sendAs(relay, "claimFor", [...args, party], signal);
  };
  /** The client's wish to close, and the provider's closing, are its own; a tab that time has closed is anybody's. */
  const end = async ({ role, tabId, tab }: TabRecord, kind: "startClose" | "close", signal: AbortSignal) => {
    if (relay === undefined) return await sendAs(own, kind, [tab], signal);
    if (kind === "close" && role === "client") return await sendAs(relay, "close", [tab], signal);
    const party = consent(typedDataDigest("TabClosing", { tabId }, contracts));
    return await sendAs(relay, kind === "close" ? "closeFor" : "startCloseFor", [tab, party], signal);
  };

  return {
    async sight({ tabId, tab }, signal) {
      const reading = client.readContract({ ...escrow, functionName: "tabOf", args: [tabId] });
      const [stateIndex, , closesAt, depositWei, paidWei] = await ask(reading, signal);
      const state = tabStates[stateIndex] ?? "None";
      const args = [tab.token, own.address] as const;
      const credit = () => client.readContract({ ...escrow, functionName: "creditOf", args });
      const creditWei = state === "Closed" ? await ask(credit(), signal) : 0n;
      return { state, closesAt, depositWei, paidWei, time: chainTime(), creditWei };
    },
    async take(step, record, signal) {
      switch (step.kind) {
        case "open":
          return await open(record, step.depositWei, signal);
        case "claim":
          return await claim(record, step, signal);
        case "startClose":
        case "close":
          return await end(record, step.kind, signal);
        case "withdrawCredit":
          return await sendAs(own, "withdrawCredit", [record.tab.token, own.address], signal);
      }
    },
    topUp: (record, amountWei, signal) => pay("topUp", record, amountWei, signal),
    time: chainTime,
    onHead: (listener) => heads.subscribe(listener),
  };
}
