// Runs the Solidity tests in a process of their own and writes their counts for scripts/test.ts.
import hre from "hardhat";
import { writeCounts } from "./counts.ts";

interface TestRun {
  readonly suiteResults: readonly {
    readonly id: { readonly name: string };
    readonly testResults: readonly { readonly status: string; readonly kind: object }[];
  }[];
}

/** What Hardhat's task `test solidity` answers. Its summary is filled only when the task `test` runs all runners. */
interface TaskResult {
  readonly success: boolean;
  readonly value?: TestRun;
  readonly error?: TestRun;
}

/** Identity's design asks for so many; see PROPERTIES.md. */
const NIGHTLY_BINDING_CALLS = 100_000n;
const bindingSuites = ["IdentityInvariants", "ForeignInvariants"];
const isNightly = process.env["SURETY_PROFILE"] === "nightly";

const { success, value, error } = (await hre.tasks.getTask(["test", "solidity"]).run({})) as TaskResult;
const run = success ? value : error;
if (run !== undefined) {
  const statuses = run.suiteResults.flatMap(({ testResults }) => testResults.map(({ status }) => status));
  const count = (wanted: string) => statuses.filter((status) => status === wanted).length;
  const [passed, skipped] = [count("Success"), count("Skipped")];
  // Whatever else a test may have been, it has not passed.
  writeCounts({ passed, skipped, failed: statuses.length - passed - skipped });
}

/** Calls of the fuzzed handlers, by the contract that states the invariants: the nightly profile owes the design its numbers. */
const calls = new Map<string, bigint>();
for (const { id, testResults } of run?.suiteResults ?? []) {
  for (const { kind } of testResults)
    if ("calls" in kind) calls.set(id.name, (calls.get(id.name) ?? 0n) + (kind.calls as bigint));
}
for (const [name, count] of calls) console.log(`calls in ${name}: ${count}`);
const bindingCalls = [...calls].reduce((sum, [name, count]) => (bindingSuites.includes(name) ? sum + count : sum), 0n);
console.log(`fuzzed binding operations: ${bindingCalls}`);
const isTooFew = isNightly && bindingCalls < NIGHTLY_BINDING_CALLS;
if (isTooFew) console.error(`fewer than the ${NIGHTLY_BINDING_CALLS} that the nightly profile owes`);

process.exitCode = success && !isTooFew ? 0 : 1;
