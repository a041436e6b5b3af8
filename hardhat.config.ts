import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import hardhatIgnitionViem from "@nomicfoundation/hardhat-ignition-viem";
import hardhatKeystore from "@nomicfoundation/hardhat-keystore";
import hardhatMocha from "@nomicfoundation/hardhat-mocha";
import hardhatNetworkHelpers from "@nomicfoundation/hardhat-network-helpers";
import hardhatVerify from "@nomicfoundation/hardhat-verify";
import hardhatViem from "@nomicfoundation/hardhat-viem";
import hardhatViemAssertions from "@nomicfoundation/hardhat-viem-assertions";
import { configVariable, defineConfig } from "hardhat/config";
import { parallelBuild } from "./scripts/parallel-build.ts";

const require = createRequire(import.meta.url);
const { version } = require("solc/package.json") as { version: string };

const soljson = import.meta.url.endsWith(".ts") ? "./scripts/soljson.ts" : "./scripts/soljson.js";
// The compiler comes from npm, so that a build needs no download. NATIVE_SOLC=1 lets Hardhat fetch the native one.
const solc = {
  version,
  ...(process.env["NATIVE_SOLC"] === "1" ? {} : { path: fileURLToPath(new URL(soljson, import.meta.url)) }),
};

const isNightly = process.env["SURETY_PROFILE"] === "nightly";
const evmVersion = "osaka";
// The auditor proves storage slots, so it has to know where each variable lies.
const outputSelection = { "*": { "*": ["storageLayout"] } };

/** What the local networks share. Blocks of one second may share a timestamp with the transactions that fill them. */
const localNetwork = {
  type: "edr-simulated",
  chainType: "l1",
  hardfork: evmVersion,
  allowBlocksWithSameTimestamp: true,
} as const;

export default defineConfig({
  plugins: [
    hardhatIgnitionViem,
    hardhatKeystore,
    hardhatMocha,
    hardhatNetworkHelpers,
    hardhatVerify,
    hardhatViem,
    hardhatViemAssertions,
    parallelBuild,
  ],
  solidity: {
    profiles: {
      default: { ...solc, settings: { evmVersion, outputSelection, optimizer: { enabled: true, runs: 200 } } },
      production: {
        ...solc,
        settings: { evmVersion, outputSelection, viaIR: true, optimizer: { enabled: true, runs: 10_000 } },
      },
    },
  },
  paths: {
    sources: "./contracts",
    tests: { solidity: "./test/invariants", mocha: "./test" },
    ignition: "./scripts/ignition",
  },
  // 60,000 calls of each invariant in the nightly profile: over a million in all, as the design asks, in tens of minutes.
  test: {
    solidity: {
      fuzz: { runs: isNightly ? 25_600 : 256 },
      invariant: { runs: isNightly ? 120 : 10, depth: isNightly ? 500 : 100, failOnRevert: true },
    },
  },
  networks: {
    // `npx hardhat node` and every test's own chain.
    node: localNetwork,
    default: localNetwork,
    // A chain that `npx hardhat node` serves in another terminal.
    localhost: { type: "http", chainType: "l1", url: process.env["SURETY_RPC_URL"] ?? "http://127.0.0.1:8545" },
    // Any EVM network: set both in the keystore, `npx hardhat keystore set SURETY_RPC_URL`.
    remote: {
      type: "http",
      chainType: "generic",
      url: configVariable("SURETY_RPC_URL"),
      accounts: [configVariable("SURETY_DEPLOYER_KEY")],
    },
  },
});
