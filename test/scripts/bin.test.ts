import { expect } from "chai";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../../scripts/checks/run-tool.ts";

/** Prints what it was started with, then waits for a signal or ends with the code that it was told. */
const entry = `
console.log(JSON.stringify([process.versions.node, process.argv.slice(2), process.env.HARDHAT_CONFIG]));
const code = Number(process.argv[2]);
if (code >= 0) process.exit(code);
setInterval(() => {}, 1e6);
process.on("SIGTERM", () => process.exit(7));
console.log("ready");
`;

describe("the launcher of surety", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "surety-bin-"));
    mkdirSync(join(dir, "scripts"), { recursive: true });
    writeFileSync(join(dir, "package.json"), '{"type":"module"}');
    cpSync(join(root, "scripts/bin.js"), join(dir, "scripts/bin.js"));
    symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  /** @param prelude runs in the launcher first: an old Node has no process.execve */
  const launch = (args: readonly string[], prelude = "") => {
    const child = spawn(
      process.execPath,
      ["--import", `data:text/javascript,${prelude}`, join(dir, "scripts/bin.js"), ...args],
      {
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    return { child, ended: once(child, "close").then(([code]) => ({ code: code as number | null, output })) };
  };

  for (const [host, prelude] of [
    ["a host that can exec", ""],
    ["an old host", "delete process.execve"],
  ] as const) {
    describe(`on ${host}`, () => {
      it("runs the sources of a clone on the bundled Node, with arguments, configuration and exit code", async () => {
        writeFileSync(join(dir, "scripts/surety.ts"), entry);
        const { code, output } = await launch(["5", "a b", "--c"], prelude).ended;
        expect(code).to.equal(5);
        expect(JSON.parse(output)).to.deep.equal([
          process.versions.node,
          ["5", "a b", "--c"],
          join(dir, "hardhat.config.ts"),
        ]);
      });

      it("passes SIGTERM on, and the exit code back", async () => {
        writeFileSync(join(dir, "scripts/surety.ts"), entry);
        const { child, ended } = launch(["-1"], prelude);
        for await (const chunk of child.stdout) if (String(chunk).includes("ready")) break;
        child.kill("SIGTERM");
        expect((await ended).code).to.equal(7);
      });

      it("runs the build where there are no sources, and says what is missing where there is neither", async () => {
        expect(await launch([], prelude).ended).to.satisfy(
          ({ code, output }: { code: number; output: string }) => code === 3 && output.includes("npm run build:dist"),
        );
        mkdirSync(join(dir, "dist/scripts"), { recursive: true });
        writeFileSync(join(dir, "dist/scripts/surety.js"), entry);
        const { code, output } = await launch(["0"], prelude).ended;
        expect(code).to.equal(0);
        expect(JSON.parse(output)).to.deep.equal([process.versions.node, ["0"], join(dir, "dist/hardhat.config.js")]);
      });
    });
  }
});
