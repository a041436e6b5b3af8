import { expect } from "chai";
import type { Command } from "commander";
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createTestClient, http, numberToHex, type Hex } from "viem";
import { dealEscrowAbi, topicIdOf } from "#protocol";
import { agentCommand } from "../../scripts/commands/agent.ts";
import { auditCommand } from "../../scripts/commands/audit.ts";
import { dealCommand } from "../../scripts/commands/deal.ts";
import { deployCommand } from "../../scripts/commands/deploy.ts";
import { devnetCommand } from "../../scripts/commands/devnet.ts";
import { findCommand } from "../../scripts/commands/find.ts";
import { indexerCommand } from "../../scripts/commands/indexer.ts";
import { nodeCommand } from "../../scripts/commands/node.ts";
import { reputationCommand } from "../../scripts/commands/reputation.ts";
import { stakeCommand } from "../../scripts/commands/stake.ts";
import { tokenCommand } from "../../scripts/commands/token.ts";
import { verifyCommand } from "../../scripts/commands/verify.ts";
import { CommandLine } from "../fixtures/cli.ts";
import { failureHere, jsonHere } from "../fixtures/cli-here.ts";
import { startLocalNetwork, type LocalNetwork } from "../fixtures/local-network.ts";

/** Nobody listens there. */
const DEAD_URL = "http://127.0.0.1:0";
const NO_HASH: Hex = `0x${"00".repeat(32)}`;
const TOPIC = "data_analysis";

interface Verdict {
  readonly isOk: boolean;
  readonly checks: readonly { readonly name: string; readonly isOk: boolean }[];
}

describe("the command line", function () {
  this.timeout(120_000);
  const cli = new CommandLine();
  let world: LocalNetwork;
  let on: string[];
  let dealId: Hex;

  before(async () => {
    world = await startLocalNetwork(3);
    await world.rate(topicIdOf(TOPIC), [
      [0, 1, 100],
      [1, 2, 60],
      [2, 1, -20],
    ]);
    await world.finalizeEpoch();
    on = ["--data-dir", world.dir, "--network", "network", "--rpc-url", world.rpcUrl];
    const [funded] = await world.client.getContractEvents({
      abi: dealEscrowAbi,
      address: world.deployment.contracts.dealEscrow,
      eventName: "DealFunded",
      fromBlock: 0n,
      strict: true,
    });
    dealId = funded?.args.dealId ?? NO_HASH;
  });
  after(async () => {
    cli.killAll();
    await world.stop();
  });

  const at = (name: string) => join(world.dir, name);
  const lastCheck = ({ checks }: Verdict) => checks.at(-1)?.name;

  describe("its help", () => {
    const tops = [agentCommand, auditCommand, dealCommand, deployCommand, devnetCommand, findCommand, indexerCommand];
    const others = [nodeCommand, reputationCommand, stakeCommand, tokenCommand, verifyCommand];
    const all = [...tops, ...others].flatMap((make) => leavesOf(make()));

    for (const command of all) {
      it(`of ${command.parent?.name() ?? ""} ${command.name()} describes the command and every option, --json too`, () => {
        expect(command.description()).to.match(/\w{3}/);
        expect(command.options.filter(({ description }) => description === "")).to.deep.equal([]);
        expect(command.options.map(({ long }) => long)).to.include("--json");
      });
    }

    it("lists every command and the exit codes, on stdout and with exit code 0", async () => {
      const { code, stdout } = await cli.run("--help");
      expect(code).to.equal(0);
      for (const make of [...tops, ...others]) expect(stdout).to.include(`\n  ${make().name()} `);
      expect(stdout).to.include("Exit codes: 0 ");
    });
  });

  it("answers wrong usage with exit code 2, and one JSON object where a program asks", async () => {
    expect(await cli.failure("bogus")).to.deep.equal([2, "USAGE_UNKNOWN_COMMAND"]);
    expect(await cli.failure("agent")).to.deep.equal([2, "USAGE_COMMAND_MISSING"]);
    expect(await cli.failure("agent", "show", "first")).to.deep.equal([2, "USAGE_INVALID_ARGUMENT"]);
    expect(await cli.failure("verify", "score", "1")).to.deep.equal([2, "USAGE_MISSING_MANDATORY_OPTION_VALUE"]);
  });

  it("tells a reader what is wrong and where help is", async () => {
    const { code, stdout, stderr } = await cli.run("verify", "score", "1", "--topic", "x", "--claimed", "much");
    expect([code, stdout]).to.deep.equal([2, ""]);
    expect(stderr).to.match(/^error USAGE_INVALID_ARGUMENT: .*'much'.*\nnext: See surety verify score --help\.\n$/);
  });

  it("answers a missing deployment, a dead endpoint and another chain with exit code 3", async () => {
    const elsewhere = ["--data-dir", at("nowhere"), "--rpc-url", world.rpcUrl];
    expect(await failureHere("agent", "show", "1", ...elsewhere)).to.deep.equal([3, "DEPLOYMENT_MISSING"]);
    const dead = ["--data-dir", world.dir, "--network", "network", "--rpc-url", DEAD_URL];
    expect(await failureHere("agent", "show", "1", ...dead)).to.deep.equal([3, "CHAIN_UNREACHABLE"]);
    const deployment = { ...world.deployment, chainId: 1 };
    const { token } = deployment.contracts;
    const contracts = { ...deployment.contracts, dealEscrow: `0x${"01".repeat(20)}` };
    for (const [name, other, code] of [
      ["other", deployment, "CHAIN_WRONG_ID"],
      ["gone", { ...world.deployment, contracts }, "CHAIN_NOT_DEPLOYED"],
      ["broken", { ...world.deployment, contracts: { token } }, "DEPLOYMENT_INVALID"],
    ] as const) {
      mkdirSync(at(name));
      writeFileSync(join(at(name), "deployment.json"), JSON.stringify(other));
      const there = ["--data-dir", world.dir, "--network", name, "--rpc-url", world.rpcUrl];
      expect(await failureHere("verify", "agent", "1", ...there)).to.deep.equal([3, code]);
    }
    expect(await failureHere("find", "x", "--node-url", DEAD_URL, "--node-token", "t")).to.deep.equal([
      3,
      "NODE_UNREACHABLE",
    ]);
  });

  it("creates a key that its owner alone can read, and never overwrites it", async () => {
    const keyFile = at("new.key");
    const { code, result } = await jsonHere("agent", "key", "--key-file", keyFile);
    expect([code, Object.keys(result)]).to.deep.equal([0, ["address", "keyFile"]]);
    const key = readFileSync(keyFile, "utf8");
    if (process.platform !== "win32") expect(statSync(keyFile).mode & 0o777).to.equal(0o600);
    expect(await failureHere("agent", "key", "--key-file", keyFile)).to.deep.equal([2, "USAGE_KEY_EXISTS"]);
    expect(readFileSync(keyFile, "utf8")).to.equal(key);
  });

  it("refuses a key file that others can read", async function () {
    if (process.platform === "win32") this.skip();
    const keyFile = at("open.key");
    writeFileSync(keyFile, `${world.agents[0]?.key}\n`);
    chmodSync(keyFile, 0o644);
    const refused = await failureHere("reputation", "watch", "--key-file", keyFile, ...on);
    expect(refused).to.deep.equal([2, "USAGE_KEY_READABLE"]);
  });

  it("registers an agent once its key has ETH, and says so before", async () => {
    const keyFile = at("agent.key");
    const { result: created } = await jsonHere<{ address: Hex }>("agent", "key", "--key-file", keyFile);
    const register = ["agent", "register", "--key-file", keyFile, "--uri", "ipfs://card", ...on];
    const poor = await jsonHere<{ error: { code: string; message: string; next: string } }>(...register);
    expect([poor.code, poor.result.error.code]).to.deep.equal([3, "ACCOUNT_UNFUNDED"]);
    expect(poor.result.error.message).to.include(created.address);
    expect(poor.result.error.next).to.include("hardhat_setBalance");
    const signal = new AbortController().signal;
    await world.sender.ask("hardhat_setBalance", [[created.address, numberToHex(10n ** 18n)]], signal);
    const { code, result } = await jsonHere(...register);
    expect([code, result["agentId"], result["owner"]]).to.deep.equal([0, "4", created.address]);
    expect(await failureHere(...register)).to.deep.equal([3, "CALL_REVERTED_BINDINGS_SIGNER_TAKEN"]);
    const shown = await jsonHere<{ uri: string; facts: Record<string, string> }>("agent", "show", "4", ...on);
    expect([shown.code, shown.result.uri]).to.deep.equal([0, "ipfs://card"]);
    expect(shown.result.facts["owner"]).to.include(created.address);
  });

  it("registers an agent on a chain whose latest block is older than a proof may be", async () => {
    const keyFile = at("late.key");
    const { result: created } = await jsonHere<{ address: Hex }>("agent", "key", "--key-file", keyFile);
    const chain = createTestClient({ mode: "hardhat", transport: http(world.rpcUrl) });
    await chain.setBalance({ address: created.address, value: 10n ** 18n });
    await chain.setIntervalMining({ interval: 0 });
    await chain.increaseTime({ seconds: 3_000 });
    const { code, result } = await jsonHere("agent", "register", "--key-file", keyFile, ...on);
    await chain.setIntervalMining({ interval: 1 });
    expect([code, result["agentId"]]).to.deep.equal([0, "5"]);
  });

  it("says with exit code 1 that an agent or a deal does not exist", async () => {
    expect(await failureHere("agent", "show", "99", ...on)).to.deep.equal([1, "AGENT_UNKNOWN"]);
    expect(await failureHere("deal", "show", NO_HASH, ...on)).to.deep.equal([1, "DEAL_UNKNOWN"]);
  });

  it("verifies an agent, a deal and a score, each with exit code 0", async () => {
    for (const claim of [
      ["agent", "2"],
      ["deal", dealId],
      ["score", "2", "--topic", TOPIC],
    ]) {
      const { code, result } = await jsonHere<Verdict>("verify", ...claim, ...on);
      expect([claim[0], code, result.isOk]).to.deep.equal([claim[0], 0, true]);
      expect(result.checks.length).to.be.greaterThan(1);
    }
  });

  it("verifies no unknown agent, no unknown deal and no invented score, each with exit code 1", async () => {
    for (const [claim, check] of [
      [["agent", "99"], "owner"],
      [["deal", NO_HASH], "funded"],
      [["score", "2", "--topic", TOPIC, "--claimed", "1"], "claim"],
    ] as const) {
      const { code, result } = await jsonHere<Verdict>("verify", ...claim, ...on);
      expect([code, result.isOk, lastCheck(result)]).to.deep.equal([1, false, check]);
    }
  });

  it("shows a deal's terms and steps", async () => {
    const { code, result } = await jsonHere<{ dealId: Hex; steps: { eventName: string }[] }>(
      ...["deal", "show", dealId, ...on],
    );
    expect([code, result.dealId]).to.deep.equal([0, dealId]);
    expect(result.steps.map(({ eventName }) => eventName)).to.include.members(["DealFunded", "DealCompleted"]);
  });

  it("exports a bundle that holds offline, and neither with one digit changed nor at another block", async () => {
    const file = at("bundle.json");
    const { code, result } = await jsonHere<{ blockHash: Hex }>("audit", "export", "2", "--out", file, ...on);
    expect(code).to.equal(0);
    const verify = (path: string, hash: Hex) =>
      jsonHere<Verdict>("audit", "verify", path, "--block-hash", hash).then((ended) => ended);
    expect(await verify(file, result.blockHash)).to.deep.include({ code: 0 });
    const elsewhere = await verify(file, NO_HASH);
    expect([elsewhere.code, lastCheck(elsewhere.result)]).to.deep.equal([1, "header"]);

    const text = readFileSync(file, "utf8");
    const { nodes } = JSON.parse(text) as { nodes: string[] };
    const node = nodes[0] as string;
    const forged = `${node.slice(0, -1)}${node.endsWith("0") ? "1" : "0"}`;
    writeFileSync(at("forged.json"), text.replace(node, forged));
    const tampered = await verify(at("forged.json"), result.blockHash);
    expect([tampered.code, lastCheck(tampered.result)]).to.deep.equal([1, "proof"]);
    writeFileSync(at("cut.json"), text.slice(0, -5));
    const offline = (path: string) => failureHere("audit", "verify", path, "--block-hash", result.blockHash);
    expect((await offline(at("cut.json")))[0]).to.equal(2);
    expect(await offline(at("none.json"))).to.deep.equal([2, "USAGE_BUNDLE_MISSING"]);
  });

  it("watches until Ctrl-C, prints one object, and leaves no process", async () => {
    const keyFile = at("watcher.key");
    writeFileSync(keyFile, `${world.agents[2]?.key}\n`, { mode: 0o600 });
    const watching = cli.surety(["reputation", "watch", "--key-file", keyFile, ...on, "--json"]);
    await watching.said(/watching/);
    const { code, stdout } = await watching.interrupt();
    expect([code, JSON.parse(stdout)]).to.deep.equal([0, { challenges: 0 }]);
    expect(cli.leftovers() ?? []).to.deep.equal([]);
  });
});

function leavesOf(command: Command): Command[] {
  const nested = command.commands.flatMap(leavesOf);
  // `surety indexer` runs by itself and has a command below it.
  return nested.length === 0 || command.options.length > 0 ? [command, ...nested] : nested;
}
