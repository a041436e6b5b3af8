// `npm run build:dist`: the JavaScript that an installed package runs, because Node strips no types inside node_modules.
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { builtFolder, bundleScript, scriptNames } from "../indexer/site/bundle.ts";
import { root, runTool } from "./checks/run-tool.ts";

const dist = join(root, "dist");
/** Sources that tsc does not carry along: pages, styles and texts beside the code. */
const ASSET_EXTENSIONS = [".html", ".css", ".svg", ".graphql", ".json", ".csv"];

function copyFiles(folder: string, extensions: readonly string[]): void {
  for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !extensions.includes(extname(entry.name))) continue;
    const from = join(entry.parentPath, entry.name);
    const to = join(dist, from.slice(root.length + 1));
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(from, to);
  }
}

rmSync(dist, { recursive: true, force: true });
const { exitCode } = await runTool("tsc", ["-p", "tsconfig.build.json"], { isStreamed: true });
if (exitCode !== 0) process.exit(exitCode);
for (const folder of ["node", "indexer", "scripts"]) copyFiles(folder, ASSET_EXTENSIONS);
// The explorer's scripts, so that an installed package bundles nothing.
const built = join(dist, builtFolder.slice(root.length + 1));
mkdirSync(built, { recursive: true });
for (const name of scriptNames) writeFileSync(join(built, `${name}.js`), await bundleScript(name));
// `surety deploy` and `surety devnet` compile what they deploy.
copyFiles("contracts", [".sol"]);
// The nearest package.json gives `#protocol` its meaning: the sources in a clone, the build in here.
const scope = { type: "module", imports: { "#protocol": "./contracts/protocol/index.js" } };
writeFileSync(join(dist, "package.json"), `${JSON.stringify(scope, null, 2)}\n`);

/** Files that package.json promises to whoever installs it. */
const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  exports: Record<string, string | Record<string, string>>;
};
const promised = Object.values(exports).flatMap((target) =>
  typeof target === "string" ? [target] : Object.values(target),
);
const missing = promised.filter((target) => !target.includes("*") && !existsSync(join(root, target)));
for (const target of missing) console.error(`build:dist: package.json exports ${target}, which does not exist`);
if (missing.length > 0) process.exit(1);
console.log("build:dist: dist is complete");
