import { zeroAddress } from "viem";
import type { Row } from "../entities.ts";
import type { Folds } from "./event-types.ts";
import { put, type EventPlace, type RowChange, type RowReader } from "./row-change.ts";

export const jobFolds: Folds<"jobEscrow"> = {
  JobCreated({ jobId, client, provider, evaluator, expiredAt }, place) {
    return [
      put("jobs", {
        ...{ id: jobId.toString(), client, provider: provider === zeroAddress ? null : provider, evaluator },
        ...{ budget: 0n, expiredAt: Number(expiredAt), status: "Open", deliverable: null, reason: null },
        ...{ createdAt: place.timestamp, updatedAt: place.timestamp },
      }),
    ];
  },
  ProviderSet: ({ jobId, provider }, place, rows) => moveJob(rows, place, jobId, { provider }),
  BudgetSet: ({ jobId, amount }, place, rows) => moveJob(rows, place, jobId, { budget: amount }),
  JobFunded: ({ jobId }, place, rows) => moveJob(rows, place, jobId, { status: "Funded" }),
  JobSubmitted: ({ jobId, deliverable }, place, rows) =>
    moveJob(rows, place, jobId, { status: "Submitted", deliverable }),
  JobCompleted: ({ jobId, reason }, place, rows) => moveJob(rows, place, jobId, { status: "Completed", reason }),
  JobRejected: ({ jobId, reason }, place, rows) => moveJob(rows, place, jobId, { status: "Rejected", reason }),
  JobExpired: ({ jobId }, place, rows) => moveJob(rows, place, jobId, { status: "Expired" }),
};

function moveJob(rows: RowReader, place: EventPlace, jobId: bigint, step: Partial<Row<"jobs">>): RowChange[] {
  const job = rows.get("jobs", jobId.toString());
  return job === undefined ? [] : [put("jobs", { ...job, ...step, updatedAt: place.timestamp })];
}
