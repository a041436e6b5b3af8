import hre from "hardhat";

/** A local chain in this process. */
export interface LocalChain {
  readonly rpcUrl: string;
  readonly stop: () => Promise<void>;
}

/** Milliseconds between the blocks that are mined even when nobody sends anything, so that block time passes. */
const BLOCK_INTERVAL_MS = 1_000;

/** Compiles what has changed, without the Solidity tests. */
export async function buildContracts(): Promise<void> {
  await hre.tasks.getTask("build").run({ quiet: true, noTests: true });
}

/** Serves a fresh Hardhat chain on a free loopback port: a block for each transaction, and one a second when idle. */
export async function startLocalChain(): Promise<LocalChain> {
  const server = await hre.network.createServer(
    { network: "node", override: { mining: { auto: true, interval: BLOCK_INTERVAL_MS } } },
    "127.0.0.1",
    0,
  );
  const { address, port } = await server.listen();
  return {
    rpcUrl: `http://${address}:${port}`,
    stop: () => server.close(),
  };
}
