import { formatLog, parseEventLogs, toHex, zeroAddress, type Address, type Hex, type Log } from "viem";
import { arbitratorAbi, dealDisputesAbi, dealEscrowAbi, dealStates, type Deal } from "#protocol";
import { withSignal } from "../chain/clock.ts";
import { unreachable, type ChainClient } from "../chain/connect.ts";
import { revertDataOf } from "../chain/revert.ts";
import type { Agreement } from "../negotiation/port.ts";
import { feeStages, type DisputeSighting, type Sighting } from "./port.ts";
import { erc20Abi } from "./erc20.ts";

/** Events looked for begin a little below the block of the agreement: a reorg may have made the chain shorter. */
const REORG_BLOCKS = 64n;
const endings: readonly string[] = ["DealCompleted", "DealRefunded", "DealCancelled", "DealResolved"];
/** IArbitrator.DisputeStatus. */
const APPEALABLE = 1;

/** viem's type of the request has no place for a position that matches anything. */
interface RpcLogFilter {
  address: Address;
  topics: (Hex | null)[];
  fromBlock: Hex;
  toBlock: "latest";
}

export interface SightOptions {
  readonly client: ChainClient;
  readonly escrow: Address;
  readonly disputes: Address;
  /** Ours. */
  readonly account: Address;
  /** Who pays our gas, if not we. */
  readonly relay?: Address;
  /** Unix seconds of the chain. */
  readonly chainTime: () => number;
}

/** Reads all that a machine needs to know of one deal, and no more than its state makes possible. */
export class DealSight {
  readonly #options: SightOptions;
  readonly #escrow: { readonly address: Address; readonly abi: typeof dealEscrowAbi };
  readonly #disputes: { readonly address: Address; readonly abi: typeof dealDisputesAbi };

  constructor(options: SightOptions) {
    this.#options = options;
    this.#escrow = { address: options.escrow, abi: dealEscrowAbi };
    this.#disputes = { address: options.disputes, abi: dealDisputesAbi };
  }

  async sight({ dealId, deal, role }: Agreement, sinceBlock: bigint, signal: AbortSignal): Promise<Sighting> {
    const { client, chainTime } = this.#options;
    const block = await this.#ask(client.getBlock({ blockTag: "latest" }), signal);
    const reading = client.readContract({ ...this.#escrow, functionName: "dealOf", args: [dealId] });
    const [stateIndex, payer, reviewUntil] = await this.#ask(reading, signal);
    const state = dealStates[stateIndex] ?? "Open";
    const isOpen = state === "Open";
    const isOver = !isOpen && state !== "Funded" && state !== "Submitted" && state !== "Disputed";
    const hasHistory = !isOpen && state !== "Funded";
    const mayBeDisputed = deal.arbiter !== zeroAddress && (state === "Disputed" || isOver);
    const blockTime = Number(block.timestamp);
    const isBonded = isOpen && role === "provider" && deal.providerBond > 0n;
    const isMetered = (state === "Funded" || state === "Submitted") && role === "client";
    return {
      ...{ state, payer, reviewUntil, blockTime, time: Math.max(blockTime, chainTime()), blockNumber: block.number },
      ...(hasHistory ? await this.#historyOf(dealId, sinceBlock, signal) : {}),
      ...(isBonded ? { bondAllowanceWei: await this.#bondAllowanceOf(deal, signal) } : {}),
      ...(mayBeDisputed ? await this.#disputeOf(dealId, deal, sinceBlock, signal) : {}),
      releasedWei: isMetered ? await this.#ask(this.#read("releasedOf", [dealId]), signal) : 0n,
      potWei: isOver && BigInt(deal.splitsRoot) !== 0n ? await this.#ask(this.#read("potOf", [dealId]), signal) : 0n,
      creditWei: isOver ? await this.#creditOf(this.#escrow.address, deal.token, signal) : 0n,
      ...(await this.#feeCreditsOf(isOver && mayBeDisputed, signal)),
    };
  }

  #read(functionName: "releasedOf" | "potOf", args: readonly [Hex]): Promise<bigint> {
    return this.#options.client.readContract({ ...this.#escrow, functionName, args });
  }

  async #feeCreditsOf(isAsked: boolean, signal: AbortSignal) {
    const { relay } = this.#options;
    const { address } = this.#disputes;
    if (!isAsked) return { feeCreditWei: 0n, relayFeeCreditWei: 0n };
    const relayFeeCreditWei = relay === undefined ? 0n : await this.#creditOf(address, zeroAddress, signal, relay);
    return { feeCreditWei: await this.#creditOf(address, zeroAddress, signal), relayFeeCreditWei };
  }

  #creditOf(address: Address, token: Address, signal: AbortSignal, account = this.#options.account): Promise<bigint> {
    const args = [token, account] as const;
    return this.#ask(
      this.#options.client.readContract({ ...this.#escrow, address, functionName: "creditOf", args }),
      signal,
    );
  }

  async #bondAllowanceOf({ token }: Deal, signal: AbortSignal): Promise<bigint> {
    const { client, account } = this.#options;
    if (token === zeroAddress) return await this.#creditOf(this.#escrow.address, token, signal);
    const args = [account, this.#escrow.address] as const;
    const reading = client.readContract({ address: token, abi: erc20Abi, functionName: "allowance", args });
    return await this.#ask(reading, signal);
  }

  async #disputeOf(
    dealId: Hex,
    deal: Deal,
    sinceBlock: bigint,
    signal: AbortSignal,
  ): Promise<{ dispute: DisputeSighting }> {
    const { client } = this.#options;
    const reading = client.readContract({ ...this.#disputes, functionName: "disputeOf", args: [dealId] });
    const [clientFeeWei, providerFeeWei, feeBy, stageIndex] = await this.#ask(reading, signal);
    const stage = feeStages[stageIndex] ?? "None";
    const owes = stage === "ProviderOwes" || stage === "ClientOwes";
    const costWei = owes ? await this.costOf(deal.arbiter, signal) : undefined;
    const base = { stage, feeBy, clientFeeWei, providerFeeWei, costWei };
    if (stage !== "Created") return { dispute: base };
    const created = await this.#logsOf(this.#disputes.address, dealId, sinceBlock, signal);
    const events = parseEventLogs({ abi: dealDisputesAbi, eventName: "DisputeCreated", logs: created });
    const disputeId = events.at(-1)?.args.disputeId;
    if (disputeId === undefined) return { dispute: base };
    const appeal = await this.#appealOf(deal.arbiter, disputeId, signal);
    return { dispute: { ...base, disputeId, ...(appeal === undefined ? {} : { appeal }) } };
  }

  /** What an ERC-792 arbitrator asks now; undefined for an arbiter that answers no such question. */
  costOf(arbiter: Address, signal: AbortSignal): Promise<bigint | undefined> {
    const query = { address: arbiter, abi: arbitratorAbi, functionName: "arbitrationCost", args: ["0x"] } as const;
    return this.#unlessRefused(this.#options.client.readContract(query), signal);
  }

  async #appealOf(address: Address, disputeId: bigint, signal: AbortSignal): Promise<DisputeSighting["appeal"]> {
    const { client } = this.#options;
    const arbitrator = { address, abi: arbitratorAbi } as const;
    const status = client.readContract({ ...arbitrator, functionName: "disputeStatus", args: [disputeId] });
    if ((await this.#unlessRefused(status, signal)) !== APPEALABLE) return undefined;
    const answers = Promise.all([
      client.readContract({ ...arbitrator, functionName: "currentRuling", args: [disputeId] }),
      client.readContract({ ...arbitrator, functionName: "appealCost", args: [disputeId, "0x"] }),
      client.readContract({ ...arbitrator, functionName: "appealPeriod", args: [disputeId] }),
    ]);
    const found = await this.#unlessRefused(answers, signal);
    if (found === undefined) return undefined;
    const [ruling, costWei, [, end]] = found;
    return { ruling: Number(ruling), costWei, until: Number(end) };
  }

  /** The newest events of the deal: after a reorg an older form of them is gone from the chain, and from the answer. */
  async #historyOf(
    dealId: Hex,
    sinceBlock: bigint,
    signal: AbortSignal,
  ): Promise<Pick<Sighting, "deliverableHash" | "ending">> {
    const logs = await this.#logsOf(this.#escrow.address, dealId, sinceBlock, signal);
    const events = parseEventLogs({ abi: dealEscrowAbi, logs });
    const submitted = events.filter((event) => event.eventName === "DealSubmitted").at(-1);
    const end = events.filter(({ eventName }) => endings.includes(eventName)).at(-1);
    const rated = events.filter((event) => event.eventName === "DealCompleted" || event.eventName === "DealResolved");
    const rating = rated.at(-1)?.args.rating ?? 0;
    return {
      ...(submitted === undefined ? {} : { deliverableHash: submitted.args.deliverableHash }),
      ...(end === undefined
        ? {}
        : { ending: { transaction: end.transactionHash, blockNumber: end.blockNumber, rating } }),
    };
  }

  async #logsOf(address: Address, dealId: Hex, sinceBlock: bigint, signal: AbortSignal): Promise<Log[]> {
    const fromBlock = toHex(sinceBlock > REORG_BLOCKS ? sinceBlock - REORG_BLOCKS : 0n);
    const filter: RpcLogFilter = { address, topics: [null, dealId], fromBlock, toBlock: "latest" };
    const logs = await this.#ask(
      this.#options.client.request({ method: "eth_getLogs", params: [filter as never] }),
      signal,
    );
    return logs.map((log) => formatLog(log) as Log<bigint, number, false>);
  }

  /** A contract of strangers: what it does not answer is not there. */
  async #unlessRefused<T>(answer: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    try {
      return await withSignal(answer, signal);
    } catch (cause) {
      signal.throwIfAborted();
      if (revertDataOf(cause) !== undefined || isNoAnswer(cause)) return undefined;
      throw unreachable(cause);
    }
  }

  async #ask<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await withSignal(answer, signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw unreachable(cause);
    }
  }
}

/** An account without code, or one whose answer is no such value. */
function isNoAnswer(cause: unknown): boolean {
  for (let at: unknown = cause; at instanceof Error; at = at.cause) {
    if (at.name === "ContractFunctionZeroDataError" || at.name === "AbiDecodingDataSizeTooSmallError") return true;
  }
  return false;
}
