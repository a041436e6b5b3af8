import { expect } from "chai";
import { findingsOf } from "../../../scripts/checks/hygiene.ts";

describe("hygiene", () => {
  for (const [rule, path, text] of [
    ["machine path", "docs/guide.md", "Open /home/ann/surety first."],
    ["machine path", "scripts/x.ts", 'const dir = "/Users/ann/x";'],
    ["registry host", ".npmrc", "registry=https://mirror.example"],
    ["registry host", "package-lock.json", '      "resolved": "https://r.example/a.tgz",'],
    ["registry host", "README.md", "from https://registry.npmjs.org/viem"],
    ["fixed port", "node/api/server.ts", "server.listen(3000);"],
    ["fixed port", "scripts/devnet.ts", 'const url = "http://127.0.0.1:8545";'],
    ["fixed port", "indexer/main.ts", "createServer({ port: 4000 })"],
    ["fixed port", "scripts/cli/network.ts", 'const url = "http://127.0.0.1:8546";'],
    ["fixed port", "scripts/cli/network.ts", 'const urls = ["http://127.0.0.1:8545", "http://127.0.0.1:9545"];'],
    ["fixed port", "hardhat.config.ts", "serve({ port: 8545 })"],
    ["long README", "node/README.md", "line\n".repeat(41)],
  ] as const) {
    it(`finds a ${rule} in ${path}`, () => {
      expect(findingsOf(path, text).map((finding) => finding.rule)).to.deep.equal([rule]);
    });
  }

  it("passes Hardhat's own address in the two files that look for it", () => {
    for (const path of ["scripts/cli/network.ts", "hardhat.config.ts"])
      expect(findingsOf(path, 'const url = "http://127.0.0.1:8545";')).to.deep.equal([]);
  });

  it("passes relative paths, port 0, documented ports and short READMEs", () => {
    expect(findingsOf("docs/guide.md", "`npx hardhat node` listens on http://127.0.0.1:8545")).to.deep.equal([]);
    expect(findingsOf("node/main.ts", 'server.listen(0, "127.0.0.1"); // see ../shared/work/x')).to.deep.equal([]);
    expect(findingsOf("node/README.md", "line\n".repeat(40))).to.deep.equal([]);
    expect(findingsOf("README.md", "line\n".repeat(80))).to.deep.equal([]);
  });
});
