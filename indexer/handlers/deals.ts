import type { Row } from "../entities.ts";
import type { Folds } from "./event-types.ts";
import { agentKey, put, type EventPlace, type RowChange, type RowReader } from "./row-change.ts";

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
        endedAt: null,
        endedTx: null,
        payee: null,
        payout: null,
        rating: null,
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
};

function ending(place: EventPlace): Pick<Row<"deals">, "endedAt" | "endedTx"> {
  return { endedAt: place.timestamp, endedTx: place.transaction };
}

function moveDeal(rows: RowReader, dealId: string, step: Partial<Row<"deals">>): RowChange[] {
  const deal = rows.get("deals", dealId);
  return deal === undefined ? [] : [put("deals", { ...deal, ...step })];
}
