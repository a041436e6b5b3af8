import type { Row } from "../entities.ts";
import type { Folds } from "./event-types.ts";
import { put, type RowChange, type RowReader } from "./row-change.ts";

/** FeeStage of IDealDisputes.sol, by its number. */
const stageNames = ["None", "ProviderOwes", "ClientOwes", "Paid", "Created", "Ruled", "Closed"];

/** A dispute's row begins with the escrow's DealDisputed; fees and rulings are of IDealDisputes. */
export const disputeFolds: Folds<"dealDisputes"> = {
  FeeDeposited({ dealId, isClient, amount, stage, feeBy }, _place, rows) {
    return moveDispute(rows, dealId, ({ clientFee, providerFee }) => ({
      ...(isClient ? { clientFee: clientFee + amount } : { providerFee: providerFee + amount }),
      ...{ stage: stageNames[stage] ?? String(stage), feeBy },
    }));
  },
  DisputeCreated({ dealId, disputeId, cost }, _place, rows) {
    // What was deposited beyond the cost has gone back; from here on the ruling is due with the deal's deadline.
    const feeBy = rows.get("deals", dealId)?.arbiterDeadline ?? 0;
    const fees = { clientFee: cost, providerFee: cost, feeBy };
    return moveDispute(rows, dealId, () => ({ ...fees, stage: "Created", disputeId }));
  },
  Appealed({ dealId }, _place, rows) {
    return moveDispute(rows, dealId, ({ appeals }) => ({ appeals: appeals + 1 }));
  },
  Ruled({ dealId, ruling }, place, rows) {
    const ruled = { ruling: Number(ruling), ruledAt: place.timestamp, ruledTx: place.transaction };
    // An arbiter that is no arbitrator ends the deal at once, and has no stage.
    return moveDispute(rows, dealId, ({ disputeId }) => (disputeId === null ? ruled : { ...ruled, stage: "Ruled" }));
  },
  FeesReturned({ dealId, toClient, toProvider }, _place, rows) {
    const returned = { returnedToClient: toClient, returnedToProvider: toProvider };
    return moveDispute(rows, dealId, () => ({
      ...{ ...returned, stage: "Closed", clientFee: 0n, providerFee: 0n, feeBy: 0 },
    }));
  },
};

function moveDispute(
  rows: RowReader,
  dealId: string,
  step: (dispute: Row<"disputes">) => Partial<Row<"disputes">>,
): RowChange[] {
  const dispute = rows.get("disputes", dealId);
  return dispute === undefined ? [] : [put("disputes", { ...dispute, ...step(dispute) })];
}
