import { expect } from "chai";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  measureRuntime,
  ownRuntime,
  packageAbove,
  readRuntime,
  runtimeDifference,
} from "../../../node/identity/runtime.ts";

const signal = new AbortController().signal;

describe("what runs an agent's code", () => {
  let root: string;
  const put = (path: string, text: string) => writeFileSync(join(root, path), text);

  before(() => {
    root = mkdtempSync(join(tmpdir(), "surety-runtime-"));
    for (const folder of ["node", "scripts", "contracts/protocol", "dist", "docs"]) {
      mkdirSync(join(root, folder), { recursive: true });
      put(`${folder}/a.ts`, folder);
    }
    put("package.json", '{ "name": "surety", "version": "1.2.3" }');
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  it("is another with a changed file, version or lockfile, and the same with a changed page", async () => {
    const source = await measureRuntime(root, false, signal);
    expect(source).to.include({ package: "surety", version: "1.2.3", lockfile: null, interpreter: process.version });
    const differsAfter = async (path: string, text: string) => {
      const before = await measureRuntime(root, false, signal);
      put(path, text);
      return runtimeDifference(before, await measureRuntime(root, false, signal));
    };
    expect(await differsAfter("docs/a.ts", "changed")).to.equal(undefined);
    expect(await differsAfter("dist/a.ts", "changed"), "sources run, not what was built of them").to.equal(undefined);
    for (const path of ["node/a.ts", "scripts/a.ts", "contracts/protocol/a.ts", "node/new.ts"]) {
      expect(await differsAfter(path, "changed"), path).to.match(/^code is/);
    }
    expect(await differsAfter("package-lock.json", "{}")).to.match(/^lockfile is 0x44136fa3/);
    expect(await differsAfter("package.json", '{ "name": "surety", "version": "1.2.4" }')).to.match(
      /^version is 1.2.4/,
    );
    expect((await measureRuntime(root, true, signal)).code).to.not.equal(source.code);
  });

  it("is that of the package around a build, whose own package.json has no name", () => {
    put("dist/package.json", '{ "type": "module" }');
    expect(packageAbove(join(root, "dist/a.ts"))).to.equal(root);
    rmSync(join(root, "dist/package.json"));
  });

  it("is measured of this very package, and read back from a file as it is", async () => {
    const own = await ownRuntime(signal);
    expect(own.package).to.equal("surety");
    expect(readRuntime(JSON.parse(JSON.stringify(own)))).to.deep.equal(own);
    for (const wrong of [undefined, null, 1, {}, { ...own, more: 1 }, { ...own, code: 1 }]) {
      expect(readRuntime(wrong)).to.equal(undefined);
    }
  });
});
