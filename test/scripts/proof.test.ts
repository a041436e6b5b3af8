import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { SuretyError } from "#protocol";
import { anchoredHeadAt } from "../../scripts/proof/anchored.ts";
import { startProver } from "../../scripts/proof/prover.ts";
import { CommandLine } from "../fixtures/cli.ts";

const codeOf = (act: () => unknown): unknown => {
  try {
    act();
  } catch (error) {
    return error instanceof SuretyError ? error.code : error;
  }
  return "nothing thrown";
};

describe("surety proof, where the provers are not installed", () => {
  let dir: string;
  before(() => (dir = mkdtempSync(join(tmpdir(), "surety-proof-"))));
  after(() => rmSync(dir, { recursive: true, force: true }));

  it("names what is missing, and the command that installs it", () => {
    const options = { cacheDir: dir, signal: new AbortController().signal, progress: () => {}, zkDir: dir };
    let error: unknown;
    try {
      startProver(options);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).to.be.instanceOf(SuretyError);
    expect(error).to.have.property("code", "ZK_NOT_INSTALLED");
    expect((error as SuretyError).next).to.contain("npm run zk:setup");
  });

  it("begins and ends ranges at anchored heads only", () => {
    const heads = new Map([
      [64, "0x0a"],
      [128, "0x00"],
    ] as const);
    expect(anchoredHeadAt(heads, 64)).to.equal("0x0a");
    expect(codeOf(() => anchoredHeadAt(heads, 65))).to.equal("PROOF_NOT_ANCHORED");
    expect(
      codeOf(() => anchoredHeadAt(heads, 128)),
      "a range anchored without a head",
    ).to.equal("PROOF_NOT_ANCHORED");
  });

  it("refuses a negative limit as wrong usage, in one JSON object", async () => {
    const line = new CommandLine();
    const args = ["proof", "make", join(dir, "none.json"), "--limit", "-1", "--budget", "1", "--salt", "1", "-o", "x"];
    const { code } = await line.json(...args);
    expect(code).to.equal(2);
  });
});
