import { formatLog, parseAbi, parseEventLogs, toHex, type Address, type Hex, type Log } from "viem";
import {
  dealEscrowAbi,
  dealPaymentDigestOf,
  dealStates,
  type Deal,
  type Deployment,
  type Domain,
  type Signer,
} from "#protocol";
import { withSignal } from "../chain/clock.ts";
import { unreachable, type ChainClient } from "../chain/connect.ts";
import type { ChainSender, ContractCall, Heads } from "../chain/port.ts";
import type { Agreement, Consent } from "../negotiation/port.ts";
import type { ChainStep, DealChain, Sighting } from "./port.ts";

export interface DealChainOptions {
  readonly client: ChainClient;
  readonly heads: Heads;
  readonly sender: ChainSender;
  readonly deployment: Deployment;
  /** The sender's key: it also signs payments. */
  readonly signer: Signer;
  /** Unix seconds of the chain, from `createChainTime`. */
  readonly chainTime: () => number;
}

/** What a deal asks of its token beyond a transfer; eip712Domain is ERC-5267. */
const tokenAbi = parseAbi([
  "function allowance(address owner, address spender) view returns (uint256)",
  "function approve(address spender, uint256 amount) returns (bool)",
  "function authorizationState(address authorizer, bytes32 nonce) view returns (bool)",
  "function eip712Domain() view returns (bytes1 fields, string name, string version, uint256 chainId, address verifyingContract, bytes32 salt, uint256[] extensions)",
]);

/** Events looked for begin a little below the block of the agreement: a reorg may have made the chain shorter. */
const REORG_BLOCKS = 64n;

/** The escrow of a deployment over viem. */
export function createDealChain(options: DealChainOptions): DealChain {
  return new ViemDealChain(options);
}

const endings: readonly string[] = ["DealCompleted", "DealRefunded", "DealCancelled"];

/** viem's type of the request has no place for a position that matches anything. */
interface RpcLogFilter {
  address: Address;
  topics: Hex[];
  fromBlock: Hex;
  toBlock: "latest";
}

type History = Pick<Sighting, "deliverableHash" | "ending">;

class ViemDealChain implements DealChain {
  readonly #options: DealChainOptions;
  readonly #escrow: { readonly address: Address; readonly abi: typeof dealEscrowAbi };
  /** Approvals of this account, one at a time: each sets the whole allowance. */
  #approvals: Promise<unknown> = Promise.resolve();

  constructor(options: DealChainOptions) {
    this.#options = options;
    this.#escrow = { address: options.deployment.contracts.dealEscrow, abi: dealEscrowAbi };
  }

  blockNumber(): bigint {
    return this.#options.heads.latest().number;
  }

  time(): number {
    return this.#options.chainTime();
  }

  onHead(listener: () => void): () => void {
    return this.#options.heads.subscribe(listener);
  }

  async sight({ dealId, deal }: Agreement, sinceBlock: bigint, signal: AbortSignal): Promise<Sighting> {
    const { client, sender } = this.#options;
    const block = await this.#ask(client.getBlock({ blockTag: "latest" }), signal);
    const reading = client.readContract({ ...this.#escrow, functionName: "dealOf", args: [dealId] });
    const [stateIndex, payer, reviewUntil] = await this.#ask(reading, signal);
    const state = dealStates[stateIndex] ?? "Open";
    const isOver = state !== "Open" && state !== "Funded" && state !== "Submitted";
    const history = state === "Open" || state === "Funded" ? {} : await this.#historyOf(dealId, sinceBlock, signal);
    const credit = { ...this.#escrow, functionName: "creditOf", args: [deal.token, sender.address] } as const;
    const blockTime = Number(block.timestamp);
    return {
      ...{ state, payer, reviewUntil, blockTime, ...history },
      time: Math.max(blockTime, this.time()),
      blockNumber: block.number,
      creditWei: isOver ? await this.#ask(client.readContract(credit), signal) : 0n,
    };
  }

  /** The newest events of the deal: after a reorg an older form of them is gone from the chain, and from the answer. */
  async #historyOf(dealId: Hex, sinceBlock: bigint, signal: AbortSignal): Promise<History> {
    const fromBlock = sinceBlock > REORG_BLOCKS ? sinceBlock - REORG_BLOCKS : 0n;
    const filter = {
      address: this.#escrow.address,
      topics: [null, dealId],
      fromBlock: toHex(fromBlock),
      toBlock: "latest",
    };
    const logs = await this.#ask(
      this.#options.client.request({ method: "eth_getLogs", params: [filter as unknown as RpcLogFilter] }),
      signal,
    );
    const mined: Log[] = logs.map((log) => formatLog(log) as Log<bigint, number, false>);
    const events = parseEventLogs({ abi: dealEscrowAbi, logs: mined });
    const submitted = events.filter((event) => event.eventName === "DealSubmitted");
    const completed = events.filter((event) => event.eventName === "DealCompleted");
    const ended = events.filter(({ eventName }) => endings.includes(eventName));
    const deliverableHash = submitted.at(-1)?.args.deliverableHash;
    const end = ended.at(-1);
    const rating = completed.at(-1)?.args.rating ?? 0;
    return {
      ...(deliverableHash === undefined ? {} : { deliverableHash }),
      ...(end === undefined
        ? {}
        : { ending: { transaction: end.transactionHash, blockNumber: end.blockNumber, rating } }),
    };
  }

  async take(step: ChainStep, agreement: Agreement, signal: AbortSignal): Promise<void> {
    if (step.kind === "open") return await this.#open(agreement, signal);
    const { deal } = agreement;
    const args = {
      submit: step.kind === "submit" ? [deal, step.deliverableHash] : [],
      complete: step.kind === "complete" ? [deal, step.rating] : [],
      ...{ release: [deal], refund: [deal], withdrawOffer: [deal] },
      withdrawCredit: [deal.token, this.#options.sender.address],
    };
    await this.#send(step.kind, args[step.kind], signal);
  }

  /**
   * Opens and pays: by allowance where there is one; else by an EIP-3009 authorization, whose nonce is the dealId; else,
   * for a token without EIP-3009, by an allowance of just this price.
   */
  async #open(agreement: Agreement, signal: AbortSignal): Promise<void> {
    const { deal } = agreement;
    const parties = [deal, partyOf(agreement.client), partyOf(agreement.provider)] as const;
    const allowance = await this.#allowanceOf(deal, signal);
    const domain = allowance >= deal.price ? undefined : await this.#authorizationDomainOf(deal, signal);
    if (domain !== undefined) {
      const authorization = this.#authorize(deal, domain);
      await this.#send("openWithAuthorization", [...parties, authorization], signal);
    } else if (allowance >= deal.price) {
      await this.#send("open", parties, signal);
    } else {
      const opening = this.#approvals.then(() => this.#approveAndOpen(deal, parties, signal));
      this.#approvals = opening.catch(() => undefined);
      await opening;
    }
  }

  async #approveAndOpen(deal: Deal, parties: readonly unknown[], signal: AbortSignal): Promise<void> {
    const args = [this.#escrow.address, deal.price];
    const approval: ContractCall = { abi: tokenAbi, address: deal.token, functionName: "approve", args };
    await this.#options.sender.send(approval, signal);
    await this.#send("open", parties, signal);
  }

  #authorize(deal: Deal, domain: Domain) {
    const { signer } = this.#options;
    // Both bounds are exclusive; after submitBy the escrow would not open the deal anyway.
    const window = { payer: signer.address, validAfter: 0n, validBefore: BigInt(deal.submitBy) + 1n };
    return { ...window, signature: signer.sign(dealPaymentDigestOf(deal, this.#escrow.address, window, domain)) };
  }

  async #allowanceOf({ token }: Deal, signal: AbortSignal): Promise<bigint> {
    const args = [this.#options.sender.address, this.#escrow.address] as const;
    const query = { address: token, abi: tokenAbi, functionName: "allowance", args } as const;
    return await this.#ask(this.#options.client.readContract(query), signal);
  }

  /** The domain under which the token takes EIP-3009 authorizations; undefined if it takes none. */
  async #authorizationDomainOf({ token }: Deal, signal: AbortSignal): Promise<Domain | undefined> {
    const { client, sender } = this.#options;
    const nonce = `0x${"00".repeat(32)}` as const;
    const query = { address: token, abi: tokenAbi } as const;
    const probes = Promise.all([
      client.readContract({ ...query, functionName: "eip712Domain" }),
      client.readContract({ ...query, functionName: "authorizationState", args: [sender.address, nonce] }),
    ]);
    try {
      const [[, name, version, chainId, verifyingContract]] = await withSignal(probes, signal);
      return { name, version, chainId: Number(chainId), verifyingContract };
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
  }

  async #send(functionName: string, args: readonly unknown[], signal: AbortSignal): Promise<void> {
    const { sender, heads } = this.#options;
    await sender.send({ ...this.#escrow, functionName, args, isOnce: true }, signal);
    await heads.refresh(signal);
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

const partyOf = ({ signer, signature }: Consent) => ({ signer, signature });
