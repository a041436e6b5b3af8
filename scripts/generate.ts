// Derives what TypeScript knows of the contracts from the compiler's artifacts: the ABIs, and for each struct of
// Types.sol its EIP-712 fields and its TypeScript type. `--check` writes nothing and fails when a file is stale.
import { readFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { format, resolveConfig } from "prettier";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const outputDir = join(root, "contracts/protocol/generated");

/** Artifacts whose ABI other parts speak, by the name of the exported constant. */
const CONTRACTS: Record<string, string[]> = {
  identityRegistryAbi: ["identity/IdentityRegistry.sol/IdentityRegistry"],
  signedBindingsAbi: ["identity/SignedBindings.sol/SignedBindings"],
  signedProfileAbi: ["identity/SignedProfile.sol/SignedProfile"],
  ownerRecoveryAbi: ["identity/OwnerRecovery.sol/OwnerRecovery"],
  foreignBindingsAbi: ["identity/ForeignBindings.sol/ForeignBindings"],
  anchorsAbi: ["identity/Anchors.sol/Anchors"],
  logEvidenceAbi: ["identity/LogEvidence.sol/LogEvidence"],
  dealEscrowAbi: ["settlement/DealEscrow.sol/DealEscrow", "interfaces/IDealEscrow.sol/IDealEscrow"],
  dealDisputesAbi: ["settlement/DealDisputes.sol/DealDisputes"],
  dealFundingAbi: ["settlement/DealFunding.sol/DealFunding"],
  tabEscrowAbi: ["settlement/TabEscrow.sol/TabEscrow"],
  arbitratorAbi: ["interfaces/IArbitrator.sol/IArbitrator"],
  trustLedgerAbi: ["reputation/TrustLedger.sol/TrustLedger", "interfaces/ITrustLedger.sol/ITrustLedger"],
  stakeVaultAbi: ["stake/StakeVault.sol/StakeVault", "interfaces/IStakeVault.sol/IStakeVault"],
  reputationEpochsAbi: [
    "reputation/ReputationEpochs.sol/ReputationEpochs",
    "interfaces/IReputationEpochs.sol/IReputationEpochs",
  ],
  credentialsAbi: ["identity/credentials/Credentials.sol/Credentials"],
  issuerCredentialsAbi: ["identity/credentials/IssuerCredentials.sol/IssuerCredentials"],
  semaphoreCredentialsAbi: ["identity/credentials/SemaphoreCredentials.sol/SemaphoreCredentials"],
  codeProofVerifierAbi: ["interfaces/ICodeProofVerifier.sol/ICodeProofVerifier"],
  feedbackRegistryAbi: ["interfaces/IFeedbackRegistry.sol/IFeedbackRegistry"],
  validationRegistryAbi: ["reputation/ValidationRegistry.sol/ValidationRegistry"],
  jobEscrowAbi: ["settlement/JobEscrow.sol/JobEscrow"],
  bondCurveAbi: ["settlement/BondCurve.sol/BondCurve", "interfaces/IBondCurve.sol/IBondCurve"],
  evidenceSlasherAbi: ["stake/EvidenceSlasher.sol/EvidenceSlasher"],
  rulingSlasherAbi: ["stake/RulingSlasher.sol/RulingSlasher"],
  jurorPanelAbi: ["settlement/arbitration/JurorPanel.sol/JurorPanel"],
  windowValidatorsAbi: ["network/WindowValidators.sol/WindowValidators"],
  structHashesAbi: ["libraries/StructHashes.sol/StructHashes"],
  testTokenAbi: ["mocks/TestToken.sol/TestToken"],
};

/** Contracts whose storage the auditor proves. */
const PROVEN_CONTRACTS: Record<string, string> = {
  identityRegistry: "identity/IdentityRegistry.sol/IdentityRegistry",
  foreignBindings: "identity/ForeignBindings.sol/ForeignBindings",
  anchors: "identity/Anchors.sol/Anchors",
  ownerRecovery: "identity/OwnerRecovery.sol/OwnerRecovery",
  credentials: "identity/credentials/Credentials.sol/Credentials",
  issuerCredentials: "identity/credentials/IssuerCredentials.sol/IssuerCredentials",
  semaphoreCredentials: "identity/credentials/SemaphoreCredentials.sol/SemaphoreCredentials",
  dealEscrow: "settlement/DealEscrow.sol/DealEscrow",
  tabEscrow: "settlement/TabEscrow.sol/TabEscrow",
  stakeVault: "stake/StakeVault.sol/StakeVault",
  trustLedger: "reputation/TrustLedger.sol/TrustLedger",
  reputationEpochs: "reputation/ReputationEpochs.sol/ReputationEpochs",
};

interface StorageLayout {
  storage: { label: string; slot: string; offset: number; type: string }[];
}

interface AbiParameter {
  name: string;
  type: string;
  internalType?: string;
  components?: AbiParameter[];
}
interface AbiEntry {
  type: string;
  name?: string;
  inputs?: AbiParameter[];
}

function readAbi(candidates: string[]): AbiEntry[] | undefined {
  for (const candidate of candidates) {
    const path = artifactPath(candidate);
    if (existsSync(path)) return (JSON.parse(readFileSync(path, "utf8")) as { abi: AbiEntry[] }).abi;
  }
  return undefined;
}

function artifactPath(contract: string): string {
  return join(root, "artifacts/contracts", `${contract}.json`);
}

/** The compiler's storage layout of one contract, out of the build info that its artifact names. */
function readLayout(contract: string): StorageLayout | undefined {
  if (!existsSync(artifactPath(contract))) return undefined;
  const { buildInfoId, inputSourceName, contractName } = JSON.parse(readFileSync(artifactPath(contract), "utf8")) as {
    buildInfoId: string;
    inputSourceName: string;
    contractName: string;
  };
  const buildInfo = JSON.parse(
    readFileSync(join(root, "artifacts/build-info", `${buildInfoId}.output.json`), "utf8"),
  ) as { output: { contracts: Record<string, Record<string, { storageLayout?: StorageLayout }>> } };
  const layout = buildInfo.output.contracts[inputSourceName]?.[contractName]?.storageLayout;
  if (layout === undefined)
    throw new Error(`generate: no storage layout of ${contract}. Run npm run build -- --force.`);
  return layout;
}

function renderLayouts(): string {
  const layouts = Object.entries(PROVEN_CONTRACTS).map(([name, contract]) => {
    const variables = readLayout(contract)?.storage ?? [];
    return `${name}: {${variables.map((v) => `${JSON.stringify(v.label)}: ${v.slot}n`).join(", ")}}`;
  });
  return [
    "// Generated by `npm run generate` from the compiler's storage layouts. Do not edit.",
    `/** First storage slot of each variable, by contract. */\nexport const storageSlots = {${layouts.join(",\n")}} as const;`,
  ].join("\n\n");
}

/** How viem maps a Solidity type: integers of at most 48 bits are numbers, larger ones bigints. */
function typescriptTypeOf(type: string): string {
  if (type === "address" || type.startsWith("bytes")) return "Hex";
  if (type === "bool") return "boolean";
  const bits = Number(/^u?int(\d+)$/.exec(type)?.[1]);
  if (Number.isNaN(bits)) throw new Error(`generate: ${type} is not a static type; hash dynamic content first`);
  return bits <= 48 ? "number" : "bigint";
}

function structsOf(abi: AbiEntry[]): Map<string, AbiParameter[]> {
  const structs = new Map<string, AbiParameter[]>();
  for (const entry of abi) {
    const input = entry.inputs?.[0];
    const name = input?.internalType?.replace("struct ", "");
    if (name !== undefined && input?.components !== undefined) structs.set(name, input.components);
  }
  return structs;
}

function renderAbis(): string {
  const parts = ["// Generated by `npm run generate`. Do not edit."];
  for (const [name, candidates] of Object.entries(CONTRACTS)) {
    const abi = readAbi(candidates);
    if (abi !== undefined) parts.push(`export const ${name} = ${JSON.stringify(abi)} as const;`);
  }
  return parts.join("\n\n");
}

function renderStructs(): string {
  const abi = readAbi(CONTRACTS["structHashesAbi"] ?? []);
  if (abi === undefined) throw new Error("generate: artifacts are missing. Run npm run build first.");
  const structs = structsOf(abi);
  const interfaces = [...structs].map(
    ([name, fields]) =>
      `export interface ${name} {\n${fields.map((f) => `  ${f.name}: ${typescriptTypeOf(f.type)};`).join("\n")}\n}`,
  );
  const types = [...structs].map(
    ([name, fields]) => `${name}: ${JSON.stringify(fields.map(({ name: n, type }) => ({ name: n, type })))}`,
  );
  return [
    "// Generated by `npm run generate` from contracts/libraries/Types.sol. Do not edit.",
    'import type { Hex } from "viem";',
    ...interfaces,
    `/** EIP-712 fields of every signed struct. */\nexport const structTypes = {${types.join(",\n")}} as const;`,
    "/** Every signed struct by its name. */",
    `export interface Structs {\n${[...structs.keys()].map((name) => `  ${name}: ${name};`).join("\n")}\n}`,
  ].join("\n\n");
}

const isCheck = process.argv.includes("--check");
mkdirSync(outputDir, { recursive: true });
let staleCount = 0;
for (const [file, source] of [
  ["abis.ts", renderAbis()],
  ["structs.ts", renderStructs()],
  ["layouts.ts", renderLayouts()],
] as const) {
  const path = join(outputDir, file);
  const text = await format(source, { ...(await resolveConfig(path)), parser: "typescript" });
  if (existsSync(path) && readFileSync(path, "utf8") === text) continue;
  staleCount++;
  if (isCheck)
    console.error(`generate: contracts/protocol/generated/${file} is stale. Run npm run build && npm run generate.`);
  else writeFileSync(path, text);
}
if (isCheck && staleCount > 0) process.exit(1);
console.log(isCheck ? "generate: fresh" : `generate: ${staleCount} file(s) written`);
