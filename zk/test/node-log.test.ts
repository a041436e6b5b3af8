// A node's own log, from its store and its anchors on chain to a proof that a stranger checks, by the commands that users run.
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { CommandLine } from "../../test/fixtures/cli.ts";
import { startLocalNetwork, type LocalNetwork } from "../../test/fixtures/local-network.ts";
import { writeProvableLog, type ProvableLog } from "../../test/fixtures/provable-log.ts";
import type { ProofFile } from "../log/messages.ts";
import { cacheDir, createStopwatch } from "./cache.ts";

/** Two processes that read the compiled program, and one proof; on a busy machine minutes each. */
const TIMEOUT_MS = 30 * 60_000;

describe("surety proof of a node's real log", function () {
  this.timeout(TIMEOUT_MS);
  const line = new CommandLine();
  let world: LocalNetwork;
  let own: ProvableLog;
  let network: string[];
  const pathOf = (name: string) => join(world.dir, name);
  const made = () => JSON.parse(readFileSync(pathOf("proof.json"), "utf8")) as ProofFile;

  before(async () => {
    world = await startLocalNetwork(2);
    symlinkSync(cacheDir, pathOf("zk-cache"));
    own = await writeProvableLog(world);
    network = ["--data-dir", world.dir, "--network", "network", "--rpc-url", world.rpcUrl];
    const named = ["--store", own.storePath, "--agent", String(own.agentId), "--log", own.log];
    const collected = await line.run("proof", "entries", ...named, "-o", pathOf("range.json"), ...network);
    expect(collected.code, collected.stderr).to.equal(0);
    const rules = ["--limit", String(own.mostWei), "--budget", String(own.spentWei), "--salt", "77"];
    const out = ["-o", pathOf("proof.json"), "--data-dir", world.dir];
    const proved = createStopwatch();
    const ended = await line.run("proof", "make", pathOf("range.json"), ...rules, ...out);
    expect(ended.code, ended.stderr).to.equal(0);
    proved("surety proof make, a process with a warm cache");
    for (const said of ended.stderr.matchAll(/^proved batch.*$/gm)) console.log(`      ${said[0]}`);
  });
  after(async () => {
    line.killAll();
    await world.stop();
  });
  const check = (files: readonly string[], change: { limit?: bigint } = {}) => {
    const { limit = own.mostWei } = change;
    const rules = ["--limit", String(limit), "--budget-commitment", made().statement.budgetCommitment];
    return line.json<{ verdicts: { fault: string | null }[] }>("proof", "check", ...files, ...rules, ...network);
  };

  it("holds against the heads that the log anchored, and no altered copy of the proof does", async () => {
    const { statement } = made();
    expect([statement.fromSeq, statement.nextSeq]).to.deep.equal([0, 128]);
    const forge = (name: string, change: (file: ProofFile) => object): string => {
      writeFileSync(pathOf(name), JSON.stringify({ ...made(), ...change(made()) }));
      return pathOf(name);
    };
    const [first = "", ...rest] = made().proof.publicOutput;
    const files = [
      pathOf("proof.json"),
      // Another end of the range: the chain has another head there.
      forge("short.json", ({ statement: said }) => ({ statement: { ...said, nextSeq: 64 } })),
      forge("value.json", ({ proof }) => ({
        proof: { ...proof, publicOutput: [String(BigInt(first) + 1n), ...rest] },
      })),
      forge("key.json", () => ({ programHash: "5" })),
      forge("bytes.json", ({ proof }) => ({ proof: { ...proof, proof: proof.proof.slice(8) } })),
    ];
    const checked = createStopwatch();
    const { code, result } = await check(files);
    checked("surety proof check of five files, a process with a warm cache");
    expect(result.verdicts.map(({ fault }) => fault)).to.deep.equal([
      ...[null, "PROOF_STATEMENT", "PROOF_PUBLIC_VALUES", "PROOF_PROGRAM", "PROOF_FORM"],
    ]);
    expect(code).to.equal(1);
  });

  it("cannot be made of a range that spends more than its budget, or more at once than its limit", async () => {
    const out = ["-o", pathOf("never.json"), "--data-dir", world.dir, "--salt", "77"];
    const over = (limit: bigint, budget: bigint) => {
      const rules = ["--limit", String(limit), "--budget", String(budget)];
      return line.failure("proof", "make", pathOf("range.json"), ...rules, ...out);
    };
    expect(await over(own.mostWei, own.spentWei - 1n)).to.deep.equal([3, "PROOF_OVER_BUDGET"]);
    expect(await over(own.mostWei - 1n, own.spentWei)).to.deep.equal([3, "PROOF_OVER_LIMIT"]);
  });
});
