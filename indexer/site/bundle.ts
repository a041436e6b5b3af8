import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin } from "esbuild";

/** The pages; the auditor, loaded when somebody verifies; the trust graph, loaded by its page. */
export const scriptNames = ["main", "verify", "graph"] as const;
export type ScriptName = (typeof scriptNames)[number];

const explorer = fileURLToPath(new URL("../explorer/", import.meta.url));
const root = resolve(explorer, "../..");
const protocol = join(root, "contracts/protocol");

/** Where `npm run build:dist` puts the scripts of an installed package. */
export const builtFolder = join(explorer, "built");

const entryOf: Record<ScriptName, string> = {
  main: join(explorer, "main.ts"),
  verify: join(explorer, "verify/main.ts"),
  graph: join(explorer, "graph/main.ts"),
};

/** One script of the explorer: as built for an installed package, or bundled now, which takes about a second. */
export async function readScript(name: ScriptName): Promise<Uint8Array> {
  const built = join(builtFolder, `${name}.js`);
  return existsSync(built) ? readFile(built) : bundleScript(name);
}

/** Bundles a script from its sources. esbuild is loaded for it only: whoever serves no page never pays for it. */
export async function bundleScript(name: ScriptName): Promise<Uint8Array> {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({
    ...{ entryPoints: [entryOf[name]], bundle: true, minify: true, write: false, logLevel: "silent" },
    ...{ format: "esm", platform: "browser", target: "es2022", legalComments: "none" },
    plugins: [pureProtocol],
  });
  return (outputFiles[0] as (typeof outputFiles)[number]).contents;
}

/** #protocol does nothing when it is loaded, so that what a script does not use of it is left out. */
const pureProtocol: Plugin = {
  name: "pure-protocol",
  setup(build) {
    build.onResolve({ filter: /^#protocol$/ }, () => ({ path: join(protocol, "index.ts"), sideEffects: false }));
    build.onResolve({ filter: /^\./ }, ({ importer, path }) =>
      importer.startsWith(protocol) ? { path: resolve(dirname(importer), path), sideEffects: false } : undefined,
    );
  },
};
