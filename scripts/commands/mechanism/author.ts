import { Command, Option } from "commander";
import {
  draftMechanism,
  fractions,
  mechanismHashOf,
  postedPriceOf,
  solveMechanism,
  SuretyError,
  type MechanismDocument,
} from "#protocol";
import { runAction, type Outcome } from "../../cli/action.ts";
import { readMechanismFile, writeMechanismFile, writeProofFile } from "../../cli/mechanism-file.ts";
import { amountOption, jsonOption } from "../../cli/options.ts";

const { toNumber } = fractions;
type Rule = MechanismDocument["award"]["rule"];

interface NewOptions {
  readonly name: string;
  readonly topic: string[];
  readonly rule: Rule;
  readonly price: bigint;
  readonly bond: bigint;
  readonly valuePerQuality: bigint;
  readonly law: boolean;
  readonly force: boolean;
  readonly json: boolean;
}

/** `surety mechanism new` */
export function newCommand(): Command {
  return new Command("new")
    .description("write a draft that the escrow enforces as it stands, to be edited clause by clause")
    .argument("<file>", "where to: JSON, or canonical bytes if it ends in .cbor")
    .requiredOption("--name <text>", "what the rules are called")
    .requiredOption("--topic <name...>", "topics of the deals that may cite them")
    .addOption(
      new Option("--rule <rule>", "how the award is priced")
        .choices(["scored-second-price", "posted-price"])
        .default("scored-second-price"),
    )
    .addOption(
      amountOption("--price <amount>", "of a posted price: what a delivery pays, in the token's smallest unit"),
    )
    .addOption(amountOption("--bond <amount>", "the provider's least bond, in the token's smallest unit"))
    .addOption(amountOption("--value-per-quality <amount>", "what one unit of quality is worth in the award"))
    .option("--law", "with two actions and their chances, for `surety mechanism solve`; sets the posted price", false)
    .option("--force", "write over a file that is there", false)
    .addOption(jsonOption())
    .action((file: string, options: NewOptions) =>
      runAction(options.json, () => Promise.resolve(create(file, options))),
    );
}

function create(file: string, options: NewOptions): Outcome {
  const { name, topic: topics, price: priceWei, bond: bondWei, valuePerQuality, law, force } = options;
  const rule: Rule = law ? "posted-price" : options.rule;
  if (rule === "posted-price" && !law && priceWei === 0n) {
    throw new SuretyError("USAGE_PRICE", "A posted price is not named.", {
      next: "Add --price AMOUNT, or --law and then `surety mechanism solve`.",
    });
  }
  const draft = draftMechanism({ name, topics, rule, priceWei: law ? 1n : priceWei, bondWei, valuePerQuality });
  const document = law ? withLaw(draft) : draft;
  writeMechanismFile(file, document, !force);
  const mechanismHash = mechanismHashOf(document);
  const next = law ? `surety mechanism solve ${file}` : `surety mechanism check ${file}`;
  return { result: { file, mechanismHash }, lines: [`${file}: ${mechanismHash}`, `edit it, then: ${next}`] };
}

/** Idle or work, at costs and chances that the author replaces: a delivery is worth three times what the work costs. */
function withLaw(draft: MechanismDocument): MechanismDocument {
  const cost = 1_000_000n;
  const outcomes = draft.outcomes.map((outcome) =>
    outcome.settlement === "complete" ? { ...outcome, rewardWei: 3n * cost } : outcome,
  );
  const actions = [
    { name: "idle", costWei: 0n, law: [900n, 100n] },
    { name: "work", costWei: cost, law: [50n, 950n] },
  ];
  return { ...draft, outcomes, agency: { actions, lawUnit: 1_000n, target: 1, outsideWei: 0n, maxGapWei: 1n } };
}

interface SolveOptions {
  readonly action?: string;
  readonly out?: string;
  readonly proof?: string;
  readonly json: boolean;
}

/** `surety mechanism solve` */
export function solveCommand(): Command {
  return new Command("solve")
    .description("find the cheapest payments that the escrow can make for an action, and the proof that they are")
    .argument("<file>", "rules that state actions and their chances")
    .option("--action <name>", "the action to pay for; default: the one that leaves the leader most")
    .option("--out <file>", "where the solved rules go; default: back into the file")
    .option("--proof <file>", "where the proof goes that an offer carries")
    .addOption(jsonOption())
    .action((file: string, options: SolveOptions) =>
      runAction(options.json, () => Promise.resolve(solve(file, options))),
    );
}

function solve(file: string, { action, out = file, proof }: SolveOptions): Outcome {
  const document = readMechanismFile(file);
  const solved = solveMechanism(document, action === undefined ? undefined : indexOf(document, action));
  if (solved.kind !== "accept") {
    return {
      result: { isSolved: false, code: solved.code, detail: solved.detail },
      isFailed: true,
      lines: [`${solved.code}: ${solved.detail}`],
    };
  }
  const { document: priced, dual, expectedPayment, leastPayment, surplus } = solved.value;
  const mechanismHash = mechanismHashOf(priced);
  writeMechanismFile(out, priced);
  if (proof !== undefined) writeProofFile(proof, { mechanismHash, dual });
  const target = priced.agency?.actions[priced.agency.target]?.name ?? "";
  const payments = priced.outcomes.map(({ name, payment }) => ({ outcome: name, ...payment }));
  const figures = { target, priceWei: postedPriceOf(priced), expectedPayment, leastPayment, surplus };
  return {
    result: { isSolved: true, file: out, mechanismHash, ...figures, payments, dual },
    lines: [
      `${out}: ${mechanismHash}`,
      `"${target}" is the provider's best response to:`,
      ...payments.map(({ outcome, unit, amount }) =>
        `  ${outcome}: ${amount} ${unit === "wei" ? "" : `millionths of the ${unit}`}`.trimEnd(),
      ),
      `expected payment ${toNumber(expectedPayment)}, proven least ${toNumber(leastPayment)}, left to the leader ${toNumber(surplus)}`,
      ...(proof === undefined ? [] : [`proof: ${proof}`]),
    ],
  };
}

function indexOf({ agency }: MechanismDocument, name: string): number {
  const names = agency?.actions.map((action) => action.name) ?? [];
  const index = names.indexOf(name);
  if (index >= 0) return index;
  throw new SuretyError("USAGE_ACTION", `The rules know no action "${name}".`, {
    values: { name, actions: names },
    next:
      names.length === 0
        ? "Add the clause agency, as `surety mechanism new --law` writes it."
        : `Name one of ${names.join(", ")}.`,
  });
}
