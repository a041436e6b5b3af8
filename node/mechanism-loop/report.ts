// One run as a report: for programs (JSON), for people (Markdown), and the figures of both as plots.
import { mechanismHashOf, type MechanismDocument } from "#protocol";
import { describeAttack } from "./attack.ts";
import { changesOf, clausePaths, clauses, describeValue, type Rules } from "./clauses.ts";
import type { Judgement, RunJudgement } from "./judge.ts";
import type { Iteration, LoopState } from "./loop.ts";
import type { MarketScenario } from "./scenario.ts";

/** How long the parts of a run took, measured by the caller. */
export interface RunTimes {
  readonly loopMs: number;
  readonly markets: number;
}

export interface RunReport {
  readonly kind: "surety-mechanism-report";
  readonly scenario: string;
  readonly seed: number;
  readonly worlds: number;
  readonly times: RunTimes;
  readonly initialHash: string;
  readonly finalHash: string;
  readonly lossRatio: number;
  readonly judgement: RunJudgement;
  readonly state: LoopState;
}

/** @param documents the rules of both ends as they are written out */
export function createReport(
  scenario: MarketScenario,
  state: LoopState,
  judgement: RunJudgement,
  times: RunTimes,
  documents: { readonly initial: MechanismDocument; readonly final: MechanismDocument },
): RunReport {
  const { before, after } = judgement.heldOut;
  return {
    kind: "surety-mechanism-report",
    ...{ scenario: scenario.name, seed: state.seed, worlds: judgement.worlds, times },
    initialHash: mechanismHashOf(documents.initial),
    finalHash: mechanismHashOf(documents.final),
    lossRatio: ratio(after.systemLossWei, before.systemLossWei),
    ...{ judgement, state },
  };
}

const ratio = (part: bigint, whole: bigint) => (whole === 0n ? 0 : Number((part * 10_000n) / whole) / 10_000);
/** Whole tokens with two decimals. */
const money = (wei: bigint) => (Number(wei) / 1e6).toLocaleString("en-US", { maximumFractionDigits: 2 });
const percent = (share: number) => `${Math.round(share * 1_000) / 10} %`;

export function renderReport(scenario: MarketScenario, report: RunReport): string {
  const { state, judgement, times, seed, worlds } = report;
  const { heldOut, singleLevel, passBefore, passAfter } = judgement;
  return `${[
    `# ${scenario.title}`,
    `Rules before \`${report.initialHash}\`, after \`${report.finalHash}\`. Seed ${seed}; ${state.iterations.length} iterations, ${times.markets} simulated markets, ${(times.loopMs / 1000).toFixed(1)} s. Money in whole tokens, summed over ${worlds} markets.`,
    "## Before and after",
    "Judged by the same search, in markets that no edit was chosen by.",
    figures([
      ["before (static rules)", heldOut.before],
      ["single-level tuning", singleLevel],
      ["after the loop", heldOut.after],
    ]),
    `System loss after the loop: **${percent(report.lossRatio)}** of the initial. Regression suite: ${percent(passBefore)} passed before, ${percent(passAfter)} after (${state.archive.length} attacks).`,
    "![loss by iteration](loss.svg)",
    "![loss by family](families.svg)",
    "## Rules",
    rulesTable(state.initial, state.rules),
    "## Strongest attacks, held out",
    familyTable(heldOut.before, heldOut.after),
    "## Iterations",
    ...state.iterations.map(describeIteration),
    "## Initial mechanism",
    clausePaths.map((path) => `${path} ${describeValue(path, state.initial[path])}`).join(" · "),
  ].join("\n\n")}\n`;
}

function figures(columns: readonly (readonly [string, Judgement])[]): string {
  const rows: readonly (readonly [string, (judgement: Judgement) => string])[] = [
    ["system loss under the strongest attack", ({ systemLossWei }) => money(systemLossWei)],
    ["… of the first best", ({ systemLossWei, firstBestWei }) => percent(ratio(systemLossWei, firstBestWei))],
    ["friction when nobody attacks", ({ frictionWei }) => money(frictionWei)],
    ["IC violation: the best paid attack's gain", ({ icViolationWei }) => money(icViolationWei)],
    ["IR violation: losses of the honest", ({ irViolationWei }) => money(irViolationWei)],
    ["IC gap of one deal, exact", ({ dealIcGapWei }) => money(dealIcGapWei)],
    ["IR gap of one deal, exact", ({ dealIrGapWei }) => money(dealIrGapWei)],
    ["collateral short of the gain", ({ collateralShortfallWei }) => money(collateralShortfallWei)],
  ];
  return table(
    ["", ...columns.map(([name]) => name)],
    rows.map(([name, read]) => [name, ...columns.map(([, judgement]) => read(judgement))]),
  );
}

function rulesTable(before: Rules, after: Rules): string {
  const changed = changesOf(before, after);
  if (changed.length === 0) return "No clause changed.";
  return table(
    ["clause", "before", "after", "what it says"],
    changed.map(({ clause, value }) => [
      `\`${clause}\``,
      describeValue(clause, before[clause]),
      describeValue(clause, value),
      clauses[clause].says,
    ]),
  );
}

function familyTable(before: Judgement, after: Judgement): string {
  const lossOf = ({ families }: Judgement, family: string) => families.find(({ attack }) => attack.family === family);
  const names = [...new Set([...before.families, ...after.families].map(({ attack }) => attack.family))];
  return table(
    ["family", "loss before", "loss after", "gain after", "the attack after"],
    names.map((name) => {
      const [was, is] = [lossOf(before, name), lossOf(after, name)];
      return [
        name,
        was === undefined ? "" : money(was.lossWei),
        ...(is === undefined ? ["", "", ""] : [money(is.lossWei), money(is.gainWei), describeAttack(is.attack)]),
      ];
    }),
  );
}

function describeIteration(iteration: Iteration, k: number): string {
  const { attack, lossWei, attackerWei, attributions, proposed, regressions, accepted, worstWei } = iteration;
  const lines = [
    `### ${k + 1} · ${attack.family}`,
    `Attack: ${describeAttack(attack)}. It costs ${money(lossWei)} and leaves the attacker ${money(attackerWei)}.`,
    ...attributions
      .slice(0, 5)
      .map(({ clause, direction, evidence }) => `- ${direction} \`${clause}\`: ${plainText(evidence)}`),
    `${proposed} edits proposed, ${regressions} refused because an archived attack came back.`,
    accepted === undefined
      ? "No edit passed."
      : `Accepted (${plainText(accepted.origin)}): ${accepted.edits.map(({ clause, value }) => `\`${clause}\` = ${describeValue(clause, value)}`).join(", ")}. ${plainText(accepted.reason)}. The worst archived attack now costs ${money(worstWei)}.`,
  ];
  return lines.join("\n");
}

/** A reason may come from a model: no markup, no control characters, no second line. */
const plainText = (text: string) =>
  text
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, " ")
    .replace(/[`<>[\]|*_#!\\]/g, "")
    .slice(0, 400);

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
