// `npm run coverage [-- FILE…]`: statements and branches of the contracts under all tests that run a chain in their own process, and each
// branch that no test takes. Hardhat measures statements; branches.ts finds the branches in them.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { findBranches, type Branch, type StatementHits } from "./branches.ts";
import { root, runTool } from "./run-tool.ts";

// EDR is Hardhat's own; the version that instruments has to be the one that names the statements here.
const require = createRequire(createRequire(import.meta.url).resolve("hardhat"));
const edr = require("@nomicfoundation/edr") as {
  addStatementCoverageInstrumentation(
    source: string,
    name: string,
    version: string,
  ): { readonly metadata: readonly { readonly tag: Uint8Array; readonly startUtf16: number }[] };
  latestSupportedSolidityVersion(): string;
};
const solcRequire = createRequire(import.meta.url);
const wrap = solcRequire("solc/wrapper.js") as (compiler: unknown) => { compile(input: string): string };
const solc = wrap(solcRequire("solc/soljson.js"));

const DATA = join(root, "coverage/data");
/** Where tests call contracts: elsewhere chains run in other processes, or the contracts are not the matter. */
const FOLDERS = ["identity", "settlement", "stake", "reputation-contracts"];

function readHits(): ReadonlyMap<string, number> {
  const hits = new Map<string, number>();
  for (const file of readdirSync(DATA, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".json"),
  )) {
    const counts = JSON.parse(readFileSync(join(DATA, file), "utf8")) as Record<string, number>;
    for (const [tag, count] of Object.entries(counts)) hits.set(tag, (hits.get(tag) ?? 0) + count);
  }
  return hits;
}

function readStatements(path: string, source: string, hits: ReadonlyMap<string, number>): readonly StatementHits[] {
  const version = edr.latestSupportedSolidityVersion();
  const { metadata } = edr.addStatementCoverageInstrumentation(source, `project/${path}`, version);
  return metadata.map(({ tag, startUtf16 }) => ({
    start: startUtf16,
    hits: hits.get(Buffer.from(tag).toString("hex")) ?? 0,
  }));
}

function parse(path: string, source: string): unknown {
  const input = {
    language: "Solidity",
    sources: { [path]: { content: source } },
    settings: { stopAfter: "parsing", outputSelection: { "*": { "": ["ast"] } } },
  };
  const { sources } = JSON.parse(solc.compile(JSON.stringify(input))) as { sources: Record<string, { ast: unknown }> };
  return sources[path]?.ast;
}

const listContracts = () =>
  readdirSync(join(root, "contracts"), { recursive: true, encoding: "utf8" })
    .map((name) => join("contracts", name))
    .filter(
      (path) =>
        path.endsWith(".sol") && !/contracts\/(mocks|interfaces)\//.test(path) && !path.endsWith("StructHashes.sol"),
    )
    .sort();

function percent(part: number, whole: number): string {
  return whole === 0 ? "–" : `${((100 * part) / whole).toFixed(1)}% (${part}/${whole})`;
}

function report(): void {
  const hits = readHits();
  const all: Branch[] = [];
  let [ran, statementCount] = [0, 0];
  for (const path of listContracts()) {
    const source = readFileSync(join(root, path), "utf8");
    const statements = readStatements(path, source, hits);
    const branches = findBranches(parse(path, source), source, statements);
    const known = branches.filter(({ isTaken }) => isTaken !== undefined);
    const executed = statements.filter((statement) => statement.hits > 0).length;
    [ran, statementCount] = [ran + executed, statementCount + statements.length];
    all.push(...branches);
    if (statements.length === 0) continue;
    const taken = known.filter(({ isTaken }) => isTaken === true);
    console.log(
      `${path}: statements ${percent(executed, statements.length)}, branches ${percent(taken.length, known.length)}`,
    );
    for (const { line, what, isTaken } of known)
      if (isTaken === false) console.log(`  ${path}:${line} ${what}: never taken`);
  }
  const known = all.filter(({ isTaken }) => isTaken !== undefined);
  const taken = known.filter(({ isTaken }) => isTaken === true);
  console.log(`statements: ${percent(ran, statementCount)}`);
  console.log(
    `branches: ${percent(taken.length, known.length)}; ${all.length - known.length} more leave no trace in statements`,
  );
}

/** From mocha's list of failures on: Hardhat's own table of coverage follows it. */
function failuresIn(output: string): string {
  const from = output.search(/^\s+\d+ failing/m);
  return from === -1 ? output.slice(-4_000) : output.slice(from, from + 8_000);
}

const given = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));
const listTests = (folder: string) =>
  readdirSync(join(root, "test", folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => join("test", folder, name));
const files = given.length > 0 ? given : FOLDERS.flatMap(listTests);
if (!process.argv.includes("--report-only")) {
  rmSync(dirname(DATA), { recursive: true, force: true });
  // The invariants reach states that no single test does. Their own exit decides nothing here: `npm test` is the judge of tests.
  if (given.length === 0) await runTool("hardhat", ["test", "solidity", "--coverage"], { isStreamed: false });
  const { exitCode, output } = await runTool("hardhat", ["test", "mocha", "--coverage", ...files], {
    isStreamed: false,
  });
  if (exitCode !== 0) console.error(failuresIn(output));
  process.exitCode = exitCode;
}
report();
