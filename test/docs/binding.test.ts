// Runs the commands of docs/bind-your-agent.md and docs/verify-an-agent.md as they stand there, one after the other.
import { expect } from "chai";
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { keccak256, type Hex } from "viem";
import { createSigner } from "#protocol";
import { root } from "../../scripts/checks/run-tool.ts";
import { createAuthenticator } from "../fixtures/authenticator.ts";
import { CommandLine, type Ended } from "../fixtures/cli.ts";
import { suretyHere } from "../fixtures/cli-here.ts";
import { startLocalNetwork, type LocalNetwork } from "../fixtures/local-network.ts";

const blocksOf = (page: string) => {
  const text = readFileSync(join(root, "docs", page), "utf8");
  return new Map([...text.matchAll(/^```\w+ (\S+)\n(.*?)^```$/gms)].map(([, name = "", block = ""]) => [name, block]));
};
const bind = blocksOf("bind-your-agent.md");
const verify = blocksOf("verify-an-agent.md");

describe("the guides for binding and verifying an agent", function () {
  this.timeout(400_000);
  const cli = new CommandLine();
  let world: LocalNetwork;
  let dir: string;

  before(async () => {
    world = await startLocalNetwork(2);
    dir = world.dir;
    copyFileSync(join(dir, "network/deployment.json"), join(dir, "deployment.json"));
    mkdirSync(join(dir, "code"));
    writeFileSync(join(dir, "prompt.md"), "Be exact.");
    writeFileSync(join(dir, "code/app.mjs"), "export const createApplication = () => ({ capabilities: [] });");
    writeFileSync(join(dir, "owner.key"), `${world.agents[0]?.key}\n`, { mode: 0o600 });
  });
  after(async () => {
    cli.killAll();
    await world.stop();
  });

  const blockOf = (blocks: ReadonlyMap<string, string>, name: string): string => {
    const block = blocks.get(name);
    if (block === undefined) throw new Error(`the guide has no block ${name}`);
    return block.trim();
  };

  /** A `surety` line of a guide, its files in this test's folder, on this test's chain. */
  function argumentsOf(line: string, isOnChain: boolean): string[] {
    const [program, ...words] = line.split(" ");
    expect(program).to.equal("surety");
    const isFile = (word: string) => /^(code$|(code|keep)\/|[\w.-]+\.(key|json)$)/.test(word);
    const args = words.map((word) => (isFile(word) ? join(dir, word) : word));
    return [...args, ...(isOnChain ? ["--data-dir", dir, "--network", "network", "--rpc-url", world.rpcUrl] : [])];
  }
  async function run(line: string, isOnChain = true): Promise<Ended> {
    const ended = await suretyHere(...argumentsOf(line, isOnChain));
    expect(ended.code, `${line}\n${ended.stdout}${ended.stderr}`).to.equal(0);
    return ended;
  }

  it("bind an agent: config, commitment, record", async () => {
    writeFileSync(join(dir, "agent.config.json"), blockOf(bind, "agent.config.json"));
    await run(blockOf(bind, "commit"), false);
    const { stdout } = await run(blockOf(bind, "update"));
    expect(stdout).to.include("agent 1, version 1");
  });

  it("start its node bound, and not with a changed file, which sha256sum names", async () => {
    const line = argumentsOf(blockOf(bind, "node"), true);
    const node = cli.surety([...line, "--json"]);
    await node.said(/"event":"bound"/);
    const [, url = ""] = await node.said(/local interface (http:[^\s;]+)/);
    const card = await run(blockOf(verify, "card").replace("https://agent.example", url));
    expect(card.stdout).to.include("ok    log key: ").and.to.include("ok    card key: ES256");
    expect((await node.interrupt()).code).to.equal(0);
    writeFileSync(join(dir, "code/app.mjs"), "export const createApplication = () => ({ capabilities: [], more: 1 });");
    expect((await cli.failure(...line))[1]).to.equal("NODE_CODE_CHANGED");
    const which = blockOf(bind, "which").replace("keep/", `${dir}/keep/`);
    const checked = spawnSync("sh", ["-c", which], { cwd: join(dir, "code"), encoding: "utf8" });
    expect([checked.status, checked.stdout]).to.deep.equal([1, "app.mjs: FAILED\n"]);
    writeFileSync(join(dir, "code/app.mjs"), "export const createApplication = () => ({ capabilities: [] });");
    execFileSync("sh", ["-c", which], { cwd: join(dir, "code"), stdio: "pipe" });
  });

  it("bind a passkey by what the page would give, so that it speaks for the agent", async () => {
    const authenticator = await createAuthenticator(world.deployment.contracts.webAuthnVerifier);
    writeFileSync(join(dir, "passkey.json"), JSON.stringify(authenticator.created));
    const { stdout } = await run(blockOf(bind, "ask"));
    const digest = /the digest (0x[0-9a-f]{64})/.exec(stdout)?.[1] as Hex;
    writeFileSync(join(dir, "signed.json"), JSON.stringify(await authenticator.sign(digest)));
    await run(blockOf(bind, "bound"));
    expect((await run(blockOf(verify, "verify"))).stdout).to.match(/OPERATOR/i);

    // Its order: the log key of the guide is the agent's own, which the later steps still need, so that another one goes.
    for (const [name, key] of [
      ["old.key", keccak256("0x01")],
      ["fresh.key", keccak256("0x02")],
    ] as const) {
      writeFileSync(join(dir, name), `${key}\n`, { mode: 0o600 });
    }
    writeFileSync(join(dir, "anybody.key"), `${world.agents[1]?.key}\n`, { mode: 0o600 });
    const old = createSigner(keccak256("0x01"));
    await run("surety agent grant 1 --new-key-file old.key --key-file owner.key");
    const rotate = await run(blockOf(bind, "rotate").replace("0xLOG_KEY", old.address));
    const ordered = /the digest (0x[0-9a-f]{64})/.exec(rotate.stdout)?.[1] as Hex;
    writeFileSync(join(dir, "signed.json"), JSON.stringify(await authenticator.sign(ordered)));
    expect((await run(blockOf(bind, "ordered"))).stdout).to.include("SignerRotation of agent 1");
  });

  it("bind keys to an agent of another registry, until it changes hands there", async () => {
    // To the bindings of foreign agents, our registry is one like any other.
    const elsewhere = world.deployment.contracts.identityRegistry;
    const there = (line: string) => line.replaceAll("0xREGISTRY", elsewhere);
    writeFileSync(join(dir, "elsewhere.key"), `${keccak256("0x03")}\n`, { mode: 0o600 });
    const early = await suretyHere(...argumentsOf(there(blockOf(bind, "foreign")), true));
    expect([early.code, early.stderr]).to.satisfy(
      ([code, text]: [number, string]) => code !== 0 && /FOREIGN_NOT_ADOPTED/.test(text),
    );
    expect((await run(there(blockOf(bind, "adopt")))).stdout).to.include("has the number 1 here");
    await run(there(blockOf(bind, "foreign")));
    const key = createSigner(keccak256("0x03")).address.toLowerCase();
    const verified = await run(`surety verify agent 1 --foreign ${elsewhere}`);
    expect(verified.stdout.toLowerCase())
      .to.match(new RegExp(`ok    signer ${key}: log, valid now`))
      .and.to.include("ok    peer:");
    expect((await run(`surety audit signer 1 ${key} --foreign ${elsewhere}`)).stdout).to.include(
      "everything checked holds",
    );

    const { stdout: exported } = await run(there(blockOf(verify, "foreign-export")));
    expect(exported).to.include("is the one seen here");
    const [hash = ""] = /(?<=--block-hash )0x[0-9a-f]{64}/.exec(exported) ?? [];
    const offline = await run(there(blockOf(verify, "foreign-offline")).replace("HASH", hash), false);
    expect(offline.stdout)
      .to.include("----  owner there: ")
      .and.to.include("everything checked holds; NOT PROVEN: owner there");

    await run(`surety agent adopt ${elsewhere} 2 --key-file anybody.key`);
    await run(`surety agent transfer 2 ${createSigner(keccak256("0x03")).address} --key-file anybody.key`);
    const stale = await suretyHere(...argumentsOf(`surety verify agent 2 --foreign ${elsewhere}`, true));
    expect([stale.code, /FAIL {2}owner: .* surety agent observe/.test(stale.stdout.replaceAll("`", ""))]).to.deep.equal(
      [1, true],
    );
    const warned = await run(`surety audit export 2 --foreign ${elsewhere} --out foreign-2.json`);
    expect(warned.stdout).to.include("WARNING: ").and.to.include("surety agent observe");
    await run(`surety agent observe ${elsewhere} 2 --key-file anybody.key`);
    await run(`surety verify agent 2 --foreign ${elsewhere}`);
  });

  it("disclose one field, which a stranger checks", async () => {
    await run(blockOf(bind, "prove"), false);
    expect((await run(blockOf(bind, "check"))).stdout).to.include('budgetPolicy: {"perDayWei":"20000000"');
    const { stdout } = await run(blockOf(verify, "disclosed"));
    expect(stdout).to.include("ok    field budgetPolicy").and.to.not.include("medical");
  });

  it("repeat the code's digest with coreutils", () => {
    const printed = execFileSync("sh", ["-c", blockOf(verify, "manifest")], {
      cwd: join(dir, "code"),
      encoding: "utf8",
    });
    const { codeCommitment } = JSON.parse(readFileSync(join(dir, "budget.json"), "utf8")) as { codeCommitment: string };
    expect(codeCommitment).to.equal(`0x01${printed.slice(0, 64)}`);
  });

  it("verify the agent, a signer at a time, and a bundle without an endpoint", async () => {
    const { stdout } = await run(blockOf(verify, "verify"));
    for (const name of [
      "owner",
      "credential",
      "code and config",
      "version chain",
      "peer",
      "recovery",
      "tabs",
      "stake",
      "forks",
    ]) {
      expect(stdout).to.include(`ok    ${name}: `);
    }
    const signer = blockOf(verify, "signer").replace("SIGNER", world.agents[0]?.address ?? "");
    const { timestamp } = await world.client.getBlock();
    await run(signer.replace(/--at \S+/, `--at ${timestamp}`));
    const { stdout: exported } = await run(blockOf(verify, "export"));
    const [hash = ""] = /0x[0-9a-f]{64}/.exec(exported) ?? [];
    const { stdout: verdict } = await run(blockOf(verify, "offline").replace("HASH", hash), false);
    expect(verdict).to.include("ok    contracts: ").and.not.include("NOT PROVEN");
    const { code } = await suretyHere(
      ...argumentsOf(blockOf(verify, "offline").replace("HASH", `0x${"11".repeat(32)}`), false),
    );
    expect(code).to.equal(1);
  });
});
