import { epochAt, startOfEpoch, type EpochClock } from "../reputation/commit.ts";

/** Epochs of the chain, cut into windows: the first begins with the epoch, the last one may be shorter. */
export interface WindowClock extends EpochClock {
  readonly windowSeconds: number;
}

/** One window, by its first second (Unix). */
export interface WindowPlace {
  readonly window: number;
  readonly epoch: number;
  /** Number in its epoch, from 0. */
  readonly index: number;
  /** First second after it. */
  readonly end: number;
}

/** The window that runs at a second (Unix) at or after genesis. */
export function windowAt(clock: WindowClock, second: number): WindowPlace {
  const epoch = epochAt(clock, second);
  const start = startOfEpoch(clock, epoch);
  const index = Math.floor((second - start) / clock.windowSeconds);
  const window = start + index * clock.windowSeconds;
  return { window, epoch, index, end: Math.min(window + clock.windowSeconds, startOfEpoch(clock, epoch + 1)) };
}

/** The newest window that is over at a second; undefined before the first one is. */
export function lastWindowBefore(clock: WindowClock, second: number): WindowPlace | undefined {
  const running = windowAt(clock, second);
  return running.window <= clock.genesis ? undefined : windowAt(clock, running.window - 1);
}

/** Whether a window begins at this second. */
export function isWindow(clock: WindowClock, window: number): boolean {
  return Number.isInteger(window) && window >= clock.genesis && windowAt(clock, window).window === window;
}

/** Seat of the validator that proposes a window's batch: they take turns. */
export const leaderSeatOf = ({ index }: WindowPlace, validators: number): number => index % validators;
