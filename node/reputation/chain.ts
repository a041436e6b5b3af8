import { randomBytes } from "node:crypto";
import {
  BlockNotFoundError,
  bytesToHex,
  decodeEventLog,
  encodeFunctionData,
  hexToBytes,
  type Abi,
  type Address,
  type Hex,
  type Log,
  type PublicClient,
} from "viem";
import {
  faults,
  reportCommitmentOf,
  reputationEpochsAbi,
  stakeVaultAbi,
  startOfEpoch,
  SuretyError,
  trustLedgerAbi,
  type Deployment,
  type EpochClock,
} from "#protocol";
import type { EpochEvent } from "./book.ts";
import type { TrustEvent } from "./graph.ts";
import type { ReputationChain, ReputationHead, ReputationLog, RoleCall } from "./port.ts";

/** Watches heads; Heads of node/chain is one. */
export interface HeadSource {
  latest(): ReputationHead;
  next(seen: ReputationHead, signal: AbortSignal): Promise<ReputationHead>;
  refresh(signal: AbortSignal): Promise<ReputationHead>;
}

/** Sends and waits until mined; ChainSender of node/chain is one. */
export interface CallSender {
  readonly address: Address;
  send(
    call: {
      readonly abi: Abi;
      readonly address: Address;
      readonly functionName: string;
      readonly args: readonly unknown[];
      readonly valueWei?: bigint;
    },
    signal: AbortSignal,
  ): Promise<{ readonly blockNumber: bigint }>;
}

/** What of viem's public client is used. */
export type ReputationClient = Pick<PublicClient, "getBlock" | "getLogs" | "readContract">;

export interface ReputationChainOptions {
  readonly client: ReputationClient;
  readonly deployment: Deployment;
  readonly heads: HeadSource;
  readonly sender: CallSender;
  /** Blocks that must follow before a block counts: an epoch is committed only when its closing block is final. Default 0. */
  readonly confirmations?: number;
  /** 32 bytes that nobody can guess, one for each report. Default: of the system's generator. */
  readonly createSalt?: () => Hex;
}

/** ReputationEpochs, TrustLedger and StakeVault of one deployment, for publisher and watcher. */
export function createReputationChain(options: ReputationChainOptions): ReputationChain {
  return new ViemReputationChain(options);
}

class ViemReputationChain implements ReputationChain {
  readonly #client: ReputationClient;
  readonly #contracts: Deployment["contracts"];
  readonly #heads: HeadSource;
  readonly #sender: CallSender;
  readonly #confirmations: bigint;
  readonly #createSalt: () => Hex;
  readonly firstBlock: bigint;
  #clock: EpochClock | undefined;
  /** The head as the source gave it, by the confirmed head that was made of it. */
  readonly #sourceOf = new WeakMap<ReputationHead, ReputationHead>();

  constructor({ client, deployment, heads, sender, confirmations = 0, createSalt }: ReputationChainOptions) {
    this.#client = client;
    this.#contracts = deployment.contracts;
    this.#heads = heads;
    this.#sender = sender;
    this.#confirmations = BigInt(confirmations);
    this.#createSalt = createSalt ?? (() => bytesToHex(randomBytes(32)));
    this.firstBlock = BigInt(deployment.deployedAtBlock);
  }

  get address(): Address {
    return this.#sender.address;
  }

  async clock(signal: AbortSignal): Promise<EpochClock> {
    if (this.#clock === undefined) {
      const { trustLedger: address } = this.#contracts;
      const [genesis, length] = await Promise.all([
        ask(this.#client.readContract({ address, abi: trustLedgerAbi, functionName: "genesis" }), signal),
        ask(this.#client.readContract({ address, abi: trustLedgerAbi, functionName: "epochLength" }), signal),
      ]);
      this.#clock = { genesis: Number(genesis), epochLengthSeconds: Number(length) };
    }
    return this.#clock;
  }

  async nextHead(seen: ReputationHead | undefined, signal: AbortSignal): Promise<ReputationHead> {
    const source =
      seen === undefined ? this.#heads.latest() : await this.#heads.next(this.#sourceOf.get(seen) ?? seen, signal);
    return await this.#confirmed(source, signal);
  }

  async refreshHead(signal: AbortSignal): Promise<ReputationHead> {
    return await this.#confirmed(await this.#heads.refresh(signal), signal);
  }

  async hashAt(blockNumber: bigint, signal: AbortSignal): Promise<Hex | undefined> {
    try {
      return (await ask(this.#client.getBlock({ blockNumber }), signal)).hash;
    } catch (cause) {
      if (cause instanceof SuretyError && cause.cause instanceof BlockNotFoundError) return undefined;
      throw cause;
    }
  }

  async readLogs(fromBlock: bigint, toBlock: bigint, signal: AbortSignal): Promise<ReputationLog[]> {
    const { trustLedger, stakeVault, reputationEpochs } = this.#contracts;
    const address = [trustLedger, stakeVault, reputationEpochs];
    const logs = await ask(this.#client.getLogs({ address, fromBlock, toBlock }), signal);
    return logs
      .toSorted((a, b) => Number(a.blockNumber - b.blockNumber) || a.logIndex - b.logIndex)
      .flatMap((log) => decodeReputationLog(log, this.#contracts) ?? []);
  }

  async closingHash(epoch: number, head: ReputationHead, signal: AbortSignal): Promise<Hex> {
    const closesAt = startOfEpoch(await this.clock(signal), epoch + 1);
    let low = this.firstBlock;
    let high = head.number;
    // INVARIANT: the block at `low` is before the close, or none is; the last block before the close is in [low, high].
    while (low < high) {
      const middle = (low + high + 1n) / 2n;
      const { timestamp } = await ask(this.#client.getBlock({ blockNumber: middle }), signal);
      if (Number(timestamp) < closesAt) low = middle;
      else high = middle - 1n;
    }
    return (await ask(this.#client.getBlock({ blockNumber: low }), signal)).hash;
  }

  async requestFeeWei(signal: AbortSignal): Promise<bigint> {
    const { baseFeePerGas } = await ask(this.#client.getBlock({ blockTag: "latest" }), signal);
    const { reputationEpochs: address } = this.#contracts;
    const args = [baseFeePerGas ?? 0n] as const;
    return await ask(
      this.#client.readContract({ address, abi: reputationEpochsAbi, functionName: "requestFeeAt", args }),
      signal,
    );
  }

  async send(call: RoleCall, signal: AbortSignal): Promise<bigint> {
    if (strikes.has(call.functionName)) return await this.#report(call, signal);
    const { blockNumber } = await this.#sender.send(
      { abi: reputationEpochsAbi, address: this.#contracts.reputationEpochs, ...call },
      signal,
    );
    return blockNumber;
  }

  /** Reserves what strikes, and shows it in a later block: whoever copies it then strikes for nothing. */
  async #report({ functionName, args }: RoleCall, signal: AbortSignal): Promise<bigint> {
    const { reputationEpochs: module, stakeVault: address } = this.#contracts;
    const abi: Abi = reputationEpochsAbi;
    const call = encodeFunctionData({ abi, functionName, args });
    const salt = this.#createSalt();
    const commitment = reportCommitmentOf({ reporter: this.#sender.address, module, call, salt });
    const onVault = (name: string, given: readonly unknown[]) =>
      this.#sender.send({ abi: stakeVaultAbi, address, functionName: name, args: given }, signal);
    await onVault("reserve", [commitment]);
    return (await onVault("report", [module, call, salt])).blockNumber;
  }

  async #confirmed(source: ReputationHead, signal: AbortSignal): Promise<ReputationHead> {
    if (this.#confirmations === 0n) return source;
    const depth = source.number - this.#confirmations;
    const blockNumber = depth > this.firstBlock ? depth : this.firstBlock;
    const { number, hash, timestamp } = await ask(this.#client.getBlock({ blockNumber }), signal);
    const head = { number, hash, timestamp: Number(timestamp) };
    this.#sourceOf.set(head, source);
    return head;
  }
}

/** One log of our three contracts as the roles' event; undefined for events that none of them acts upon. */
export function decodeReputationLog(
  log: Pick<Log, "address" | "data" | "topics">,
  contracts: Deployment["contracts"],
): ReputationLog | undefined {
  const address = log.address.toLowerCase();
  if (address === contracts.trustLedger.toLowerCase()) return fromTrust(decodeLedgerLog(log));
  if (address === contracts.stakeVault.toLowerCase()) return fromTrust(decodeVaultLog(log));
  if (address !== contracts.reputationEpochs.toLowerCase()) return undefined;
  const event = decodeEpochsLog(log);
  return event === undefined ? undefined : { source: "epochs", event };
}

type RawLog = Pick<Log, "data" | "topics">;

function fromTrust(event: TrustEvent | undefined): ReputationLog | undefined {
  return event === undefined ? undefined : { source: "trust", event };
}

function decodeLedgerLog({ data, topics }: RawLog): TrustEvent | undefined {
  const { eventName, args } = decodeEventLog({ abi: trustLedgerAbi, data, topics });
  if (eventName === "Seated") {
    const { topic, agentId, seat, epoch } = args;
    return { kind: "seated", topic, agentId, seat, epoch: Number(epoch) };
  }
  if (eventName !== "Recorded") return undefined;
  return { kind: "recorded", ...args, epoch: Number(args.epoch) };
}

function decodeVaultLog({ data, topics }: RawLog): TrustEvent | undefined {
  const { eventName, args } = decodeEventLog({ abi: stakeVaultAbi, data, topics });
  switch (eventName) {
    case "Staked":
    case "UnbondingStarted":
    case "Rebonded":
    case "Slashed":
    case "Seized":
      return { kind: "stake", agentId: args.agentId, stakeWei: args.stake, epoch: Number(args.epoch) };
    default:
      return undefined;
  }
}

function decodeEpochsLog({ data, topics: signature }: RawLog): EpochEvent | undefined {
  const { eventName, args } = decodeEventLog({ abi: reputationEpochsAbi, data, topics: signature });
  switch (eventName) {
    case "EpochCommitted": {
      const { epoch, candidateId, publisher, topics, leaves } = args;
      return { kind: "committed", candidateId, epoch, publisher, topics, leaves: hexToBytes(leaves) };
    }
    case "CandidateStruck": {
      const { candidateId, fault, challenger, reward } = args;
      return { kind: "struck", candidateId, fault: faults[fault] ?? "row", challenger, rewardWei: reward };
    }
    case "LeavesRequested": {
      const { candidateId, topic, chunk, requester, answerBy } = args;
      return { kind: "requested", candidateId, topic, chunk: Number(chunk), requester, answerBy };
    }
    case "LeavesAnswered": {
      const { candidateId, topic, chunk, leaves } = args;
      return { kind: "answered", candidateId, topic, chunk: Number(chunk), leaves };
    }
    case "RequestFeeReclaimed":
      return { kind: "reclaimed", candidateId: args.candidateId, topic: args.topic, chunk: Number(args.chunk) };
    case "CouplingsSet":
      return { kind: "coupled", couplings: args };
    case "TopicFinalized": {
      const { topic, epoch, candidateId, leafCount, finalizedIn } = args;
      return { kind: "finalized", topic, epoch, candidateId, leafCount, finalizedIn };
    }
    case "BondReleased":
      return { kind: "released", candidateId: args.candidateId };
    default:
      return undefined;
  }
}

/** The calls that strike, and pay who reserved them. Parts of a row only prepare one. */
const strikes: ReadonlySet<string> = new Set([
  "challengeRow",
  "challengeLongRow",
  "challengeSum",
  "challengeEdge",
  "challengeSeat",
  "challengePrior",
  "strikeUnavailable",
]);

/** An RPC answer, or the signal's reason if that comes first. */
async function ask<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason as Error);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([answer, aborted]);
  } catch (cause) {
    answer.catch(() => undefined);
    signal.throwIfAborted();
    throw new SuretyError("CHAIN_UNREACHABLE", "The chain did not answer.", {
      values: { detail: cause instanceof Error ? cause.message.split("\n")[0] : String(cause) },
      next: "Check that the RPC URL is right and its server is up.",
      isRetryable: true,
      cause,
    });
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
