// `npm run bench -- NAME [--json | --markdown] [--quick]`: one benchmark, as a table or as one JSON object. `--update` writes the committed
// snapshot of its figures, `--check` fails where one has risen.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../scripts/checks/run-tool.ts";
import { commitOf, describeMachine, renderMarkdown, renderTable, type Bench, type Report } from "./harness/report.ts";
import { Interrupted } from "./harness/sections.ts";
import { compare, snapshotOf, type Snapshot } from "./harness/snapshot.ts";

const folder = join(root, "bench");
const names = readdirSync(folder)
  .filter((file) => file.endsWith(".ts") && file !== "main.ts")
  .map((file) => file.slice(0, -".ts".length));
/** Of a simulation. */
const [MIN_NODES, MAX_NODES] = [100, 100_000];
const usage = `usage: npm run bench -- NAME [--json | --markdown] [--quick] [--nodes N] [--attacks] [--update | --check]\nbenchmarks: ${names.join(", ")}`;

function readArguments() {
  const flag = { type: "boolean", default: false } as const;
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: flag,
      markdown: flag,
      quick: flag,
      attacks: flag,
      update: flag,
      check: flag,
      nodes: { type: "string" },
    },
  });
  const nodeCount = values.nodes === undefined ? undefined : Number(values.nodes);
  if (nodeCount !== undefined && !(Number.isInteger(nodeCount) && nodeCount >= MIN_NODES && nodeCount <= MAX_NODES))
    throw new Error(`--nodes is ${MIN_NODES} to ${MAX_NODES}`);
  const [name] = positionals;
  if (name === undefined || positionals.length > 1 || !names.includes(name)) throw new Error("name one benchmark");
  return { name, ...values, nodeCount };
}

function checkSnapshot(path: string, current: Snapshot): number {
  if (!existsSync(path)) {
    console.error(`bench: there is no ${path}. Write it with --update.`);
    return 1;
  }
  const { problems, falls } = compare(JSON.parse(readFileSync(path, "utf8")) as Snapshot, current);
  for (const line of problems) console.error(`bench: ${line}`);
  for (const line of falls) console.log(`bench: ${line}; commit it with --update`);
  return problems.length === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  let args: ReturnType<typeof readArguments>;
  try {
    args = readArguments();
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : String(error)}\n${usage}`);
    return 2;
  }
  const { bench } = (await import(`./${args.name}.ts`)) as { bench: Bench };
  const results = await bench.run({
    ...{ isQuick: args.quick, hasAttacks: args.attacks },
    ...(args.nodeCount === undefined ? {} : { nodeCount: args.nodeCount }),
  });
  const snapshotPath = join(folder, `${args.name}-snapshot.json`);
  if (args.check) return checkSnapshot(snapshotPath, snapshotOf(results));
  if (args.update) writeFileSync(snapshotPath, `${JSON.stringify(snapshotOf(results), null, 2)}\n`);
  const report: Report = {
    bench: args.name,
    commit: commitOf(root),
    machine: describeMachine(),
    profile: bench.profile,
    results,
  };
  const render = args.markdown ? renderMarkdown : renderTable;
  console.log(args.json ? JSON.stringify(report, null, 2) : render(report));
  return 0;
}

/** Who was stopped says so and no more; everything that it started has ended by then. */
function endOf(fault: unknown): number {
  const cause = fault instanceof Error && fault.cause instanceof Interrupted ? fault.cause : fault;
  if (!(cause instanceof Interrupted)) throw fault;
  console.error(`bench: ${cause.message}`);
  return 130;
}

process.exitCode = await main().catch(endOf);
