import { join, sep } from "node:path";
import type { HardhatPlugin } from "hardhat/types/plugins";
import type { SolidityBuildSystem } from "hardhat/types/solidity";

type Build = SolidityBuildSystem["build"];

/** Folders that hold about half of a cold build: 33 s of a core each where a local network is built (30 and 37 without `network` here). */
const firstHalfFolders = ["identity", "libraries", "network", "stake"].map((folder) => join("contracts", folder) + sep);

/**
 * Hardhat compiles all that is configured alike in one run of the compiler, on one core. This builds two halves side by
 * side, each into the shared cache, and then everything, which finds all of it there: whatever a half left out, and what
 * the two have overwritten of each other's cache, is compiled again rather than missed.
 */
export const parallelBuild: HardhatPlugin = {
  id: "surety-parallel-build",
  hookHandlers: {
    solidity: async () => ({
      default: async () => ({
        build: async (context, rootFilePaths, options, next) => {
          const build = (files: string[], more: Parameters<Build>[1]) => next(context, files, { ...options, ...more });
          const isFirst = (file: string) => firstHalfFolders.some((folder) => file.includes(sep + folder));
          const halves = [rootFilePaths.filter(isFirst), rootFilePaths.filter((file) => !isFirst(file))];
          if (halves.every(({ length }) => length > 0)) {
            await Promise.all(halves.map((half) => build(half, { quiet: true, cleanupArtifacts: false })));
          }
          return build(rootFilePaths, { force: false });
        },
      }),
    }),
  },
};
