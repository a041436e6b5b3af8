import type { Hex } from "viem";
import type { Row } from "../entities.ts";
import type { EventArgs, Folds } from "./event-types.ts";
import { agentKey, put, type EventPlace, type RowChange, type RowReader } from "./row-change.ts";

/** Events carry the stake after them; locks of all modules together and the unbonding amount are summed here. */
export const stakeFolds: Folds<"stakeVault"> = {
  Staked({ agentId, stake }, place, rows) {
    return [put("stakes", { ...stakeOf(agentId, place, rows), staked: stake })];
  },
  UnbondingStarted({ agentId, amount, withdrawableAt, stake }, place, rows) {
    const row = stakeOf(agentId, place, rows);
    return [put("stakes", { ...row, staked: stake, unbonding: row.unbonding + amount, withdrawableAt })];
  },
  Withdrawn({ agentId }, place, rows) {
    return [put("stakes", { ...stakeOf(agentId, place, rows), unbonding: 0n, withdrawableAt: 0 })];
  },
  Locked({ agentId, amount }, place, rows) {
    const row = stakeOf(agentId, place, rows);
    return [put("stakes", { ...row, locked: row.locked + amount })];
  },
  Unlocked({ agentId, amount }, place, rows) {
    const row = stakeOf(agentId, place, rows);
    return [put("stakes", { ...row, locked: row.locked - amount })];
  },
  Slashed(slash, place, rows) {
    const { agentId, amount, stake } = slash;
    const row = stakeOf(agentId, place, rows);
    const after = { staked: stake, locked: row.locked - amount, slashed: row.slashed + amount };
    return [put("stakes", { ...row, ...after }), slashOf({ ...slash, fromUnbonding: 0n }, place)];
  },
  Rebonded({ agentId, amount, stake }, place, rows) {
    const row = stakeOf(agentId, place, rows);
    return [put("stakes", { ...row, staked: stake, unbonding: row.unbonding - amount })];
  },
  Seized(seizure, place, rows) {
    const { agentId, amount, fromUnbonding, stake } = seizure;
    const row = stakeOf(agentId, place, rows);
    const unbonding = row.unbonding - fromUnbonding;
    const after = { staked: stake, unbonding, slashed: row.slashed + amount };
    return [put("stakes", { ...row, ...after }), slashOf(seizure, place)];
  },
};

/** An agent whose stake did not suffice may be reported again: the first report stays the one that is named. */
export const evidenceFolds: Folds<"evidenceSlasher"> = {
  Punished({ agentId, offenceId, reporter, takenInAll }, place, rows) {
    const first = rows.get("forks", offenceId) ?? forkOf({ agentId, offenceId, reporter }, "Equivocation", place);
    return [put("forks", { ...first, taken: takenInAll })];
  },
};

export const windowFolds: Folds<"windowValidators"> = {
  DoubleSigned(doubled, place) {
    return [put("forks", { ...forkOf(doubled, "DoubleSigning", place), taken: doubled.taken })];
  },
};

function forkOf(
  { agentId, offenceId, reporter }: { agentId: bigint | number; offenceId: Hex; reporter: string },
  offence: string,
  { chainId, timestamp, transaction }: EventPlace,
): Omit<Row<"forks">, "taken"> {
  return { id: offenceId, agent: agentKey({ chainId }, agentId), offence, reporter, timestamp, transaction };
}

function slashOf(slash: Omit<EventArgs<"stakeVault", "Seized">, "stake" | "epoch">, place: EventPlace): RowChange {
  const { agentId, module, reporter, amount, fromUnbonding, reward } = slash;
  const { timestamp, transaction } = place;
  const id = `${transaction}:${place.logIndex}`;
  const taken = { module, reporter, amount, fromUnbonding, reward };
  return put("slashes", { id, agent: agentKey(place, agentId), ...taken, timestamp, transaction });
}

function stakeOf(agentId: number, place: EventPlace, rows: RowReader): Row<"stakes"> {
  const id = agentKey(place, agentId);
  const fresh = { id, agent: id, staked: 0n, locked: 0n, unbonding: 0n, withdrawableAt: 0, slashed: 0n };
  return { ...(rows.get("stakes", id) ?? fresh), updatedAt: place.timestamp };
}
