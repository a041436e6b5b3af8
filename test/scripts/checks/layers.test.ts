import { expect } from "chai";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { cruiseSources, violationsOf } from "../../../scripts/checks/layers.ts";
import { renderGraph, insertGraph } from "../../../scripts/checks/graph.ts";

/** Breaks one rule each: [rule, importing file, its text]. What it imports exists in every fixture. */
const offences: readonly (readonly [string, string, string])[] = [
  ["protocol-is-pure", "contracts/protocol/offence.ts", 'import { readFileSync } from "node:fs"; readFileSync("x");'],
  ["protocol-is-pure", "contracts/protocol/offence.ts", 'import { value } from "../../node/chain/chain.ts"; value;'],
  ["node-never-indexer", "node/offence.ts", 'import { value } from "../indexer/sync/sync.ts"; value;'],
  [
    "indexer-never-node",
    "indexer/offence.ts",
    'import type { Value } from "../node/log/log.ts"; export type V = Value;',
  ],
  ["auditor-stands-alone", "scripts/audit/offence.ts", 'import { value } from "../../node/log/log.ts"; value;'],
  ["auditor-stands-alone", "indexer/explorer/offence.ts", 'import { value } from "../sync/sync.ts"; value;'],
  [
    "stage-order-log",
    "node/log/offence.ts",
    'import type { Value } from "../gossip/gossip.ts"; export type V = Value;',
  ],
  ["stage-order-log", "node/log/offence.ts", 'import { value } from "../node.ts"; value;'],
  ["stage-types-only-gossip", "node/gossip/offence.ts", 'import { value } from "../log/log.ts"; value;'],
  ["product-never-test", "node/log/offence.ts", 'import { value } from "../../test/fixture.ts"; value;'],
  ["product-never-script", "node/log/offence.ts", 'import { value } from "../../scripts/audit/audit.ts"; value;'],
  [
    "no-cycle",
    "node/log/log.ts",
    'import { other } from "./other.ts"; export const value = other; export type Value = 1;',
  ],
  ["resolvable", "node/log/offence.ts", 'import { value } from "./absent.ts"; value;'],
];

const valueFile = "export const value = 1;\nexport type Value = 1;\n";
const cleanFiles: Readonly<Record<string, string>> = {
  "package.json": JSON.stringify({ type: "module", imports: { "#protocol": "./contracts/protocol/index.ts" } }),
  "contracts/protocol/index.ts": valueFile,
  "node/chain/chain.ts": 'import { value } from "#protocol";\nexport { value };\n',
  "node/log/log.ts": valueFile,
  "node/log/other.ts": 'import { value } from "./log.ts";\nexport const other = value;\n',
  "node/gossip/gossip.ts":
    'import type { Value } from "../log/log.ts";\nexport const value: Value = 1;\nexport type { Value };\n',
  "node/node.ts": 'import { value } from "./gossip/gossip.ts";\nexport { value };\n',
  "indexer/sync/sync.ts": 'import { value } from "#protocol";\nexport { value };\n',
  "scripts/audit/audit.ts":
    'import { readFileSync } from "node:fs";\nimport { value } from "#protocol";\nexport { value, readFileSync };\n',
  "test/fixture.ts": valueFile,
};

describe("layers", () => {
  let baseDir: string;

  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(baseDir, path)), { recursive: true });
    writeFileSync(join(baseDir, path), text);
  };

  beforeEach(() => {
    baseDir = mkdtempSync(join(tmpdir(), "surety-layers-"));
    for (const [path, text] of Object.entries(cleanFiles)) write(path, text);
  });
  afterEach(() => rmSync(baseDir, { recursive: true, force: true }));

  it("accepts a tree that keeps to the table", async () => {
    expect(violationsOf(await cruiseSources(baseDir))).to.deep.equal([]);
  });

  for (const [rule, path, text] of offences) {
    it(`${rule}: refuses ${path} with ${text.split(";")[0]}`, async () => {
      write(path, text);
      const violations = violationsOf(await cruiseSources(baseDir));
      expect(violations.map((violation) => violation.rule)).to.include(rule);
      expect(violations.find((violation) => violation.rule === rule)?.from).to.match(/offence|node\/log\//);
    });
  }

  it("draws the folders' imports, types dotted, and replaces an old drawing", async () => {
    const graph = renderGraph(await cruiseSources(baseDir));
    expect(graph).to.include('node_gossip["node/gossip"] -.-> node_log["node/log"]');
    expect(graph).to.include('node_chain["node/chain"] --> _protocol["#protocol"]');
    const page = insertGraph("# Page\n", "old");
    expect(insertGraph(page, graph)).to.equal(insertGraph("# Page\n", graph));
  });
});
