import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { keccak256, type Hex } from "viem";
import { createSigner } from "#protocol";
import { auditBatched, readBatchEvidence } from "../../../scripts/audit/batch.ts";
import { readAnyBundle } from "../../../scripts/audit/any-bundle.ts";
import { readBundle, writeBundle } from "../../../scripts/audit/bundle.ts";
import { runChecks } from "../../../scripts/audit/checks.ts";
import { unnoticedFlips } from "../../fixtures/byte-flips.ts";
import { cliHere as cli } from "../../fixtures/cli-here.ts";
import { isNightly } from "../../fixtures/profile.ts";
import { startLocalNetwork, type LocalNetwork } from "../../fixtures/local-network.ts";

describe("surety batch", function () {
  this.timeout(300_000);
  let world: LocalNetwork;
  let on: string[];
  const at = (name: string) => join(world.dir, name);
  const put = (name: string, text: string) => writeFileSync(at(name), text, { mode: 0o600 });

  before(async () => {
    world = await startLocalNetwork(2);
    on = ["--data-dir", world.dir, "--network", "network", "--rpc-url", world.rpcUrl];
    for (const [index, name] of ["issuer.key", "owner.key"].entries()) put(name, `${world.agents[index]?.key}\n`);
    const bindings = Array.from({ length: 5 }, (_, k) => ({
      ...{ agentId: "2", signer: createSigner(keccak256(`0x0${k + 1}`)).address, purpose: "log" },
    }));
    put("bindings.json", JSON.stringify(bindings));
    const anchored = await cli.run(
      "batch",
      "anchor",
      at("bindings.json"),
      "--key-file",
      at("issuer.key"),
      "-o",
      at("out"),
      ...on,
    );
    expect(anchored.code, anchored.stderr).to.equal(0);
  });
  after(async () => {
    await world?.stop();
  });

  const fileOf = (index: number) => readFileSync(at(`out/${index}.json`), "utf8");
  /** The check that ended the audit, and whether it holds. */
  async function judge(text: string, time?: number): Promise<readonly [boolean, string | undefined]> {
    const evidence = readBatchEvidence(text);
    if (evidence.kind !== "accept") return [false, evidence.code];
    const { client, deployment } = world;
    const { number: blockNumber, timestamp } = await client.getBlock();
    const subject = { client, deployment, blockNumber };
    const { isOk, checks } = await runChecks("batch", auditBatched(subject, evidence.value, time ?? Number(timestamp)));
    return [isOk, checks.at(-1)?.name];
  }

  it("binds five signers by one root, each of which its own file proves", async () => {
    for (let index = 0; index < 5; index++) expect(await judge(fileOf(index))).to.deep.equal([true, "issuer"]);
    expect((await cli.run("audit", "batched", at("out/3.json"), ...on)).code).to.equal(0);
    expect(await judge(fileOf(0), 1), "before it was anchored").to.deep.equal([false, "anchored"]);
  });

  it("refuses every changed field of a file, and names it where it can", async () => {
    const file = JSON.parse(fileOf(2)) as { binding: Record<string, unknown>; proof: string[]; issuer: string };
    const other = JSON.parse(fileOf(1)) as typeof file;
    const withBinding = (change: object) => JSON.stringify({ ...file, binding: { ...file.binding, ...change } });
    for (const [text, code] of [
      ["{", "BATCH_NOT_JSON"],
      ["{}", "BATCH_SHAPE"],
      [withBinding({ agentId: "0" }), "BATCH_SHAPE"],
      [withBinding({ agentId: "1" }), "contract"],
      [withBinding({ index: 3 }), "contract"],
      [withBinding({ index: 9 }), "place"],
      [withBinding({ purpose: `0x${"41".repeat(32)}` }), "place"],
      [withBinding({ signerHash: keccak256("0x99") }), "contract"],
      [withBinding({ validUntil: 1 }), "not ended"],
      [withBinding({ validFrom: 2 ** 47 }), "begun"],
      [JSON.stringify({ ...file, proof: other.proof }), "contract"],
      [JSON.stringify({ ...file, proof: file.proof.slice(1) }), "contract"],
      [JSON.stringify({ ...file, issuer: world.agents[1]?.address }), "batch"],
    ] as const) {
      expect(await judge(text), text).to.deep.equal([false, code]);
    }
  });

  const exportTo = async (name: string, ...files: number[]) => {
    const batched = files.map((index) => at(`out/${index}.json`));
    const made = await cli.run("audit", "export", "2", "--batched", ...batched, "-o", at(name), "--json", ...on);
    expect(made.code, made.stderr).to.equal(0);
    return (JSON.parse(made.stdout) as { blockHash: Hex }).blockHash;
  };
  /** The check that ended the audit of a bundle, and whether it holds. */
  async function verify(text: string, blockHash: Hex): Promise<readonly [boolean, string | undefined]> {
    const read = readAnyBundle(text);
    if (read.kind !== "accept") return [false, read.code];
    const { isOk, checks } = await runChecks("bundle", read.value.verify(blockHash));
    return [isOk, checks.at(-1)?.name];
  }

  it("is proven offline by a bundle, of which no byte is free", async function () {
    const hash = await exportTo("batched.bundle", 3, 0);
    const offline = await cli.run("audit", "verify", at("batched.bundle"), "--block-hash", hash);
    expect(offline.code, offline.stdout).to.equal(0);
    const signer = createSigner(keccak256("0x04")).signerHash;
    expect(offline.stdout)
      .to.include(`ok    batched signer ${signer}: agent 2, LOG, valid, `)
      .and.include("4 of 5 in 0x");
    const text = readFileSync(at("batched.bundle"), "utf8");
    const [start, end] = [text.indexOf('"batched"'), text.indexOf('"scores"')];
    const [before, claims, after] = [text.slice(0, start), text.slice(start, end), text.slice(end)];
    const passes = async (changed: string) => (await verify(before + changed + after, hash))[0];
    expect(await unnoticedFlips(claims, isNightly ? 1 : 3, passes)).to.deep.equal([]);
    if (isNightly) {
      expect(
        await unnoticedFlips(after, 1, async (tail) => (await verify(before + claims + tail, hash))[0]),
      ).to.deep.equal([]);
    }
  });

  it("refuses a bundle whose binding is another's, of another agent, or in no batch", async () => {
    const hash = await exportTo("refused.bundle", 1);
    const read = readBundle(readFileSync(at("refused.bundle"), "utf8"));
    if (read.kind !== "accept") throw new Error(read.detail);
    const bundle = read.value;
    const [evidence] = bundle.batched;
    if (evidence === undefined) throw new Error("the bundle has no batched binding");
    const { binding } = evidence;
    const name = (hashOf: Hex) => `batched signer ${hashOf}`;
    const other = createSigner(keccak256("0x99")).signerHash;
    for (const [batched, ended] of [
      [[{ ...evidence, binding: { ...binding, signerHash: other } }], name(other)],
      [[{ ...evidence, binding: { ...binding, agentId: 1n } }], name(binding.signerHash)],
      [[{ ...evidence, binding: { ...binding, validUntil: 1 } }], name(binding.signerHash)],
      [[{ ...evidence, binding: { ...binding, purpose: keccak256("0x00") } }], name(binding.signerHash)],
      [[{ ...evidence, proof: evidence.proof.slice(1) }], name(binding.signerHash)],
      [[{ ...evidence, issuer: world.agents[1]?.address as Hex }], name(binding.signerHash)],
    ] as const) {
      const [isOk, last] = await verify(writeBundle({ ...bundle, batched }), hash);
      expect(isOk).to.equal(false);
      // Slots of another issuer or place are proven absent, or not proven at all.
      expect(last).to.be.oneOf([ended, "proof"]);
    }
    const foreign = ["audit", "export", "1", "--batched", at("out/1.json"), "-o", at("never"), ...on];
    expect(await cli.failure(...foreign)).to.deep.equal([2, "USAGE_BATCH_AGENT"]);
  });

  it("ends one binding alone, by the agent's owner, and no other", async () => {
    const revoked = await cli.run("batch", "revoke", at("out/4.json"), "--key-file", at("owner.key"), ...on);
    expect(revoked.code, revoked.stderr).to.equal(0);
    expect(await judge(fileOf(4))).to.deep.equal([false, "contract"]);
    expect(await judge(fileOf(3))).to.deep.equal([true, "issuer"]);
    const hash = await exportTo("revoked.bundle", 3, 4);
    const offline = await cli.run("audit", "verify", at("revoked.bundle"), "--block-hash", hash);
    expect([offline.code, offline.stdout]).to.satisfy(
      ([code, text]: [number, string]) =>
        code === 1 && /ok {4}batched signer/.test(text) && /FAIL.*, revoked at /.test(text),
    );
    put("bad.json", "[{}]");
    const bad = ["batch", "anchor", at("bad.json"), "--key-file", at("issuer.key"), "-o", at("never"), ...on];
    expect(await cli.failure(...bad)).to.deep.equal([2, "USAGE_BATCH_FILE"]);
  });
});
