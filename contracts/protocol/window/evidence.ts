import type { BatchHeader } from "../generated/structs.ts";
import type { SignedBatch } from "./batch.ts";

/** A validator's signature under a batch header of the topic and epoch that are watched; checked by whoever hands it over. */
export interface Sighting extends SignedBatch {
  readonly seat: number;
}

/** Two different headers of one window by one validator: `reportDoubleSigning` takes them as they are. */
export interface DoubleSigning {
  readonly seat: number;
  readonly window: number;
  readonly first: SignedBatch;
  readonly second: SignedBatch;
}

/**
 * Windows that are remembered at least. A liar shows its second header to be believed, so soon; what comes later than five minutes
 * of five seconds each is found by who kept both batches.
 */
export const REMEMBERED_WINDOWS = 64;

/** The first header that each validator was seen to sign, by window and then seat. */
export type Sightings = ReadonlyMap<number, ReadonlyMap<number, SignedBatch>>;

const isSame = (a: BatchHeader, b: BatchHeader): boolean =>
  a.topic === b.topic && a.window === b.window && a.previous === b.previous && a.root === b.root && a.count === b.count;

/** Folds one sighting. @returns the evidence, where the validator was seen to sign another header of that window */
export function noteSighting(sightings: Sightings, seen: Sighting): [Sightings, DoubleSigning | undefined] {
  const { seat, header, signature } = seen;
  const { window } = header;
  const known = sightings.get(window)?.get(seat);
  if (known !== undefined) {
    const evidence = { seat, window, first: known, second: { header, signature } };
    return [sightings, isSame(known.header, header) ? undefined : evidence];
  }
  const ofWindow = new Map(sightings.get(window)).set(seat, { header, signature });
  const windows = [...new Map(sightings).set(window, ofWindow)].sort(([a], [b]) => a - b);
  return [new Map(windows.slice(-REMEMBERED_WINDOWS)), undefined];
}
