import type { Row } from "../entities.ts";
import type { Folds } from "./event-types.ts";
import { agentKey, put, type EventPlace, type RowChange, type RowReader } from "./row-change.ts";

/** Resolution of IDealEscrow.sol, by its number. */
const resolutionNames = ["Even", "ForClient", "ForProvider", "Agreed"];

/** A deal's row exists from its funding on; the chain knows nothing of an open deal. */
export const dealFolds: Folds<"dealEscrow"> = {
  DealFunded({ dealId, payer, deal }, place) {
    const { clientAgentId, providerAgentId, ...terms } = deal;
    return [
      put("deals", {
        ...terms,
        id: dealId,
        client: agentKey(place, clientAgentId),
        provider: agentKey(place, providerAgentId),
        state: "Funded",
        payer,
        fundedAt: place.timestamp,
        fundedTx: place.transaction,
        deliverableHash: null,
        reviewUntil: null,
        submittedAt: null,
        submittedTx: null,
        ...{ endedAt: null, endedTx: null, released: 0n, undistributed: 0n, payee: null, payout: null },
        ...{ resolution: null, returned: null, rating: null, isTrustSkipped: false, hookFailures: 0 },
      }),
    ];
  },
  DealSubmitted({ dealId, deliverableHash, reviewUntil }, place, rows) {
    return moveDeal(rows, dealId, {
      state: "Submitted",
      deliverableHash,
      reviewUntil,
      submittedAt: place.timestamp,
      submittedTx: place.transaction,
    });
  },
  DealCompleted({ dealId, payee, amount, rating }, place, rows) {
    return moveDeal(rows, dealId, { state: "Completed", ...ending(place), payee, payout: amount, rating });
  },
  DealRefunded({ dealId, payer, amount }, place, rows) {
    return moveDeal(rows, dealId, { state: "Refunded", ...ending(place), payee: payer, payout: amount });
  },
  // A deal that was cancelled before it was funded has no terms on chain, hence no row.
  DealCancelled({ dealId, payer, amount }, place, rows) {
    return moveDeal(rows, dealId, { state: "Cancelled", ...ending(place), payee: payer, payout: amount });
  },
  DealPartReleased({ dealId, released }, _place, rows) {
    return moveDeal(rows, dealId, { released });
  },
  DealDisputed({ dealId, arbiter, reasonHash }, place, rows) {
    const dispute = put("disputes", {
      ...{ id: dealId, deal: dealId, arbiter, reasonHash, stage: "None", clientFee: 0n, providerFee: 0n, feeBy: 0 },
      ...{ disputeId: null, appeals: 0, ruling: null },
      ...{ returnedToClient: null, returnedToProvider: null, ruledAt: null, ruledTx: null },
      ...{ startedAt: place.timestamp, startedTx: place.transaction },
    });
    return [...moveDeal(rows, dealId, { state: "Disputed" }), dispute];
  },
  DealResolved({ dealId, resolution, payee, toProvider, toClient, rating }, place, rows) {
    const resolved = { resolution: resolutionNames[resolution] ?? String(resolution), returned: toClient, rating };
    return moveDeal(rows, dealId, { state: "Resolved", ...ending(place), payee, payout: toProvider, ...resolved });
  },
  SplitPending({ dealId, pot }, _place, rows) {
    return moveDeal(rows, dealId, { undistributed: pot });
  },
  ShareDistributed({ dealId, account, amount }, place, rows) {
    const { timestamp, transaction } = place;
    const undistributed = (rows.get("deals", dealId)?.undistributed ?? 0n) - amount;
    const share = { id: `${transaction}:${place.logIndex}`, deal: dealId, account, amount, timestamp, transaction };
    return [...moveDeal(rows, dealId, { undistributed }), put("shares", share)];
  },
  LocalTrustSkipped({ dealId }, _place, rows) {
    return moveDeal(rows, dealId, { isTrustSkipped: true });
  },
  HookFailed({ dealId }, _place, rows) {
    return moveDeal(rows, dealId, { hookFailures: (rows.get("deals", dealId)?.hookFailures ?? 0) + 1 });
  },
};

function ending(place: EventPlace): Pick<Row<"deals">, "endedAt" | "endedTx"> {
  return { endedAt: place.timestamp, endedTx: place.transaction };
}

function moveDeal(rows: RowReader, dealId: string, step: Partial<Row<"deals">>): RowChange[] {
  const deal = rows.get("deals", dealId);
  return deal === undefined ? [] : [put("deals", { ...deal, ...step })];
}
