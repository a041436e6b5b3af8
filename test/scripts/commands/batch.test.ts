import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { keccak256 } from "viem";
import { createSigner } from "#protocol";
import { auditBatched, readBatchEvidence } from "../../../scripts/audit/batch.ts";
import { runChecks } from "../../../scripts/audit/checks.ts";
import { cliHere as cli } from "../../fixtures/cli-here.ts";
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

  it("ends one binding alone, by the agent's owner, and no other", async () => {
    const revoked = await cli.run("batch", "revoke", at("out/4.json"), "--key-file", at("owner.key"), ...on);
    expect(revoked.code, revoked.stderr).to.equal(0);
    expect(await judge(fileOf(4))).to.deep.equal([false, "contract"]);
    expect(await judge(fileOf(3))).to.deep.equal([true, "issuer"]);
    put("bad.json", "[{}]");
    const bad = ["batch", "anchor", at("bad.json"), "--key-file", at("issuer.key"), "-o", at("never"), ...on];
    expect(await cli.failure(...bad)).to.deep.equal([2, "USAGE_BATCH_FILE"]);
  });
});
