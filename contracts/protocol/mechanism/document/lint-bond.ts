import { providerBondFor, type Curve } from "../../bond-curve.ts";
import { faultOfPayments } from "./enforce.ts";
import type { Finding, LintContext } from "./finding.ts";
import type { MechanismDocument } from "./schema.ts";
import { approximate } from "./solve.ts";
import { agencyOf, bondOf, paymentsOf, postedPriceOf } from "./terms.ts";

const ONE = 1n << 16n;
const MAX_FACTOR = 2 ** 22;
/** A relative score at which nothing of the extra bond is left: any that an epoch of 2^32 seats can give. */
const BEST_SCORE = 1n << 48n;

/** Collateral, and whether the payments hold with the bonds that followers really put up. */
export function lintBond(document: MechanismDocument, { governedCurve }: LintContext): Finding[] {
  const shape = lintCurve(document);
  if (shape.length > 0) return shape;
  return [...lintGain(document), ...lintGoverned(document, governedCurve), ...lintPayments(document)];
}

const collateral = (field: string, draft: Pick<Finding, "code" | "reason" | "next">, isWarning = false): Finding => ({
  ...{ clause: "bond", path: `bond.${field}`, kind: "collateral", isWarning, ...draft },
});

function lintCurve({ bond }: MechanismDocument): Finding[] {
  const { slashShare, factorAtZero, halfScore } = bond.curve;
  const isCurve = slashShare <= 65_536 && factorAtZero >= 65_536 && factorAtZero <= MAX_FACTOR && halfScore > 0n;
  if (slashShare === 0 || isCurve) return [];
  return [
    collateral("curve", {
      code: "CURVE_RANGE",
      reason:
        "BondCurve.sol takes a slashShare up to 65536, a factorAtZero of 65536 to 4194304 and a halfScore above 0",
      next: "Bring the curve into that range; slashShare 0 means none.",
    }),
  ];
}

/** Of an auction the least price that opens a deal: bonds grow with it, gains do not. */
function priceToJudge(document: MechanismDocument): bigint {
  const price = postedPriceOf(document) ?? 1n;
  return price > 0n ? price : 1n;
}

/** λ_slash·q_min ≥ G_max (arXiv 2606.17368, section on bonds): at the best score, where the bond is least. */
function lintGain(document: MechanismDocument): Finding[] {
  const { bond, penalties } = document;
  const late = penalties.find(({ fault, from }) => fault === "late" && from === "bond");
  // In 1/2^16: the governed share where there is a curve, else what the rules say a late delivery costs.
  const share =
    bond.curve.slashShare > 0 ? BigInt(bond.curve.slashShare) : (BigInt(late?.millionths ?? 0) * ONE) / 1_000_000n;
  const least = bondOf(document, priceToJudge(document), BEST_SCORE);
  if (share * least >= bond.maxGainWei * ONE) return [];
  const needed = share === 0n ? undefined : (bond.maxGainWei * ONE + share - 1n) / share;
  return [
    collateral("leastWei", {
      code: "BOND_BELOW_GAIN",
      reason: `a fault gains up to ${bond.maxGainWei} and costs ${(share * least) / ONE} at the best score: λ·q_min ≥ G_max fails`,
      next:
        needed === undefined
          ? "State a penalty that takes the bond for a late delivery."
          : `Ask for a bond of at least ${needed}.`,
    }),
  ];
}

/** A deal whose bond is below the governed curve does not open: DealEscrow asks BondCurve. */
function lintGoverned(document: MechanismDocument, curve: Curve | undefined): Finding[] {
  if (curve === undefined || curve.slashShare === 0) return [];
  const price = priceToJudge(document);
  for (const score of [0n, curve.halfScore, BEST_SCORE]) {
    const governed = providerBondFor(curve, price + document.bond.exposureWei, score);
    const own = bondOf(document, price, score);
    if (own >= governed) continue;
    return [
      collateral("leastWei", {
        code: "BOND_BELOW_CURVE",
        reason: `at relative score ${score} the rules ask for ${own}, the governed curve for ${governed}: the escrow would not open the deal`,
        next: "Take the governed curve into bond.curve, or raise bond.leastWei.",
      }),
    ];
  }
  return [];
}

/** Participation and incentives at the largest and at the least bond that a follower may have to put up. */
function lintPayments(document: MechanismDocument): Finding[] {
  const { agency: clause } = document;
  if (clause === null) return [];
  const price = postedPriceOf(document);
  if (price === undefined)
    return [
      {
        ...{ clause: "agency", path: "agency", kind: "ambiguous", code: "AGENCY_WITHOUT_PRICE", isWarning: true },
        reason: "the law is stated and the price comes from bids: no payments can be proven for it",
        next: "Post the price, or leave the agency out.",
      },
    ];
  // What the outcomes' linter says of such a price is enough.
  if (price < 0n) return [];
  const bonds = new Set([bondOf(document, price, 0n), bondOf(document, price, BEST_SCORE)]);
  for (const bondWei of bonds) {
    const finding = lintPaymentsAt(document, price, bondWei);
    if (finding !== undefined) return [finding];
  }
  return [];
}

function lintPaymentsAt(document: MechanismDocument, priceWei: bigint, bondWei: bigint): Finding | undefined {
  const clause = document.agency;
  const agency = agencyOf(document, bondWei);
  if (clause === null || agency === undefined) return undefined;
  const fault = faultOfPayments(agency, clause.target, paymentsOf(document, { priceWei, bondWei }));
  if (fault === undefined) return undefined;
  const target = clause.actions[clause.target]?.name ?? "";
  const base = {
    clause: "agency",
    isWarning: false,
    next: "Run `surety mechanism solve`, or change the bond.",
  } as const;
  const atBond = `with a bond of ${bondWei}`;
  if (fault.kind === "bond")
    return {
      ...{ ...base, clause: "outcomes", path: `outcomes[${fault.outcome}].payment`, kind: "unenforceable" },
      ...{ code: "PAYMENT_BEYOND_BOND", reason: `${atBond} it takes more than the escrow holds of the provider` },
    };
  if (fault.kind === "participation")
    return {
      ...{ ...base, path: "agency.outsideWei", kind: "breaks-participation", code: "BREAKS_IR" },
      reason: `${atBond} "${target}" is worth ${approximate(fault.short)} less to the provider than staying away`,
    };
  const other = clause.actions[fault.other]?.name ?? "";
  return {
    ...{ ...base, path: `agency.actions[${fault.other}]`, kind: "breaks-incentive", code: "BREAKS_IC" },
    reason: `${atBond} "${other}" is worth ${approximate(fault.short)} more to the provider than "${target}"`,
  };
}
