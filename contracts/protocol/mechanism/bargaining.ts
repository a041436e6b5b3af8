/**
 * Agreement on several terms at once, between two who value the same outcomes differently. Outcomes are numbered, worths
 * are whole units; below its reservation a side prefers no deal.
 */
export interface Side {
  readonly worths: readonly bigint[];
  readonly reservation: bigint;
}

/**
 * The mediated agreement: the outcome of the largest Nash product (Nash, Econometrica 18, 1950) over both reservations.
 * Ties go to the larger sum, then to the lower outcome. Undefined where no outcome suits both. It is Pareto efficient:
 * what is better for one and no worse for the other has a larger product, or an equal one and a larger sum.
 */
export function chooseNash(left: Side, right: Side): number | undefined {
  let best: { outcome: number; product: bigint; sum: bigint } | undefined;
  for (let outcome = 0; outcome < left.worths.length; outcome++) {
    const a = (left.worths[outcome] as bigint) - left.reservation;
    const b = (right.worths[outcome] as bigint) - right.reservation;
    if (a < 0n || b < 0n) continue;
    const [product, sum] = [a * b, a + b];
    const isBetter = best === undefined || product > best.product || (product === best.product && sum > best.sum);
    if (isBetter) best = { outcome, product, sum };
  }
  return best?.outcome;
}

/**
 * One side of unmediated bargaining, which knows its own worths only. It concedes one outcome for each new outcome that
 * the other side concedes (after MiCRO: de Jong, IJCAI 2022), so that who gives nothing gets nothing, and no model of
 * the other side can be wrong.
 */
export interface Concession {
  readonly side: Side;
  /** All outcomes at or above the reservation, best first, ties to the lower outcome. */
  readonly ladder: readonly number[];
  /** How many of them were offered. */
  readonly offered: number;
  /** What the other side offered, each once. */
  readonly heard: ReadonlySet<number>;
}

/** What a side answers: its own next offer (`isNew` or again its last), agreement to theirs, or that it has nothing left. */
export type Move =
  | { readonly kind: "offer"; readonly outcome: number; readonly isNew: boolean }
  | { readonly kind: "agree"; readonly outcome: number }
  | { readonly kind: "leave" };

export function createConcession(side: Side): Concession {
  const ladder = side.worths
    .map((worth, outcome) => ({ worth, outcome }))
    .filter(({ worth }) => worth >= side.reservation)
    .sort((a, b) => (a.worth === b.worth ? a.outcome - b.outcome : a.worth > b.worth ? -1 : 1))
    .map(({ outcome }) => outcome);
  return { side, ladder, offered: 0, heard: new Set() };
}

/**
 * The next move, after hearing an offer or, without one, as the first to speak. An offer is agreed to when it is worth at
 * least what this side would propose next. An outcome that is none counts as one already heard.
 */
export function negotiate(state: Concession, heard?: number): readonly [Concession, Move] {
  const { side, ladder, offered } = state;
  const known = isOutcome(side, heard) ? new Set(state.heard).add(heard) : state.heard;
  const next = { ...state, heard: known };
  if (ladder.length === 0) return [next, { kind: "leave" }];
  const isConceding = offered < ladder.length && offered <= known.size;
  const rung = isConceding ? offered : Math.max(0, offered - 1);
  const outcome = ladder[rung] as number;
  if (isOutcome(side, heard) && (side.worths[heard] as bigint) >= (side.worths[outcome] as bigint)) {
    return [next, { kind: "agree", outcome: heard }];
  }
  return [
    { ...next, offered: rung + 1 },
    { kind: "offer", outcome, isNew: isConceding },
  ];
}

/** The same side after a restart: what it offered and heard, in their order, is all that it remembers. */
export function restoreConcession(side: Side, mine: readonly number[], theirs: readonly number[]): Concession {
  const heard = new Set(theirs.filter((outcome) => isOutcome(side, outcome)));
  return { ...createConcession(side), offered: new Set(mine).size, heard };
}

/**
 * The next move of a side that speaks with a stranger: as `negotiate`, and it leaves where both have nothing new to say, as `bargain` ends.
 * @param heard what the other side has just offered; undefined = this side speaks first
 */
export function answerOffer(side: Side, mine: readonly number[], theirs: readonly number[], heard?: number): Move {
  const [, move] = negotiate(restoreConcession(side, mine, theirs), heard);
  const isStale = heard !== undefined && theirs.includes(heard);
  return move.kind === "offer" && !move.isNew && isStale ? { kind: "leave" } : move;
}

const isOutcome = ({ worths }: Side, outcome: number | undefined): outcome is number =>
  outcome !== undefined && worths[outcome] !== undefined;

/**
 * Both sides in turn until they agree or neither has anything new to say; undefined = no deal. With k the shorter ladder's length,
 * they agree wherever one outcome is among the first k of both ladders: each side gets to offer those, and whoever offered an outcome
 * agrees to it. Beyond, the longer ladder is not walked down for nothing, so they may part although some outcome suits both.
 */
export function bargain(first: Side, second: Side): { readonly outcome: number | undefined; readonly offers: number } {
  let [mine, theirs] = [createConcession(first), createConcession(second)];
  let heard: number | undefined;
  let stale = 0;
  // Each offer that is not new is answered at most once by another that is not, so the ladders bound the loop.
  for (let offers = 0; stale < 2; offers++) {
    const [state, move] = negotiate(mine, heard);
    if (move.kind === "agree") return { outcome: move.outcome, offers };
    if (move.kind === "leave") return { outcome: undefined, offers };
    stale = move.isNew ? 0 : stale + 1;
    heard = move.outcome;
    [mine, theirs] = [theirs, state];
  }
  return { outcome: undefined, offers: mine.offered + theirs.offered };
}
