import { join } from "node:path";
import { createHardhatRuntimeEnvironment } from "hardhat/hre";
import config from "../../hardhat.config.ts";
import { root } from "../../scripts/checks/run-tool.ts";

/** What the production profile of hardhat.config.ts compiles with, for reports. */
export const PRODUCTION = "solc 0.8.37, viaIR, optimizer 10,000 runs, osaka";

/**
 * A chain on which the contracts of the production profile are deployed. They are built beside the ordinary ones, so that a
 * benchmark never exchanges the artifacts under a running test.
 * @param startsAt Unix seconds of the first block: the same times give the same signatures, and so the same gas
 */
export async function createProductionChain(sources: readonly string[], startsAt: number) {
  const folder = "cache/production";
  const hre = await createHardhatRuntimeEnvironment(
    { ...config, paths: { ...config.paths, artifacts: `${folder}/artifacts`, cache: `${folder}/cache` } },
    { config: join(root, "hardhat.config.ts"), buildProfile: "production" },
    root,
  );
  const files = sources.map((source) => join(root, "contracts", source));
  await hre.tasks.getTask("build").run({ files, quiet: true });
  return hre.network.create({ network: "default", override: { initialDate: new Date(startsAt * 1000) } });
}

export type Chain = Awaited<ReturnType<typeof createProductionChain>>;
