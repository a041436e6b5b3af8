import type { Row } from "../entities.ts";
import type { Folds } from "./event-types.ts";
import { agentKey, put, type EventPlace, type RowChange, type RowReader } from "./row-change.ts";

/** The panel of staked jurors: who is enlisted, who sat in which round, how each voted, and what was ruled. */
export const panelFolds: Folds<"jurorPanel"> = {
  Enlisted({ agentId, enlisted, bonds }, place, rows) {
    return [put("jurors", { ...jurorOf(agentId, place, rows), enlisted, bonds })];
  },
  Discharged({ agentId, enlisted, bonds }, place, rows) {
    return [put("jurors", { ...jurorOf(agentId, place, rows), enlisted, bonds })];
  },
  WeightSynced({ agentId, bonds }, place, rows) {
    return [put("jurors", { ...jurorOf(agentId, place, rows), bonds })];
  },
  DisputeCreation({ _disputeID, _arbitrable }, place) {
    const none = { rounds: 0, ruling: null, isDecided: false, isRefused: false, ruledAt: null };
    const id = _disputeID.toString();
    const created = { arbitrable: _arbitrable, createdAt: place.timestamp, createdTx: place.transaction };
    return [put("panelDisputes", { id, ...created, ...none })];
  },
  DrawScheduled({ disputeId, round, jurors, seedBlock, payer, fees }, _place, rows) {
    const number = Number(round);
    const [id, dispute] = [`${disputeId}:${round}`, disputeId.toString()];
    const known = rows.get("panelDisputes", dispute);
    const none = {
      commitUntil: null,
      revealUntil: null,
      appealUntil: null,
      coherent: null,
      feesPaid: null,
      bondsPaid: null,
    };
    return [
      // A draw that was missed is scheduled again: the round stays the same.
      put("panelRounds", { id, dispute, number, size: Number(jurors), seedBlock, payer, fees, drawn: 0, ...none }),
      ...(known === undefined ? [] : [put("panelDisputes", { ...known, rounds: Math.max(known.rounds, number + 1) })]),
    ];
  },
  JurorsDrawn({ disputeId, round, jurors, commitUntil, revealUntil, appealUntil }, place, rows) {
    const id = `${disputeId}:${round}`;
    const seats = jurors.map((agentId) => put("jurorSeats", seatOf(id, agentId, place, rows)));
    return [...moveRound(rows, id, { drawn: jurors.length, commitUntil, revealUntil, appealUntil }), ...seats];
  },
  VoteCommitted({ disputeId, round, agentId, commitment }, place, rows) {
    return [put("jurorSeats", { ...seatOf(`${disputeId}:${round}`, agentId, place, rows), commitment })];
  },
  VoteRevealed({ disputeId, round, agentId, choice }, place, rows) {
    return [put("jurorSeats", { ...seatOf(`${disputeId}:${round}`, agentId, place, rows), choice: Number(choice) })];
  },
  DisputeRuled({ disputeId, ruling, isDecided }, place, rows) {
    return moveDispute(rows, disputeId, { ruling: Number(ruling), isDecided, ruledAt: place.timestamp });
  },
  RulingRefused({ disputeId }, _place, rows) {
    return moveDispute(rows, disputeId, { isRefused: true });
  },
  RoundSettled({ disputeId, round, coherent, feesPaid, bondsPaid }, _place, rows) {
    return moveRound(rows, `${disputeId}:${round}`, { coherent: Number(coherent), feesPaid, bondsPaid });
  },
};

function jurorOf(agentId: number, place: EventPlace, rows: RowReader): Row<"jurors"> {
  const id = agentKey(place, agentId);
  return { ...(rows.get("jurors", id) ?? { id, agent: id, enlisted: 0n, bonds: 0n }), updatedAt: place.timestamp };
}

function seatOf(round: string, agentId: number, place: EventPlace, rows: RowReader): Row<"jurorSeats"> {
  const id = `${round}:${agentId}`;
  return rows.get("jurorSeats", id) ?? { id, round, agent: agentKey(place, agentId), commitment: null, choice: null };
}

function moveRound(rows: RowReader, id: string, step: Partial<Row<"panelRounds">>): RowChange[] {
  const round = rows.get("panelRounds", id);
  return round === undefined ? [] : [put("panelRounds", { ...round, ...step })];
}

function moveDispute(rows: RowReader, disputeId: bigint, step: Partial<Row<"panelDisputes">>): RowChange[] {
  const dispute = rows.get("panelDisputes", disputeId.toString());
  return dispute === undefined ? [] : [put("panelDisputes", { ...dispute, ...step })];
}
