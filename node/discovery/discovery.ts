import type { Address } from "viem";
import {
  applyEntry,
  createDeclarations,
  kinds,
  skillIdOf,
  SuretyError,
  type Declarations,
  type DeclarationsStep,
  type LogEntry,
} from "#protocol";
import type { LogReader } from "../log/log-store.ts";
import type { Store } from "../store/port.ts";
import type { Asking, HeardEntry } from "./asking.ts";
import { similarityOf, type Embedder } from "./embedder.ts";
import { createIndexTable } from "./index-table.ts";
import { DEFAULT_LIMIT, listFindings } from "./listing.ts";
import type { Liveness } from "./liveness.ts";
import type { AgentPort, Finding, FindFilter, ScorePort } from "./port.ts";
import { mixedMatch, parseQuery, sharesWord, type Query } from "./ranking.ts";
import { readEntry, readFinding, type Unscored } from "./reading.ts";

const MAX_LIMIT = 100;
/** Folds kept in memory; one that is asked for again is folded from the store. */
const MAX_FOLDS = 1_024;
/** Logs of one page while the index is rebuilt. */
const REBUILD_PAGE = 256;

export interface DiscoveryOptions {
  readonly store: Store;
  readonly logs: LogReader;
  readonly agents: AgentPort;
  readonly scores: ScorePort;
  readonly liveness: Pick<Liveness, "prove" | "proofOf">;
  /** Judges how near texts are to a question, where words alone do not; default the built-in, lexical one. */
  readonly embedder?: Embedder;
  /** Others, whom a search asks what this node has not heard; undefined = nobody. */
  readonly asking?: Asking;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
}

/** The index over everything that this node heard, own declarations included. */
export interface Discovery {
  /** An entry whose body is stored: from `gossip.onEntry`. */
  apply(entry: LogEntry): void;
  /** The log equivocated: from `gossip.onFork`. */
  shut(log: Address): void;
  /** Answers the questions of peers from the own index. */
  serve(): Promise<void>;
  /** Brings the index up to what the logs say; after a crash the two can differ. */
  rebuild(): void;
  /**
   * Best first, one finding an agent, each of them live unless the filter says otherwise. Withdrawn, completed, expired
   * and forked ones are never found; neither is a declaration in the name of an agent for which its log does not speak.
   * @param query words; empty asks for all that pass the filter @throws SuretyError FIND_FILTER_INVALID
   */
  find(query: string, filter: FindFilter, signal: AbortSignal): Promise<Finding[]>;
}

export function createDiscovery(options: DiscoveryOptions): Discovery {
  const { store, logs, agents, scores, liveness, asking, nowMs } = options;
  const table = createIndexTable(store);
  const folds = new Map<Address, Declarations>();
  const listing = { agents, scores, liveness, nowMs, attestedBy: (log: Address) => table.attestedBy(log) };

  function look(query: Query, filter: FindFilter): Unscored[] {
    return table.candidates(query, filter, nowMs()).flatMap(({ latestDigest, sketch }) => {
      const { header, body } = logs.entryByDigest(latestDigest) ?? {};
      const finding = header && body && readFinding({ header, body }, query, "index", sketch);
      return finding === undefined ? [] : [finding];
    });
  }

  /** Match by the configured embedder; the built-in one has had its say when the texts were read. */
  async function weigh(text: string, query: Query, found: Unscored[], signal: AbortSignal): Promise<Unscored[]> {
    const { embedder } = options;
    if (embedder === undefined || found.length === 0 || query.tokens.length === 0) return found;
    const texts = found.map(textOfFinding);
    const [asked, ...sketches] = await embedder.sketch([text, ...texts], signal);
    return found.map((finding, i) => {
      const near = asked && sketches[i] && similarityOf(asked, sketches[i]);
      return near === undefined ? finding : { ...finding, match: mixedMatch(query, texts[i] as string, near) };
    });
  }

  /** What others answer, as far as it passes the filter and this node does not know better. */
  async function hearOthers(text: string, query: Query, filter: FindFilter, signal: AbortSignal): Promise<Unscored[]> {
    const newest = new Map<string, HeardEntry>();
    for (const entry of (await asking?.ask(text, filter, signal)) ?? []) {
      const finding = readFinding(entry, query, entry.source);
      if (finding === undefined || !passes(finding, entry, filter, query)) continue;
      // Whatever this node holds of a declaration, its end too, came in the order of its log.
      if (table.has(finding.declarationId) || logs.forkOf(finding.log) !== undefined) continue;
      const before = newest.get(finding.declarationId);
      if ((before?.header.header.seq ?? -1) < entry.header.header.seq) newest.set(finding.declarationId, entry);
    }
    return [...newest.values()].flatMap((entry) => readFinding(entry, query, entry.source) ?? []);
  }

  function hear({ header: { header }, body }: LogEntry, heardMs: number): void {
    table.hear(header.log, heardMs);
    if (body.kind === "attest") table.attest(header.log, header.seq, body.body.commitment);
  }

  function keep(log: Address, { state, changed, dropped }: DeclarationsStep): void {
    folds.delete(log);
    folds.set(log, state);
    const oldest = folds.keys().next();
    if (folds.size > MAX_FOLDS && !oldest.done) folds.delete(oldest.value);
    if (changed) table.put(changed);
    if (dropped) table.remove(dropped.id);
  }

  /** Everything that a log's stored bodies say; the index follows. */
  function foldStored(log: Address): void {
    let state = createDeclarations();
    for (const entry of logs.entriesWithBody(log)) {
      const read = readEntry(entry);
      if (read === undefined) continue;
      const step = applyEntry(state, read);
      if (step.dropped) table.remove(step.dropped.id);
      state = step.state;
      hear(read, entry.heardMs);
    }
    for (const declaration of state.byId.values()) table.put(declaration);
    keep(log, { state });
  }

  return {
    apply(entry) {
      const { log } = entry.header.header;
      const state = folds.get(log);
      if (state === undefined) foldStored(log);
      else keep(log, applyEntry(state, entry));
      hear(entry, nowMs());
    },
    async serve() {
      await asking?.serve(async (query, filter, signal) => {
        const found = await listFindings(
          look(parseQuery(query), filter),
          filter,
          { ...listing, scores: unscored },
          signal,
        );
        return found.map(({ evidence: { header, digest, body } }) => ({ header: { ...header, digest }, body }));
      });
    },
    shut: (log) => table.shut(log),
    rebuild() {
      for (let after: Address | undefined; ;) {
        const page = logs.heads(after, REBUILD_PAGE);
        for (const { log } of page) {
          foldStored(log);
          if (logs.forkOf(log) !== undefined) table.shut(log);
        }
        after = page.at(-1)?.log;
        if (page.length < REBUILD_PAGE) return;
      }
    },
    async find(text, filter, signal) {
      checkFilter(filter);
      const query = parseQuery(text);
      const own = await weigh(text, query, look(query, filter), signal);
      const wanted = filter.limit ?? DEFAULT_LIMIT;
      const mayAsk = filter.scope !== "local" && filter.liveness !== "known";
      // Where the own index cannot suffice, others are asked while its agents are challenged: one wait instead of two.
      const asked = mayAsk && own.length < wanted ? hearOthers(text, query, filter, signal) : undefined;
      const [listed] = await Promise.all([listFindings(own, filter, listing, signal), asked]);
      if (!mayAsk || listed.length >= wanted) return listed;
      const others = await (asked ?? hearOthers(text, query, filter, signal));
      const heard = await weigh(text, query, others, signal);
      return heard.length === 0 ? listed : listFindings([...own, ...heard], filter, listing, signal);
    },
  };
}

/** The asker ranks by scores that it has checked itself; ours would cost us an indexer's answers for each of its questions. */
const unscored: ScorePort = { scoresOf: () => Promise.resolve(new Map()) };

const textOfFinding = ({ name, description, topics, skills }: Unscored): string =>
  [name, description, ...topics, ...skills].join("\n");

/** What a peer answers is held to the question here, as its index would have been. */
function passes(finding: Unscored, { header }: HeardEntry, filter: FindFilter, query: Query): boolean {
  const { topic, skills = [], maxPriceWei, kind = "declare" } = filter;
  const isAsked = (header.header.kind === kinds.intent) === (kind === "intent");
  const hasTopic = topic === undefined || finding.topics.includes(topic);
  const wanted = new Set(skills.map(skillIdOf));
  const hasSkill = wanted.size === 0 || finding.skills.some((skill) => wanted.has(skillIdOf(skill)));
  const isAffordable = maxPriceWei === undefined || finding.priceWei <= maxPriceWei;
  return isAsked && hasTopic && hasSkill && isAffordable && sharesWord(query, textOfFinding(finding));
}

function checkFilter({ minScore = 0, limit = DEFAULT_LIMIT, maxPriceWei = 0n, maxAgeMs = 0 }: FindFilter): void {
  const isValid =
    minScore >= 0 && minScore <= 1 && Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT && maxPriceWei >= 0n;
  if (isValid && maxPriceWei < 1n << 256n && maxAgeMs >= 0) return;
  throw new SuretyError("FIND_FILTER_INVALID", "The filter asks for what cannot be.", {
    values: { minScore, limit, maxPriceWei, maxAgeMs },
    next: `Give minScore in 0…1, limit in 1…${MAX_LIMIT}, maxPriceWei within a uint256 and maxAgeMs ≥ 0.`,
  });
}
