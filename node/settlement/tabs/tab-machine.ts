import type { Hex } from "viem";
import type { Tab, TabState, Voucher } from "#protocol";
import type { PeerName } from "../../transport/port.ts";

// A tab from opening to closing, as pure machines over what the chain shows; one for each side. What was spent lives in the
// records: the client's newest signed voucher, the provider's newest received one. Both are on disk before anything that
// relies on them leaves the node.
//
//            client                                provider
//   None     open                                  wait
//   Open     wait; startClose when it wishes;      claim by value, by age, before expiry, or when asked
//            close after expiry
//   Closing  close from closesAt on                claim the newest voucher at once, as the last; else close
//   Closed   withdraw credit, forget               withdraw credit, forget

/** What a task on a tab costs: the document whose hash is the tab's mechanismHash. */
export interface TabRules {
  readonly priceWei: bigint;
}

export interface SignedVoucher {
  readonly voucher: Voucher;
  readonly signature: Hex;
}

interface TabCommon {
  readonly tabId: Hex;
  readonly tab: Tab;
  readonly rules: TabRules;
  /** The other side. */
  readonly peer: PeerName;
  /** ERC-7913 bytes behind the tab's signerHash: the client's address. */
  readonly signer: Hex;
  /** Newest voucher; absent before the first task was answered. */
  readonly newest?: SignedVoucher;
  readonly wishesClose: boolean;
  readonly isEnded: boolean;
  /** What the chain showed when it ended: nobody looks any more. */
  readonly ending?: Pick<TabSighting, "state" | "depositWei" | "paidWei">;
}

export interface ClientTab extends TabCommon {
  readonly role: "client";
  readonly depositWei: bigint;
  /** The provider has confirmed the newest voucher. */
  readonly isFlushed: boolean;
  /** Set on a tab that is spent over HTTP: the server's origin. Each request then carries the voucher that pays for itself. */
  readonly origin?: string;
  /** Of such a tab: the newest voucher's request is not answered yet, and the next one is paid by it. */
  readonly isPending?: boolean;
  /** Of such a tab: the rating of the last answer, which the next voucher carries. */
  readonly heldRating?: number;
}

export interface ProviderTab extends TabCommon {
  readonly role: "provider";
  /** Tasks answered; the newest voucher may be one behind. */
  readonly answered: number;
  /** Of the last answered task, whose answer is kept until the next. */
  readonly lastSpecHash?: Hex;
  /** Chain second at which the oldest unclaimed voucher came. */
  readonly unclaimedSince?: number;
  readonly wishesClaim: boolean;
}

export type TabRecord = ClientTab | ProviderTab;

/** A tab as the chain shows it. Times are Unix seconds of the chain. */
export interface TabSighting {
  readonly state: TabState;
  readonly closesAt: number;
  readonly depositWei: bigint;
  readonly paidWei: bigint;
  readonly time: number;
  readonly creditWei: bigint;
}

export type TabStep =
  | { readonly kind: "open"; readonly depositWei: bigint }
  | { readonly kind: "claim"; readonly signed: SignedVoucher; readonly isLast: boolean }
  | { readonly kind: "startClose" }
  | { readonly kind: "close" }
  | { readonly kind: "withdrawCredit" };

export type TabEffect =
  | { readonly kind: "take"; readonly step: TabStep }
  | { readonly kind: "wait"; readonly until: number | undefined }
  | { readonly kind: "end" };

/** When a provider turns vouchers into money. Each claim costs gas, each wait is a risk. */
export interface ClaimPolicy {
  /** Unclaimed money that is worth a claim, in the tab's token. */
  readonly valueWei: bigint;
  /** Seconds after which even a small sum is claimed. */
  readonly ageSeconds: number;
  /** Seconds before expiry, and before the end of a challenge period, at which a claim must be on its way. */
  readonly marginSeconds: number;
}

export function stepTab(record: TabRecord, sighting: TabSighting, policy: ClaimPolicy): TabEffect {
  if (record.isEnded) return { kind: "end" };
  if (sighting.state === "Closed") {
    return sighting.creditWei > 0n ? take({ kind: "withdrawCredit" }) : { kind: "end" };
  }
  return record.role === "client" ? clientEffect(record, sighting) : providerEffect(record, sighting, policy);
}

function clientEffect(record: ClientTab, { state, time, closesAt }: TabSighting): TabEffect {
  const { tab, wishesClose, depositWei } = record;
  if (state === "None") {
    return time < tab.expiry ? take({ kind: "open", depositWei }) : { kind: "end" };
  }
  if (time > tab.expiry || (state === "Closing" && time >= closesAt)) return take({ kind: "close" });
  if (state === "Closing") return { kind: "wait", until: closesAt };
  return wishesClose ? take({ kind: "startClose" }) : { kind: "wait", until: tab.expiry + 1 };
}

function providerEffect(record: ProviderTab, sighting: TabSighting, policy: ClaimPolicy): TabEffect {
  const { state, time, paidWei, depositWei } = sighting;
  const { tab, newest, wishesClaim, wishesClose, unclaimedSince } = record;
  if (state === "None") return time > tab.expiry ? { kind: "end" } : { kind: "wait", until: tab.expiry + 1 };
  // A voucher beyond the deposit was never accepted; a deposit that a reorg took back may make it one.
  const isClaimable = newest !== undefined && newest.voucher.paid > paidWei && newest.voucher.paid <= depositWei;
  const isEnding = state === "Closing" || wishesClose || time >= tab.expiry - policy.marginSeconds;
  if (!isClaimable)
    return isEnding ? take({ kind: "close" }) : { kind: "wait", until: tab.expiry - policy.marginSeconds };
  const isDue =
    isEnding ||
    wishesClaim ||
    newest.voucher.paid - paidWei >= policy.valueWei ||
    (unclaimedSince !== undefined && time >= unclaimedSince + policy.ageSeconds);
  if (isDue) return take({ kind: "claim", signed: newest, isLast: isEnding });
  return {
    kind: "wait",
    until: Math.min((unclaimedSince ?? time) + policy.ageSeconds, tab.expiry - policy.marginSeconds),
  };
}

const take = (step: TabStep): TabEffect => ({ kind: "take", step });

/** The voucher after one more task: every field only grows. @param rating -100..100 */
export function nextVoucher(tabId: Hex, before: Voucher | undefined, priceWei: bigint, rating: number): Voucher {
  const last = before ?? { tabId, seq: 0n, paid: 0n, satisfied: 0, unsatisfied: 0 };
  return {
    tabId,
    seq: last.seq + 1n,
    paid: last.paid + priceWei,
    satisfied: last.satisfied + Math.max(rating, 0),
    unsatisfied: last.unsatisfied + Math.max(-rating, 0),
  };
}
