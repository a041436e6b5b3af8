import type { Row } from "../entities.ts";
import type { Folds } from "./event-types.ts";
import { agentKey, put, type RowChange, type RowReader } from "./row-change.ts";

export const tabFolds: Folds<"tabEscrow"> = {
  TabOpened({ tabId, payer, deposit, tab }, place) {
    const { clientAgentId, providerAgentId, ...terms } = tab;
    return [
      put("tabs", {
        ...terms,
        ...{ id: tabId, client: agentKey(place, clientAgentId), provider: agentKey(place, providerAgentId) },
        ...{ state: "Open", payer, deposit, paid: 0n, seq: 0, satisfiedSum: 0, unsatisfiedSum: 0 },
        ...{ closesAt: null, returned: null, isTrustSkipped: false, closedAt: null, closedTx: null },
        ...{ openedAt: place.timestamp, openedTx: place.transaction },
      }),
    ];
  },
  TabToppedUp({ tabId, deposit }, _place, rows) {
    return moveTab(rows, tabId, { deposit });
  },
  TabClaimed(claim, place, rows) {
    const { tabId, payee, amount, paid, satisfiedSum, unsatisfiedSum, satisfied, unsatisfied } = claim;
    const { timestamp, transaction } = place;
    // Chosen by the parties, 64 bits: what exceeds a safe integer tells nothing.
    const seq = Number(claim.seq);
    const id = `${transaction}:${place.logIndex}`;
    return [
      ...moveTab(rows, tabId, { paid, seq, satisfiedSum, unsatisfiedSum }),
      put("tabClaims", { id, tab: tabId, payee, amount, seq, satisfied, unsatisfied, timestamp, transaction }),
    ];
  },
  TabCloseStarted({ tabId, closesAt }, _place, rows) {
    return moveTab(rows, tabId, { state: "Closing", closesAt });
  },
  TabClosed({ tabId, amount }, place, rows) {
    const closed = { closedAt: place.timestamp, closedTx: place.transaction };
    return moveTab(rows, tabId, { state: "Closed", returned: amount, ...closed });
  },
  LocalTrustSkipped({ tabId }, _place, rows) {
    return moveTab(rows, tabId, { isTrustSkipped: true });
  },
};

function moveTab(rows: RowReader, tabId: string, step: Partial<Row<"tabs">>): RowChange[] {
  const tab = rows.get("tabs", tabId);
  return tab === undefined ? [] : [put("tabs", { ...tab, ...step })];
}
