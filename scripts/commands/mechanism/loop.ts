import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Argument, Command, Option } from "commander";
import { zeroAddress, type Address } from "viem";
import { isSound, lintMechanism, mechanismHashOf, SuretyError, type MechanismDocument } from "#protocol";
import { chatFromEnvironment, modelVariables } from "../../../node/mechanism-loop/endpoint/environment.ts";
import {
  createChatAttributor,
  createChatExplorer,
  createChatGenerator,
} from "../../../node/mechanism-loop/endpoint/ports.ts";
import {
  changesOf,
  createCounterfactualAttributor,
  createEvaluator,
  createLoopState,
  createReport,
  createSearchExplorer,
  createSolverGenerator,
  decodeLoopState,
  defaultLoopOptions,
  describeAttack,
  describeValue,
  documentOf,
  encodeLoopState,
  judgeRules,
  judgeRun,
  marketScenarios,
  plotFamilies,
  plotLoss,
  policyOf,
  policyPaths,
  renderReport,
  rulesOf,
  runLoop,
  type LoopPorts,
  type LoopState,
  type MarketScenario,
  type Policy,
  type Rules,
} from "../../../node/mechanism-loop/index.ts";
import { runAction, stringify, type Outcome, type Terminal } from "../../cli/action.ts";
import { readMechanismFile, writeMechanismFile } from "../../cli/mechanism-file.ts";
import { deploymentPath, readDeployment } from "../../cli/network.ts";
import { dataDirOption, jsonOption, parseAddress, parseInteger } from "../../cli/options.ts";

const scenarioNames = marketScenarios.map(({ name }) => name);
const scenarioOption = (fallback?: string) => {
  const option = new Option("--scenario <name>", "market in which the rules are tried").choices(scenarioNames);
  return fallback === undefined ? option : option.default(fallback);
};
const seedOption = () =>
  new Option("--seed <number>", "draws of the search and of the markets").argParser(parseInteger(0)).default(1);
const policyOption = () =>
  new Option("--policy <file>", "the leader's policy beside the rules, as improve writes it; default: the market's");

/** Networks that this machine runs itself. */
const LOCAL_NETWORKS = ["localhost", "devnet"] as const;

interface AttackOptions {
  readonly scenario: string;
  readonly policy?: string;
  readonly seed: number;
  readonly json: boolean;
}

/** `surety mechanism attack` */
export function attackCommand(): Command {
  return new Command("attack")
    .description("search the strongest attack on rules of a posted price, in simulated markets")
    .argument("<file>", "the rules")
    .addOption(scenarioOption(scenarioNames[0]))
    .addOption(policyOption())
    .addOption(seedOption())
    .addOption(jsonOption())
    .action((file: string, options: AttackOptions) =>
      runAction(options.json, (terminal) => attack(file, options, terminal)),
    );
}

async function attack(file: string, options: AttackOptions, { signal, progress }: Terminal): Promise<Outcome> {
  const scenario = scenarioNamed(options.scenario);
  const rules = rulesOf(readMechanismFile(file), readPolicy(options.policy, scenario));
  progress(`searching attacks in the market ${scenario.name}`);
  const evaluator = createEvaluator(scenario, options.seed);
  const judgement = await judgeRules(evaluator, rules, [], options.seed, signal);
  const { systemLossWei, firstBestWei, frictionWei, icViolationWei, irViolationWei, strongest, families } = judgement;
  return {
    result: { file, scenario: scenario.name, markets: evaluator.runs, ...judgement },
    lines: [
      `strongest: ${strongest.family}: ${describeAttack(strongest)}`,
      `  costs ${money(systemLossWei)} of a first best of ${money(firstBestWei)}; ${money(frictionWei)} when nobody attacks`,
      `  IC violation ${money(icViolationWei)}, IR violation ${money(irViolationWei)}`,
      ...families.map(
        ({ attack: { family }, lossWei, gainWei }) =>
          `  ${family.padEnd(18)} costs ${money(lossWei)}, brings ${money(gainWei)}`,
      ),
      `${evaluator.runs} markets simulated; money in whole tokens of 6 decimals`,
    ],
  };
}

interface ImproveOptions {
  readonly arbiter?: Address;
  readonly network?: string;
  readonly dataDir: string;
  readonly scenario?: string;
  readonly policy?: string;
  readonly out: string;
  readonly seed: number;
  readonly iterations: number;
  readonly resume: boolean;
  readonly model: boolean;
  readonly json: boolean;
}

/** `surety mechanism improve` */
export function improveCommand(): Command {
  return new Command("improve")
    .description("harden rules against the strongest attacks, each archived as a regression test, and report it")
    .addArgument(new Argument("[file]", "the rules; default: what the market starts with"))
    .addOption(scenarioOption())
    .addOption(policyOption())
    .requiredOption("--out <dir>", "where rules, policy, report and the run's state go")
    .addOption(
      new Option("--arbiter <address>", "who rules on disputes, where the rules come to name a court").argParser(
        parseAddress,
      ),
    )
    .option(
      "-n, --network <name>",
      `whose juror panel is the arbiter unless one is named; default: ${LOCAL_NETWORKS.join(" or ")}, where it is deployed`,
    )
    .addOption(dataDirOption())
    .addOption(seedOption())
    .addOption(
      new Option("--iterations <count>", "most iterations")
        .argParser(parseInteger(1))
        .default(defaultLoopOptions.maxIterations),
    )
    .option("--resume", "take up the run in --out where it stopped", false)
    .option(
      "--model",
      `also ask a chat model for attacks, clauses and edits: ${Object.values(modelVariables).join(", ")}`,
      false,
    )
    .addOption(jsonOption())
    .action((file: string | undefined, options: ImproveOptions) =>
      runAction(options.json, (terminal) => improve(file, options, terminal)),
    );
}

async function improve(file: string | undefined, options: ImproveOptions, terminal: Terminal): Promise<Outcome> {
  const { signal, progress } = terminal;
  const base = file === undefined ? undefined : readMechanismFile(file);
  const arbiter = arbiterOf(base, options);
  const start = startOf(base, options);
  const scenario = scenarioNamed(start.scenario);
  const ports = portsOf(options, progress);
  const limits = { ...defaultLoopOptions, maxIterations: options.iterations };
  mkdirSync(options.out, { recursive: true });
  const startMs = performance.now();
  let markets = 0;
  const state = await runLoop(start, scenario, ports, limits, signal, (next, { runs }) => {
    markets = runs;
    // Beside the old one and then over it: a kill leaves one or the other.
    writeFileSync(`${statePath(options.out)}.new`, encodeLoopState(next));
    renameSync(`${statePath(options.out)}.new`, statePath(options.out));
    progress(describeStep(next));
  });
  const loopMs = performance.now() - startMs;
  progress("judging both ends in markets that the loop has not seen");
  const judgement = await judgeRun(state, scenario, ports, limits, signal);
  const initial = base ?? documentOf(scenario, state.initial, undefined, arbiter);
  const final = documentOf(scenario, state.rules, base, arbiter);
  const times = { loopMs: Math.round(loopMs), markets };
  const report = createReport(scenario, state, judgement, times, { initial, final });
  const errors = lintMechanism(final).filter(({ isWarning }) => !isWarning);
  writeAll(options.out, { initial, final }, policyOf(state.rules), {
    "report.json": `${stringify(report)}\n`,
    "report.md": renderReport(scenario, report),
    "loss.svg": plotLoss(report),
    "families.svg": plotFamilies(report),
  });
  const { before, after } = judgement.heldOut;
  return {
    result: {
      ...{ out: options.out, mechanismHash: mechanismHashOf(final), arbiter: final.appeal.arbiter },
      ...{ isSound: isSound(errors), findings: errors, lossRatio: report.lossRatio, ...judgement },
    },
    lines: [
      `system loss ${money(before.systemLossWei)} → ${money(after.systemLossWei)}: ${Math.round(report.lossRatio * 1000) / 10} % of the initial, held out`,
      `IC violation ${money(before.icViolationWei)} → ${money(after.icViolationWei)}, IR violation ${money(before.irViolationWei)} → ${money(after.irViolationWei)}`,
      `regression suite of ${state.archive.length}: ${judgement.passBefore} passed before, ${judgement.passAfter} after`,
      ...changesOf(state.initial, state.rules).map(
        ({ clause, value }) =>
          `  ${clause}: ${describeValue(clause, state.initial[clause])} → ${describeValue(clause, value)}`,
      ),
      `${options.out}: mechanism.json, policy.json, report.md, report.json, loss.svg, families.svg`,
      ...(final.appeal.arbiter === zeroAddress ? [] : [`arbiter: ${final.appeal.arbiter}`]),
      ...errors.map(({ code, path, next }) => `before you publish it: ${code} at ${path}. ${next}`),
      ...(final.appeal.court === "none" || final.appeal.arbiter !== zeroAddress
        ? []
        : [`  --resume --arbiter ADDRESS writes the same rules with their court named`]),
    ],
  };
}

/** The court's address: named, or of the rules, or the juror panel of a deployment; undefined where there is none of these. */
function arbiterOf(base: MechanismDocument | undefined, options: ImproveOptions): Address | undefined {
  const { arbiter, network, dataDir } = options;
  if (arbiter !== undefined) return arbiter;
  if (network !== undefined) return readDeployment({ network, dataDir }).contracts.jurorPanel;
  if (base !== undefined && base.appeal.arbiter !== zeroAddress) return base.appeal.arbiter;
  const local = LOCAL_NETWORKS.find((name) => existsSync(deploymentPath({ network: name, dataDir })));
  return local && readDeployment({ network: local, dataDir }).contracts.jurorPanel;
}

function startOf(base: MechanismDocument | undefined, options: ImproveOptions): LoopState {
  const path = statePath(options.out);
  if (options.resume) return resumed(path, options.iterations);
  if (existsSync(path)) {
    throw new SuretyError("USAGE_RUN_EXISTS", `There is a run in ${options.out} already.`, {
      values: { path },
      next: "Add --resume to go on with it, or name another folder.",
    });
  }
  if (base === undefined && options.scenario === undefined) {
    throw new SuretyError("USAGE_NO_RULES", "Neither rules nor a market are named.", {
      next: `Name a file, or --scenario ${scenarioNames.join(" | ")}.`,
    });
  }
  const scenario = scenarioNamed(options.scenario ?? (scenarioNames[0] as string));
  const rules = base === undefined ? scenario.initial : rulesOf(base, readPolicy(options.policy, scenario));
  return createLoopState(scenario, options.seed, rules);
}

function resumed(path: string, iterations: number): LoopState {
  const verdict = decodeLoopState(readText(path));
  if (verdict.kind === "accept") {
    const state = verdict.value;
    return { ...state, isFinished: state.isFinished && state.iterations.length >= iterations };
  }
  throw new SuretyError("USAGE_RUN", `${path} is no run: ${verdict.detail}.`, {
    values: { path },
    next: "Begin a new one without --resume.",
  });
}

function portsOf({ model }: ImproveOptions, progress: (line: string) => void): LoopPorts {
  const explorer = createSearchExplorer();
  const attributor = createCounterfactualAttributor();
  const generator = createSolverGenerator();
  if (!model) return { explorer, attributor, generator };
  const chat = chatFromEnvironment(process.env);
  const onRefusal = (name: string, code: string, detail: string) =>
    progress(`${name} was not used: ${code}, ${detail}`);
  return {
    explorer: createChatExplorer(chat, explorer, onRefusal),
    attributor: createChatAttributor(chat, attributor, onRefusal),
    generator: createChatGenerator(chat, generator, onRefusal),
  };
}

const statePath = (out: string) => join(out, "run.json");
const money = (wei: bigint) => (Number(wei) / 1e6).toLocaleString("en-US", { maximumFractionDigits: 2 });

function describeStep({ iterations }: LoopState): string {
  const last = iterations.at(-1);
  if (last === undefined) return "";
  const { attack: found, lossWei, worstWei, accepted } = last;
  const answer =
    accepted === undefined
      ? "no edit passed"
      : accepted.edits.map(({ clause, value }) => `${clause} = ${describeValue(clause, value)}`).join(", ");
  return `${iterations.length}: ${found.family} costs ${money(lossWei)}; ${answer}; worst of the archive ${money(worstWei)}`;
}

function writeAll(
  out: string,
  { initial, final }: { readonly initial: MechanismDocument; readonly final: MechanismDocument },
  policy: Policy,
  files: Readonly<Record<string, string>>,
): void {
  writeMechanismFile(join(out, "initial.json"), initial);
  writeMechanismFile(join(out, "mechanism.json"), final);
  writeFileSync(join(out, "policy.json"), `${stringify(policy)}\n`);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(out, name), text);
}

function scenarioNamed(name: string): MarketScenario {
  const scenario = marketScenarios.find((each) => each.name === name);
  if (scenario !== undefined) return scenario;
  throw new SuretyError("USAGE_SCENARIO", `There is no market ${name}.`, {
    values: { name, scenarios: scenarioNames },
    next: `Name one of ${scenarioNames.join(", ")}.`,
  });
}

/** The policy of a file; what it leaves out is the market's. */
function readPolicy(path: string | undefined, scenario: MarketScenario): Policy {
  const initial: Rules = scenario.initial;
  if (path === undefined) return policyOf(initial);
  const stored = parseObject(path);
  const unknown = Object.keys(stored).find((key) => !policyPaths.includes(key as never));
  const entries = policyPaths.map((key) => [key, stored[key] ?? initial[key].toString()] as const);
  const wrong = unknown ?? entries.find(([, value]) => typeof value !== "string" || !/^\d{1,30}$/.test(value))?.[0];
  if (wrong !== undefined) {
    throw new SuretyError("USAGE_POLICY", `${path} is no policy: ${wrong}.`, {
      values: { path, field: wrong },
      next: `Give ${policyPaths.join(", ")} as decimal text.`,
    });
  }
  return Object.fromEntries(entries.map(([key, value]) => [key, BigInt(value as string)])) as Policy;
}

function parseObject(path: string): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(readText(path));
    if (typeof parsed === "object" && parsed !== null) return parsed as Record<string, unknown>;
  } catch (cause) {
    if (cause instanceof SuretyError) throw cause;
  }
  throw new SuretyError("USAGE_POLICY", `${path} holds no JSON object.`, {
    values: { path },
    next: "Take the policy.json that `surety mechanism improve` writes.",
  });
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new SuretyError("USAGE_FILE", `${path} cannot be read.`, {
      values: { path },
      next: "Name a file that is there.",
      cause,
    });
  }
}
