import { ask, META } from "../api.ts";
import { h, type Child } from "../dom.ts";
import { durationText, shorten, timeText } from "../format.ts";
import { notFound, type Page } from "../page.ts";
import {
  agentLink,
  amount,
  badge,
  facts,
  hash,
  section,
  table,
  time,
  topicLink,
  type AgentRef,
  type Site,
} from "../parts.ts";
import { verifySection } from "../verify-section.ts";
import type { DealClaim } from "../verify/claims.ts";

export const DEAL = `query Deal($id: String!) {
  ${META}
  deal(id: $id) {
    id state topic token price providerBond clientBond submitBy reviewPeriod arbiter arbiterDeadline mechanismHash
    certificateHash specHash splitsRoot epoch hook salt payer fundedAt fundedTx deliverableHash reviewUntil submittedAt
    submittedTx endedAt endedTx released undistributed payee payout resolution returned rating isTrustSkipped hookFailures
    client { id registrationFile { name } } provider { id registrationFile { name } }
    shares(first: 50) { account amount timestamp transaction }
    disputes { startedAt startedTx }
    feedbacks(first: 20) { id clientAddress value tag1 isRevoked createdAt }
  }
}`;

interface DealRow extends DealClaim {
  readonly client: AgentRef | null;
  readonly provider: AgentRef | null;
  readonly fundedAt: string;
  readonly reviewUntil: string | null;
  readonly submittedAt: string | null;
  readonly endedAt: string | null;
  readonly undistributed: string;
  readonly resolution: string | null;
  readonly returned: string | null;
  readonly isTrustSkipped: boolean;
  readonly hookFailures: number;
  readonly shares: readonly Readonly<Record<"account" | "amount" | "timestamp" | "transaction", string>>[];
  readonly disputes: readonly { readonly startedAt: string; readonly startedTx: string }[];
  readonly feedbacks: readonly { clientAddress: string; value: string; isRevoked: boolean; createdAt: string }[];
}

export const dealPage: Page = async ({ site, subject, signal }) => {
  const { deal, _meta } = await ask<{ deal: DealRow | null }>(DEAL, { id: subject.toLowerCase() }, signal);
  if (deal === null) return notFound("Deal", `No deal of the id ${subject} was ever funded.`);
  return {
    title: `Deal ${shorten(deal.id)}`,
    block: _meta.block,
    body: [
      section(
        "Parties and price",
        facts([
          ["State", badge(deal.state)],
          ["Client", agentLink(deal.client)],
          ["Provider", agentLink(deal.provider)],
          ["Topic", topicLink(site, deal.topic)],
          ["Price", amount(site, deal.price, deal.token)],
          ["Rating", deal.rating ?? "none yet"],
          ["Id", h("code", { class: "wrap" }, deal.id)],
        ]),
      ),
      verifySection(site.config, `deal ${shorten(deal.id)}`, (verifier, chain) =>
        verifier.verifyDeal(chain, deal, _meta.block),
      ),
      courseSection(site, deal),
      termsSection(site, deal),
      deal.shares.length > 0 && sharesSection(site, deal),
    ],
  };
};

/** What happened, in order, and what may come next. */
function courseSection(site: Site, deal: DealRow): Child {
  const { submitBy, state, reviewUntil } = deal;
  const steps: (readonly [word: string, at: string | null, transaction: string | null, detail: Child])[] = [
    ["Funded", deal.fundedAt, deal.fundedTx, ["paid by ", hash(deal.payer)]],
  ];
  if (deal.submittedAt !== null) {
    steps.push(["Submitted", deal.submittedAt, deal.submittedTx, ["deliverable ", hash(deal.deliverableHash)]]);
  }
  for (const one of deal.disputes)
    steps.push(["Disputed", one.startedAt, one.startedTx, h("a", { href: `/disputes/${deal.id}` }, "the dispute")]);
  if (deal.endedAt !== null) {
    const paid = [amount(site, deal.payout, deal.token), " to ", hash(deal.payee)];
    steps.push([state, deal.endedAt, deal.endedTx, deal.payout === null ? "" : paid]);
  } else if (state === "Funded")
    steps.push(["Due", null, null, `delivery by ${timeText(Number(submitBy))} UTC, else a refund`]);
  else if (state === "Submitted")
    steps.push(["Due", null, null, `review until ${timeText(Number(reviewUntil))} UTC, else it completes`]);
  const items = steps.map(([word, at, transaction, detail]) =>
    h(
      "li",
      { class: at === null ? "next" : "done" },
      ...[h("strong", {}, word), " ", at === null ? "" : time(site, at), " ", detail],
      transaction !== null && [" in ", hash(transaction)],
    ),
  );
  return section(
    "Course",
    h("ol", { class: "course" }, items),
    deal.isTrustSkipped && h("p", {}, "The ledger refused this deal's rating; the money moved all the same."),
    deal.hookFailures > 0 && h("p", {}, `${deal.hookFailures} calls of its hook failed.`),
  );
}

const ZERO = /^0x0+$/;
const orNone = (value: string): Child => (ZERO.test(value) ? "none" : hash(value));

function termsSection(site: Site, deal: DealRow): Child {
  const { token } = deal;
  return section(
    "Terms that both sides signed",
    facts([
      ["Token", hash(token)],
      ["Provider's bond", amount(site, deal.providerBond, token)],
      ["Client's bond", amount(site, deal.clientBond, token)],
      ["Deliver by", `${timeText(Number(deal.submitBy))} UTC`],
      ["Review", durationText(Number(deal.reviewPeriod))],
      ["Arbiter", orNone(deal.arbiter)],
      ["Task", orNone(deal.specHash)],
      ["Mechanism", orNone(deal.mechanismHash)],
      ["Certificate of the award", orNone(deal.certificateHash)],
      ["Shares", orNone(deal.splitsRoot)],
      ["Hook", orNone(deal.hook)],
      ["Salt", h("span", { class: "wrap" }, deal.salt)],
    ]),
  );
}

function sharesSection(site: Site, deal: DealRow): Child {
  const columns = [{ name: "Account" }, { name: "Amount", isNumber: true }, { name: "When" }];
  const rows = deal.shares.map((share) => [
    hash(share.account),
    amount(site, share.amount, deal.token),
    time(site, share.timestamp),
  ]);
  return section("Shares of the earnings", table("Shares", columns, rows));
}
