const WEEK_S = 7 * 86_400;

/** Who is away once a week for a while, from a second of the week of its own on. */
export interface Calendar {
  readonly awayFromS: number;
  readonly awayS: number;
}

/** The first second from a time on at which somebody is there. */
export function nextPresence({ awayFromS, awayS }: Calendar, timeS: number): number {
  const intoS = (((timeS - awayFromS) % WEEK_S) + WEEK_S) % WEEK_S;
  return intoS < awayS ? timeS + awayS - intoS : timeS;
}

/** The first second after a time at which somebody has just left. */
export function nextDeparture({ awayFromS }: Calendar, timeS: number): number {
  const intoS = (((timeS - awayFromS) % WEEK_S) + WEEK_S) % WEEK_S;
  return timeS + WEEK_S - intoS;
}
