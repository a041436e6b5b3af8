import { ask, META, type MetaBlock } from "../api.ts";
import { h, type Child } from "../dom.ts";
import { scoreText, shorten, timeText } from "../format.ts";
import { notFound, type Page } from "../page.ts";
import { amount, badge, facts, hash, outsideLink, section, table, time, topicLink, type Site } from "../parts.ts";
import { lineChart } from "../plots.ts";
import { verifySection } from "../verify-section.ts";
import type { AgentClaim, ScoreClaim } from "../verify/claims.ts";
import { DEAL_FIELDS, dealTable, type DealRow } from "./deals.ts";

export const AGENT = `query Agent($id: String!) {
  ${META}
  agent(id: $id) {
    id agentId owner agentURI agentWallet commitment version head registeredAt registeredTx lastActivity totalFeedback
    registrationFile { name description active x402Support mcpEndpoint a2aEndpoint webEndpoint did ens supportedTrusts }
    signers(first: 100, orderBy: validFrom) { id signer purpose validFrom validUntil invalidFrom isUnchecked boundTx revokedTx }
    versions(first: 100, orderBy: version, orderDirection: desc) { version commitment head timestamp transaction }
    credentials { operator owner source level validUntil presentedAt presentedTx renouncedAt }
    stakes { staked locked unbonding withdrawableAt slashed }
    forks(first: 20, orderBy: timestamp, orderDirection: desc) { id }
    slashes(first: 20, orderBy: timestamp, orderDirection: desc) { amount reward timestamp transaction }
    recoveries { threshold delay state newOwner executableAt }
    logAnchors(first: 5, orderBy: timestamp, orderDirection: desc) { log fromSeq toSeq root timestamp transaction }
    transfers(first: 10, orderBy: blockNumber, orderDirection: desc) { from to timestamp transaction }
    scores(first: 100, orderBy: epoch, orderDirection: desc, where: { candidate_: { state: "standing" } }) {
      score prior epoch topic { id finalizedEpoch finalizedCandidate { id } } candidate { id }
    }
    dealsAsProvider(first: 10, orderBy: fundedAt, orderDirection: desc) { ${DEAL_FIELDS} }
    dealsAsClient(first: 10, orderBy: fundedAt, orderDirection: desc) { ${DEAL_FIELDS} }
    feedbacks(first: 10, orderBy: createdAt, orderDirection: desc) {
      id clientAddress value tag1 tag2 isRevoked isBacked createdAt deal { id }
    }
  }
  counts {
    asProvider: deals(where: { provider: $id }) completed: deals(where: { provider: $id, state: "Completed" })
    asClient: deals(where: { client: $id })
  }
}`;

interface AgentScore {
  readonly score: string;
  readonly prior: string;
  readonly epoch: string;
  readonly topic: {
    readonly id: string;
    readonly finalizedEpoch: string | null;
    readonly finalizedCandidate: { readonly id: string } | null;
  };
  readonly candidate: { readonly id: string };
}

interface AgentRow extends AgentClaim {
  readonly agentURI: string;
  readonly registeredAt: string;
  readonly lastActivity: string;
  readonly totalFeedback: string;
  readonly registrationFile:
    (Readonly<Record<string, unknown>> & { readonly name: string; readonly description: string }) | null;
  readonly versions: readonly Readonly<
    Record<"version" | "commitment" | "head" | "timestamp" | "transaction", string>
  >[];
  readonly forks: readonly { readonly id: string }[];
  readonly slashes: readonly Readonly<Record<"amount" | "reward" | "timestamp" | "transaction", string>>[];
  readonly recoveries: readonly { threshold: number; delay: string; state: string; executableAt: string | null }[];
  readonly logAnchors: readonly Readonly<Record<"log" | "fromSeq" | "toSeq" | "root" | "timestamp", string>>[];
  readonly transfers: readonly Readonly<Record<"from" | "to" | "timestamp" | "transaction", string>>[];
  readonly scores: readonly AgentScore[];
  readonly dealsAsProvider: readonly DealRow[];
  readonly dealsAsClient: readonly DealRow[];
  readonly feedbacks: readonly FeedbackRow[];
}

interface FeedbackRow {
  readonly clientAddress: string;
  readonly value: string;
  readonly tag1: string;
  readonly isRevoked: boolean;
  readonly isBacked: boolean;
  readonly createdAt: string;
  readonly deal: { readonly id: string } | null;
}

interface AgentRows {
  readonly agent: AgentRow | null;
  readonly counts: Readonly<Record<"asProvider" | "completed" | "asClient", number>>;
}

export const agentPage: Page = async ({ site, subject, signal }) => {
  const id = `${site.config.deployment.chainId}:${subject}`;
  const { agent, counts, _meta } = await ask<AgentRows>(AGENT, { id }, signal);
  if (agent === null) return notFound(`Agent ${subject}`, "The registry never registered an agent of this number.");
  const name = agent.registrationFile?.name ?? "";
  return {
    title: name === "" ? `Agent ${subject}` : `${name} (agent ${subject})`,
    block: _meta.block,
    body: [
      identityCard(site, agent, counts),
      verifySection(site.config, `agent ${subject}`, (verifier, chain) =>
        verifier.verifyAgent(chain, agent, _meta.block),
      ),
      scoreSection(site, agent, _meta.block),
      signerSection(site, agent, _meta.block.timestamp),
      versionSection(site, agent),
      responsibilitySection(site, agent),
      section("Deals as provider", dealTable(site, agent.dealsAsProvider, "Deals as provider")),
      section("Deals as client", dealTable(site, agent.dealsAsClient, "Deals as client")),
      section("Feedback", feedbackTable(site, agent.feedbacks)),
      historySection(site, agent),
    ],
  };
};

function identityCard(site: Site, agent: AgentRow, counts: AgentRows["counts"]): Child {
  const file = agent.registrationFile;
  const stake = agent.stakes[0];
  const endpoints = ["webEndpoint", "mcpEndpoint", "a2aEndpoint", "did", "ens"]
    .map((key) => [key.replace("Endpoint", "").toUpperCase(), file?.[key]] as const)
    .filter((entry): entry is readonly [string, string] => typeof entry[1] === "string");
  return section(
    "Identity",
    agent.forks.length > 0 &&
      h(
        "p",
        { class: "alarm" },
        "Its own signatures contradicted each other: ",
        agent.forks.map(({ id }) => [h("a", { href: `/evidence/${id}` }, `evidence ${shorten(id)}`), " "]),
      ),
    facts([
      ...(file === null || file === undefined ? [] : [["Says of itself", file.description] as const]),
      ["Owner", hash(agent.owner)],
      ["Paid at", agent.agentWallet === null ? "its owner's address" : hash(agent.agentWallet)],
      [
        "Code and config",
        agent.commitment === null ? "not committed to" : [hash(agent.commitment), ` version ${agent.version}`],
      ],
      ["Registration", outsideLink(agent.agentURI)],
      ...endpoints.map(([key, value]) => [key, outsideLink(value)] as const),
      ["At stake", stake === undefined ? "nothing" : amount(site, stake.staked)],
      [
        "Deals",
        `${counts.asProvider} as provider, ${counts.completed} of them completed; ${counts.asClient} as client`,
      ],
      ["Registered", time(site, agent.registeredAt)],
    ]),
  );
}

/** The newest finalized score of each topic, each to be checked, and how it moved. */
function scoreSection(site: Site, agent: AgentRow, block: MetaBlock): Child {
  const topics = [...new Set(agent.scores.map(({ topic }) => topic.id))];
  const latest = topics.flatMap((topic) => {
    const of = agent.scores.filter((score) => score.topic.id === topic);
    const newest = of.find((score) => score.candidate.id === score.topic.finalizedCandidate?.id);
    return newest === undefined ? [] : [{ topic, newest, history: historyOf(of) }];
  });
  if (latest.length === 0)
    return section("Scores", "No finalized score yet: deals settle first, then their epoch closes.");
  return section(
    "Scores",
    latest.map(({ topic, newest, history }) => [
      facts([
        ["Topic", topicLink(site, topic)],
        ["Share of all trust", scoreText(BigInt(newest.score))],
        ["Epoch", newest.epoch],
        ["Prior from stake", amount(site, newest.prior)],
      ]),
      history.length > 1 && lineChart(`Score by epoch`, history),
      verifySection(site.config, `score of agent ${agent.agentId}`, async function* (verifier, chain) {
        const claim = await askScore(agent.agentId, topic);
        yield* verifier.verifyScore(chain, { ...claim, shown: newest.score }, block);
      }),
    ]),
  );
}

/** One score an epoch, oldest first. */
function historyOf(scores: readonly AgentScore[]): { x: number; y: number; label: string }[] {
  const byEpoch = new Map(scores.map((score) => [Number(score.epoch), BigInt(score.score)]));
  return [...byEpoch]
    .sort(([a], [b]) => a - b)
    .map(([x, score]) => ({ x, y: Number(score), label: `epoch ${x}: ${scoreText(score)}` }));
}

const SCORE = `query Score($agentId: BigInt!, $topic: BigInt!) {
  ${META} score(agentId: $agentId, topic: $topic) { score prior root index leaf leafCount epoch proof publishedIn finality }
}`;

async function askScore(agentId: string, topic: string): Promise<Omit<ScoreClaim, "shown">> {
  const signal = AbortSignal.timeout(30_000);
  const { score } = await ask<{ score: Omit<ScoreClaim, "agentId" | "topic" | "shown"> }>(
    SCORE,
    { agentId, topic },
    signal,
  );
  return { ...score, agentId, topic };
}

function signerSection(site: Site, { signers }: AgentRow, now: number): Child {
  const columns = [
    ...[
      { name: "Signer" },
      { name: "May" },
      { name: "From" },
      { name: "Until" },
      { name: "State" },
      { name: "Bound in" },
    ],
  ];
  const rows = signers.map((signer) => {
    const until = Number(signer.validUntil);
    return [
      hash(signer.signer),
      purposeWord(signer.purpose),
      time(site, signer.validFrom),
      until === 0 ? "no end" : time(site, until),
      [badge(signerState(signer, now)), signer.isUnchecked && " possession not proven on chain"],
      hash(signer.boundTx),
    ];
  });
  return section("Keys that speak for it", table("Signers", columns, rows));
}

const textOfBytes = (hex: string): string =>
  (hex.slice(2).match(/../g) ?? [])
    .map((byte) => String.fromCharCode(parseInt(byte, 16)))
    .join("")
    .replaceAll("\0", "");

function purposeWord(purpose: string): string {
  const words: Record<string, string> = {
    LOG: "sign its log and deals",
    TRANSPORT: "connect as a peer",
    OPERATOR: "act for its owner",
    RECOVERY: "guard it",
  };
  const text = textOfBytes(purpose);
  return words[text] ?? text;
}

function signerState(signer: AgentRow["signers"][number], now: number): string {
  const { validFrom, validUntil, invalidFrom } = signer;
  if (invalidFrom !== null && now >= Number(invalidFrom)) return "revoked";
  if (now < Number(validFrom)) return "not yet";
  return Number(validUntil) !== 0 && now >= Number(validUntil) ? "expired" : "valid";
}

function versionSection(site: Site, { versions }: AgentRow): Child {
  const columns = [{ name: "Version", isNumber: true }, { name: "Commitment" }, { name: "Head" }, { name: "When" }];
  const rows = versions.map((one) => [
    one.version,
    hash(one.commitment),
    hash(one.head),
    [time(site, one.timestamp), " in ", hash(one.transaction)],
  ]);
  return section("Versions of its code and config", table("Versions", columns, rows));
}

/** Who answers for it, what it has at stake, who could recover it, and what is anchored. */
function responsibilitySection(site: Site, agent: AgentRow): Child {
  const [credential, stake, recovery] = [agent.credentials[0], agent.stakes[0], agent.recoveries[0]];
  const rows: (readonly [string, Child])[] = [];
  if (credential === undefined) rows.push(["Credential", "none: no issuer says who answers for this agent"]);
  else {
    const state = credential.renouncedAt === null ? `until ${timeText(Number(credential.validUntil))}` : "renounced";
    rows.push(["Credential", [`level ${credential.level}, ${state}, operator `, hash(credential.operator)]]);
  }
  if (stake !== undefined) {
    rows.push(["Staked", amount(site, stake.staked)], ["Locked", amount(site, stake.locked)]);
    rows.push(["Unbonding", amount(site, stake.unbonding)], ["Slashed", amount(site, stake.slashed)]);
  }
  if (recovery !== undefined && recovery.threshold > 0) {
    rows.push(["Recovery", `${recovery.state}: ${recovery.threshold} guardians, after ${recovery.delay} seconds`]);
  }
  for (const anchor of agent.logAnchors) {
    rows.push(["Anchored", [`entries ${anchor.fromSeq} to ${anchor.toSeq}, root `, hash(anchor.root)]]);
  }
  return section("Who answers, and with what", facts(rows));
}

function feedbackTable(site: Site, feedbacks: readonly FeedbackRow[]): Child {
  const columns = [
    { name: "From" },
    { name: "Value", isNumber: true },
    { name: "Tag" },
    { name: "Backed by" },
    { name: "When" },
  ];
  const rows = feedbacks.map((one) => [
    hash(one.clientAddress),
    one.isRevoked ? `${one.value} (revoked)` : one.value,
    one.tag1 === "" ? "–" : one.tag1,
    one.deal === null ? "nothing: it weighs nothing" : hash(one.deal.id),
    time(site, one.createdAt),
  ]);
  return table("Feedback", columns, rows);
}

/** A transfer from nobody is the registration. */
function movedText({ from, to }: AgentRow["transfers"][number]): Child {
  return /^0x0+$/.test(from) ? ["registered by ", hash(to)] : ["from ", hash(from), " to ", hash(to)];
}

function historySection(site: Site, { transfers, slashes }: AgentRow): Child {
  const rows = [
    ...transfers.map((one) => [Number(one.timestamp), movedText(one), one] as const),
    ...slashes.map((one) => [Number(one.timestamp), [`slashed `, amount(site, one.amount)], one] as const),
  ].sort(([a], [b]) => b - a);
  return section(
    "Owners and slashes",
    table(
      "Owners and slashes",
      [{ name: "What" }, { name: "When" }, { name: "Transaction" }],
      rows.map(([at, what, one]) => [what, time(site, at), hash(one.transaction)]),
    ),
  );
}
