import type { Rules } from "../clauses.ts";

/** Whole tokens of 6 decimals. */
export const tokens = (amount: number) => BigInt(Math.round(amount * 1_000_000));
export const percent = (share: number) => BigInt(Math.round(share * 10_000));
export const hours = (count: number) => Math.round(count * 3_600);
const ONE = 65_536n;

/**
 * What marketplaces start with: open doors, a list price paid in full unless somebody complains within a day, spot checks, and
 * nobody to complain to.
 */
export function listPriceRules(priceWei: bigint): Rules {
  return {
    "admission.credentialLevel": 0n,
    "admission.minScore": 0n,
    "bond.slashShare": 0n,
    "bond.factorAtZero": ONE,
    "bond.halfScore": ONE / 2n,
    "bond.least": 0n,
    "bond.exposure": 0n,
    "bond.client": 0n,
    "payment.good": priceWei,
    "payment.partial": priceWei,
    "deadline.submit": BigInt(hours(48)),
    "deadline.review": BigInt(hours(24)),
    "deadline.arbitration": BigInt(hours(48)),
    "review.share": percent(20),
    "appeal.court": 0n,
    "appeal.maxAppeals": 0n,
    "learning.entryPrice": tokens(1_000),
    "learning.priceFactor": 1_000n,
    "learning.minClientScore": 0n,
    "tab.unitsPerVoucher": 20n,
    "tab.challengePeriod": BigInt(hours(6)),
  };
}
