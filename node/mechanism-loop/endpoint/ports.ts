// The loop's ports over a chat endpoint. A model only adds to what solver and search know: its edits go through the same suite, its
// attacks are simulated, its attributions are tried. Where it answers wrongly or not at all, the built-in part goes on alone.
import type { Verdict } from "#protocol";
import { describeAttack, geneRanges, genes } from "../attack.ts";
import { boundsOf, clausePaths, clauses, type Rules } from "../clauses.ts";
import type { Attribution, Attributor, Exploration, Found, MechanismGenerator, StrategyExplorer } from "../ports.ts";
import type { MarketScenario } from "../scenario.ts";
import {
  attacksSchema,
  attributionsSchema,
  proposalsSchema,
  readAttacks,
  readAttributions,
  readProposals,
} from "./answers.ts";
import type { Chat, Question } from "./chat.ts";

/** Told of every answer that was not used, and why. */
export type OnRefusal = (endpoint: string, code: string, detail: string) => void;

const ROLE =
  "You help to harden the rules of a market in which agents make deals that a smart contract settles. Everything you propose is simulated and may be refused. Answer with the asked structure only.";

async function ask<T>(
  chat: Chat,
  question: Question,
  read: (answer: unknown) => Verdict<readonly T[]>,
  onRefusal: OnRefusal,
  signal: AbortSignal,
): Promise<readonly T[]> {
  const answer = await chat.ask(question, signal);
  const verdict = answer.kind === "accept" ? read(answer.value) : answer;
  if (verdict.kind === "accept") return verdict.value;
  onRefusal(chat.name, verdict.code, verdict.detail);
  return [];
}

/** The model's edits beside those of another generator. */
export function createChatGenerator(chat: Chat, base: MechanismGenerator, onRefusal: OnRefusal): MechanismGenerator {
  return {
    async propose(input, signal) {
      const question: Question = {
        ...{ system: ROLE, schemaName: "proposals", schema: proposalsSchema },
        user: [
          "Propose up to 8 edits of the rules that answer the attack without letting an archived one back in.",
          describeRules(input.rules),
          describeFound(input),
          `Attributed: ${input.attributions
            .slice(0, 8)
            .map(({ clause, direction, evidence }) => `${direction} ${clause} (${evidence})`)
            .join("; ")}`,
        ].join("\n\n"),
      };
      const [own, asked] = await Promise.all([
        base.propose(input, signal),
        ask(chat, question, (answer) => readProposals(answer, chat.name), onRefusal, signal),
      ]);
      return [...asked, ...own];
    },
  };
}

/** The model's attacks as starts of another explorer's search, and the strongest of all. */
export function createChatExplorer(chat: Chat, base: StrategyExplorer, onRefusal: OnRefusal): StrategyExplorer {
  return {
    async explore(input, signal) {
      const { scenario } = input.evaluator;
      const question: Question = {
        ...{ system: ROLE, schemaName: "attacks", schema: attacksSchema },
        user: [
          "Propose up to 8 attacks that cost honest participants the most under these rules.",
          describeRules(input.rules),
          describeMarket(scenario),
          `Known: ${input.known.slice(-8).map(describeAttack).join("; ")}`,
        ].join("\n\n"),
      };
      const asked = await ask(chat, question, (answer) => readAttacks(answer, scenario), onRefusal, signal);
      const joined: Exploration = { ...input, known: [...input.known, ...asked] };
      return base.explore(joined, signal);
    },
  };
}

/** The clauses that a model names, each tried in the same run, beside those that another attributor names. */
export function createChatAttributor(chat: Chat, base: Attributor, onRefusal: OnRefusal): Attributor {
  return {
    async attribute(found, signal) {
      const question: Question = {
        ...{ system: ROLE, schemaName: "attributions", schema: attributionsSchema },
        user: [
          "Name up to 8 clauses that let the attack through.",
          describeRules(found.rules),
          describeFound(found),
        ].join("\n\n"),
      };
      const own = await base.attribute(found, signal);
      const asked = await ask(chat, question, readAttributions, onRefusal, signal);
      const isNew = (clause: string, direction: string) =>
        !own.some((known) => known.clause === clause && known.direction === direction);
      const added = asked
        .filter(({ clause, direction }) => isNew(clause, direction))
        .map(({ clause, direction, reason }): Attribution => {
          const [min, max] = boundsOf(clause);
          const value = direction === "raise" ? max : min;
          const moved = found.evaluator.run({ ...found.rules, [clause]: value }, found.attack);
          const gainWei = found.outcome.lossWei - moved.lossWei;
          return { clause, direction, steps: [], bookedWei: 0n, gainWei, evidence: `${chat.name}: ${reason}` };
        });
      const gainOf = ({ gainWei }: Attribution) => gainWei ?? 0n;
      return [...own, ...added].sort((a, b) => (gainOf(a) === gainOf(b) ? 0 : gainOf(a) > gainOf(b) ? -1 : 1));
    },
  };
}

function describeRules(rules: Rules): string {
  const lines = clausePaths.map((path) => {
    const [min, max] = boundsOf(path);
    return `${path} = ${rules[path]} (${min} to ${max}, ${clauses[path].unit}): ${clauses[path].says}`;
  });
  return `Rules, as integers:\n${lines.join("\n")}`;
}

function describeMarket(scenario: MarketScenario): string {
  const ranges = geneRanges(scenario);
  const lines = genes.map((gene) => `${gene}: ${Math.min(...ranges[gene])} to ${Math.max(...ranges[gene])}`);
  return `Market: ${scenario.title}. An attack is:\n${lines.join("\n")}\nentrants and buyers together at most ${scenario.attacker.identities}.`;
}

function describeFound({ attack, outcome }: Found): string {
  const { lossWei, attackerWei, losses } = outcome;
  const booked = losses
    .slice(0, 12)
    .map(({ step, clause, direction, lossWei: wei }) => `${wei} at ${step}: ${direction} ${clause}`);
  return `Attack: ${describeAttack(attack)}. It costs ${lossWei} and leaves the attacker ${attackerWei}.\nBooked:\n${booked.join("\n")}`;
}
