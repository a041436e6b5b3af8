import { zeroAddress, type Abi, type Address, type Hex } from "viem";
import {
  dealDisputesAbi,
  dealEscrowAbi,
  dealIdOf,
  dealPaymentDigestOf,
  recoverSigner,
  SuretyError,
  typedDataDigest,
  type Deal,
  type Deployment,
  type Domain,
  type DomainContracts,
  type Signer,
  type SplitProposal,
} from "#protocol";
import { withSignal } from "../chain/clock.ts";
import { unreachable, type ChainClient } from "../chain/connect.ts";
import type { ChainSender, Heads, WriteArgs, WriteName } from "../chain/port.ts";
import type { Agreement, Consent } from "../negotiation/port.ts";
import { Payments } from "./payments.ts";
import type { ChainStep, DealChain, Sighting } from "./port.ts";
import { ownSender } from "./relay.ts";
import { DealSight } from "./sight.ts";

export interface DealChainOptions {
  readonly client: ChainClient;
  readonly heads: Heads;
  readonly sender: ChainSender;
  /**
   * Another account that sends, and pays the gas of, what our signature alone makes valid (openings by authorization,
   * allowances, deliveries, ratings, parts, disputes) and all that anybody may call, arbitration fees with it. Prices and
   * bonds in native value, evidence and credits stay with `sender`: see `relay.ts`.
   */
  readonly relay?: ChainSender;
  readonly deployment: Deployment;
  /** The sender's key: it also signs payments. */
  readonly signer: Signer;
  /** Unix seconds of the chain, from `createChainTime`. */
  readonly chainTime: () => number;
  /** The most that is deposited with an arbitrator at once, in native value; more should be a person's decision. */
  readonly maxArbitrationFeeWei?: bigint;
  /** Proof of the provider's score in the deal's epoch, by which its bond is priced; "0x" or absent = score zero. */
  readonly scoreProofOf?: (deal: Deal, signal: AbortSignal) => Promise<Hex>;
}

/** 0.1 of the native coin: above what courts on mainnet ask for a first round. */
const DEFAULT_MAX_ARBITRATION_FEE_WEI = 10n ** 17n;

/** The escrow and the disputes of a deployment over viem. */
export function createDealChain(options: DealChainOptions): DealChain {
  return new ViemDealChain(options);
}

interface Target<A extends Abi> {
  readonly address: Address;
  readonly abi: A;
}
type Speech = Extract<ChainStep, { kind: "submit" | "complete" | "releasePart" | "withdrawOffer" }>;
type Escrow = Target<typeof dealEscrowAbi>;
type Disputes = Target<typeof dealDisputesAbi>;

class ViemDealChain implements DealChain {
  readonly #options: DealChainOptions;
  readonly #contracts: DomainContracts;
  /** Our own account. */
  readonly #own: ChainSender;
  readonly #payments: Payments;
  readonly #escrow: Escrow;
  /** The escrow made it; asked for once. */
  #bound: Promise<{ readonly disputes: Disputes; readonly sight: DealSight }> | undefined;

  constructor(options: DealChainOptions) {
    const { deployment, client, sender, relay, signer, chainTime } = options;
    this.#options = options;
    this.#contracts = { chainId: deployment.chainId, ...deployment.contracts };
    this.#own = ownSender(sender, relay);
    this.#payments = new Payments(client, this.#own, relay && { sender: relay, signer, chainTime });
    this.#escrow = { address: deployment.contracts.dealEscrow, abi: dealEscrowAbi };
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

  async sight(agreement: Agreement, sinceBlock: bigint, signal: AbortSignal): Promise<Sighting> {
    const { sight } = await this.#bind(signal);
    return await sight.sight(agreement, sinceBlock, signal);
  }

  async #bind(signal: AbortSignal) {
    const { client, sender, relay, chainTime } = this.#options;
    const escrow = this.#escrow.address;
    const accounts = { account: sender.address, ...(relay === undefined ? {} : { relay: relay.address }) };
    this.#bound ??= client
      .readContract({ address: escrow, abi: dealEscrowAbi, functionName: "disputes" })
      .then((address) => ({
        disputes: { address, abi: dealDisputesAbi },
        sight: new DealSight({ client, escrow, disputes: address, ...accounts, chainTime }),
      }));
    try {
      return await withSignal(this.#bound, signal);
    } catch (cause) {
      this.#bound = undefined;
      signal.throwIfAborted();
      throw unreachable(cause);
    }
  }

  async take(step: ChainStep, agreement: Agreement, signal: AbortSignal): Promise<Hex> {
    const { deal } = agreement;
    const { address } = this.#options.sender;
    const { disputes } = await this.#bind(signal);
    switch (step.kind) {
      case "open":
        return await this.#open(agreement, signal);
      case "approveBond":
        return await this.#bringBond(deal, signal);
      case "submit":
      case "complete":
      case "releasePart":
      case "withdrawOffer":
        return await this.#speak(step, agreement, signal);
      case "release":
      case "refund":
        return await this.#relayed(this.#escrow, step.kind, [deal], signal);
      case "cancel":
        return await this.#relayed(
          this.#escrow,
          "cancel",
          [deal, partyOf(step.client), partyOf(step.provider)],
          signal,
        );
      case "distribute":
        return await this.#relayed(this.#escrow, "distribute", [deal, step.shares], signal);
      case "withdrawCredit":
        return await this.#send(this.#escrow, "withdrawCredit", [deal.token, address], signal);
      case "settle": {
        const { proposal, client, provider } = step.split;
        return await this.#relayed(disputes, "settle", [deal, proposal, partyOf(client), partyOf(provider)], signal);
      }
      case "dispute":
        return await this.#dispute(deal, step.reasonHash, signal);
      case "depositFee":
        // Creation is a step of its own: an arbitrator that refuses it now must not cost us the deposit's deadline.
        return await this.#relayed(disputes, "depositFee", [deal, false], signal, this.#checkFee(step.feeWei));
      case "createDispute":
      case "resolve":
        return await this.#relayed(disputes, step.kind, [deal], signal);
      case "submitEvidence":
        return await this.#send(disputes, "submitEvidence", [deal, step.evidence], signal);
      case "appeal":
        return await this.#relayed(disputes, "appeal", [deal, step.disputeId], signal, this.#checkFee(step.feeWei));
      case "withdrawFeeCredit":
        return await this.#withdrawFees(disputes, step.isRelays, signal);
    }
  }

  /** What only a side itself may say: by its own call, or by its signature where another account sends it. */
  async #speak(step: Speech, { deal, dealId }: Agreement, signal: AbortSignal): Promise<Hex> {
    const escrow = this.#escrow;
    const isRelayed = this.#options.relay !== undefined;
    const signed = (digest: Hex) => partyOf(this.#sign(digest));
    switch (step.kind) {
      case "submit": {
        const { deliverableHash } = step;
        if (!isRelayed) return await this.#send(escrow, "submit", [deal, deliverableHash], signal);
        const party = signed(typedDataDigest("DealSubmit", { dealId, deliverableHash }, this.#contracts));
        return await this.#relayed(escrow, "submitFor", [deal, deliverableHash, party], signal);
      }
      case "complete": {
        const { rating } = step;
        if (!isRelayed) return await this.#send(escrow, "complete", [deal, rating], signal);
        const party = signed(typedDataDigest("DealComplete", { dealId, rating }, this.#contracts));
        return await this.#relayed(escrow, "completeFor", [deal, rating, party], signal);
      }
      case "releasePart": {
        const { releasedWei: released } = step;
        if (!isRelayed) return await this.#send(escrow, "releasePart", [deal, released], signal);
        const party = signed(typedDataDigest("DealPartRelease", { dealId, released }, this.#contracts));
        return await this.#relayed(escrow, "releasePartFor", [deal, released, party], signal);
      }
      case "withdrawOffer": {
        if (!isRelayed) return await this.#send(escrow, "withdrawOffer", [deal], signal);
        const party = signed(typedDataDigest("OfferWithdrawal", { dealId }, this.#contracts));
        return await this.#relayed(escrow, "withdrawOfferFor", [deal, party], signal);
      }
    }
  }

  signSplit(proposal: SplitProposal): Consent {
    return this.#sign(typedDataDigest("SplitProposal", proposal, this.#contracts));
  }

  signCancel(dealId: Hex): Consent {
    return this.#sign(typedDataDigest("DealCancel", { dealId }, this.#contracts));
  }

  isSplitConsent(proposal: SplitProposal, consent: Consent): boolean {
    return isSigned(typedDataDigest("SplitProposal", proposal, this.#contracts), consent);
  }

  isCancelConsent(dealId: Hex, consent: Consent): boolean {
    return isSigned(typedDataDigest("DealCancel", { dealId }, this.#contracts), consent);
  }

  #sign(digest: Hex): Consent {
    const { signer } = this.#options;
    return { signer: signer.address, signature: signer.sign(digest) };
  }

  /**
   * Opens and pays: native value with the call; by allowance where there is one; else by an EIP-3009 authorization, whose
   * nonce is the dealId; else, for a token without EIP-3009, by an allowance of just this amount. What was bought over HTTP
   * its provider opens, by the client's authorization.
   */
  async #open(agreement: Agreement, signal: AbortSignal): Promise<Hex> {
    const { deal, purchase } = agreement;
    const escrow = this.#escrow.address;
    const parties = [deal, partyOf(agreement.client), partyOf(agreement.provider)] as const;
    if (purchase !== undefined) {
      return await this.#relayed(this.#escrow, "openWithAuthorization", [...parties, purchase.authorization], signal);
    }
    const amount = deal.price + deal.clientBond;
    const proof = deal.epoch === 0 ? "0x" : ((await this.#options.scoreProofOf?.(deal, signal)) ?? "0x");
    const open = (valueWei?: bigint) =>
      proof === "0x"
        ? this.#send(this.#escrow, "open", parties, signal, valueWei)
        : this.#send(this.#escrow, "openWithProof", [...parties, proof], signal, valueWei);
    if (deal.token === zeroAddress) return await open(amount);
    const allowance = await this.#payments.allowanceOf(deal.token, escrow, signal);
    // Who spends an allowance has to call by itself; with somebody to relay it, an authorization comes first.
    if (allowance >= amount && (proof !== "0x" || this.#options.relay === undefined)) return await open();
    // The escrow takes a proof with an allowance, or with DealFunding's Permit2, and not with an authorization.
    const domain = proof === "0x" ? await this.#payments.authorizationDomainOf(deal.token, signal) : undefined;
    if (domain !== undefined) {
      const args = [...parties, this.#authorize(deal, domain)] as const;
      return await this.#relayed(this.#escrow, "openWithAuthorization", args, signal);
    }
    let transaction: Hex = "0x";
    const pay = async () => void (transaction = await open());
    const lacking = { token: deal.token, spender: escrow, amount: amount - allowance };
    await this.#payments.withAllowance(lacking, pay, signal);
    return transaction;
  }

  /** The escrow takes the provider's bond with the opening: from an allowance, or in native value from a credit there. */
  async #bringBond({ token, providerBond: amount }: Deal, signal: AbortSignal): Promise<Hex> {
    if (token === zeroAddress) return await this.#send(this.#escrow, "depositCredit", [], signal, amount);
    const spender = this.#escrow.address;
    await this.#payments.withAllowance({ token, spender, amount }, () => Promise.resolve(), signal);
    return "0x";
  }

  #authorize(deal: Deal, domain: Domain) {
    const { signer } = this.#options;
    // Both bounds are exclusive; after submitBy the escrow would not open the deal anyway.
    const window = { payer: signer.address, validAfter: 0n, validBefore: BigInt(deal.submitBy) + 1n };
    return { ...window, signature: signer.sign(dealPaymentDigestOf(deal, this.#escrow.address, window, domain)) };
  }

  async #dispute(deal: Deal, reasonHash: Hex, signal: AbortSignal): Promise<Hex> {
    const { disputes, sight } = await this.#bind(signal);
    const feeWei = this.#checkFee((await sight.costOf(deal.arbiter, signal)) ?? 0n);
    if (this.#options.relay === undefined) {
      return await this.#send(disputes, "dispute", [deal, reasonHash], signal, feeWei);
    }
    const party = this.#sign(typedDataDigest("DealDispute", { dealId: dealIdOf(deal), reasonHash }, this.#contracts));
    return await this.#relayed(disputes, "disputeFor", [deal, reasonHash, partyOf(party)], signal, feeWei);
  }

  /** Deposits that come back belong to the agent; what was sent beyond a fee, to who sent it. */
  async #withdrawFees(disputes: Disputes, isRelays: boolean, signal: AbortSignal): Promise<Hex> {
    const { relay } = this.#options;
    const sender = isRelays && relay !== undefined ? relay : this.#own;
    return await this.#send(disputes, "withdrawCredit", [zeroAddress, sender.address], signal, 0n, sender);
  }

  #checkFee(feeWei: bigint): bigint {
    const { maxArbitrationFeeWei = DEFAULT_MAX_ARBITRATION_FEE_WEI } = this.#options;
    if (feeWei <= maxArbitrationFeeWei) return feeWei;
    throw new SuretyError(
      "ARBITRATION_FEE_TOO_HIGH",
      `The arbitrator asks ${feeWei} wei, and at most ${maxArbitrationFeeWei} are allowed.`,
      {
        values: { feeWei, maxArbitrationFeeWei },
        next: "Raise maxArbitrationFeeWei in the node's configuration before the deadline, or let the deposit go.",
      },
    );
  }

  async #send<const A extends Abi, F extends WriteName<A>>(
    target: Target<A>,
    functionName: F,
    args: WriteArgs<A, F>,
    signal: AbortSignal,
    valueWei = 0n,
    sender = this.#own,
  ): Promise<Hex> {
    const { hash } = await sender.send({ ...target, functionName, args, valueWei, isOnce: true }, signal);
    await this.#options.heads.refresh(signal);
    return hash;
  }

  /** By whoever pays the gas: the call is valid whoever sends it. */
  async #relayed<const A extends Abi, F extends WriteName<A>>(
    target: Target<A>,
    functionName: F,
    args: WriteArgs<A, F>,
    signal: AbortSignal,
    valueWei = 0n,
  ): Promise<Hex> {
    return await this.#send(target, functionName, args, signal, valueWei, this.#options.relay);
  }
}

const partyOf = ({ signer, signature }: Consent) => ({ signer, signature });

function isSigned(digest: Hex, { signer, signature }: Consent): boolean {
  const recovered = recoverSigner(digest, signature);
  return recovered.kind === "accept" && recovered.value.toLowerCase() === signer.toLowerCase();
}
