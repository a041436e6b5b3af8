// A chain in memory that reorganises, resets, lags, fails and lies as a test tells it: what no real node does on demand.
// Its events are encoded with the contracts' own ABIs.
import { encodeAbiParameters, encodeEventTopics, keccak256, numberToHex, pad, toHex, type Abi, type Hex } from "viem";
import { foldedAbis, type ContractName, type RawLog } from "../../indexer/handlers/decode.ts";
import type { BlockRef } from "../../indexer/store/store.ts";
import type { ChainReader } from "../../indexer/sync/rpc.ts";
import { testDeployment } from "../fixtures/deployment.ts";

const address = (n: number) => pad(numberToHex(n), { size: 20 });

export const modelDeployment = testDeployment(
  {
    ...{ identityRegistry: address(0xa1), stakeVault: address(0xa2), dealEscrow: address(0xa3) },
    ...{
      trustLedger: address(0xa4),
      reputationEpochs: address(0xa5),
      structHashes: address(0xa6),
      token: address(0xa7),
      feedbackRegistry: address(0xa8),
      validationRegistry: address(0xa9),
      jobEscrow: address(0xaa),
      ...{ dealDisputes: address(0xab), tabEscrow: address(0xac), credentials: address(0xad), anchors: address(0xae) },
      ...{ ownerRecovery: address(0xaf), jurorPanel: address(0xb0) },
      ...{ evidenceSlasher: address(0xb1), windowValidators: address(0xb2) },
    },
  },
  3,
);

export interface ModelEvent {
  readonly contract: ContractName;
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
}

interface ModelBlock extends BlockRef {
  readonly logs: readonly RawLog[];
}

/** What an endpoint does wrong with its next answers. */
export type Fault = "fail" | "wrongBlockHash" | "oldLogs" | "noBlock";

export class ModelChain implements ChainReader {
  #blocks: ModelBlock[] = [];
  /** Makes blocks of the same height on two branches different. */
  #branch: number;
  /** The model calls everything final this deep below its head, as Ethereum does; 0 = its head, as Hardhat does. */
  readonly #finalDepth: number;
  readonly faults: Fault[] = [];
  /** The greatest height that it ever had. */
  maxHeight = 0;

  constructor(finalDepth: number, genesisBranch = 0) {
    this.#finalDepth = finalDepth;
    this.#branch = genesisBranch;
    this.mine([]);
  }

  get height(): number {
    return this.#blocks.length - 1;
  }

  get tip(): BlockRef {
    return this.#blocks[this.height] as ModelBlock;
  }

  mine(events: readonly ModelEvent[]): void {
    const number = this.#blocks.length;
    const parent = this.#blocks[number - 1];
    const parentHash = parent?.hash ?? pad("0x", { size: 32 });
    const hash = keccak256(toHex(`${parentHash} ${this.#branch} ${events.length}`));
    const logs = events.map((event, logIndex) => encodeLog(event, { number, hash, logIndex }));
    this.maxHeight = Math.max(this.maxHeight, number);
    this.#blocks.push({ number, hash, parentHash, timestamp: 1_000_000 + number * 12 + this.#branch, logs });
  }

  /** Drops blocks above a height. What is mined next is of another branch, or of the one that is named. */
  revertTo(height: number, branch = this.#branch + 1): void {
    this.#blocks = this.#blocks.slice(0, height + 1);
    this.#branch = branch;
  }

  /** Another chain with the same chain id and contracts. */
  reset(): void {
    this.#branch += 1_000;
    this.#blocks = [];
    this.mine([]);
  }

  async chainId(): Promise<number> {
    return modelDeployment.chainId;
  }

  async head(): Promise<BlockRef> {
    this.#failIfTold();
    return refOf(this.tip as ModelBlock);
  }

  async finalized(): Promise<number> {
    return Math.max(0, this.height - this.#finalDepth);
  }

  async header(number: number): Promise<BlockRef | undefined> {
    this.#failIfTold();
    if (this.#takeFault("noBlock")) return undefined;
    const block = this.#blocks[number];
    return block === undefined ? undefined : refOf(block);
  }

  async logsOfRange(from: number, to: number): Promise<RawLog[]> {
    this.#failIfTold();
    return this.#tamper(this.#blocks.slice(from, to + 1).flatMap(({ logs }) => logs));
  }

  async logsOfBlock({ hash }: Pick<BlockRef, "hash">): Promise<RawLog[]> {
    this.#failIfTold();
    const block = this.#blocks.find((one) => one.hash === hash);
    if (block === undefined) throw new Error(`no block ${hash}`);
    return this.#tamper([...block.logs]);
  }

  #failIfTold(): void {
    if (this.#takeFault("fail")) throw new Error("the endpoint is told to fail");
  }

  #tamper(logs: RawLog[]): RawLog[] {
    const [first] = logs;
    if (first === undefined) return logs;
    if (this.#takeFault("wrongBlockHash")) return logs.map((log) => ({ ...log, blockHash: keccak256(log.blockHash) }));
    // The log of another block slipped in.
    if (this.#takeFault("oldLogs")) return [{ ...first, blockNumber: first.blockNumber - 1 }, ...logs];
    return logs;
  }

  #takeFault(fault: Fault): boolean {
    if (this.faults[0] !== fault) return false;
    this.faults.shift();
    return true;
  }
}

function refOf({ number, hash, parentHash, timestamp }: ModelBlock): BlockRef {
  return { number, hash, parentHash, timestamp };
}

function encodeLog(
  { contract, name, args }: ModelEvent,
  place: { readonly number: number; readonly hash: Hex; readonly logIndex: number },
): RawLog {
  const abi = foldedAbis[contract] as Abi;
  const event = abi.find((entry) => entry.type === "event" && entry.name === name) as Extract<
    Abi[number],
    { type: "event" }
  >;
  const plain = event.inputs.filter((input) => input.indexed !== true);
  return {
    blockNumber: place.number,
    blockHash: place.hash,
    transactionHash: keccak256(toHex(`${place.hash} ${place.logIndex}`)),
    logIndex: place.logIndex,
    // Lower-case as endpoints give it, and as the reader hands it on.
    address: modelDeployment.contracts[contract].toLowerCase() as Hex,
    topics: encodeEventTopics({ abi: [event], eventName: name, args }) as Hex[],
    payload: encodeAbiParameters(
      plain,
      plain.map((input) => args[input.name as string]),
    ),
  };
}

const word = (n: number) => pad(numberToHex(n), { size: 32 });

/** Kinds of `eventOf`. */
export const EVENT_KIND_COUNT = 43;

interface Picked {
  readonly agentId: bigint;
  readonly small: number;
  readonly other: number;
  readonly topic: bigint;
  readonly deal: Hex;
}

/** Kinds from 14 on, so that histories that were kept mean what they meant. */
function laterEvents(pick: number, { agentId, small, other, topic, deal }: Picked): readonly ModelEvent[] {
  const of = (contract: ContractName, events: Readonly<Record<string, Record<string, unknown>>>): ModelEvent[] =>
    Object.entries(events).map(([name, args]) => ({ contract, name, args }));
  const tabId = word(0xe0 + (pick % 4));
  const [disputeId, round] = [BigInt(pick % 3), BigInt(pick % 2)];
  // Where a row subtracts it, nothing: in no order may a sum fall below zero, as it never does in the contracts.
  const amount = BigInt(pick);
  const taken = { agentId: small, module: address(2), reporter: address(3), amount, reward: 1n, stake: 5n, epoch: 1n };
  return [
    ...of("stakeVault", { Slashed: { ...taken, amount: 0n }, Seized: { ...taken, fromUnbonding: 0n } }),
    ...of("evidenceSlasher", {
      Punished: { agentId, offenceId: word(pick % 4), reporter: address(3), taken: amount, takenInAll: amount },
    }),
    ...of("windowValidators", {
      DoubleSigned: {
        ...{ agentId: small, offenceId: word(4 + (pick % 4)), reporter: address(3) },
        ...{ topic, window: pick, taken: amount },
      },
    }),
    ...of("dealEscrow", {
      DealDisputed: { dealId: deal, arbiter: address(pick), reasonHash: word(pick) },
      DealResolved: {
        ...{ dealId: deal, resolution: pick % 4, payee: address(3), toProvider: amount, toClient: 2n },
        rating: -(pick % 100),
      },
      DealPartReleased: { dealId: deal, payee: address(3), amount, released: amount * 2n },
      SplitPending: { dealId: deal, amount, pot: amount * 3n },
      ShareDistributed: { dealId: deal, account: address(pick), amount: 0n },
      LocalTrustSkipped: { dealId: deal },
      HookFailed: { dealId: deal, hook: address(5), selector: "0x01020304" },
    }),
    ...of("dealDisputes", {
      FeeDeposited: {
        dealId: deal,
        isClient: pick % 2 === 0,
        from: address(1),
        amount,
        stage: 1 + (pick % 3),
        feeBy: pick,
      },
      DisputeCreated: { dealId: deal, arbitrator: address(6), disputeId, cost: amount },
      Ruled: { dealId: deal, arbiter: address(6), ruling: BigInt(pick % 3) },
      FeesReturned: { dealId: deal, toClient: amount, toProvider: 0n },
    }),
    ...of("jurorPanel", {
      Enlisted: { agentId: small, amount, enlisted: amount, bonds: amount },
      DisputeCreation: { _disputeID: disputeId, _arbitrable: address(7) },
      DrawScheduled: { disputeId, round, jurors: 3n, seedBlock: 2n ** 60n, payer: address(1), fees: amount },
      JurorsDrawn: { disputeId, round, jurors: [small, other], commitUntil: 1, revealUntil: 2, appealUntil: 3 },
      VoteRevealed: { disputeId, round, agentId: small, choice: BigInt(pick % 3) },
    }),
    ...of("tabEscrow", {
      TabOpened: {
        ...{ tabId, clientAgentId: agentId, providerAgentId: BigInt(other), payer: address(pick), deposit: 2n ** 90n },
        tab: {
          ...{
            clientAgentId: agentId,
            providerAgentId: BigInt(other),
            topic,
            token: address(9),
            mechanismHash: word(1),
          },
          ...{ signerHash: word(2), expiry: 2 ** 40, challengePeriod: 60, salt: amount },
        },
      },
      TabClaimed: {
        ...{ tabId, payee: address(3), amount, paid: amount, seq: amount, satisfiedSum: pick, unsatisfiedSum: 1 },
        ...{ satisfied: 1, unsatisfied: 0 },
      },
      TabClosed: { tabId, payer: address(1), amount },
    }),
    ...of("credentials", {
      CredentialPresented: {
        ...{ agentId, operator: word(pick), owner: address(1), source: 0, level: 1, validUntil: 2 ** 40 },
      },
    }),
    ...of("anchors", {
      LogAnchored: { agentId, log: address(small), fromSeq: pick, toSeq: pick + 1, root: word(3), stateHead: word(0) },
    }),
    ...of("ownerRecovery", {
      RecoveryStarted: { agentId, newOwner: address(8), attempt: amount, tenure: 0, executableAt: 2 ** 40 },
    }),
    ...of("reputationEpochs", {
      LeavesRequested: {
        ...{ candidateId: BigInt(pick % 3), topic, chunk: 0n, requester: address(4), fee: amount, answerBy: pick },
      },
      LeavesAnswered: { candidateId: BigInt(pick % 3), topic, chunk: 0n, leaves: [amount, 2n ** 224n] },
      RequestFeeReclaimed: { candidateId: BigInt(pick % 3), topic, chunk: 0n, requester: address(4), fee: amount },
    }),
  ];
}

/** An event by two integers: every table that can change through several events is met. */
export function eventOf(kind: number, pick: number): ModelEvent {
  const agentId = BigInt(1 + (pick % 5));
  const small = Number(agentId);
  const other = 1 + ((pick + 1) % 5);
  const topic = BigInt(7 + (pick % 2));
  const deal = word(0xd0 + (pick % 4));
  const events: readonly ModelEvent[] = [
    {
      contract: "identityRegistry",
      name: "Transfer",
      args: { from: address(0), to: address(pick + 1), tokenId: agentId },
    },
    {
      contract: "identityRegistry",
      name: "Registered",
      args: { agentId, agentURI: `uri ${pick} é\u0000"'`, owner: address(pick + 1) },
    },
    {
      contract: "identityRegistry",
      name: "MetadataSet",
      args: {
        ...{ agentId, indexedMetadataKey: "agentWallet", metadataKey: pick % 2 === 0 ? "agentWallet" : `k${pick % 3}` },
        metadataValue: pick % 3 === 0 ? "0x" : address(pick),
      },
    },
    {
      contract: "identityRegistry",
      name: "SignerBound",
      args: {
        ...{ agentId, signerHash: word(pick % 6), purpose: word(1), signer: address(pick), validFrom: pick },
        validUntil: 2 ** 47 + pick,
      },
    },
    {
      contract: "identityRegistry",
      name: "SignerRevoked",
      args: { agentId, signerHash: word(pick % 6), invalidFrom: pick },
    },
    {
      contract: "stakeVault",
      name: "Staked",
      args: { agentId: small, from: address(1), amount: BigInt(pick), stake: 2n ** 255n + BigInt(pick), epoch: 1n },
    },
    {
      contract: "stakeVault",
      name: "Locked",
      args: { agentId: small, module: address(2), amount: BigInt(pick), locked: 0n },
    },
    {
      contract: "trustLedger",
      name: "Seated",
      args: { topic, agentId: small, seat: 1 + (pick % 9), epoch: BigInt(1 + (pick % 3)) },
    },
    {
      contract: "trustLedger",
      name: "Recorded",
      args: {
        ...{ topic, client: small, provider: other, satisfied: pick, unsatisfied: 1, weight: Math.max(0, pick - 1) },
        epoch: 1n,
      },
    },
    {
      contract: "dealEscrow",
      name: "DealFunded",
      args: {
        ...{ dealId: deal, clientAgentId: agentId, providerAgentId: BigInt(other), payer: address(pick) },
        deal: {
          ...{ clientAgentId: agentId, providerAgentId: BigInt(other), topic, token: address(9), price: 2n ** 200n },
          ...{ providerBond: 0n, clientBond: 0n, submitBy: 2 ** 40, reviewPeriod: 2 ** 32 - 1, arbiter: address(0) },
          ...{ arbiterDeadline: 0, mechanismHash: word(1), certificateHash: word(2), specHash: word(3) },
          ...{ splitsRoot: word(0), epoch: 0, hook: address(0), salt: BigInt(pick) },
        },
      },
    },
    {
      contract: "dealEscrow",
      name: "DealSubmitted",
      args: { dealId: deal, deliverableHash: word(pick), reviewUntil: pick },
    },
    {
      contract: "dealEscrow",
      name: "DealCompleted",
      args: { dealId: deal, payee: address(3), amount: 5n, rating: -(pick % 100) },
    },
    {
      contract: "reputationEpochs",
      name: "EpochCommitted",
      args: {
        ...{ epoch: 1 + (pick % 3), candidateId: BigInt(pick), publisher: small, closingBlockHash: word(pick) },
        ...{
          topics: [{ topic, root: word(pick), multiplier: 2n ** 63n, shift: 3 }],
          leaves: pick % 2 === 0 ? "0x" : word(pick),
        },
      },
    },
    {
      contract: "reputationEpochs",
      name: "CandidateStruck",
      args: {
        ...{ candidateId: BigInt(pick), fault: 1 + (pick % 6), challenger: address(4), publisher: small },
        ...{ slashed: 1n, reward: 1n },
      },
    },
    ...laterEvents(pick, { agentId, small, other, topic, deal }),
  ];
  return events[kind % events.length] as ModelEvent;
}
