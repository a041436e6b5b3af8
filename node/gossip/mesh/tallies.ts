import type { MeshCounts } from "./port.ts";

/** Counts while they are counted. */
export type Tallies = { -readonly [name in keyof MeshCounts]: number };

export const createTallies = (): Tallies => ({
  ...{ framesIn: 0, framesOut: 0, bytesIn: 0, bytesOut: 0 },
  ...{ headersIn: 0, duplicates: 0, headersOut: 0, announcementsIn: 0, announcementsOut: 0 },
  ...{ headerPulls: 0, bodyPulls: 0, bodiesIn: 0, bodiesOut: 0, brokenPromises: 0 },
  ...{ droppedFrames: 0, droppedAnnouncements: 0, droppedHeaders: 0 },
});
