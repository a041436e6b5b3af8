// Who may import whom: the table of docs/architecture.md as rules. `npm run lint` checks them, and
// test/scripts/checks/layers.test.ts shows that each fails on a violation.

/** Stages of a node, in the order in which an outcome moves. */
const stages = ["identity", "log", "gossip", "discovery", "negotiation", "settlement", "reputation"];

const pureLibraries = "^node_modules/(viem|abitype|@noble/(hashes|curves)|@ipld/dag-cbor|multiformats|canonicalize)/";
const protocol = "^contracts/protocol/";

/** A rule that nothing may break. */
const forbid = (name, comment, from, to) => ({ name, comment, severity: "error", from, to });

const stageRules = stages.flatMap((stage, position) => {
  const from = { path: `^node/${stage}/` };
  const earlier = stages.slice(0, position);
  const later = [...stages.slice(position + 1), "api"];
  return [
    forbid(
      `stage-order-${stage}`,
      `${stage} knows nothing of what comes after it: declare a port in ${stage} and let node.ts supply it.`,
      from,
      { path: `^node/((${later.join("|")})/|(node|main)\\.ts$)` },
    ),
    ...(earlier.length === 0
      ? []
      : [
          forbid(
            `stage-types-only-${stage}`,
            `${stage} takes types of earlier stages only; node.ts hands it the values.`,
            from,
            { path: `^node/(${earlier.join("|")})/`, dependencyTypesNot: ["type-only"] },
          ),
        ]),
  ];
});

export default {
  forbidden: [
    forbid(
      "protocol-is-pure",
      "#protocol is the pure mirror of the contracts: viem's utilities, noble, dag-cbor, multiformats, canonicalize, and nothing of node:*.",
      { path: protocol },
      { pathNot: [protocol, pureLibraries] },
    ),
    forbid(
      "node-never-indexer",
      "A node believes the chain, never an indexer's code.",
      { path: "^node/" },
      { path: "^indexer/" },
    ),
    forbid(
      "indexer-never-node",
      "An indexer reads the chain, never a node's code.",
      { path: "^indexer/" },
      { path: "^node/" },
    ),
    forbid(
      "auditor-stands-alone",
      "The auditor and the explorer import #protocol and viem only, or they would audit themselves.",
      { path: "^(scripts/audit|indexer/explorer)/", pathNot: "^indexer/explorer/graph/" },
      {
        pathNot: ["^(scripts/audit|indexer/explorer)/", protocol, "^node_modules/(viem|abitype)/"],
        dependencyTypesNot: ["core"],
      },
    ),
    forbid(
      "graph-only-draws",
      "The trust graph shows what its page gives it: it reads nothing, and verifies nothing.",
      { path: "^indexer/explorer/graph/" },
      { pathNot: ["^indexer/explorer/graph/", "^node_modules/(graphology[^/]*|sigma)/"] },
    ),
    ...stageRules,
    forbid(
      "product-never-test",
      "What ships does not import tests or benchmarks.",
      { path: "^(contracts|node|indexer|scripts)/" },
      { path: "^(test|bench)/" },
    ),
    forbid(
      "product-never-script",
      "Libraries do not import the command line; a node that gives a client an audit bundle has the auditor make it, and the explorer is held to the auditor by auditor-stands-alone.",
      { path: "^(contracts|node|indexer)/", pathNot: "^indexer/explorer/" },
      { path: "^scripts/", pathNot: "^scripts/audit/(export|bundle)\\.ts$" },
    ),
    forbid(
      "no-dev-dependency",
      "What ships imports dependencies only; a devDependency is absent where the package is installed.",
      { path: "^(contracts|node|indexer|scripts)/", pathNot: "^scripts/(checks/|generate\\.ts|test\\.ts)" },
      { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["npm", "type-only"] },
    ),
    forbid(
      "no-cycle",
      "Two files that need each other at run time are one file, or lack a third.",
      {},
      {
        circular: true,
        viaOnly: { dependencyTypesNot: ["type-only"] },
      },
    ),
    forbid("resolvable", "The import leads nowhere.", {}, { couldNotResolve: true }),
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: "^node_modules/" },
    exclude: { path: "^(artifacts|dist|types|coverage)/|^(zk|test/interop/agent0)/node_modules/" },
    enhancedResolveOptions: {
      conditionNames: ["import", "types", "node", "default"],
      exportsFields: ["exports"],
      extensions: [".ts", ".js", ".mjs", ".cjs", ".json"],
      mainFields: ["module", "main", "types"],
    },
  },
};
