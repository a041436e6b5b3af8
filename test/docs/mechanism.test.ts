// Runs the commands of docs/write-a-mechanism.md as they stand there, one after the other.
import { expect } from "chai";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../../scripts/checks/run-tool.ts";
import { CommandLine } from "../fixtures/cli.ts";

const page = readFileSync(join(root, "docs/write-a-mechanism.md"), "utf8");
const commands = [...page.matchAll(/```sh \w+\n([\s\S]*?)```/g)].flatMap(([, block = ""]) => block.trim().split("\n"));

describe("docs/write-a-mechanism.md", function () {
  this.timeout(120_000);
  const cli = new CommandLine();
  const dir = mkdtempSync(join(tmpdir(), "surety-docs-"));
  after(() => {
    cli.killAll();
    rmSync(dir, { recursive: true });
  });

  it("runs from the draft to the page, each command with exit code 0", async () => {
    expect(commands).to.have.length.greaterThan(4);
    for (const command of commands) {
      // Words, or texts in quotes; files lie in a folder of the test's own.
      const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) => quoted ?? word ?? "");
      const args = words.slice(1).map((word) => (/\.json$/.test(word) ? join(dir, word) : word));
      const { code, stdout, stderr } = await cli.run(...args);
      expect(code, `${command}\n${stdout}${stderr}`).to.equal(0);
    }
  });
});
