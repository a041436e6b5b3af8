// Runs the Solidity tests in a process of their own and writes their counts for scripts/test.ts.
import hre from "hardhat";
import { writeCounts } from "./counts.ts";

interface TestRun {
  readonly suiteResults: readonly { readonly testResults: readonly { readonly status: string }[] }[];
}

/** What Hardhat's task `test solidity` answers. Its summary is filled only when the task `test` runs all runners. */
interface TaskResult {
  readonly success: boolean;
  readonly value?: TestRun;
  readonly error?: TestRun;
}

const { success, value, error } = (await hre.tasks.getTask(["test", "solidity"]).run({})) as TaskResult;
const run = success ? value : error;
if (run !== undefined) {
  const statuses = run.suiteResults.flatMap(({ testResults }) => testResults.map(({ status }) => status));
  const count = (wanted: string) => statuses.filter((status) => status === wanted).length;
  const [passed, skipped] = [count("Success"), count("Skipped")];
  // Whatever else a test may have been, it has not passed.
  writeCounts({ passed, skipped, failed: statuses.length - passed - skipped });
}
process.exitCode = success ? 0 : 1;
