import { Command, Option } from "commander";
import {
  bondCurveAbi,
  bondOf,
  checkMechanismProof,
  isSound,
  lintMechanism,
  mechanismHashOf,
  postedPriceOf,
  renderMechanismMarkdown,
  renderMechanismText,
  topicIdOf,
  type Curve,
  type Finding,
  type MechanismDocument,
} from "#protocol";
import { runAction, type Outcome } from "../../cli/action.ts";
import { readMechanismFile, readProofFile } from "../../cli/mechanism-file.ts";
import { connect } from "../../cli/network.ts";
import { amountOption, dataDirOption, jsonOption } from "../../cli/options.ts";

interface CheckOptions {
  readonly proof?: string;
  readonly network?: string;
  readonly rpcUrl?: string;
  readonly score: bigint;
  readonly dataDir: string;
  readonly json: boolean;
}

/** `surety mechanism check` */
export function checkCommand(): Command {
  return new Command("check")
    .description("name every clause that is ambiguous, unenforceable on chain, or breaks what the rules promise")
    .argument("<file>", "the rules")
    .option("--proof <file>", "check the proof that an offer would carry, too")
    .addOption(
      amountOption(
        "--score <points>",
        "relative score of the provider whose bond the proof is checked for, in 1/65536",
      ),
    )
    .option("-n, --network <name>", "read the governed bond curves of this network; default: none is known")
    .option("--rpc-url <url>", "its RPC endpoint")
    .addOption(dataDirOption())
    .addOption(jsonOption())
    .action((file: string, options: CheckOptions) =>
      runAction(options.json, ({ signal }) => check(file, options, signal)),
    );
}

async function check(file: string, options: CheckOptions, signal: AbortSignal): Promise<Outcome> {
  const document = readMechanismFile(file);
  const curves = options.network === undefined ? [] : await readCurves(document, options, options.network, signal);
  const nowS = Math.floor(Date.now() / 1000);
  const findings = unique([
    ...lintMechanism(document, { nowS }),
    ...curves.flatMap((governedCurve) => lintMechanism(document, { nowS, governedCurve })),
  ]);
  const proof = options.proof === undefined ? undefined : judgeProof(document, options.proof, options.score);
  const isOk = isSound(findings) && (proof?.isOk ?? true);
  const mechanismHash = mechanismHashOf(document);
  return {
    result: { file, mechanismHash, isSound: isOk, findings, ...(proof === undefined ? {} : { proof }) },
    isFailed: !isOk,
    lines: [
      ...findings.flatMap(({ isWarning, code, kind, path, reason, next }) => [
        `${isWarning ? "warning" : "error  "} ${code} (${kind}) at ${path}`,
        `         ${reason}`,
        `         ${next}`,
      ]),
      ...(proof === undefined ? [] : [`proof: ${proof.detail}`]),
      `${mechanismHash} ${isOk ? "can be published" : "CANNOT be published as it stands"}`,
    ],
  };
}

/** The governed curve of each topic that has one. */
async function readCurves(document: MechanismDocument, options: CheckOptions, network: string, signal: AbortSignal) {
  const { dataDir, rpcUrl } = options;
  const named = { network, dataDir, ...(rpcUrl === undefined ? {} : { rpcUrl }) };
  const { client, deployment } = await connect(named, signal);
  const curves: Curve[] = [];
  for (const topic of document.admission.topics) {
    const [curve] = await client.readContract({
      ...{ abi: bondCurveAbi, address: deployment.contracts.bondCurve, functionName: "curveOf" },
      args: [topicIdOf(topic)],
    });
    if (curve.slashShare > 0) curves.push(curve);
  }
  return curves;
}

const unique = (findings: readonly Finding[]): Finding[] => [
  ...new Map(findings.map((finding) => [`${finding.code} ${finding.path}`, finding])).values(),
];

function judgeProof(document: MechanismDocument, path: string, score: bigint): { isOk: boolean; detail: string } {
  const { mechanismHash, dual } = readProofFile(path);
  if (mechanismHash !== mechanismHashOf(document))
    return { isOk: false, detail: `PROOF_OTHER_RULES: it is of ${mechanismHash}` };
  const priceWei = postedPriceOf(document) ?? 0n;
  const verdict = checkMechanismProof(document, { priceWei, bondWei: bondOf(document, priceWei, score) }, dual);
  if (verdict.kind !== "accept") return { isOk: false, detail: `${verdict.code}: ${verdict.detail}` };
  return { isOk: true, detail: "holds: a best response, and nothing that the escrow can pay does it for less" };
}

interface ExplainOptions {
  readonly format: "text" | "markdown";
  readonly json: boolean;
}

/** `surety mechanism explain` */
export function explainCommand(): Command {
  return new Command("explain")
    .description("say in sentences what the rules say, with what the linter found")
    .argument("<file>", "the rules")
    .addOption(new Option("--format <form>", "how it is written").choices(["text", "markdown"]).default("text"))
    .addOption(jsonOption())
    .action((file: string, { format, json }: ExplainOptions) =>
      runAction(json, () => {
        const document = readMechanismFile(file);
        const findings = lintMechanism(document, { nowS: Math.floor(Date.now() / 1000) });
        const render = format === "text" ? renderMechanismText : renderMechanismMarkdown;
        const text = render(document, findings);
        const result = { file, mechanismHash: mechanismHashOf(document), format, text, findings };
        return Promise.resolve({ result, lines: text.trimEnd().split("\n") });
      }),
    );
}
