import { bytesToHex } from "viem";
import { challengeCalls, LEAF_BYTES, SuretyError, type EpochClock } from "#protocol";
import { LeafMemory, readBases, shownLeaves, type SeatCounts } from "./bases.ts";
import { emptyBook, foldEpochEvent, type Candidate, type EpochBook } from "./book.ts";
import { coupleTopics } from "./coupled.ts";
import { computeEpoch, type ComputedTopic, type SolveProgress } from "./engine.ts";
import { TrustFold, type TopicGraph, type TrustEvent } from "./graph.ts";
import { completeClaims, patienceMsAt } from "./leaves/claims.ts";
import type { LeafExchange, ReputationChain, ReputationHead, ReputationLog, RoleCall } from "./port.ts";
import { createPublisher, MAX_LEAVES_BYTES, stepPublisher, type PublisherOptions } from "./publisher.ts";
import type { RoleEffect, RoleEvent } from "./roles.ts";
import { findFault, type ClaimedTopic } from "./verify.ts";
import { createWatcher, stepWatcher } from "./watcher.ts";

export type RoleName = "publisher" | "watcher";

/** What a role did, for logs, metrics and the command line. */
export interface RoleReport {
  readonly role: RoleName;
  readonly effect: RoleEffect;
  /** undefined: it was done. */
  readonly error: SuretyError | undefined;
}

export interface DriverOptions {
  readonly chain: ReputationChain;
  /** Roles to play; at least one. */
  readonly publisher?: PublisherOptions;
  readonly isWatching?: boolean;
  /** Other nodes, for leaves that no commit carries; undefined: they are asked for on chain only. */
  readonly leaves?: LeafExchange;
  readonly onReport?: (report: RoleReport) => void;
  readonly onProgress?: (progress: SolveProgress) => void;
}

/** Blocks whose logs are asked for at once; public RPC servers refuse larger ranges. */
const BLOCKS_PER_READ = 2_000n;
/** A closed epoch's graphs and scores. */
interface Computed {
  readonly epoch: number;
  readonly graphs: readonly TopicGraph[];
  readonly topics: readonly ComputedTopic[];
}

/** What an effect brought about: news for the role that wished it, and the block of its last transaction, 0 = none. */
interface Performed {
  readonly news: RoleEvent | undefined;
  readonly minedAt: bigint;
}

/** One role's machine, behind one face for both. */
interface Machine {
  readonly role: RoleName;
  step(event: RoleEvent): RoleEffect[];
}

/** Runs publisher and watcher on a chain, from its first block on, until the signal aborts. */
export class ReputationDriver {
  readonly #options: DriverOptions;
  readonly #chain: ReputationChain;
  readonly #tasks = new Set<Promise<void>>();
  #turn: Promise<unknown> = Promise.resolve();
  #view: ChainView | undefined;
  /** The root fixes the leaves, whatever a reorg does. */
  readonly #memory = new LeafMemory();

  constructor(options: DriverOptions) {
    this.#options = options;
    this.#chain = options.chain;
  }

  /** Follows the chain's heads. Ends with the signal, once everything under way has stopped; throws nothing then. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      // The watch may be a poll behind: who starts from an old head would commit again what it committed before it was stopped.
      let seen = await retryable<ReputationHead | undefined>(this.#chain.refreshHead(signal), undefined);
      for (;;) {
        seen ??= await this.#chain.nextHead(undefined, signal);
        await this.advance(seen, signal).catch(ignoreRetryable);
        seen = await this.#chain.nextHead(seen, signal);
      }
    } catch (cause) {
      if (!signal.aborted) throw cause;
    } finally {
      await Promise.allSettled(this.#tasks);
    }
  }

  /** Takes in the chain up to a head and starts what the roles wish. Resolves before their wishes are granted. */
  async advance(head: ReputationHead, signal: AbortSignal): Promise<void> {
    await this.#inTurn(async () => {
      const view = await this.#readTo(head, signal);
      this.#tell(view, { kind: "time", timestamp: view.head.timestamp }, signal);
    });
  }

  /** Resolves when nothing is under way any more. */
  async settle(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.allSettled(this.#tasks);
  }

  /** Reading and telling happen one after the other; effects run beside them. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** After a reorg below what we read, everything is forgotten and read again: the chain is the only memory. */
  async #readTo(head: ReputationHead, signal: AbortSignal): Promise<ChainView> {
    const known = this.#view;
    const isKnown = known !== undefined && (await this.#chain.hashAt(known.head.number, signal)) === known.head.hash;
    if (isKnown && head.number <= known.head.number) return known;
    const clock = known?.clock ?? (await this.#chain.clock(signal));
    const view = isKnown ? known : new ChainView(clock, this.#createMachines(clock), head);
    const first = isKnown ? known.head.number + 1n : this.#chain.firstBlock;
    // All pages before the first event is told: a page that fails must not leave half a range behind, to be read twice.
    for (const log of await this.#readPages(first, head.number, signal)) {
      if (log.source === "trust") view.later.push(log.event);
      else this.#tell(view, log.event, signal);
    }
    view.head = head;
    this.#view = view;
    return view;
  }

  async #readPages(first: bigint, last: bigint, signal: AbortSignal): Promise<ReputationLog[]> {
    const logs: ReputationLog[] = [];
    for (let from = first; from <= last; from += BLOCKS_PER_READ) {
      const end = from + BLOCKS_PER_READ - 1n;
      for (const log of await this.#chain.readLogs(from, end < last ? end : last, signal)) logs.push(log);
    }
    return logs;
  }

  #createMachines(clock: EpochClock): Machine[] {
    const machines: Machine[] = [];
    const { publisher, isWatching } = this.#options;
    if (publisher !== undefined) {
      let state = createPublisher(clock, publisher);
      machines.push({
        role: "publisher",
        step: (event) => {
          const [next, effects] = stepPublisher(state, event);
          state = next;
          return effects;
        },
      });
    }
    if (isWatching === true) {
      let state = createWatcher(clock, { address: this.#chain.address });
      machines.push({
        role: "watcher",
        step: (event) => {
          const [next, effects] = stepWatcher(state, event);
          state = next;
          return effects;
        },
      });
    }
    return machines;
  }

  #tell(view: ChainView, event: RoleEvent, signal: AbortSignal): void {
    view.fold(event);
    for (const machine of view.machines) this.#tellOne(view, machine, event, signal);
  }

  #tellOne(view: ChainView, machine: Machine, event: RoleEvent, signal: AbortSignal): void {
    for (const effect of machine.step(event)) this.#start(view, machine, effect, signal);
  }

  #start(view: ChainView, machine: Machine, effect: RoleEffect, signal: AbortSignal): void {
    const task = this.#grant(view, machine, effect, signal)
      .catch((cause: unknown) => {
        if (!signal.aborted) this.#report(machine, effect, toSuretyError(cause));
      })
      .finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }

  /** Does what a role wishes and tells it the outcome, unless a reorg has made the role forget the wish. */
  async #grant(view: ChainView, machine: Machine, effect: RoleEffect, signal: AbortSignal): Promise<void> {
    const { key } = effect;
    let outcome: RoleEvent = { kind: "done", key };
    let performed: Performed = { news: undefined, minedAt: 0n };
    let error: SuretyError | undefined;
    try {
      performed = await this.#perform(view, effect, signal);
    } catch (cause) {
      signal.throwIfAborted();
      error = toSuretyError(cause);
      outcome = { kind: "failed", key, error };
    }
    // What the effect did on chain is read before the role hears that it is done.
    const { news, minedAt } = performed;
    if (minedAt > 0n) await this.#readUpTo(minedAt, view.head, signal);
    await this.#inTurn(async () => {
      if (this.#view !== view) return;
      if (news !== undefined) this.#tellOne(view, machine, news, signal);
      this.#tellOne(view, machine, outcome, signal);
    });
    this.#report(machine, effect, error);
  }

  /** Goes on until the block is read: a role that hears too early that its commit is done would commit again. */
  async #readUpTo(blockNumber: bigint, known: ReputationHead, signal: AbortSignal): Promise<void> {
    let head = await retryable(this.#chain.refreshHead(signal), known);
    for (;;) {
      const target = head;
      const isRead =
        target.number >= blockNumber &&
        (await retryable(
          this.#inTurn(() => this.#readTo(target, signal)).then(() => true),
          false,
        ));
      if (isRead) return;
      head = await this.#chain.nextHead(head, signal);
    }
  }

  #report({ role }: Machine, effect: RoleEffect, error: SuretyError | undefined): void {
    this.#options.onReport?.({ role, effect, error });
  }

  async #perform(view: ChainView, effect: RoleEffect, signal: AbortSignal): Promise<Performed> {
    if (effect.kind === "compute") {
      const { epoch, topics } = await this.#compute(view, effect.epoch, signal);
      this.#shelve(epoch, topics);
      return { news: { kind: "computed", epoch, topics }, minedAt: 0n };
    }
    if (effect.kind === "inspect") {
      const { candidateId, answered } = effect;
      const finding = await this.#inspect(view, candidateId, signal);
      return { news: { kind: "inspected", candidateId, answered, finding }, minedAt: 0n };
    }
    let minedAt = 0n;
    for (const call of await this.#callsOf(view, effect, signal)) {
      minedAt = await this.#chain.send(call, signal).catch((cause: unknown) => skipAddedPart(call, cause, minedAt));
    }
    return { news: undefined, minedAt };
  }

  /** Both roles of a node share one computation. */
  #compute(view: ChainView, epoch: number, signal: AbortSignal): Promise<Computed> {
    if (view.computing?.epoch === epoch) return view.computing.result;
    const result = this.#computeCoupled(view, epoch, signal);
    const computing = { epoch, result };
    view.computing = computing;
    result.catch(() => {
      if (view.computing === computing) view.computing = undefined;
    });
    return result;
  }

  async #computeCoupled(view: ChainView, epoch: number, signal: AbortSignal): Promise<Computed> {
    const { onProgress, leaves } = this.#options;
    // Stakes, couplings and bases are read of one view, before anything is waited for.
    const [stakes, { book, clock, head }] = [view.graphsAt(epoch), view];
    const bases = await readBases(
      { book, epoch, seatCountAt: (topic, closed) => view.seatCountAt(topic, closed), memory: this.#memory },
      { exchange: leaves, patienceMs: patienceMsAt(clock, epoch, head.timestamp) },
      signal,
    );
    const graphs = coupleTopics(stakes, book.couplings, bases);
    const topics = await computeEpoch(graphs, { signal, ...(onProgress === undefined ? {} : { onProgress }) });
    this.#memory.prune(view.book);
    this.#memory.keep(topics);
    return { epoch, graphs, topics };
  }

  async #inspect(view: ChainView, candidateId: bigint, signal: AbortSignal) {
    const candidate = view.book.candidates.get(candidateId);
    if (candidate === undefined) return { kind: "none" } as const;
    const computed = await this.#compute(view, candidate.epoch, signal);
    const { graphs } = computed;
    const claimed = claimedTopicsOf(candidate, computed);
    const finding = findFault(claimed, graphs);
    const { leaves } = this.#options;
    if (finding.kind !== "unavailable" || leaves === undefined) return finding;
    // Nobody pays on chain for what a peer gives for nothing.
    const patienceMs = patienceMsAt(view.clock, candidate.epoch, view.head.timestamp);
    const wanted = { candidate, claimed, graphs, requester: this.#chain.address, patienceMs };
    const completed = await completeClaims(wanted, leaves, signal);
    // A later epoch may read these scores, and the chain does not show them.
    this.#memory.keep(completed.claimed);
    return completed.narrow(findFault(completed.claimed, graphs));
  }

  /** Whoever computed leaves that fit no transaction gives them to others, whether it commits their root or not. */
  #shelve(epoch: number, topics: readonly ComputedTopic[]): void {
    const { leaves, publisher } = this.#options;
    const limit = publisher?.maxLeavesBytes ?? MAX_LEAVES_BYTES;
    for (const { tree } of topics) if (tree.leafCount * LEAF_BYTES > limit) leaves?.keep(epoch, tree);
  }

  async #callsOf(
    view: ChainView,
    effect: Exclude<RoleEffect, { kind: "compute" | "inspect" }>,
    signal: AbortSignal,
  ): Promise<RoleCall[]> {
    switch (effect.kind) {
      case "commit": {
        const closingHash = await this.#chain.closingHash(effect.epoch, view.head, signal);
        const topics = effect.topics.map(({ topic, root, multiplier, shift }) => ({ topic, root, multiplier, shift }));
        const args = [this.#options.publisher?.agentId, closingHash, topics, bytesToHex(effect.leaves)];
        return [{ functionName: "commit", args }];
      }
      case "answer": {
        const { candidateId, topic, chunk, leaves, proof } = effect;
        return [{ functionName: "answerLeaves", args: [candidateId, topic, BigInt(chunk), leaves, proof] }];
      }
      case "finalize":
        return [{ functionName: "finalize", args: [effect.epoch, effect.topics] }];
      case "release":
        return [{ functionName: "releaseBond", args: [effect.candidateId] }];
      case "challenge":
        return challengeCalls(effect.candidateId, effect.challenge);
      case "request": {
        // The fee follows the block's base fee, which six full blocks double. All of it goes to whoever answers.
        const valueWei = 2n * (await this.#chain.requestFeeWei(signal));
        return [{ functionName: "requestLeaves", args: chunkArgs(effect), valueWei }];
      }
      case "strike":
        return [{ functionName: "strikeUnavailable", args: chunkArgs(effect) }];
      case "reclaim":
        return [{ functionName: "reclaimFee", args: chunkArgs(effect) }];
    }
  }
}

function chunkArgs({ candidateId, topic, chunk }: { candidateId: bigint; topic: bigint; chunk: number }) {
  return [candidateId, topic, BigInt(chunk)];
}

/** All that was read of one chain without a reorg. */
class ChainView {
  readonly clock: EpochClock;
  readonly machines: readonly Machine[];
  head: ReputationHead;
  book: EpochBook = emptyBook;
  /** Trust events of epochs that were not asked for yet: one running epoch's deals. */
  readonly later: TrustEvent[] = [];
  readonly #trust = new TrustFold();
  computing: { readonly epoch: number; readonly result: Promise<Computed> } | undefined;

  constructor(clock: EpochClock, machines: readonly Machine[], head: ReputationHead) {
    this.clock = clock;
    this.machines = machines;
    this.head = head;
  }

  fold(event: RoleEvent): void {
    switch (event.kind) {
      case "time":
      case "computed":
      case "inspected":
      case "done":
      case "failed":
        return;
      default:
        this.book = foldEpochEvent(this.book, event);
    }
  }

  /** Seats of a topic at the close of an epoch whose graphs were asked for, or of an earlier one. */
  seatCountAt(topic: bigint, epoch: number): number {
    return this.#trust.seatCountAt(topic, epoch);
  }

  /** @param epoch not before one that was asked for: the fold goes forward only */
  graphsAt(epoch: number): TopicGraph[] {
    if (epoch < this.#trust.epoch) {
      throw new SuretyError("DRIVER_EPOCH_PAST", `Epoch ${epoch} was folded over already.`, {
        values: { epoch, foldedEpoch: this.#trust.epoch },
        next: "Nothing: only the last closed epoch is computed.",
      });
    }
    const end = this.later.findIndex((event) => event.epoch > epoch);
    for (const event of this.later.splice(0, end < 0 ? this.later.length : end)) this.#trust.apply(event);
    return this.#trust.graphs();
  }
}

/** Leaves by whatever way they came: published with the commit, answered on request, or equal to our own. */
export function claimedTopicsOf(candidate: Candidate, { graphs, topics }: Omit<Computed, "epoch">): ClaimedTopic[] {
  const seatCountOf: SeatCounts = (topic) => graphs.find((graph) => graph.topic === topic)?.seatCount ?? 0;
  return candidate.topics.map((claimed) => {
    const own = topics.find(({ topic }) => topic === claimed.topic);
    const leaves = own?.root === claimed.root ? own.leaves : shownLeaves(candidate, claimed, seatCountOf);
    return { ...claimed, leaves };
  });
}

/**
 * Parts of a long row count on chain, for whoever sent them: one that no longer fits was added before we were
 * restarted. Whether the row is complete, the last call decides.
 */
function skipAddedPart({ functionName }: RoleCall, cause: unknown, minedAt: bigint): bigint {
  const isAdded = cause instanceof SuretyError && misfits.has(cause.code);
  if (functionName !== "addRowPart" || !isAdded) throw cause;
  return minedAt;
}

const misfits = new Set(["CALL_REVERTED_REPUTATION_EPOCHS_BAD_PROOF", "CALL_REVERTED_REPUTATION_EPOCHS_BAD_CHALLENGE"]);

/** The next head brings another try; what no retry mends ends the driver. */
function ignoreRetryable(cause: unknown): void {
  if (!(cause instanceof SuretyError && cause.isRetryable)) throw cause;
}

/** The promise's value, or another when it fails with what a retry may mend. */
async function retryable<T>(promise: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await promise;
  } catch (cause) {
    ignoreRetryable(cause);
    return otherwise;
  }
}

function toSuretyError(cause: unknown): SuretyError {
  if (cause instanceof SuretyError) return cause;
  return new SuretyError("ROLE_FAILED", "Something unforeseen failed.", {
    values: { detail: cause instanceof Error ? cause.message : String(cause) },
    next: "Report this with the cause.",
    cause,
  });
}
