// A local chain with BLOCKS blocks of about 20 events, in a process of its own, so that its work does not count as the
// indexer's. argv: number of blocks. Prints one line of JSON with its URL and deployment, and ends with its standard input.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { network } from "hardhat";
import { deploySurety } from "../../scripts/deploy.ts";

/** Each registration emits Transfer, Registered and MetadataSet. */
const REGISTRATIONS_PER_BLOCK = 7;

const blockCount = Number(process.argv[2]);
const server = await network.createServer({ network: "node" }, "127.0.0.1", 0);
const { address, port } = await server.listen();
const url = `http://${address}:${port}`;
const connection = await network.create({ network: "localhost", override: { url } });
const deployment = await deploySurety({
  connection,
  parameters: { epochLengthSeconds: 3_600n, unbondingDelaySeconds: 14_400n, publisherBondWei: 1n },
  deploymentDir: mkdtempSync(join(tmpdir(), "surety-bench-")),
});
const { viem, provider } = connection;
const registry = await viem.getContractAt("IdentityRegistry", deployment.contracts.identityRegistry);
await provider.request({ method: "evm_setAutomine", params: [false] });
for (let block = 0; block < blockCount; block++) {
  for (let k = 0; k < REGISTRATIONS_PER_BLOCK; k++) {
    // A gas limit saves an estimate, which would not see the transactions before it.
    await registry.write.register([`https://agents.test/${block}/${k}`], { gas: 400_000n });
  }
  await provider.request({ method: "evm_mine", params: [] });
}
// What the undo log covers is read block by block; the measured part is what lies below it.
for (let k = 0; k < 128; k++) await provider.request({ method: "evm_mine", params: [] });
process.stdout.write(`${JSON.stringify({ url, deployment })}\n`);
process.stdin.resume();
process.stdin.once("end", () => process.exit(0));
