import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { zeroHash, type Hex } from "viem";
import { createCommitment } from "../cli/commitment.ts";
import type { ScenarioAgent } from "../scenarios/scenario.ts";

/** Where an agent of the local network keeps its binding file. */
export const bindingPath = (dir: string, name: string): string => join(dir, `${name}.binding.json`);

/** Commits an agent to the folder of its application and to what that is started with. @returns the commitment */
export async function commitAgent(
  dir: string,
  { name, application }: Pick<ScenarioAgent, "name" | "application">,
  signal: AbortSignal,
): Promise<Hex> {
  const configFile = join(dir, `${name}.config.json`);
  const config = {
    // The built-in applications are programs: no model, no prompt, no tools. Their prices are their only policy.
    ...{ model: null, promptTemplate: null, toolPermissions: null, safetyPolicy: null, budgetPolicy: null },
    application: application.options ?? null,
  };
  writeFileSync(configFile, JSON.stringify(config, null, 2));
  const code = dirname(application.module);
  const request = { code, configFile, isRuntimeBound: true, userId: zeroHash, out: bindingPath(dir, name) };
  return (await createCommitment(request, signal)).commitment;
}
