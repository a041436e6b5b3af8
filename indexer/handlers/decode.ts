import { decodeAbiParameters, toEventSelector, type AbiEvent, type AbiParameter, type Hex } from "viem";
import {
  accept,
  anchorsAbi,
  credentialsAbi,
  dealDisputesAbi,
  dealEscrowAbi,
  evidenceSlasherAbi,
  feedbackRegistryAbi,
  identityRegistryAbi,
  ignore,
  jobEscrowAbi,
  jurorPanelAbi,
  ownerRecoveryAbi,
  reject,
  reputationEpochsAbi,
  stakeVaultAbi,
  tabEscrowAbi,
  trustLedgerAbi,
  validationRegistryAbi,
  windowValidatorsAbi,
  type Deployment,
  type Verdict,
} from "#protocol";

/** Contracts whose events the indexer folds, by their name in a Deployment. */
export const foldedAbis = {
  identityRegistry: identityRegistryAbi,
  stakeVault: stakeVaultAbi,
  evidenceSlasher: evidenceSlasherAbi,
  windowValidators: windowValidatorsAbi,
  dealEscrow: dealEscrowAbi,
  dealDisputes: dealDisputesAbi,
  jurorPanel: jurorPanelAbi,
  tabEscrow: tabEscrowAbi,
  credentials: credentialsAbi,
  anchors: anchorsAbi,
  ownerRecovery: ownerRecoveryAbi,
  trustLedger: trustLedgerAbi,
  reputationEpochs: reputationEpochsAbi,
  feedbackRegistry: feedbackRegistryAbi,
  validationRegistry: validationRegistryAbi,
  jobEscrow: jobEscrowAbi,
} as const;

export type ContractName = keyof typeof foldedAbis;

/** A log as the chain gave it. Hex is lower-case. */
export interface RawLog {
  readonly blockNumber: number;
  readonly blockHash: Hex;
  readonly transactionHash: Hex;
  readonly logIndex: number;
  readonly address: Hex;
  readonly topics: readonly Hex[];
  readonly payload: Hex;
}

export interface DecodedEvent {
  readonly contract: ContractName;
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
}

interface EventShape {
  readonly name: string;
  readonly indexed: readonly AbiParameter[];
  readonly plain: readonly AbiParameter[];
}

type Shapes = ReadonlyMap<Hex, EventShape>;
const shapesOf = Object.fromEntries(
  Object.entries(foldedAbis).map(([name, abi]) => [
    name,
    new Map((abi as readonly { type: string }[]).filter(isEvent).map((e) => [toEventSelector(e), shapeOf(e)])),
  ]),
) as unknown as Record<ContractName, Shapes>;

function isEvent(entry: { type: string }): entry is AbiEvent {
  return entry.type === "event";
}

function shapeOf(event: AbiEvent): EventShape {
  return {
    name: event.name,
    indexed: event.inputs.filter((input) => input.indexed === true),
    plain: event.inputs.filter((input) => input.indexed !== true),
  };
}

/** Decodes logs of one deployment. Selectors are hashed once, not per log: decoding is most of a backfill's work. */
export function createDecoder(contracts: Deployment["contracts"]): (log: RawLog) => Verdict<DecodedEvent> {
  const names = Object.keys(foldedAbis) as ContractName[];
  const contractOf = new Map(names.map((name) => [contracts[name].toLowerCase(), name]));
  return (log) => {
    const contract = contractOf.get(log.address);
    if (contract === undefined) return reject("LOG_FOREIGN_ADDRESS", `${log.address} is none of our contracts`);
    const [selector, ...words] = log.topics;
    const shape = selector === undefined ? undefined : shapesOf[contract].get(selector);
    if (shape === undefined) return ignore("LOG_UNKNOWN_EVENT", `${contract} has no event ${selector}`);
    if (words.length !== shape.indexed.length) return reject("LOG_TOPICS", `${words.length} topics of ${shape.name}`);
    try {
      return accept({ contract, name: shape.name, args: decodeArgs(shape, words, log.payload) });
    } catch {
      return reject("LOG_MALFORMED", `the log of ${shape.name} does not decode`);
    }
  };
}

function decodeArgs(shape: EventShape, words: readonly Hex[], payload: Hex): Record<string, unknown> {
  const args: Record<string, unknown> = {};
  shape.indexed.forEach((input, k) => {
    const word = words[k] as Hex;
    // An indexed string leaves only its hash.
    const isHashed = input.type === "string" || input.type === "bytes" || input.type.endsWith("]");
    args[input.name as string] = isHashed ? word : normalise(input, decodeAbiParameters([input], word)[0]);
  });
  if (shape.plain.length > 0) {
    const values: readonly unknown[] = decodeAbiParameters(shape.plain, payload);
    shape.plain.forEach((input, k) => (args[input.name as string] = normalise(input, values[k])));
  }
  return args;
}

/** Lower-cases addresses, which viem checksums: rows hold one form of hex. */
function normalise(parameter: AbiParameter, value: unknown): unknown {
  const item = /^(.*)\[\d*\]$/.exec(parameter.type)?.[1];
  if (item !== undefined) return (value as unknown[]).map((inner) => normalise({ ...parameter, type: item }, inner));
  if (parameter.type === "address") return (value as string).toLowerCase();
  if (parameter.type !== "tuple") return value;
  const { components } = parameter as { components: readonly AbiParameter[] };
  const fields = value as Record<string, unknown>;
  return Object.fromEntries(components.map((c) => [c.name, normalise(c, fields[c.name as string])]));
}
