import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { keccak256, numberToHex } from "viem";
import { startProver, type Prover } from "../../scripts/proof/prover.ts";
import { budgetCommitmentOf, shadowGenesis, shadowHead, wordOf } from "../log/shadow.ts";

const name = { chainId: 31_337, registry: numberToHex(1, { size: 20 }), log: numberToHex(2, { size: 20 }) };
const entries = [0, 1, 2].map((seq) => ({ seq, digest: keccak256(numberToHex(seq)), spend: BigInt(seq) }));
const file = {
  ...name,
  agentId: "1",
  headFrom: wordOf(shadowGenesis(name)),
  entries: entries.map((entry) => ({ ...entry, spend: entry.spend.toString() })),
};

describe("the prover's process", function () {
  this.timeout(120_000);
  let [dir, prover]: [string, Prover | undefined] = ["", undefined];
  const said: string[] = [];
  const ask: Prover["ask"] = async (request) => prover?.ask(request);

  before(() => {
    dir = mkdtempSync(join(tmpdir(), "surety-prover-"));
    prover = startProver({ cacheDir: dir, signal: new AbortController().signal, progress: (line) => said.push(line) });
  });
  after(async () => {
    await prover?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  it("answers several requests, each with the value that the library computes", async () => {
    const genesis = shadowGenesis(name);
    const budget = { budget: "5", budgetSalt: "6" };
    expect(await Promise.all([ask({ action: "heads", file }), ask({ action: "commit", ...budget })])).to.deep.equal([
      { headTo: wordOf(shadowHead(genesis, entries)) },
      { commitment: wordOf(budgetCommitmentOf(5n, 6n)) },
    ]);
    expect(said, "nothing of this needs the program compiled").to.deep.equal([]);
  });

  it("is killed with its signal, and who waits is told", async () => {
    const controller = new AbortController();
    const other = startProver({ cacheDir: dir, signal: controller.signal, progress: () => {} });
    const waiting = other.ask({ action: "heads", file }).catch((reason: unknown) => reason);
    controller.abort(new Error("enough"));
    expect(await waiting).to.have.property("message", "enough");
    await other.close();
  });
});
