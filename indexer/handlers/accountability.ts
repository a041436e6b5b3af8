import type { Row } from "../entities.ts";
import type { Folds } from "./event-types.ts";
import { agentKey, put, type EventPlace, type RowChange, type RowReader } from "./row-change.ts";

/** Who answers for an agent. Whether the owner is still the one that presented, the agent's row says. */
export const credentialFolds: Folds<"credentials"> = {
  CredentialPresented({ agentId, operator, owner, source, level, validUntil }, place) {
    const id = agentKey(place, agentId);
    const presented = { presentedAt: place.timestamp, presentedTx: place.transaction, renouncedAt: null };
    return [put("credentials", { id, agent: id, operator, owner, source, level, validUntil, ...presented })];
  },
  CredentialRenounced({ agentId }, place, rows) {
    const credential = rows.get("credentials", agentKey(place, agentId));
    return credential === undefined ? [] : [put("credentials", { ...credential, renouncedAt: place.timestamp })];
  },
};

export const anchorFolds: Folds<"anchors"> = {
  LogAnchored({ agentId, log, fromSeq, toSeq, root, stateHead }, place) {
    const range = { log, fromSeq, toSeq, root, stateHead };
    const { timestamp, transaction } = place;
    return [
      put("logAnchors", { id: `${log}:${fromSeq}`, agent: agentKey(place, agentId), ...range, timestamp, transaction }),
    ];
  },
};

/** What guardians started ends with the owner's word, the execution, or a newer start. */
export const recoveryFolds: Folds<"ownerRecovery"> = {
  RecoverySet({ agentId, threshold, delay }, place, rows) {
    return moveRecovery(agentId, { threshold, delay }, place, rows);
  },
  RecoveryStarted({ agentId, newOwner, attempt, executableAt }, place, rows) {
    // The attempt that is started is numbered from 0.
    return moveRecovery(agentId, { state: "Started", newOwner, executableAt, attempts: attempt + 1n }, place, rows);
  },
  RecoveryCancelled({ agentId }, place, rows) {
    return moveRecovery(agentId, { state: "Cancelled", newOwner: null, executableAt: null }, place, rows);
  },
  RecoveryExecuted({ agentId, newOwner }, place, rows) {
    return moveRecovery(agentId, { state: "Executed", newOwner, executableAt: null }, place, rows);
  },
};

function moveRecovery(
  agentId: bigint,
  step: Partial<Row<"recoveries">>,
  place: EventPlace,
  rows: RowReader,
): RowChange[] {
  const id = agentKey(place, agentId);
  const none = { threshold: 0, delay: 0, state: "Set", newOwner: null, executableAt: null, attempts: 0n };
  const recovery = rows.get("recoveries", id) ?? { id, agent: id, ...none };
  const touched = { updatedAt: place.timestamp, transaction: place.transaction };
  return [put("recoveries", { ...recovery, ...step, ...touched })];
}
