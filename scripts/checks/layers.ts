import { cruise, type ICruiseResult } from "dependency-cruiser";
import { existsSync } from "node:fs";
import { join } from "node:path";
import rules from "../../.dependency-cruiser.js";
import { root } from "./run-tool.ts";

/** Source folders and files that the layering rules cover. */
const SOURCES = ["contracts/protocol", "node", "indexer", "scripts", "bench", "test"];

export interface Violation {
  readonly rule: string;
  readonly from: string;
  readonly to: string;
}

/** Reads the imports of a project's sources. @param baseDir where the folders of the layout lie */
export async function cruiseSources(baseDir: string = root): Promise<ICruiseResult> {
  const sources = SOURCES.filter((source) => existsSync(join(baseDir, source)));
  const { forbidden, options } = rules as { forbidden: never[]; options: object };
  const { output } = await cruise(sources, { ...options, ruleSet: { forbidden }, validate: true, baseDir });
  return output as ICruiseResult;
}

/** Every import that breaks a rule of .dependency-cruiser.js. */
export function violationsOf(result: ICruiseResult): Violation[] {
  return result.summary.violations.map(({ rule, from, to }) => ({ rule: rule.name, from, to }));
}
