// What package.json promises to whoever installs it, against what the build makes. By night the package itself is packed and used.
import { expect } from "chai";
import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import ts from "typescript";
import { root } from "../../scripts/checks/run-tool.ts";
import { nightly } from "../fixtures/profile.ts";

interface Package {
  readonly bin: Readonly<Record<string, string>>;
  readonly files: readonly string[];
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
}

const promised = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Package;
const entries = Object.entries(promised.exports).filter(([name]) => name !== "./package.json" && !name.includes("*"));

describe("the package that is installed", () => {
  it("names no TypeScript file to run: installed, there is JavaScript in its place", () => {
    const files = ["node", "indexer", "scripts"].flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((path) => join(folder, path)),
    );
    // The checks and the build of a clone are not installed.
    const installed = files.filter((path) => path.endsWith(".ts") && !/^scripts.(checks|build-dist|test)/.test(path));
    const found = installed.filter((path) => /new URL\("[^"]*\.ts"/.test(readFileSync(join(root, path), "utf8")));
    expect(installed.length).to.be.greaterThan(200);
    expect(found).to.deep.equal([]);
  });

  it("is built with a source for every entry of package.json, and packs each of them", () => {
    const { config } = ts.readConfigFile(join(root, "tsconfig.build.json"), (path) => ts.sys.readFile(path)) as {
      config: unknown;
    };
    const { fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
    expect([options.outDir, options.declaration]).to.deep.equal([join(root, "dist"), true]);
    const targets = entries.flatMap(([, target]) => (typeof target === "string" ? [target] : Object.values(target)));
    expect(targets).to.have.length(6);
    // What the launcher runs and Hardhat reads, beside what others import.
    for (const target of [...targets, "./dist/scripts/surety.js", "./dist/hardhat.config.js"]) {
      const source = target.replace("./dist/", "").replace(/(\.d\.ts|\.js)$/, ".ts");
      expect(fileNames, target).to.include(join(root, source));
    }
    expect(promised.files).to.include("dist");
    for (const path of Object.values(promised.bin)) {
      expect(promised.files, path).to.include(path);
      expect(existsSync(join(root, path)), path).to.equal(true);
    }
  });

  nightly("runs in another folder: its command answers, and its entries are imported", async function () {
    this.timeout(1_200_000);
    const folder = mkdtempSync(join(tmpdir(), "surety-package-"));
    try {
      writeFileSync(join(folder, "package.json"), '{ "name": "user", "type": "module" }');
      await run(root, "node", "scripts/build-dist.ts");
      await run(root, "npm", "pack", "--ignore-scripts", "--pack-destination", folder);
      const packed = readdirSync(folder).find((name) => name.endsWith(".tgz")) ?? expect.fail("nothing was packed");
      const modules = join(folder, "node_modules");
      mkdirSync(join(modules, "surety"), { recursive: true });
      await run(folder, "tar", "-xzf", packed, "-C", join(modules, "surety"), "--strip-components=1");
      // What it depends on, without a registry.
      for (const name of readdirSync(join(root, "node_modules")))
        if (!name.startsWith(".")) symlinkSync(join(root, "node_modules", name), join(modules, name));
      expect(await run(folder, "node", join(modules, "surety/scripts/bin.js"), "--help")).to.match(/^Usage: surety/);
      const names = entries.map(([name]) => name.replace(".", "surety"));
      const use = `for (const name of ${JSON.stringify(names)}) console.log(Object.keys(await import(name)).length > 0);`;
      writeFileSync(join(folder, "use.mjs"), use);
      expect(await run(folder, "node", "use.mjs")).to.equal("true\n".repeat(names.length));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

/** @returns what it printed @throws what it complained of, unless it ended with 0 */
async function run(folder: string, command: string, ...args: readonly string[]): Promise<string> {
  const child = spawn(command === "node" ? process.execPath : command, args, { cwd: folder });
  const [out, complaint] = [text(child.stdout), text(child.stderr)];
  const code = await new Promise((resolve, reject) => child.on("close", resolve).on("error", reject));
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${String(code)}: ${await complaint}`);
  return out;
}
