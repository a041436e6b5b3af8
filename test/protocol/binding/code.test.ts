import { expect } from "chai";
import fc from "fast-check";
import { execFileSync } from "node:child_process";
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sha256, stringToBytes, type Hex } from "viem";
import {
  codeKinds,
  codeWordOf,
  decodeCodeCommitment,
  encodeCodeCommitment,
  manifestCommitment,
  manifestText,
  parseIgnoreRules,
  type CodeKind,
} from "#protocol";

const digest = (length: number): Hex => `0x${"5a".repeat(length)}`;

describe("typed code commitments", () => {
  it("encode type and digest, and back, each type with its lengths only", () => {
    const lengths: Record<CodeKind, number[]> = {
      manifest: [32],
      oci: [32, 64],
      risc0: [32],
      sp1: [32],
      tee: [32, 48],
    };
    for (const kind of Object.keys(codeKinds) as CodeKind[]) {
      for (let length = 1; length <= 64; length++) {
        const code = { kind, digest: digest(length) };
        if (!lengths[kind].includes(length)) {
          expect(() => encodeCodeCommitment(code)).to.throw("bytes");
          continue;
        }
        const encoded = encodeCodeCommitment(code);
        expect(encoded).to.have.length(2 + 2 * (length + 1));
        expect(decodeCodeCommitment(encoded)).to.deep.equal({ kind: "accept", value: code });
      }
    }
    expect(decodeCodeCommitment(("0x06" + "00".repeat(32)) as Hex)).to.include({ code: "CODE_KIND" });
    expect(decodeCodeCommitment("0x01")).to.include({ kind: "reject" });
  });

  it("are different words for one digest under different types", () => {
    const words = (Object.keys(codeKinds) as CodeKind[]).map((kind) => codeWordOf({ kind, digest: digest(32) }));
    expect(new Set(words).size).to.equal(5);
  });
});

describe("file manifests", () => {
  it("are what sha256sum prints of the sorted paths, and their digest is its sha256sum", function () {
    if (process.platform === "win32") this.skip();
    const dir = mkdtempSync(join(tmpdir(), "surety-manifest-"));
    try {
      const contents: Record<string, string> = { "b.txt": "two", "a/c d.js": "one", "a.js": "", "é.md": "x", Z: "z" };
      mkdirSync(join(dir, "a"));
      for (const [path, text] of Object.entries(contents)) writeFileSync(join(dir, path), text);
      const files = Object.entries(contents).map(([path, text]) => ({ path, sha256: sha256(stringToBytes(text)) }));
      const command = String.raw`find . -type f | sed 's|^\./||' | LC_ALL=C sort | xargs -d '\n' sha256sum`;
      const run = (line: string) => execFileSync("sh", ["-c", line], { cwd: dir, encoding: "utf8" });
      expect(manifestText(files)).to.equal(run(command));
      expect(manifestCommitment(files).digest.slice(2)).to.equal(run(`${command} | sha256sum`).split(" ")[0]);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  it("do not depend on the order in which files were found", () => {
    const file = fc.record({
      path: fc.stringMatching(/^[a-z]{1,3}(\/[a-z]{1,3}){0,2}$/),
      sha256: fc.constant(digest(32)),
    });
    fc.assert(
      fc.property(fc.uniqueArray(file, { minLength: 1, selector: ({ path }) => path }), (files) => {
        expect(manifestText(files.toReversed())).to.equal(manifestText(files));
      }),
    );
  });

  it("refuse paths that lead out, that sha256sum would escape, or that stand twice, and emptiness", () => {
    const paths = [
      "../a",
      "a/../b",
      "/a",
      "a//b",
      "./a",
      "a/",
      "",
      "a\nb",
      "a\\b",
      "\ud800",
      "x".repeat(4_097),
      "a\u0085",
    ];
    for (const path of paths) expect(() => manifestText([{ path, sha256: digest(32) }]), path).to.throw("manifest");
    expect(() => manifestText([])).to.throw("no file");
    const twice = { path: "a", sha256: digest(32) };
    expect(() => manifestText([twice, twice])).to.throw("twice");
  });
});

describe("ignore rules", () => {
  const ignored = (rules: string, path: string, isFolder = false) => parseIgnoreRules(rules)(path, isFolder);

  it("leave out by name anywhere, by path from the root, and folders only where told", () => {
    expect(ignored("*.log", "deep/down/x.log")).to.equal(true);
    expect(ignored("*.log", "x.log.txt")).to.equal(false);
    expect(ignored("/build", "build", true)).to.equal(true);
    expect(ignored("/build", "a/build", true)).to.equal(false);
    expect(ignored("tmp/", "a/tmp", true)).to.equal(true);
    expect(ignored("tmp/", "a/tmp")).to.equal(false);
    expect(ignored("a/**/z.txt", "a/b/c/z.txt")).to.equal(true);
    expect(ignored("a/**/z.txt", "a/z.txt")).to.equal(true);
    expect(ignored("a/*.txt", "a/b/c.txt")).to.equal(false);
    expect(ignored("file?.js", "file1.js")).to.equal(true);
    expect(ignored("file.js", "fileXjs")).to.equal(false);
    expect(ignored("# a comment\n\n", "a")).to.equal(false);
  });

  it("always leave out the history, and never the rules themselves", () => {
    expect(ignored("", ".git", true)).to.equal(true);
    expect(ignored("", ".surety", true)).to.equal(true);
    expect(ignored("*\n.suretyignore", ".suretyignore")).to.equal(false);
  });

  it("refuse a rule that takes back another, and characters without a meaning", () => {
    for (const rule of ["!keep.js", "[ab].js", "a\\b", "/"])
      expect(() => parseIgnoreRules(rule)).to.throw("not a rule");
  });
});
