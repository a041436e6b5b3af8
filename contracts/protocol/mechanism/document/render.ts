import { zeroAddress } from "viem";
import type { Finding } from "./finding.ts";
import { mechanismHashOf, type MechanismDocument, type OutcomeClause } from "./schema.ts";

/** One clause for a reader: a heading and its sentences. */
interface Passage {
  readonly heading: string;
  readonly lines: readonly string[];
}

const settlementWords: Record<OutcomeClause["settlement"], string> = {
  complete: "the deal completes",
  refund: "the deal is refunded after its deadline",
  "ruling-client": "the arbiter rules for the client",
  "ruling-provider": "the arbiter rules for the provider",
  "ruling-even": "the arbiter rules for neither",
  split: "both sides sign a split",
  cancel: "both sides cancel",
  none: "no step of the escrow",
};

/** Plain text: what a party reads before it signs. Amounts in the token's smallest unit. */
export function renderMechanismText(document: MechanismDocument, findings: readonly Finding[] = []): string {
  const passages = passagesOf(document, findings);
  return [
    document.name || "Unnamed rules",
    mechanismHashOf(document),
    ...(document.purpose === "" ? [] : ["", document.purpose]),
    ...passages.flatMap(({ heading, lines }) => ["", heading, ...lines.map((line) => `  ${line}`)]),
    "",
  ].join("\n");
}

/** The same as Markdown, with the payments as a table. What the author wrote is escaped: rules carry no markup. */
export function renderMechanismMarkdown(document: MechanismDocument, findings: readonly Finding[] = []): string {
  const passages = passagesOf(document, findings).filter(({ heading }) => heading !== "Payments");
  return [
    `# ${escape(document.name || "Unnamed rules")}`,
    "",
    `\`${mechanismHashOf(document)}\``,
    ...(document.purpose === "" ? [] : ["", escape(document.purpose)]),
    ...["", "## Payments", ""],
    ...["| outcome | seen by | how | the provider gets |", "| --- | --- | --- | --- |"],
    ...document.outcomes.map(
      ({ name, observer, settlement, payment }) =>
        `| ${escape(name)} | ${observer} | ${settlementWords[settlement]} | ${amountWords(payment)} |`,
    ),
    ...passages.flatMap(({ heading, lines }) => ["", `## ${heading}`, "", ...lines.map((line) => `- ${escape(line)}`)]),
    "",
  ].join("\n");
}

function passagesOf(document: MechanismDocument, findings: readonly Finding[]): Passage[] {
  const { admission, agency, evidence, deadlines, review } = document;
  const passages: (Passage | undefined)[] = [
    { heading: "Who takes part", lines: admissionLines(admission) },
    { heading: "Who is awarded, at which price", lines: awardLines(document) },
    { heading: "Payments", lines: document.outcomes.map(outcomeLine) },
    agency === null ? undefined : { heading: "Why the payments suffice", lines: agencyLines(agency) },
    { heading: "Bonds", lines: bondLines(document) },
    {
      heading: "Times",
      lines: [
        `Bids count for ${deadlines.bidWithinMs} ms${deadlines.revealWithinMs > 0 ? `, and are opened within ${deadlines.revealWithinMs} ms after` : ""}.`,
        `The delivery is due ${deadlines.submitWithinS} s after the call.`,
        ...(deadlines.validUntil === 0 ? [] : [`Nobody calls under these rules after second ${deadlines.validUntil}.`]),
        `The client reviews for ${review.periodS} s; silence ${review.onSilence === "pays-provider" ? "pays the provider" : "refunds the client"}.`,
      ],
    },
    { heading: "Division", lines: splitLines(document) },
    { heading: "Penalties", lines: penaltyLines(document) },
    { heading: "Disputes", lines: courtLines(document) },
    {
      heading: "What receipts teach",
      lines: [
        `A deal at ${evidence.fullPriceWei} or more counts in full, a cheaper one in proportion; beyond ${evidence.priceFactor} times the dearest deal seen, nothing is known.`,
        `Laws are taken at their worst within ${(evidence.errorMillionths / 10_000).toString()} % error.`,
      ],
    },
    findings.length === 0
      ? undefined
      : {
          heading: "Findings",
          lines: findings.map(
            ({ isWarning, code, path, reason, next }) =>
              `${isWarning ? "warning" : "error"} ${code} at ${path}: ${reason}. ${next}`,
          ),
        },
  ];
  return passages.filter((passage) => passage !== undefined);
}

function admissionLines({ topics, credentialLevel, minScore }: MechanismDocument["admission"]): string[] {
  return [
    `Deals on ${topics.length === 0 ? "no topic" : topics.join(", ")}.`,
    credentialLevel === 0
      ? "No credential is asked for."
      : `The provider's operator holds a credential of level ${credentialLevel} or more.`,
    minScore === 0n
      ? "Newcomers are admitted."
      : `The provider's score is at least ${minScore}/65536 of the topic's uniform share.`,
  ];
}

function awardLines({ award }: MechanismDocument): string[] {
  const { rule, valuePerQuality, minQuality, maxQuality, isSealed, maxUnopened } = award;
  return [
    rule === "posted-price"
      ? "The best quality is awarded the posted price."
      : "The best score is awarded the highest price at which it would still have won (second price).",
    `Score = ${valuePerQuality} × quality − price; quality ${minQuality} to ${maxQuality}.`,
    isSealed
      ? `Bids are sealed; a provider may refuse an award with more than ${maxUnopened} of them unopened.`
      : "Bids are open to the client as they come.",
  ];
}

const outcomeLine = ({ name, observer, settlement, payment }: OutcomeClause) =>
  `${name} (seen by ${observer}): ${settlementWords[settlement]}, the provider gets ${amountWords(payment)}.`;

function amountWords({ unit, amount }: OutcomeClause["payment"]): string {
  if (unit === "wei") return amount.toString();
  const percent = Number(amount) / 10_000;
  return `${percent.toString()} % of ${unit === "price" ? "the price" : "its bond"}`;
}

function agencyLines({
  actions,
  lawUnit,
  target,
  outsideWei,
  maxGapWei,
}: NonNullable<MechanismDocument["agency"]>): string[] {
  return [
    ...actions.map(
      ({ name, costWei, law }, i) =>
        `${i === target ? "Sought: " : ""}${name} costs ${costWei}; outcomes follow by ${law.join(", ")} of ${lawUnit}.`,
    ),
    `Not taking part is worth ${outsideWei}.`,
    `The offer proves that no payments of the escrow do it for ${maxGapWei} less.`,
  ];
}

function bondLines({ bond }: MechanismDocument): string[] {
  const { leastWei, curve, exposureWei, maxGainWei, clientBondWei } = bond;
  const lines = [`The provider puts up at least ${leastWei}, the client ${clientBondWei}.`];
  if (curve.slashShare > 0)
    lines.push(
      `More at a low score: (price + ${exposureWei}) / (${curve.slashShare}/65536), times ${curve.factorAtZero}/65536 at score 0, half of the extra gone at ${curve.halfScore}/65536.`,
    );
  lines.push(`A fault that can be proven gains at most ${maxGainWei}.`);
  return lines;
}

function splitLines({ split }: MechanismDocument): string[] {
  if (split.rule === "provider") return ["All that is earned goes to the provider."];
  if (split.rule === "shapley") return ["The joint reward is divided by Shapley values over signed receipts."];
  return split.shares.map(({ account, millionths }) => `${account} gets ${millionths} millionths.`);
}

function penaltyLines({ penalties }: MechanismDocument): string[] {
  if (penalties.length === 0) return ["None beyond the payments."];
  return penalties.map(
    ({ fault, from, millionths, unsatisfied }) =>
      `${fault}: ${millionths} millionths of the ${from}, ${unsatisfied} unsatisfied.`,
  );
}

function courtLines({ appeal }: MechanismDocument): string[] {
  if (appeal.arbiter === zeroAddress) return ["Nobody rules: a delivery cannot be disputed."];
  return [
    `${appeal.arbiter} rules (${appeal.court}) within ${appeal.withinS} s after the review.`,
    appeal.maxAppeals === 0 ? "There is no appeal." : `Up to ${appeal.maxAppeals} rulings may be appealed.`,
  ];
}

/** Characters that Markdown or HTML would read as markup. */
const escape = (text: string) => text.replace(/[\\`*_{}[\]<>#|]/g, (mark) => `\\${mark}`).replaceAll("\n", " ");
