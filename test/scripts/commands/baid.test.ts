import { expect } from "chai";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Hex } from "viem";
import { identityRegistryAbi } from "#protocol";
import { cliHere as cli } from "../../fixtures/cli-here.ts";
import { startLocalNetwork, type LocalNetwork } from "../../fixtures/local-network.ts";

const config = {
  model: { name: "m-1", weights: null },
  promptTemplate: { $sha256: "prompt.md" },
  toolPermissions: { allow: ["search"] },
  safetyPolicy: null,
  budgetPolicy: { perDayWei: "20000000" },
};

interface Verdict {
  readonly isOk: boolean;
  readonly checks: readonly { readonly name: string; readonly isOk: boolean; readonly detail: string }[];
}

describe("surety baid", function () {
  this.timeout(180_000);
  let world: LocalNetwork;
  let on: string[];
  const at = (...names: string[]) => join(world.dir, ...names);
  const put = (name: string, text: string) => writeFileSync(at(name), text);

  before(async () => {
    world = await startLocalNetwork(2);
    on = ["--data-dir", world.dir, "--network", "network", "--rpc-url", world.rpcUrl];
    mkdirSync(at("code"));
    put("code/main.js", "run()");
    put("prompt.md", "Be exact.");
    put("config.json", JSON.stringify(config));
    writeFileSync(at("owner.key"), `${world.agents[0]?.key}\n`, { mode: 0o600 });
    writeFileSync(at("other.key"), `${world.agents[1]?.key}\n`, { mode: 0o600 });
  });
  after(async () => {
    await world.stop();
  });

  const commit = (out: string, ...more: string[]) =>
    cli.json<{ commitment: Hex }>(
      "baid",
      "commit",
      "--code",
      at("code"),
      "--config",
      at("config.json"),
      "--out",
      at(out),
      ...more,
    );
  const check = (...args: string[]) => cli.json<Verdict>("baid", "check", "1", ...args, ...on);
  const failed = ({ checks }: Verdict) => checks.filter(({ isOk }) => !isOk).map(({ name }) => name);
  const onChain = async () => {
    const registry = { abi: identityRegistryAbi, address: world.deployment.contracts.identityRegistry } as const;
    const [commitment, version] = await world.client.readContract({
      ...registry,
      functionName: "commitmentOf",
      args: [1n],
    });
    return { commitment, version };
  };

  it("commits to code and config, records it as version 1, and says that both are the committed ones", async () => {
    const { code, result } = await commit("v1.json");
    expect(code).to.equal(0);
    if (process.platform !== "win32") expect(statSync(at("v1.json")).mode & 0o777).to.equal(0o600);
    expect(readFileSync(at("v1.manifest"), "utf8")).to.match(/^[0-9a-f]{64} {2}main\.js\n$/);
    expect(failed((await check("--binding", at("v1.json"))).result)).to.deep.equal(["recorded"]);
    const update = await cli.json<{ version: string }>(
      "baid",
      "update",
      "1",
      "--binding",
      at("v1.json"),
      "--key-file",
      at("owner.key"),
      ...on,
    );
    expect([update.code, update.result.version]).to.deep.equal([0, "1"]);
    expect(await onChain()).to.deep.equal({ commitment: result.commitment, version: 1n });
    const checked = await check("--binding", at("v1.json"));
    expect([checked.code, failed(checked.result)]).to.deep.equal([0, []]);
    const opened = await cli.json<{ isOk: boolean }>("baid", "open", "1", "--binding", at("v1.json"), ...on);
    expect([opened.code, opened.result.isOk]).to.deep.equal([0, true]);
    const other = await cli.json<{ isOk: boolean }>("baid", "open", "2", "--binding", at("v1.json"), ...on);
    expect([other.code, other.result.isOk]).to.deep.equal([1, false]);
  });

  it("discloses one field, which anybody checks against the chain, and no other field with it", async () => {
    const prove = await cli.json(
      "baid",
      "prove-field",
      "budgetPolicy",
      "--binding",
      at("v1.json"),
      "--out",
      at("budget.json"),
    );
    expect(prove.code).to.equal(0);
    const text = readFileSync(at("budget.json"), "utf8");
    expect(text).to.include("20000000").and.to.not.include("search");
    const { code, result } = await check("--proof", at("budget.json"));
    expect([code, result.checks.at(-1)]).to.deep.equal([
      0,
      { name: "budgetPolicy", isOk: true, detail: '{"perDayWei":"20000000"}' },
    ]);
    put("forged.json", text.replace("20000000", "90000000"));
    const forged = await check("--proof", at("forged.json"));
    expect([forged.code, failed(forged.result)]).to.deep.equal([1, ["commitment"]]);
    const elsewhere = await cli.json<Verdict>("baid", "check", "2", "--proof", at("budget.json"), ...on);
    expect([elsewhere.code, failed(elsewhere.result)]).to.deep.equal([1, ["commitment"]]);
  });

  it("sees changed code and config, refuses to record a stale file, and records the next version", async () => {
    put("prompt.md", "Be brief.");
    expect(failed((await check("--binding", at("v1.json"))).result)).to.deep.equal(["config"]);
    put("code/main.js", "run(fast)");
    expect(failed((await check("--binding", at("v1.json"))).result)).to.deep.equal(["code"]);
    const update = (file: string, key: string) => [
      "baid",
      "update",
      "1",
      "--binding",
      at(file),
      "--key-file",
      at(key),
      ...on,
    ];
    expect(await cli.failure(...update("v1.json", "owner.key"))).to.deep.equal([3, "BINDING_CODE_CHANGED"]);
    const { result } = await commit("v2.json", "--user-id", `0x${"07".repeat(32)}`);
    expect((await cli.failure(...update("v2.json", "other.key")))[0]).to.equal(3);
    expect((await cli.json(...update("v2.json", "owner.key"))).code).to.equal(0);
    expect(await onChain()).to.deep.equal({ commitment: result.commitment, version: 2n });
    expect(await cli.failure(...update("v2.json", "owner.key"))).to.deep.equal([3, "BINDING_UNCHANGED"]);
    const verified = await cli.json<Verdict>("verify", "agent", "1", ...on);
    expect([verified.code, failed(verified.result)]).to.deep.equal([0, []]);
  });

  it("never overwrites a binding file, and writes none into the code that it commits to", async () => {
    const before = readFileSync(at("v2.json"), "utf8");
    const again = ["baid", "commit", "--code", at("code"), "--config", at("config.json"), "--out"];
    expect(await cli.failure(...again, at("v2.json"))).to.deep.equal([2, "USAGE_BINDING_EXISTS"]);
    expect(readFileSync(at("v2.json"), "utf8")).to.equal(before);
    expect(await cli.failure(...again, at("code", "b.json"))).to.deep.equal([2, "USAGE_BINDING_INSIDE"]);
    expect((await cli.json(...again, at("code", ".surety", "b.json"))).code).to.equal(0);
  });

  it("commits to an image by its digest, which it states and does not measure", async () => {
    const digest = `oci:sha256:${"ab".repeat(32)}`;
    const { code, result } = await commit("image.json", "--code-digest", digest);
    expect(code).to.equal(0);
    expect(result).to.include({ codeCommitment: `0x02${"ab".repeat(32)}` });
    expect(
      await cli.failure("baid", "commit", "--config", at("config.json"), "--code-digest", "oci:abcd"),
    ).to.deep.equal([2, "USAGE_INVALID_ARGUMENT"]);
  });

  it("answers files that are missing or readable by others with exit code 2", async () => {
    expect((await cli.failure("baid", "check", "1", "--binding", at("none.json"), ...on))[1]).to.equal(
      "USAGE_BINDING_MISSING",
    );
    expect((await cli.failure("baid", "check", "1", "--proof", at("none.json"), ...on))[1]).to.equal(
      "USAGE_PROOF_MISSING",
    );
    put("open.json", readFileSync(at("v2.json"), "utf8"));
    if (process.platform === "win32") return;
    expect((await cli.failure("baid", "check", "1", "--binding", at("open.json"), ...on))[1]).to.equal(
      "USAGE_BINDING_READABLE",
    );
    expect(
      await cli.failure("baid", "commit", "--config", at("none.json"), "--out", at("x.json"), "--code", at("code")),
    ).to.deep.equal([3, "CONFIG_FILE"]);
  });
});
