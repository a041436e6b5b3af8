import { expect } from "chai";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keccak256, sha256, stringToBytes, toHex, zeroHash, type Hex } from "viem";
import { manifestText, type SuretyError } from "#protocol";
import { readBindingFile, writeBindingFile } from "../../../node/identity/binding-file.ts";
import { isCommittedModule, judgeBinding, measureBinding } from "../../../node/identity/binding.ts";
import { measureCode, readConfigFile } from "../../../node/identity/measure.ts";
import { ownRuntime } from "../../../node/identity/runtime.ts";

const signal = new AbortController().signal;
const config = { model: null, promptTemplate: null, toolPermissions: null, safetyPolicy: null, budgetPolicy: null };
const codeOf = (act: Promise<unknown>) =>
  act.then(
    () => "accepted",
    (error: unknown) => (error as SuretyError).code,
  );

describe("measuring an agent", () => {
  let dir: string;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "surety-measure-"))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));
  const put = (path: string, text: string | Uint8Array) => {
    mkdirSync(join(dir, path, ".."), { recursive: true });
    writeFileSync(join(dir, path), text);
  };
  const pathsOf = async () => (await measureCode(dir, signal)).map(({ path }) => path).sort();

  it("hashes every file of the folder but what its rules and the defaults leave out", async () => {
    put("main.js", "run()");
    put("lib/a.js", "a");
    put("lib/a.log", "noise");
    put("cache/x", "x");
    put(".git/HEAD", "ref");
    put(".surety/binding.json", "{}");
    put(".suretyignore", "*.log\ncache/\n");
    expect(await pathsOf()).to.deep.equal([".suretyignore", "lib/a.js", "main.js"]);
    const files = await measureCode(dir, signal);
    expect(files.find(({ path }) => path === "main.js")?.sha256).to.equal(sha256(stringToBytes("run()")));
  });

  it("hashes a file of any size as sha256sum does", async () => {
    const large = new Uint8Array(3_000_001).map((_, k) => k % 251);
    put("weights.bin", large);
    const [file] = await measureCode(dir, signal);
    expect(file?.sha256.slice(2)).to.equal(createHash("sha256").update(large).digest("hex"));
  });

  it("writes a manifest that sha256sum -c accepts, and refuses once a byte has changed", async function () {
    if (process.platform === "win32") this.skip();
    put("main.js", "run()");
    put("deep/er/a b.txt", "text");
    const manifest = manifestText(await measureCode(dir, signal));
    const verify = () =>
      execFileSync("sha256sum", ["-c", "--quiet", "-"], { cwd: dir, input: manifest, stdio: ["pipe", "pipe", "pipe"] });
    verify();
    put("deep/er/a b.txt", "texT");
    expect(verify).to.throw();
  });

  it("counts a link to a file of the folder as that file, and refuses every other link", async function () {
    if (process.platform === "win32") this.skip();
    put("a.js", "a");
    symlinkSync("a.js", join(dir, "same.js"));
    const [a, same] = (await measureCode(dir, signal)).sort((x, y) => (x.path < y.path ? -1 : 1));
    expect(same?.sha256).to.equal(a?.sha256);
    put("folder/b.js", "b");
    for (const target of ["/etc/hostname", "../", "folder", "nowhere", "..", "loop"]) {
      symlinkSync(target, join(dir, "loop"));
      expect(await codeOf(measureCode(dir, signal)), target).to.equal("MANIFEST_LINK");
      rmSync(join(dir, "loop"));
    }
  });

  it("refuses a sibling folder whose name begins with the folder's, pipes, and paths that sha256sum would escape", async function () {
    if (process.platform === "win32") this.skip();
    put("code/a.js", "a");
    put("code-other/b.js", "b");
    symlinkSync("../code-other/b.js", join(dir, "code/escape.js"));
    expect(await codeOf(measureCode(join(dir, "code"), signal))).to.equal("MANIFEST_LINK");
    rmSync(join(dir, "code/escape.js"));
    execFileSync("mkfifo", [join(dir, "code/pipe")]);
    expect(await codeOf(measureCode(join(dir, "code"), signal))).to.equal("MANIFEST_SPECIAL");
    rmSync(join(dir, "code/pipe"));
    put("code/a\nb.js", "a");
    expect(await codeOf(measureCode(join(dir, "code"), signal))).to.equal("MANIFEST_PATH");
    expect(await codeOf(measureCode(join(dir, "none"), signal))).to.equal("MANIFEST_FOLDER");
  });

  it("stops when it is told to", async () => {
    put("a.js", "a");
    expect(await measureCode(dir, AbortSignal.abort(new Error("told"))).catch(String)).to.equal("Error: told");
  });

  it("reads a config in which files stand as their hashes", async () => {
    put("prompt.md", "Be exact.");
    put(
      "config.json",
      JSON.stringify({ ...config, promptTemplate: { $sha256: "prompt.md" }, tools: [{ $sha256: "prompt.md" }] }),
    );
    const hash = { sha256: sha256(stringToBytes("Be exact.")) };
    expect(await readConfigFile(join(dir, "config.json"))).to.deep.equal({
      ...config,
      promptTemplate: hash,
      tools: [hash],
    });
    put("config.json", JSON.stringify({ ...config, model: { $sha256: "none" } }));
    expect(await codeOf(readConfigFile(join(dir, "config.json")))).to.equal("CONFIG_REFERENCE");
    put("config.json", JSON.stringify({ ...config, model: { $sha256: "prompt.md", also: 1 } }));
    expect(await codeOf(readConfigFile(join(dir, "config.json")))).to.equal("CONFIG_REFERENCE");
    put("config.json", "{");
    expect(await codeOf(readConfigFile(join(dir, "config.json")))).to.equal("CONFIG_FILE");
  });

  describe("a binding file", () => {
    const word = (text: string): Hex => keccak256(toHex(text));
    const path = () => join(dir, "keep", "binding.json");
    const write = async () => {
      put("code/main.js", "run()");
      put("config.json", JSON.stringify(config));
      const parts = {
        ...{ codeFolder: join(dir, "code"), configFile: join(dir, "config.json"), configSecret: word("s") },
        ...{ userId: zeroHash, salt: word("salt"), code: { kind: "manifest", digest: zeroHash } as const },
        runtime: await ownRuntime(signal),
      };
      const { code, configDigest, commitment } = await measureBinding(parts, signal);
      writeBindingFile(path(), { ...parts, code, configDigest, commitment });
      return readBindingFile(path());
    };

    it("is read back as it was written, is its user's alone, and is never overwritten", async () => {
      const file = await write();
      expect(file.codeFolder).to.equal(join(dir, "code"));
      expect((await measureBinding(file, signal)).commitment).to.equal(file.commitment);
      expect(() => writeBindingFile(path(), file)).to.throw("exists");
      if (process.platform === "win32") return;
      expect(statSync(path()).mode & 0o777).to.equal(0o600);
      chmodSync(path(), 0o644);
      expect(() => readBindingFile(path())).to.throw("Others");
    });

    it("says what differs: the code, the config, the chain's commitment, or that there is none", async () => {
      const file = await write();
      const judged = async (onChain: Hex) => judgeBinding(file, await measureBinding(file, signal), onChain)?.code;
      expect(await judged(file.commitment)).to.equal(undefined);
      expect(await judged(zeroHash)).to.equal("COMMITMENT_NONE");
      expect(await judged(word("another"))).to.equal("COMMITMENT_OTHER");
      put("config.json", JSON.stringify({ ...config, budgetPolicy: 1 }));
      expect(await judged(file.commitment)).to.equal("CONFIG_CHANGED");
      put("code/new.js", "");
      expect(await judged(file.commitment)).to.equal("CODE_CHANGED");
    });

    it("covers a module that stands in its manifest, and none elsewhere", async () => {
      const file = await write();
      const measured = await measureBinding(file, signal);
      const folder = join(dir, "code");
      expect(isCommittedModule(measured, folder, join(folder, "main.js"))).to.equal(true);
      for (const other of [join(dir, "main.js"), join(folder, "none.js"), folder]) {
        expect(isCommittedModule(measured, folder, other)).to.equal(false);
      }
    });
  });
});
