import { readdirSync, readFileSync } from "node:fs";

/** Environment variable that every process of one test run inherits. */
export const RUN_MARKER_VARIABLE = "SURETY_TEST_RUN";

export interface Leftover {
  readonly pid: number;
  readonly command: string;
}

/**
 * Processes, other than this one, that carry the run's marker in their environment: what a test started and did not end,
 * however it was detached. A listener cannot outlive them. Linux only, where /proc shows it; elsewhere undefined.
 */
export function findLeftovers(marker: string): Leftover[] | undefined {
  if (process.platform !== "linux") return undefined;
  const needle = `${RUN_MARKER_VARIABLE}=${marker}`;
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid)
    .flatMap((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(needle)) return [];
        return [{ pid, command: readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim() }];
      } catch {
        // It ended meanwhile, or belongs to somebody else.
        return [];
      }
    });
}
