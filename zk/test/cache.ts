import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../cache/", import.meta.url));
const kept = join(folder, "log-compliance");
const named = process.env["SURETY_ZK_CACHE"];
let isWhole = false;

/**
 * Compiled keys, shared by the files of one run and by later runs: o1js names them by what they were compiled from. What a first run
 * writes stays only once it is whole, so that nothing is read that a killed run left behind.
 */
export const cacheDir = named ?? (existsSync(kept) ? kept : createFolder());

function createFolder(): string {
  mkdirSync(folder, { recursive: true });
  const created = mkdtempSync(join(folder, "new-"));
  process.once("exit", () => {
    if (isWhole && !existsSync(kept)) renameSync(created, kept);
    else rmSync(created, { recursive: true, force: true });
  });
  return created;
}

/** Says that everything was compiled. */
export const keepCache = (): void => void (isWhole = true);

/** A line of figures under a test: seconds as they passed, and of CPU, which a busy machine does not stretch. */
export function createStopwatch(): (what: string) => void {
  const [startedAt, before] = [performance.now(), process.cpuUsage()];
  return (what) => {
    const { user, system } = process.cpuUsage(before);
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(2);
    console.log(`      ${what}: ${seconds} s, ${((user + system) / 1e6).toFixed(1)} s of CPU`);
  };
}
