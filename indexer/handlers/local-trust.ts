import type { Row } from "../entities.ts";
import type { Folds } from "./event-types.ts";
import { agentKey, put, type RowReader } from "./row-change.ts";

export const ledgerFolds: Folds<"trustLedger"> = {
  Seated({ topic, agentId, seat, epoch }, place, rows) {
    const running = Number(epoch);
    const id = topic.toString();
    const seats = topicOf(id, rows);
    // Double-buffered like the ledger: a commit for the closed epoch needs the count at its close.
    const seatCountBefore = seats.seatEpoch === running ? seats.seatCountBefore : seats.seatCount;
    return [
      put("topics", { ...seats, seatCount: seat + 1, seatEpoch: running, seatCountBefore }),
      put("seats", { id: `${id}:${agentId}`, topic: id, agent: agentKey(place, agentId), seat, epoch: running }),
    ];
  },
  Recorded({ topic, client, provider, satisfied, unsatisfied, weight, epoch }, place) {
    return [
      put("localTrusts", {
        id: `${topic}:${client}:${provider}`,
        topic: topic.toString(),
        client: agentKey(place, client),
        provider: agentKey(place, provider),
        satisfied,
        unsatisfied,
        weight,
        epoch: Number(epoch),
        updatedAt: place.timestamp,
      }),
    ];
  },
};

/** A topic's row; fresh = a topic without a seat, which has not even dust. */
export function topicOf(id: string, rows: RowReader): Row<"topics"> {
  const fresh = { id, seatCount: 0, seatEpoch: 0, seatCountBefore: 0, finalizedEpoch: null, finalizedCandidate: null };
  return rows.get("topics", id) ?? fresh;
}

/** Seats of a topic, dust included, at the close of an epoch that is the last closed one or later. */
export function seatsAtClose(topic: Row<"topics">, epoch: number): number {
  return topic.seatEpoch > epoch ? topic.seatCountBefore : topic.seatCount;
}
