// Runs the commands of docs/explain-a-score.md and the code of docs/challenge-an-epoch.md as they stand there, on one chain.
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect } from "chai";
import { createWalletClient, http, type PublicClient } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { hardhat } from "viem/chains";
import { reputationEpochsAbi, topicIdOf, unpackLeaf, type Challenge, type TopicRoot } from "#protocol";
import { testAccount } from "../../scripts/devnet/accounts.ts";
import { root } from "../../scripts/checks/run-tool.ts";
import { CommandLine } from "../fixtures/cli.ts";
import { shiftOnePercent } from "../fixtures/forgery.ts";
import { commitEpoch, startLocalNetwork, type LocalNetwork } from "../fixtures/local-network.ts";

const topic = topicIdOf("data_analysis");
const blocks = new Map(
  ["explain-a-score.md", "challenge-an-epoch.md"].flatMap((page) =>
    [...readFileSync(join(root, "docs", page), "utf8").matchAll(/^```\w+ (\S+)\n(.*?)^```$/gms)].map(
      ([, name = "", text = ""]) => [name, text] as const,
    ),
  ),
);
const blockOf = (name: string): string => {
  const block = blocks.get(name);
  if (block === undefined) throw new Error(`no page has a block ${name}`);
  return block;
};

interface Claim {
  readonly claim: TopicRoot;
  readonly leaves: readonly bigint[];
}
interface Snippet {
  readClaim(chain: unknown, contracts: unknown, candidateId: bigint, topic: bigint): Promise<Claim>;
  checkRow(chain: unknown, contracts: unknown, claim: Claim, agentId: number): Promise<Challenge | undefined>;
  strike(...args: unknown[]): Promise<unknown>;
}

describe("the guides for explaining and for challenging scores", function () {
  this.timeout(180_000);
  const cli = new CommandLine();
  let network: LocalNetwork;

  before(async () => {
    network = await startLocalNetwork(3, { stakers: 2 });
    await network.rate(topic, [
      [0, 1, 80],
      [1, 2, 60],
      [2, 0, 70],
    ]);
  });
  after(async () => {
    cli.killAll();
    await network?.stop();
  });

  it("explain a score in the words of the page, and draw it", async () => {
    const args = (name: string) => {
      const [program, ...words] = blockOf(name).trim().split(" ");
      expect(program).to.equal("surety");
      const inDir = words.map((word) => (word.endsWith(".svg") ? join(network.dir, word) : word));
      return [...inDir, "--network", "network", "--rpc-url", network.rpcUrl, "--data-dir", network.dir];
    };
    const { code, stdout, stderr } = await cli.run(...args("explain"));
    expect(code, stderr).to.equal(0);
    expect(stdout.replace(/0x[0-9a-f]{64}/g, "0x…").trim()).to.equal(blockOf("explained").trim());
    expect(readFileSync(join(network.dir, "score.svg"), "utf8")).to.match(/^<svg/);
    const report = JSON.parse((await cli.run(...args("machine"))).stdout) as Record<string, unknown>;
    expect(report).to.include.keys("score", "rank", "fromStake", "contributions", "rounding", "risk");
  });

  it("come with files of leaves that the chain vouches for, and a changed byte shows", async () => {
    const { dir, rpcUrl } = network;
    const at = ["--network", "network", "--rpc-url", rpcUrl, "--data-dir", dir];
    const named = ["--topic", "data_analysis", ...at];
    const leaves = (...words: readonly string[]) => cli.json("reputation", "leaves", ...words);
    const epoch = await network.finalizeEpoch();
    const written = await leaves("export", ...named, "--epoch", String(epoch), "--out", join(dir, "leaves"));
    expect(written.code, JSON.stringify(written.result)).to.equal(0);
    const path = written.result["path"] as string;
    const { code, result } = await leaves("check", path, ...named);
    expect([code, result["holds"], result["leafCount"]]).to.deep.equal([0, true, 4]);
    expect(result["best"]).to.have.lengthOf(3);
    const forged = Uint8Array.from(readFileSync(path));
    forged[forged.length - 1]! ^= 1;
    writeFileSync(join(dir, "forged.leaves"), forged);
    const refused = await leaves("check", join(dir, "forged.leaves"), ...named);
    expect([refused.code, refused.result["holds"]]).to.deep.equal([1, false]);
    const other = await leaves("check", path, "--root", `0x${"11".repeat(32)}`);
    expect([other.code, other.result["holds"]]).to.deep.equal([1, false]);
    expect((await cli.failure("reputation", "leaves", "check", join(dir, "none.leaves")))[1]).to.equal(
      "USAGE_FILE_MISSING",
    );
  });

  it("find the wrong row of a forged epoch and none in an honest one, strike, and are paid", async () => {
    const { deployment, dir, rpcUrl } = network;
    const { contracts } = deployment;
    const client: PublicClient = network.client;
    const { computed } = await network.closeEpoch();
    const publishers = [network.agents[0]!, network.agents[1]!];
    await commitEpoch(network, publishers[0]!, computed.map(shiftOnePercent));
    await commitEpoch(network, publishers[1]!, computed);
    const read = (eventName: "EpochCommitted" | "CandidateStruck") =>
      client.getContractEvents({
        ...{ abi: reputationEpochsAbi, address: contracts.reputationEpochs, eventName },
        ...{ fromBlock: 0n, strict: true },
      });
    const candidates = (await read("EpochCommitted")).map(({ args }) => args.candidateId).slice(-2);
    const code = join(dir, "code");
    mkdirSync(code);
    symlinkSync(join(root, "node_modules"), join(code, "node_modules"));
    writeFileSync(join(code, "package.json"), '{"type":"module"}');
    const protocol = pathToFileURL(join(root, "contracts/protocol/index.ts")).href;
    const file = join(code, "challenge-row.ts");
    writeFileSync(file, blockOf("challenge-row.ts").replaceAll('"surety/protocol"', `"${protocol}"`));
    const { readClaim, checkRow, strike } = (await import(pathToFileURL(file).href)) as Snippet;
    const found: (Challenge | undefined)[][] = [];
    for (const candidateId of candidates) {
      const claim = await readClaim(client, contracts, candidateId, topic);
      const agentIds = claim.leaves.slice(1).map((word) => unpackLeaf(word).agentId);
      found.push(await Promise.all(agentIds.map((agentId) => checkRow(client, contracts, claim, agentId))));
    }
    expect(found[1]).to.deep.equal([undefined, undefined, undefined]);
    const challenge = found[0]?.find((one) => one !== undefined);
    const account = privateKeyToAccount(testAccount(5).key);
    const wallet = createWalletClient({ account, chain: hardhat, transport: http(rpcUrl) });
    await strike(client, wallet, contracts, candidates[0], challenge);
    const [struck] = await read("CandidateStruck");
    expect(struck?.args).to.deep.include({ candidateId: candidates[0], challenger: account.address });
    expect((struck?.args as { reward: bigint }).reward > 0n).to.equal(true);
  });
});
