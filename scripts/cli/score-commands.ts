import { createReadStream, existsSync, writeFileSync } from "node:fs";
import { Command } from "commander";
import { SCORE_SUM, SHARE_ONE, SuretyError, topicIdOf } from "#protocol";
import { explainScore, type ScoreExplanation } from "../../node/reputation/explain.ts";
import type { TopicGraph } from "../../node/reputation/graph.ts";
import { parseRatings, type ImportedRating } from "../../node/reputation/import.ts";
import { createRatingGraph } from "../../node/reputation/rating-graph.ts";
import { badShareOf, readRisk, voicesOf, type Opinion, type RiskReading } from "../../node/reputation/risk.ts";
import {
  DEFAULT_RESIDUAL,
  solveReal,
  solveTopic,
  type SolveOptions,
  type SolveProgress,
} from "../../node/reputation/solver/solve.ts";
import { runAction, type Outcome, type Terminal } from "./action.ts";
import { renderBarChart } from "./bar-chart.ts";
import { graphOfTopic, opinionsOf, readLedger, type DealRecord } from "./ledger.ts";
import { skills } from "../scenarios/skills.ts";
import { connect } from "./network.ts";
import { addNetworkOptions, jsonOption, parseInteger, type CommonOptions } from "./options.ts";

interface ScoreOptions extends CommonOptions {
  readonly topic?: string;
  readonly epoch?: number;
  readonly seeds: number;
}

interface ComputeOptions extends ScoreOptions {
  readonly fromChain: boolean;
  readonly top: number;
  readonly threads?: number;
  readonly out?: string;
}

interface ExplainOptions extends ScoreOptions {
  readonly file?: string;
  readonly svg?: string;
  readonly deals: number;
}

const PROGRESS_MS = 500;
const BAR_WIDTH = 30;
/** Clients that are named one by one; the others are added up. */
const NAMED_CLIENTS = 12;

/** `surety reputation compute`. */
export function computeCommand(): Command {
  return addScoreOptions(new Command("compute"))
    .description("score a topic, of a list of ratings or of a network's own ledger")
    .argument("[file]", "ratings: source,target,weight,timestamp (or two or three columns by space)")
    .option("--from-chain", "from the ledger's events instead of a file; needs --topic", false)
    .option("--top <count>", "how many of the best to print", parseInteger(0), 10)
    .option("--threads <count>", "threads; default: all cores from a million edges on", parseInteger(1))
    .option("-o, --out <file>", "write all scores as CSV: who,share,units of 2^-62")
    .addOption(jsonOption())
    .action((file: string | undefined, options: ComputeOptions) =>
      runAction(options.json, (terminal) => compute(file, options, terminal)),
    );
}

/** `surety reputation explain`. */
export function explainCommand(): Command {
  return addScoreOptions(new Command("explain"))
    .description(
      "which stake, clients and deals made an agent's score, term by term of the row that the contract checks",
    )
    .argument("<agent>", "agent id; with --file, who of the file", parseInteger(0))
    .option("--file <path>", "of a list of ratings instead of the network's ledger")
    .option("--deals <count>", "transactions to name for each client", parseInteger(0), 3)
    .option("--svg <file>", "draw it as well")
    .addOption(jsonOption())
    .action((agent: number, options: ExplainOptions) =>
      runAction(options.json, (terminal) => explain(agent, options, terminal)),
    );
}

function addScoreOptions(command: Command): Command {
  return addNetworkOptions(command)
    .option("--topic <name>", "topic of the ledger")
    .option("--epoch <number>", "the ledger at the close of this epoch; default: as it is now", parseInteger(1))
    .option(
      "--seeds <count>",
      "of a file: so many of the busiest raters are pre-trusted; 0 = all alike",
      parseInteger(0),
      10,
    );
}

type ProviderOpinion = Opinion & { readonly provider: number };

/** A topic to score, and what its agents are called. */
interface Subject {
  readonly graph: TopicGraph;
  readonly nameOf: (seat: number) => number;
  readonly deals: readonly DealRecord[];
  readonly opinions: readonly ProviderOpinion[];
  readonly skipped: readonly string[];
  readonly source: string;
}

async function openFile(file: string, { seeds }: ScoreOptions, signal: AbortSignal): Promise<Subject> {
  if (!existsSync(file)) {
    throw new SuretyError("USAGE_FILE_MISSING", `There is no file at ${file}.`, {
      values: { file },
      next: "Name a list of ratings.",
    });
  }
  const ratings: ImportedRating[] = [];
  const skipped: string[] = [];
  for await (const verdict of parseRatings(createReadStream(file, { signal }))) {
    if (verdict.kind === "accept") ratings.push(verdict.value);
    else skipped.push(`${verdict.code}: ${verdict.detail}`);
  }
  const { graph, people } = createRatingGraph(ratings, seeds);
  const opinions = opinionsOfFile(ratings, people);
  return { graph, nameOf: (seat) => people[seat] as number, deals: [], opinions, skipped, source: file };
}

/** Ages before the last rating; 0 where the file has no times. */
function opinionsOfFile(ratings: readonly ImportedRating[], people: readonly number[]): ProviderOpinion[] {
  const seats = new Map(people.map((person, seat) => [person, seat]));
  const last = ratings.reduce((latest, { timestamp }) => Math.max(latest, timestamp ?? 0), 0);
  return ratings.map(({ source, target, rating, timestamp }) => ({
    client: seats.get(source) as number,
    provider: seats.get(target) as number,
    isPraise: rating > 0,
    ageSeconds: last - (timestamp ?? last),
  }));
}

async function openChain(options: ScoreOptions, signal: AbortSignal): Promise<Subject> {
  if (options.topic === undefined) {
    throw new SuretyError("USAGE_TOPIC_MISSING", "The ledger keeps trust by topic.", {
      next: "Name one: --topic NAME.",
    });
  }
  const { client, deployment } = await connect(options, signal);
  const ledger = await readLedger(client, deployment, options.epoch, signal);
  const graph = graphOfTopic(ledger, topicIdOf(options.topic), options.topic);
  const nameOf = (seat: number) => graph.agentIds[seat] as number;
  const source = `topic ${options.topic} of ${options.network}, epoch ${ledger.epoch}`;
  const deals = ledger.deals.filter(({ topic }) => topic === graph.topic);
  return { graph, nameOf, deals, opinions: opinionsOf(ledger, graph), skipped: [], source };
}

function checkPrior({ graph, source }: Subject): void {
  if (graph.priors.some((prior) => prior > 0)) return;
  throw new SuretyError("SCORE_NO_STAKE", "Nobody in the topic has stake, so that no trust has a source.", {
    values: { source },
    next: "Stake for an agent of the topic, or take a later epoch.",
  });
}

async function compute(file: string | undefined, options: ComputeOptions, terminal: Terminal): Promise<Outcome> {
  if ((file === undefined) !== options.fromChain) {
    throw new SuretyError("USAGE_SOURCE", "Give a file of ratings, or --from-chain, and not both.", {
      next: "surety reputation compute FILE, or surety reputation compute --from-chain --topic NAME.",
    });
  }
  const subject = await (file === undefined
    ? openChain(options, terminal.signal)
    : openFile(file, options, terminal.signal));
  checkPrior(subject);
  const { graph, nameOf, skipped, source } = subject;
  const startMs = performance.now();
  const solving = solveOptions(terminal, options.threads);
  const real = await solveReal(graph, solving);
  const exact = await solveTopic(graph, solving);
  const seconds = Math.round(performance.now() - startMs) / 1_000;
  const seats = Array.from({ length: graph.seatCount - 1 }, (_, k) => k + 1);
  const shareOf = (seat: number) => Number(exact.scores[seat]) / Number(SCORE_SUM);
  const best = seats.toSorted((a, b) => shareOf(b) - shareOf(a) || a - b).slice(0, options.top);
  if (options.out !== undefined) {
    const rows = seats.map((seat) => `${nameOf(seat)},${shareOf(seat)},${exact.scores[seat]}\n`);
    writeFileSync(options.out, `who,share,units\n${rows.join("")}`);
  }
  const top = best.map((seat) => ({ who: nameOf(seat), share: shareOf(seat), units: exact.scores[seat] }));
  const { residual, errorBound } = real;
  const result = {
    source,
    agents: seats.length,
    edges: graph.inSeats.length,
    ...{ residual, errorBound, sweeps: exact.sweeps, lambda: exact.lambda, dust: exact.scores[0], seconds },
    ...{ skipped: skipped.length, top },
  };
  return {
    result,
    lines: [
      `${source}: ${seats.length} agents, ${graph.inSeats.length} trusted pairs, ${seconds} s`,
      ...(skipped.length === 0 ? [] : [`${skipped.length} lines left out, the first: ${skipped[0]}`]),
      `real scores within ‖t − t*‖₁ ≤ ${errorBound.toExponential(1)}; exact ones sum to 2^62 with a dust of ${exact.scores[0]}`,
      ...top.map(({ who, share }, rank) => `  ${rank + 1}. ${who}: ${(share * 100).toFixed(4)} %`),
    ],
  };
}

async function explain(agent: number, options: ExplainOptions, terminal: Terminal): Promise<Outcome> {
  const { file, svg } = options;
  const subject = await (file === undefined
    ? openChain(options, terminal.signal)
    : openFile(file, options, terminal.signal));
  checkPrior(subject);
  const { graph, nameOf, source } = subject;
  const seat = Array.from({ length: graph.seatCount }, (_, k) => k).findIndex((k) => k > 0 && nameOf(k) === agent);
  const solution = await solveTopic(graph, solveOptions(terminal, undefined));
  const explanation = explainScore(graph, solution, seat);
  const risk = riskOf(subject, solution.scores, seat);
  const deals = dealsByClient(subject.deals, agent);
  if (svg !== undefined) writeFileSync(svg, renderBarChart(chartOf(explanation, agent, source, nameOf)));
  const { contributions, ...summary } = explanation;
  return {
    result: {
      ...summary,
      who: agent,
      source,
      risk,
      contributions: contributions.map((contribution) => ({
        ...contribution,
        who: nameOf(contribution.seat),
        deals: deals.get(contribution.agentId) ?? [],
      })),
    },
    lines: [...linesOf(explanation, agent, source, nameOf, deals, options.deals), riskLine(risk)],
  };
}

interface TopicRisk extends RiskReading {
  /** What an agent without any history has. */
  readonly average: number;
}

function riskOf({ opinions }: Subject, scores: BigUint64Array, seat: number): TopicRisk {
  const voices = voicesOf(Array.from(scores, Number));
  const average = badShareOf(opinions);
  const own = opinions.filter(({ provider }) => provider === seat);
  return { ...readRisk(own, (client) => voices[client] as number, average), average };
}

function riskLine({ risk, average, praise, complaints }: TopicRisk): string {
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
  return `  risk ${percent(risk)} (average ${percent(average)}): ${praise.toFixed(2)} praise against ${complaints.toFixed(2)} complaints, by trust and age; a reading of ours, no part of the committed score`;
}

function dealsByClient(deals: readonly DealRecord[], provider: number): Map<number, DealRecord[]> {
  const byClient = new Map<number, DealRecord[]>();
  for (const deal of deals) {
    if (deal.provider !== provider) continue;
    const list = byClient.get(deal.client) ?? [];
    byClient.set(deal.client, list);
    list.push(deal);
  }
  return byClient;
}

function linesOf(
  { score, rank, agentCount, fromStake, fromBridges, bridges, bridgedWei, contributions, rounding }: ScoreExplanation,
  agent: number,
  source: string,
  nameOf: Subject["nameOf"],
  deals: ReadonlyMap<number, readonly DealRecord[]>,
  dealCount: number,
): string[] {
  const share = (part: bigint) =>
    (score === 0n ? "0.0" : ((Number(part) / Number(score)) * 100).toFixed(1)).padStart(5);
  const others = contributions.slice(NAMED_CLIENTS);
  return [
    `${agent} in ${source}: ${score} of 2^62 = ${((Number(score) / Number(SCORE_SUM)) * 100).toFixed(4)} %, rank ${rank} of ${agentCount}`,
    `  ${share(fromStake)} %  from its own stake`,
    ...(bridges.length === 0
      ? []
      : [`  ${share(fromBridges)} %  from other topics, which add ${bridgedWei} to what its stake counts`]),
    ...bridges.map(
      ({ topic, epoch, score: there, omega, broughtWei }) =>
        `           ${topicName(topic)}: ${((Number(there) / Number(SCORE_SUM)) * 100).toFixed(3)} % in epoch ${epoch}, counts ${(omega / SHARE_ONE).toFixed(2)}, brings ${broughtWei}`,
    ),
    ...contributions
      .slice(0, NAMED_CLIENTS)
      .flatMap((contribution) => [
        `  ${share(contribution.part)} %  from ${nameOf(contribution.seat)}, which holds ${((Number(contribution.clientScore) / Number(SCORE_SUM)) * 100).toFixed(3)} % itself and gave ${contribution.weight} of ${contribution.rowSum} points here`,
        ...(deals.get(contribution.agentId) ?? [])
          .slice(-dealCount)
          .map(
            ({ transactionHash, epoch, weight }) =>
              `           deal ${transactionHash} in epoch ${epoch}: weight then ${weight}`,
          ),
      ]),
    ...(others.length === 0
      ? []
      : [`  ${share(others.reduce((sum, { part }) => sum + part, 0n))} %  from ${others.length} other clients`]),
    `  ${rounding} units of 2^-62 from rounding; the parts make up the score to the unit`,
  ];
}

/** Ids are hashes of names: those of the known topics are told by name. */
function topicName(topic: bigint): string {
  return skills.find((skill) => topicIdOf(skill.topic) === topic)?.topic ?? `topic ${topic}`;
}

function chartOf(explanation: ScoreExplanation, agent: number, source: string, nameOf: Subject["nameOf"]) {
  const { score, fromStake, fromBridges, contributions } = explanation;
  const percent = (part: bigint) => (score === 0n ? 0 : (Number(part) / Number(score)) * 100);
  const bar = (label: string, part: bigint) => ({
    label,
    values: [percent(part)],
    note: `${percent(part).toFixed(1)} %`,
  });
  const others = contributions.slice(NAMED_CLIENTS).reduce((sum, { part }) => sum + part, 0n);
  return {
    title: `What made the score of ${agent}`,
    series: ["share"],
    unit: `% of the score; ${source}`,
    bars: [
      bar("own stake", fromStake),
      ...(fromBridges > 0n ? [bar("other topics", fromBridges)] : []),
      ...contributions
        .slice(0, NAMED_CLIENTS)
        .map(({ seat, weight, rowSum, part }) => bar(`client ${nameOf(seat)}: ${weight} of ${rowSum} points`, part)),
      ...(others > 0n ? [bar("all other clients", others)] : []),
    ],
  };
}

function solveOptions({ signal, progress }: Terminal, threadCount: number | undefined): SolveOptions {
  let nextAtMs = performance.now() + PROGRESS_MS;
  return {
    signal,
    ...(threadCount === undefined ? {} : { threadCount }),
    onProgress(step) {
      if (performance.now() < nextAtMs) return;
      nextAtMs = performance.now() + PROGRESS_MS;
      progress(describe(step));
    },
  };
}

/** Digits of the residual that are reached, as a bar; the exact phase has no known length. */
function describe({ phase, sweep, remaining }: SolveProgress): string {
  if (phase !== "float") return `exact scores, ${phase}: sweep ${sweep}, ${remaining} changed`;
  const done = Math.min(1, Math.max(0, Math.log(remaining) / Math.log(DEFAULT_RESIDUAL)));
  const filled = Math.round(done * BAR_WIDTH);
  return `[${"=".repeat(filled)}${" ".repeat(BAR_WIDTH - filled)}] sweep ${sweep}, residual ${remaining.toExponential(1)}`;
}
