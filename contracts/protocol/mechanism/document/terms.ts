import { providerBondFor } from "../../bond-curve.ts";
import type { Agency } from "../agency.ts";
import type { MechanismDocument, OutcomeClause } from "./schema.ts";

/** What a deal puts in place of the rules' variables. */
export interface DealAmounts {
  /** The awarded price, in the token's smallest unit. */
  readonly priceWei: bigint;
  /** The provider's bond. */
  readonly bondWei: bigint;
}

const WHOLE = 1_000_000n;

/** What the provider gets by an outcome, beyond its own bond; a share is rounded its way, as the escrow's odd unit is. */
export function paymentOf({ payment }: OutcomeClause, { priceWei, bondWei }: DealAmounts): bigint {
  if (payment.unit === "wei") return payment.amount;
  const part = payment.amount * (payment.unit === "price" ? priceWei : bondWei);
  return part > 0n ? (part + WHOLE - 1n) / WHOLE : part / WHOLE;
}

/** t: one payment an outcome. */
export function paymentsOf({ outcomes }: MechanismDocument, amounts: DealAmounts): readonly bigint[] {
  return outcomes.map((outcome) => paymentOf(outcome, amounts));
}

/** The follower's problem with the bond that it really puts up; undefined where the rules state no law. */
export function agencyOf({ agency, outcomes }: MechanismDocument, bondWei: bigint): Agency | undefined {
  if (agency === null) return undefined;
  return {
    laws: agency.actions.map(({ law }) => law),
    lawUnit: agency.lawUnit,
    costs: agency.actions.map(({ costWei }) => costWei),
    outside: agency.outsideWei,
    bond: bondWei,
    reputationWorth: outcomes.map(({ reputationWorthWei }) => reputationWorthWei),
  };
}

/** The provider's bond under the rules, for its relative score (`relativeScoreOf`) in the deal's topic. */
export function bondOf({ bond }: MechanismDocument, priceWei: bigint, relativeScore: bigint): bigint {
  const governed = providerBondFor(bond.curve, priceWei + bond.exposureWei, relativeScore);
  return governed > bond.leastWei ? governed : bond.leastWei;
}

/** The price of a posted award: what the completing outcome pays. Undefined where nothing completes by a fixed amount. */
export function postedPriceOf({ outcomes }: MechanismDocument): bigint | undefined {
  const completing = outcomes.find(({ settlement }) => settlement === "complete");
  return completing?.payment.unit === "wei" ? completing.payment.amount : undefined;
}
