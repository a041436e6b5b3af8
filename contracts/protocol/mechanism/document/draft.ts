import { zeroAddress } from "viem";
import type { MechanismDocument } from "./schema.ts";

/** What rules need to be told; everything else of a draft is the safe default, to be edited clause by clause. */
export interface DraftOptions {
  readonly name: string;
  readonly topics: readonly string[];
  readonly rule: MechanismDocument["award"]["rule"];
  /** Weight of one unit of quality in the award, in the token's smallest unit. */
  readonly valuePerQuality?: bigint;
  /** Of a posted award: what a delivery pays. */
  readonly priceWei?: bigint;
  /** The provider's bond at any score. */
  readonly bondWei?: bigint;
}

/** Quality is promised in percent. */
const MAX_QUALITY = 100n;
const DAY_S = 86_400;

/**
 * Rules that the escrow enforces as they stand: a delivery pays the price, a late one costs the bond, nobody rules. An
 * auction is sealed. No hidden action is stated; `surety mechanism solve` adds payments for one.
 */
export function draftMechanism(options: DraftOptions): MechanismDocument {
  const { name, topics, rule, valuePerQuality = 0n, priceWei = 0n, bondWei = 0n } = options;
  const isPosted = rule === "posted-price";
  const price = isPosted
    ? ({ unit: "wei", amount: priceWei } as const)
    : ({ unit: "price", amount: 1_000_000n } as const);
  const plain = { rewardWei: 0n, reputationWorthWei: 0n };
  return {
    ...{ kind: "surety-mechanism", version: 1, name, purpose: "", agency: null },
    admission: { topics, credentialLevel: 0, minScore: 0n },
    award: { rule, valuePerQuality, minQuality: 0n, maxQuality: MAX_QUALITY, isSealed: !isPosted, maxUnopened: 128 },
    outcomes: [
      {
        name: "late",
        observer: "chain",
        settlement: "refund",
        payment: { unit: "bond", amount: -1_000_000n },
        ...plain,
      },
      { name: "delivered", observer: "client", settlement: "complete", payment: price, ...plain },
    ],
    bond: {
      ...{ leastWei: bondWei, exposureWei: 0n, maxGainWei: 0n, clientBondWei: 0n },
      curve: { slashShare: 0, factorAtZero: 65_536, halfScore: 1n },
    },
    deadlines: { bidWithinMs: 8_000, revealWithinMs: isPosted ? 0 : 4_000, submitWithinS: DAY_S, validUntil: 0 },
    review: { periodS: 3_600, onSilence: "pays-provider" },
    split: { rule: "provider", shares: [] },
    penalties: [{ fault: "late", from: "bond", millionths: 1_000_000, unsatisfied: 100 }],
    appeal: { arbiter: zeroAddress, court: "none", withinS: 0, maxAppeals: 0 },
    evidence: { fullPriceWei: 0n, priceFactor: 10n, errorMillionths: 50_000 },
  };
}
