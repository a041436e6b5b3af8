import {
  encodeAbiParameters,
  isAddressEqual,
  keccak256,
  numberToHex,
  parseAbi,
  parseEventLogs,
  zeroHash,
  type Address,
  type Hex,
} from "viem";
import { dealDisputesAbi, encodeHeader, jurorPanelAbi, SuretyError, type Deployment } from "#protocol";
import { withSignal } from "../chain/clock.ts";
import { unreachable, type ChainClient } from "../chain/connect.ts";
import type { ChainSender, Heads, WriteArgs, WriteName } from "../chain/port.ts";
import { revertDataOf } from "../chain/revert.ts";
import type { Store } from "../store/port.ts";
import type { Transport } from "../transport/port.ts";
import { fetchEvidence } from "./deliverables.ts";
import { readEvidenceNotice, type EvidenceBundle } from "./evidence.ts";
import { ownSender } from "./relay.ts";

// A juror's part in disputes, without a person: draw when the seed is mined, seal a vote and keep it, open it in its time,
// execute what is due, settle the rounds. The chain is read before each step; the vote and its salt alone are ours.

/** Decides a dispute by what its sides show: 0 refuses to arbitrate, 1 for the client, 2 for the provider. */
export type Vote = (dealId: Hex, evidence: readonly EvidenceBundle[], signal: AbortSignal) => Promise<0 | 1 | 2>;

export interface JurorOptions {
  readonly agentId: bigint;
  readonly client: ChainClient;
  readonly heads: Heads;
  readonly sender: ChainSender;
  /** Another account that sends, and pays the gas of, what anybody may: all but the sealed vote itself. */
  readonly relay?: ChainSender;
  readonly deployment: Deployment;
  readonly store: Store;
  readonly transport: Transport;
  readonly vote: Vote;
  readonly random: () => Hex;
  readonly chainTime: () => number;
  readonly onFault: (fault: unknown) => void;
  readonly onStep?: (step: string, disputeId: bigint) => void;
}

/** ERC-792: what an arbitrator does to who asked it. */
const arbitrableAbi = parseAbi(["function rule(uint256 disputeId, uint256 ruling)"]);
/** IJurorPanel.Stage. */
const stages = ["None", "Drawing", "Committing", "Revealing", "Appealing", "Due", "Ruled"] as const;
const MIGRATIONS = [
  `CREATE TABLE juror_vote (dispute_id TEXT NOT NULL, round INTEGER NOT NULL, choice INTEGER NOT NULL, salt TEXT NOT NULL,
     PRIMARY KEY (dispute_id, round)) WITHOUT ROWID, STRICT;
   CREATE TABLE juror_ended (dispute_id TEXT PRIMARY KEY) WITHOUT ROWID, STRICT;`,
];
/** Seconds before the end of committing at which a vote without evidence is better than none. */
const DECIDE_MARGIN_SECONDS = 30;
const FETCH_TIMEOUT_MS = 10_000;
/** A ruling that was refused for so long is not taken any more: by then every deal has had its default. */
const DELIVERY_PATIENCE_SECONDS = 30 * 86_400;

interface VoteRow {
  readonly choice: number;
  readonly salt: Hex;
}

/** Sits on panels for one agent. Failures are told and tried again with the next head. */
export class Juror {
  readonly #options: JurorOptions;
  readonly #lifetime = new AbortController();
  readonly #panel: { readonly address: Address; readonly abi: typeof jurorPanelAbi };
  #unsubscribe: () => void = () => undefined;
  #running: Promise<void> | undefined;
  #isDue = false;

  constructor(options: JurorOptions) {
    this.#options = options;
    this.#panel = { address: options.deployment.contracts.jurorPanel, abi: jurorPanelAbi };
    options.store.migrate("juror", MIGRATIONS);
  }

  start(): void {
    this.#unsubscribe = this.#options.heads.subscribe(() => this.#wake());
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#lifetime.abort(new SuretyError("JUROR_STOPPED", "The juror has stopped.", { next: "Start the node again." }));
    await this.#running;
  }

  #wake(): void {
    this.#isDue = true;
    if (this.#lifetime.signal.aborted) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    while (this.#isDue && !this.#lifetime.signal.aborted) {
      this.#isDue = false;
      const disputes = await this.#openDisputes().catch((fault: unknown) => this.#told(fault) ?? []);
      for (const id of disputes) await this.#advance(id).catch((fault: unknown) => this.#told(fault));
    }
  }

  #told(fault: unknown): undefined {
    if (!this.#lifetime.signal.aborted) this.#options.onFault(fault);
    return undefined;
  }

  async #openDisputes(): Promise<bigint[]> {
    const { client, deployment, store } = this.#options;
    const created = client.getContractEvents({
      ...this.#panel,
      eventName: "DisputeCreation",
      fromBlock: BigInt(deployment.deployedAtBlock),
    });
    const ended = store.prepare("SELECT 1 FROM juror_ended WHERE dispute_id = ?");
    return (await this.#ask(created))
      .map(({ args }) => args._disputeID ?? 0n)
      .filter((id) => ended.get(id.toString()) === undefined);
  }

  async #advance(id: bigint): Promise<void> {
    const { client, heads } = this.#options;
    const stage = stages[await this.#ask(client.readContract({ ...this.#panel, functionName: "stageOf", args: [id] }))];
    const [, , rounds] = await this.#ask(
      client.readContract({ ...this.#panel, functionName: "disputeOf", args: [id] }),
    );
    const round = rounds - 1n;
    const reading = client.readContract({ ...this.#panel, functionName: "roundOf", args: [id, round] });
    const [jurors, seedBlock, commitUntil] = await this.#ask(reading);
    const isOurs = jurors.includes(Number(this.#options.agentId));
    if (stage === "Drawing" && heads.latest().number > seedBlock) await this.#draw(id, seedBlock);
    else if (stage === "Committing" && isOurs) await this.#commit(id, round, commitUntil);
    else if (stage === "Revealing" && isOurs) await this.#reveal(id, round);
    else if (stage === "Due") await this.#send("executeRuling", [id], id);
    else if (stage === "Ruled") await this.#settle(id, rounds);
  }

  async #draw(id: bigint, seedBlock: bigint): Promise<void> {
    const block = await this.#ask(
      this.#options.client.request({ method: "eth_getBlockByNumber", params: [numberToHex(seedBlock), false] }),
    );
    await this.#send("draw", [id, encodeHeader(block as unknown as Record<string, unknown>)], id);
  }

  async #commit(id: bigint, round: bigint, commitUntil: number): Promise<void> {
    const [commitment] = await this.#voteOnChain(id, round);
    if (BigInt(commitment) !== 0n) return;
    const vote = this.#keptVote(id, round) ?? (await this.#decide(id, round, commitUntil));
    if (vote === undefined) return;
    await this.#send("commitVote", [id, Number(this.#options.agentId), this.#seal(id, round, vote)], id);
  }

  async #reveal(id: bigint, round: bigint): Promise<void> {
    const [commitment, , isRevealed] = await this.#voteOnChain(id, round);
    const vote = this.#keptVote(id, round);
    if (BigInt(commitment) === 0n || isRevealed || vote === undefined) return;
    await this.#send("revealVote", [id, Number(this.#options.agentId), BigInt(vote.choice), vote.salt], id);
  }

  /** Pays and slashes what is not settled yet; then the dispute is over for us. */
  async #settle(id: bigint, rounds: bigint): Promise<void> {
    const { client, store } = this.#options;
    for (let round = 0n; round < rounds; round++) {
      const reading = client.readContract({ ...this.#panel, functionName: "roundOf", args: [id, round] });
      const isSettled = (await this.#ask(reading))[6];
      if (!isSettled) await this.#send("settle", [id, round], id);
    }
    await this.#withdraw(id);
    if (await this.#awaitsDelivery(id, rounds - 1n)) return;
    store.transaction(() => store.prepare("INSERT OR IGNORE INTO juror_ended VALUES (?)").run(id.toString()));
  }

  /** Delivers a ruling that the arbitrable had refused, as soon as it would take it: trying is free, a refusal is not. */
  async #awaitsDelivery(id: bigint, lastRound: bigint): Promise<boolean> {
    const { client, chainTime } = this.#options;
    const read = { ...this.#panel, args: [id] } as const;
    const [arbitrable, , , ruling, isDelivered] = await this.#ask(
      client.readContract({ ...read, functionName: "disputeOf" }),
    );
    if (isDelivered) return false;
    const rule = { address: arbitrable, abi: arbitrableAbi, functionName: "rule", args: [id, ruling] } as const;
    const trial = client.simulateContract({ ...rule, account: this.#panel.address }).then(
      () => true,
      (cause: unknown) => {
        if (revertDataOf(cause) === undefined) throw cause;
        return false;
      },
    );
    if (await this.#ask(trial)) {
      await this.#send("deliver", [id], id);
      return false;
    }
    const reading = client.readContract({ ...this.#panel, functionName: "roundOf", args: [id, lastRound] });
    const [, , , , appealUntil] = await this.#ask(reading);
    return chainTime() < appealUntil + DELIVERY_PATIENCE_SECONDS;
  }

  /** Fees and bonds that the panel owes to our account. */
  async #withdraw(id: bigint): Promise<void> {
    const account = this.#options.sender.address;
    const reading = this.#options.client.readContract({ ...this.#panel, functionName: "creditOf", args: [account] });
    const [fees, bonds] = await this.#ask(reading);
    if (fees > 0n || bonds > 0n) await this.#send("withdrawCredit", [account], id);
  }

  #voteOnChain(id: bigint, round: bigint) {
    const args = [id, round, Number(this.#options.agentId)] as const;
    return this.#ask(this.#options.client.readContract({ ...this.#panel, functionName: "voteOf", args }));
  }

  #keptVote(id: bigint, round: bigint): VoteRow | undefined {
    const sql = "SELECT choice, salt FROM juror_vote WHERE dispute_id = ? AND round = ?";
    return this.#options.store.prepare<VoteRow>(sql).get(id.toString(), Number(round));
  }

  /** Waits for both sides' evidence, but not longer than it can; the vote is on disk before its seal leaves. */
  async #decide(id: bigint, round: bigint, commitUntil: number): Promise<VoteRow | undefined> {
    const { store, random, vote, chainTime } = this.#options;
    const { dealId, evidence } = await this.#evidenceOf(id);
    if (evidence.length < 2 && chainTime() < commitUntil - DECIDE_MARGIN_SECONDS) return undefined;
    const choice = await withSignal(vote(dealId, evidence, this.#lifetime.signal), this.#lifetime.signal);
    const row = { choice, salt: random() };
    store.transaction(() =>
      store.prepare("INSERT INTO juror_vote VALUES (?, ?, ?, ?)").run(id.toString(), Number(round), choice, row.salt),
    );
    return row;
  }

  #seal(id: bigint, round: bigint, { choice, salt }: VoteRow): Hex {
    const word = { type: "uint256" } as const;
    const types = [word, word, { type: "uint32" }, word, { type: "bytes32" }] as const;
    return keccak256(encodeAbiParameters(types, [id, round, Number(this.#options.agentId), BigInt(choice), salt]));
  }

  /** One checked bundle a side, of those that the sides' notices on chain name. */
  async #evidenceOf(id: bigint): Promise<{ dealId: Hex; evidence: EvidenceBundle[] }> {
    const { client, transport, deployment } = this.#options;
    const reading = client.readContract({ ...this.#panel, functionName: "disputeOf", args: [id] });
    const [arbitrable] = await this.#ask(reading);
    // Anybody may quarrel before the panel; of deals we know where to read, of nothing else.
    if (!isAddressEqual(arbitrable, deployment.contracts.dealDisputes)) return { dealId: zeroHash, evidence: [] };
    const disputes = { address: arbitrable, abi: dealDisputesAbi } as const;
    const args = [this.#panel.address, id] as const;
    const dealId = await this.#ask(client.readContract({ ...disputes, functionName: "dealOfDispute", args }));
    const range = { address: arbitrable, fromBlock: BigInt(deployment.deployedAtBlock) };
    const logs = parseEventLogs({
      abi: dealDisputesAbi,
      eventName: "Evidence",
      logs: await this.#ask(client.getLogs(range)),
    });
    const bundles = new Map<string, EvidenceBundle>();
    for (const { args: said } of logs.filter((log) => log.args._evidenceGroupID === BigInt(dealId))) {
      const notice = readEvidenceNotice(said._evidence);
      if (notice.kind !== "accept") continue;
      const signal = AbortSignal.any([this.#lifetime.signal, AbortSignal.timeout(FETCH_TIMEOUT_MS)]);
      const bundle = await fetchEvidence(transport, notice.value.peer, notice.value.hash, signal);
      if (bundle.kind === "accept" && bundle.value.dealId === dealId) bundles.set(bundle.value.role, bundle.value);
    }
    return { dealId, evidence: [...bundles.values()] };
  }

  /** What another juror did first is no fault. */
  async #send<F extends WriteName<typeof jurorPanelAbi>>(
    functionName: F,
    args: WriteArgs<typeof jurorPanelAbi, F>,
    id: bigint,
  ): Promise<void> {
    const { sender, relay, heads, onStep } = this.#options;
    const call = { ...this.#panel, functionName, args, isOnce: true };
    const own = ownSender(sender, relay);
    const account = functionName === "commitVote" ? own : (relay ?? sender);
    try {
      await account.send(call, this.#lifetime.signal);
      onStep?.(functionName, id);
    } catch (fault) {
      const isOvertaken =
        fault instanceof SuretyError &&
        /^CALL_REVERTED_JUROR_PANEL_(WRONG_STAGE|SETTLED|VOTED|DELIVERED)/.test(fault.code);
      if (!isOvertaken) throw fault;
    }
    await heads.refresh(this.#lifetime.signal);
  }

  async #ask<T>(answer: Promise<T>): Promise<T> {
    try {
      return await withSignal(answer, this.#lifetime.signal);
    } catch (cause) {
      this.#lifetime.signal.throwIfAborted();
      throw unreachable(cause);
    }
  }
}

/** Whether an agent sits on the panel of a deal's dispute: who may read the evidence beside the two sides. */
export function createJuryReader({ client, deployment }: Pick<JurorOptions, "client" | "deployment">) {
  const panel = { address: deployment.contracts.jurorPanel, abi: jurorPanelAbi } as const;
  return async (disputes: Address, dealId: Hex, agentId: bigint, signal: AbortSignal): Promise<boolean> => {
    const fromBlock = BigInt(deployment.deployedAtBlock);
    const created = client.getContractEvents({
      ...{ address: disputes, abi: dealDisputesAbi, eventName: "DisputeCreated", fromBlock },
      args: { dealId, arbitrator: panel.address },
    });
    for (const { args } of await withSignal(created, signal)) {
      const id = args.disputeId ?? 0n;
      const reading = client.readContract({ ...panel, functionName: "disputeOf", args: [id] });
      const [, , rounds] = await withSignal(reading, signal);
      for (let round = 0n; round < rounds; round++) {
        const query = client.readContract({ ...panel, functionName: "roundOf", args: [id, round] });
        if ((await withSignal(query, signal))[0].includes(Number(agentId))) return true;
      }
    }
    return false;
  };
}
