import { readFileSync, writeFileSync } from "node:fs";

/** Environment variable with the path of the file into which a runner writes its counts. */
export const COUNTS_FILE_VARIABLE = "SURETY_TEST_COUNTS";

/** What one test runner did. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export function writeCounts(counts: Counts): void {
  const path = process.env[COUNTS_FILE_VARIABLE];
  if (path !== undefined) writeFileSync(path, JSON.stringify(counts));
}

/** Reads a runner's counts; a runner that died before it wrote any has failed once. */
export function readCounts(path: string): Counts {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Counts;
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

/** The closing line of one runner, which machines read. */
export function summaryLine(runner: string, { passed, failed, skipped }: Counts): string {
  return `${runner}: ${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** True if tests ran, none failed, and the runner itself ended well. */
export function isGreen({ passed, failed }: Counts, exitCode: number): boolean {
  return exitCode === 0 && failed === 0 && passed > 0;
}
