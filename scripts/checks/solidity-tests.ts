// Runs the Solidity tests in a process of their own and writes their counts for scripts/test.ts.
import hre from "hardhat";
import { writeCounts, type Counts } from "./counts.ts";

/** What Hardhat's task `test solidity` answers, well or badly ended. */
interface TaskResult {
  readonly success: boolean;
  readonly value?: { readonly summary: Counts };
  readonly error?: { readonly summary: Counts };
}

const { success, value, error } = (await hre.tasks.getTask(["test", "solidity"]).run({})) as TaskResult;
const summary = (success ? value : error)?.summary;
if (summary !== undefined) {
  const { passed, failed, skipped } = summary;
  writeCounts({ passed, failed, skipped });
}
process.exitCode = success ? 0 : 1;
