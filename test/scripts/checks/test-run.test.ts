import { expect } from "chai";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COUNTS_FILE_VARIABLE, isGreen, readCounts, summaryLine } from "../../../scripts/checks/counts.ts";
import { findLeftovers, RUN_MARKER_VARIABLE } from "../../../scripts/checks/leftovers.ts";
import { root, runTool } from "../../../scripts/checks/run-tool.ts";

describe("the test command", () => {
  let dir: string;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "surety-counts-"))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it("counts what mocha passed, failed and skipped", async () => {
    const test = join(dir, "sample.test.ts");
    writeFileSync(
      test,
      'it("a", () => {}); it("b", () => { throw new Error("b"); }); it.skip("c", () => {}); it("d", () => {});',
    );
    const counts = join(dir, "counts.json");
    const { exitCode } = await runTool(
      "mocha",
      ["--parallel", "--reporter", join(root, "scripts/checks/mocha-reporter.ts"), test],
      { env: { [COUNTS_FILE_VARIABLE]: counts } },
    );
    expect(exitCode).to.equal(1);
    expect(JSON.parse(readFileSync(counts, "utf8"))).to.deep.equal({ passed: 2, failed: 1, skipped: 1 });
    expect(summaryLine("mocha", readCounts(counts))).to.equal("mocha: 2 passed, 1 failed, 1 skipped");
  });

  it("is red when a test fails, when none ran, when the runner dies, and when it leaves no counts", () => {
    expect(isGreen({ passed: 1, failed: 0, skipped: 0 }, 0)).to.equal(true);
    expect(isGreen({ passed: 1, failed: 1, skipped: 0 }, 0)).to.equal(false);
    expect(isGreen({ passed: 0, failed: 0, skipped: 3 }, 0)).to.equal(false);
    expect(isGreen({ passed: 1, failed: 0, skipped: 0 }, 1)).to.equal(false);
    expect(isGreen(readCounts(join(dir, "absent.json")), 0)).to.equal(false);
  });

  it("finds a detached process that a run left behind, and only while it lives", async function () {
    if (process.platform !== "linux") return this.skip();
    const marker = randomUUID();
    const child = spawn(process.execPath, ["-e", 'process.send("up"); setInterval(() => {}, 1e6)'], {
      detached: true,
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      env: { [RUN_MARKER_VARIABLE]: marker },
    });
    await once(child, "message");
    expect(findLeftovers(marker)?.map(({ pid }) => pid)).to.deep.equal([child.pid]);
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    expect(findLeftovers(marker)).to.deep.equal([]);
    return undefined;
  });
});
