// Draws which folder imports which into docs/architecture.md, between two markers. `--check` writes nothing and fails
// when the drawing is stale.
import type { ICruiseResult } from "dependency-cruiser";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cruiseSources } from "./layers.ts";
import { root } from "./run-tool.ts";

const BEGIN = "<!-- import graph: begin (npm run graph) -->";
const END = "<!-- import graph: end -->";
/** Folders that are drawn with their children, because the children are the design. */
const OPENED = ["node", "indexer", "scripts"];

/** The folder by which a file is drawn; undefined = not drawn. */
function folderOf(path: string): string | undefined {
  if (/^(node_modules|test|bench|artifacts)\//.test(path) || !path.includes("/")) return undefined;
  if (path.startsWith("contracts/protocol/")) return "#protocol";
  const [top = "", second = ""] = path.split("/");
  return OPENED.includes(top) && path.split("/").length > 2 ? `${top}/${second}` : top;
}

/** Mermaid text of the folders' imports: solid = values, dotted = types only. Sorted, so that it is stable. */
export function renderGraph(result: Pick<ICruiseResult, "modules">): string {
  const edges = new Map<string, boolean>();
  for (const { source, dependencies } of result.modules) {
    const from = folderOf(source);
    for (const { resolved, dependencyTypes } of dependencies) {
      const to = dependencyTypes.includes("core") ? undefined : folderOf(resolved);
      if (from === undefined || to === undefined || from === to) continue;
      const key = `${from}\n${to}`;
      edges.set(key, (edges.get(key) ?? false) || !dependencyTypes.includes("type-only"));
    }
  }
  const nodeId = (folder: string) => folder.replaceAll(/[^a-z]/g, "_");
  const lines = [...edges]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, hasValues]) => {
      const [from = "", to = ""] = key.split("\n");
      return `  ${nodeId(from)}["${from}"] ${hasValues ? "-->" : "-.->"} ${nodeId(to)}["${to}"]`;
    });
  return ["```mermaid", "flowchart LR", ...lines, "```"].join("\n");
}

/** Replaces what stands between the markers; appends a section if there are none. */
export function insertGraph(page: string, graph: string): string {
  const section = `${BEGIN}\n${graph}\n${END}`;
  const from = page.indexOf(BEGIN);
  const to = page.indexOf(END);
  if (from < 0 || to < from) return `${page.trimEnd()}\n\n## Import graph\n\n${section}\n`;
  return page.slice(0, from) + section + page.slice(to + END.length);
}

if (import.meta.main) {
  const path = join(root, "docs/architecture.md");
  if (!existsSync(path)) throw new Error("graph: docs/architecture.md does not exist yet.");
  const page = readFileSync(path, "utf8");
  const fresh = insertGraph(page, renderGraph(await cruiseSources()));
  if (process.argv.includes("--check")) {
    if (fresh !== page) {
      console.error("graph: the import graph in docs/architecture.md is stale. Run npm run graph.");
      process.exitCode = 1;
    }
  } else {
    writeFileSync(path, fresh);
    console.log("graph: docs/architecture.md is fresh");
  }
}
