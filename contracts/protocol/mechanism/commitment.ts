import { solveCovering } from "./dual-simplex.ts";

/** A leader's mixed commitment: its plan, the follower's response, and the leader's expected value. */
export interface Commitment {
  readonly plan: Float64Array;
  readonly response: number;
  readonly value: number;
}

/**
 * The optimal mixed strategy to commit to in a game of two (Conitzer, Sandholm, EC 2006): one program for each response
 * of the follower, ties of the follower in the leader's favour. `leader[i][j]` and `follower[i][j]` are the payoffs when
 * the leader plays row i and the follower column j.
 */
export function chooseCommitment(
  leader: readonly (readonly number[])[],
  follower: readonly (readonly number[])[],
): Commitment {
  const rows = leader.length;
  const responses = leader[0]?.length ?? 0;
  // Every constraint but Σx ≥ 1 is homogeneous, so positive costs make Σx = 1 of their own accord.
  const ceiling = Math.max(...leader.flat()) + 1;
  let best: Commitment | undefined;
  for (let response = 0; response < responses; response++) {
    const others = Array.from({ length: responses }, (_, k) => k).filter((k) => k !== response);
    const gains = others.map((k) => follower.map((row) => (row[response] as number) - (row[k] as number)));
    const solved = solveCovering({
      rows: others.length + 1,
      columns: rows,
      matrix: Float64Array.from([...gains.flat(), ...leader.map(() => 1)]),
      demands: Float64Array.from([...others.map(() => 0), 1]),
      costs: Float64Array.from(leader, (row) => ceiling - (row[response] as number)),
    });
    if (solved.kind === "infeasible") continue;
    const value = ceiling - solved.value;
    if (best === undefined || value > best.value) best = { plan: solved.point, response, value };
  }
  if (best === undefined) throw new RangeError("a game needs at least one row and one column");
  return best;
}

/**
 * The pure plan to commit to when the follower answers each with its best response, ties in the leader's favour:
 * Stackelberg's own problem (1934), over plans that are given one by one.
 */
export function choosePurePlan<Plan, Response>(
  plans: readonly Plan[],
  responses: readonly Response[],
  leaderWorth: (plan: Plan, response: Response) => number,
  followerWorth: (plan: Plan, response: Response) => number,
): { readonly plan: Plan; readonly response: Response; readonly value: number } {
  let best: { plan: Plan; response: Response; value: number } | undefined;
  for (const plan of plans) {
    let answer: { response: Response; worth: number; value: number } | undefined;
    for (const response of responses) {
      const [worth, value] = [followerWorth(plan, response), leaderWorth(plan, response)];
      if (answer === undefined || worth > answer.worth || (worth === answer.worth && value > answer.value)) {
        answer = { response, worth, value };
      }
    }
    if (answer !== undefined && (best === undefined || answer.value > best.value)) {
      best = { plan, response: answer.response, value: answer.value };
    }
  }
  if (best === undefined) throw new RangeError("a game needs at least one plan and one response");
  return best;
}
