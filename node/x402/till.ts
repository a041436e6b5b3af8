import type { Address } from "viem";
import {
  accept,
  dealDigestOf,
  dealEscrowAbi,
  dealIdOf,
  dealPaymentDigestOf,
  ignore,
  peerIdOf,
  addressOfPublicKey,
  recoverPublicKey,
  recoverSigner,
  reject,
  structHash,
  SuretyError,
  type Deployment,
  type Domain,
  type DomainContracts,
  type Signer,
  type Verdict,
} from "#protocol";
import { withSignal } from "../chain/clock.ts";
import { unreachable, type ChainClient } from "../chain/connect.ts";
import { revertDataOf } from "../chain/revert.ts";
import type { Agreement } from "../negotiation/port.ts";
import type { Settlement } from "../settlement/driver.ts";
import { erc20Abi } from "../settlement/erc20.ts";
import type { Tabs } from "../settlement/tabs/tabs.ts";
import type { DealPayment, VoucherPayment } from "./messages.ts";
import { encodePaidRequest, type PaidRequest } from "./request.ts";
import type { Sold, Till } from "./server.ts";

export interface TillOptions {
  readonly client: ChainClient;
  readonly deployment: Deployment;
  readonly contracts: DomainContracts;
  /** LOG signer of the provider's agent, and the account that opens. */
  readonly signer: Signer;
  readonly settlement: Pick<Settlement, "adopt" | "whenDelivered" | "knows">;
  readonly tabs: Pick<Tabs, "answerPrepaid">;
  /** EIP-712 domain of the asset; undefined = it takes no authorizations, and no deals are sold. */
  readonly tokenDomain: Domain | undefined;
  /** Unix seconds of the chain. */
  readonly chainTime: () => number;
  readonly nowMs: () => number;
}

/** Seconds that a client's clock, or the block that it read, may be apart from ours. */
const CLOCK_TOLERANCE_SECONDS = 60;

/** Sells through the node's own settlement and tabs: what was paid for is delivered also after a restart. */
export function createTill(options: TillOptions): Till {
  return {
    sellDeal: (payment, maxTimeoutSeconds, request, signal) =>
      sellDeal(options, payment, maxTimeoutSeconds, request, signal),
    sellOnTab: (payment, priceWei, request, signal) => sellOnTab(options.tabs, payment, priceWei, request, signal),
  };
}

async function sellDeal(
  options: TillOptions,
  payment: DealPayment,
  maxTimeoutSeconds: number,
  request: PaidRequest,
  signal: AbortSignal,
): Promise<Verdict<Sold>> {
  const { settlement, chainTime } = options;
  const agreement = agreementOf(options, payment, request);
  if (agreement.kind !== "accept") return agreement;
  const { dealId, deal, provider } = agreement.value;
  if (!settlement.knows(dealId)) {
    const isTimely = Math.abs(deal.submitBy - chainTime() - maxTimeoutSeconds) <= CLOCK_TOLERANCE_SECONDS;
    if (!isTimely) return reject("X402_STALE", `submitBy ${deal.submitBy} is not now + ${maxTimeoutSeconds}`);
    const checked = await checkPayment(options, payment, agreement.value, signal);
    if (checked.kind !== "accept") return checked;
    settlement.adopt(agreement.value);
  }
  try {
    const { body, openedBy = "" } = await settlement.whenDelivered(dealId, signal);
    return accept({ body, transaction: openedBy, receipt: { dealId, provider } });
  } catch (fault) {
    if (!(fault instanceof SuretyError) || fault.code !== "DEAL_NOT_DELIVERED") throw fault;
    return ignore("X402_NOT_DELIVERED", fault.message);
  }
}

/** The deal as both signed it: the provider's consent is ours to give, once the client's was found true. */
function agreementOf(
  { contracts, signer, nowMs }: TillOptions,
  { deal, client, authorization }: DealPayment,
  request: PaidRequest,
): Verdict<Agreement> {
  const digest = dealDigestOf(deal, contracts);
  const publicKey = recoverPublicKey(digest, client.signature);
  if (publicKey.kind !== "accept" || addressOfPublicKey(publicKey.value) !== client.signer) {
    return reject("X402_DEAL_SIGNATURE", "the deal is not signed by the client's key");
  }
  const dealId = dealIdOf(deal);
  return accept({
    ...{ role: "provider", callId: dealId, dealId, deal, client, agreedAtMs: nowMs() },
    ...{ provider: { signer: signer.address, signature: signer.sign(digest) }, peer: peerIdOf(publicKey.value) },
    ...{ spec: encodePaidRequest(request), purchase: { authorization } },
  });
}

/** Before anything is stored or sent: the payment is signed and covered, and the escrow would take it now. */
async function checkPayment(
  { client, deployment, signer, tokenDomain }: TillOptions,
  { deal, authorization }: DealPayment,
  agreement: Agreement,
  signal: AbortSignal,
): Promise<Verdict<undefined>> {
  const { dealEscrow } = deployment.contracts;
  if (tokenDomain === undefined) return reject("X402_SCHEME", "the asset takes no authorizations");
  const digest = dealPaymentDigestOf(deal, dealEscrow, authorization, tokenDomain);
  const payer = recoverSigner(digest, authorization.signature);
  if (payer.kind !== "accept" || payer.value !== authorization.payer) {
    return reject("X402_PAYMENT_SIGNATURE", "the authorization is not signed by its payer");
  }
  const balance = await answerOf(balanceOf(client, deal.token, authorization.payer), signal);
  if (balance === undefined || balance < deal.price)
    return reject("insufficient_funds", `the payer has ${balance ?? 0n}`);
  // With a bond of ours the opening is possible only once that was brought, which is a step of the settlement.
  if (deal.providerBond > 0n) return accept(undefined);
  const args = [deal, agreement.client, agreement.provider, authorization] as const;
  const call = { address: dealEscrow, abi: dealEscrowAbi, account: signer.address } as const;
  const opening = client.simulateContract({ ...call, functionName: "openWithAuthorization", args });
  const isOpenable = (await answerOf(opening, signal)) !== undefined;
  return isOpenable ? accept(undefined) : reject("X402_PAYMENT_REFUSED", "the escrow would not open this deal");
}

const balanceOf = (client: ChainClient, address: Address, account: Address): Promise<bigint> =>
  client.readContract({ address, abi: erc20Abi, functionName: "balanceOf", args: [account] });

/** @returns undefined where the contract reverts @throws SuretyError CHAIN_UNREACHABLE */
async function answerOf<T>(reading: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  try {
    return await withSignal(reading, signal);
  } catch (cause) {
    signal.throwIfAborted();
    if (revertDataOf(cause) === undefined) throw unreachable(cause);
    return undefined;
  }
}

async function sellOnTab(
  tabs: TillOptions["tabs"],
  { tab, signer, voucher, signature }: VoucherPayment,
  priceWei: bigint,
  request: PaidRequest,
  signal: AbortSignal,
): Promise<Verdict<Sold>> {
  const payment = { tab, priceWei, signer, paid: { voucher, signature } };
  const answer = await tabs.answerPrepaid(payment, encodePaidRequest(request), signal);
  if (answer.kind !== "accept") return answer;
  const receipt = { tabId: structHash("Tab", tab), seq: voucher.seq.toString(), paid: voucher.paid.toString() };
  return accept({ body: answer.value, transaction: "", receipt });
}
