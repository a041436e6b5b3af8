// `npm run test:forge [-- --coverage] [-- --nightly]`: the Solidity tests once more, by forge: two EVMs that agree are
// better than one. `--coverage` prints lines, statements, branches and functions of each contract instead.
import { join } from "node:path";
import { summaryLine, writeCounts } from "./counts.ts";
import { findForge } from "./forge.ts";
import { root, runTool } from "./run-tool.ts";

type Suites = Readonly<
  Record<string, { readonly test_results: Readonly<Record<string, { readonly status: string }>> }>
>;

/** forge's own report; a line for each test that has not passed goes to stderr. */
function countResults(output: string) {
  const suites = JSON.parse(output.slice(output.indexOf("{"))) as Suites;
  const results = Object.entries(suites).flatMap(([suite, { test_results }]) =>
    Object.entries(test_results).map(([test, result]) => ({ name: `${suite} ${test}`, ...result })),
  );
  for (const { name, ...rest } of results) {
    if (rest.status !== "Success") console.error(`forge: ${name}: ${JSON.stringify(rest).slice(0, 2_000)}`);
  }
  const count = (wanted: string) => results.filter(({ status }) => status === wanted).length;
  const [passed, skipped] = [count("Success"), count("Skipped")];
  return { passed, skipped, failed: results.length - passed - skipped };
}

async function main(): Promise<number> {
  const forge = findForge();
  if (forge === undefined) {
    console.log("forge: not installed; `npm install --no-save @foundry-rs/forge-linux-amd64` brings it.");
    return 1;
  }
  const env = {
    FOUNDRY_CONFIG: join(root, "scripts/forge/foundry.toml"),
    FOUNDRY_SOLC: join(root, "scripts/forge/solc.js"),
    FOUNDRY_PROFILE: process.argv.includes("--nightly") ? "nightly" : "default",
    FOUNDRY_OFFLINE: "true",
  };
  if (process.argv.includes("--coverage")) {
    const args = ["coverage", "--root", root, "--ir-minimum", "--no-match-coverage", "(test|mocks)/"];
    return (await runTool(forge, args, { isStreamed: true, env })).exitCode;
  }
  const { exitCode, output } = await runTool(forge, ["test", "--root", root, "--json"], { env });
  if (!output.includes("test_results")) {
    console.error(output);
    return 1;
  }
  const counts = countResults(output);
  writeCounts(counts);
  console.log(summaryLine("forge", counts));
  return exitCode;
}

process.exitCode = await main();
