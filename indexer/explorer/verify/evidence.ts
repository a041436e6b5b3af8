import { decodeFunctionData, type Abi, type DecodeFunctionDataReturnType, type Hex } from "viem";
import {
  evidenceSlasherAbi,
  headerDigest,
  recoverSigner,
  signatureIn,
  stakeVaultAbi,
  typedDataDigest,
  windowValidatorsAbi,
  type BatchHeader,
  type LogHeader,
} from "#protocol";
import { readEvents } from "../../../scripts/audit/logs.ts";
import type { MetaBlock } from "../api.ts";
import { compare, verifyBlock, type Chain } from "./chain.ts";
import type { ForkClaim, Step } from "./claims.ts";

/** Both of what one key signed, as a report showed them to the chain. */
type Pair = { readonly signatures: readonly [Hex, Hex] } & (
  | { readonly offence: "Equivocation"; readonly headers: readonly [LogHeader, LogHeader] }
  | { readonly offence: "DoubleSigning"; readonly headers: readonly [BatchHeader, BatchHeader] }
);

/** One report as the chain holds it. */
interface Report {
  readonly agentId: string;
  readonly taken: bigint;
  readonly transaction: Hex;
}

/** Reads both headers from the report itself, lays them side by side, and recovers who signed each. */
export async function* verifyFork(chain: Chain, claim: ForkClaim, block: MetaBlock): AsyncGenerator<Step, void, void> {
  yield* verifyBlock(chain, block);
  const reports = await readReports(chain, claim, BigInt(block.number));
  const [first] = reports;
  yield compare("agent", claim.agent?.id.split(":")[1], first?.agentId);
  yield compare("stake that it cost", claim.taken, reports.at(-1)?.taken);
  yield compare("shown in", claim.transaction, first?.transaction);
  if (first === undefined) return;
  const { input } = await chain.client.getTransaction({ hash: first.transaction });
  const pair = pairIn(input);
  if (pair === undefined) {
    const detail = "the report came through another contract: its calldata does not hold the headers by themselves";
    yield { name: "headers", isOk: false, detail, about: "chain" };
    return;
  }
  yield compare("offence", claim.offence, pair.offence);
  yield* layOut(pair);
  yield* verifySigners(chain, pair);
}

/** What the judge of such offences recorded under this name, in its order. */
async function readReports({ client, deployment }: Chain, claim: ForkClaim, toBlock: bigint): Promise<Report[]> {
  const { evidenceSlasher, windowValidators } = deployment.contracts;
  const range = { args: { offenceId: claim.id }, fromBlock: BigInt(deployment.deployedAtBlock), toBlock };
  if (claim.offence === "DoubleSigning") {
    const at = { abi: windowValidatorsAbi, address: windowValidators, eventName: "DoubleSigned" } as const;
    const events = await readEvents(client, { ...at, ...range });
    return events.map(({ args, transactionHash }) => ({
      ...{ agentId: String(args.agentId), taken: args.taken, transaction: transactionHash },
    }));
  }
  const at = { abi: evidenceSlasherAbi, address: evidenceSlasher, eventName: "Punished" } as const;
  const events = await readEvents(client, { ...at, ...range });
  return events.map(({ args, transactionHash }) => ({
    ...{ agentId: String(args.agentId), taken: args.takenInAll, transaction: transactionHash },
  }));
}

/** A report is sent to its judge directly, or through the vault that pays the reporter. */
function pairIn(input: Hex): Pair | undefined {
  const outer = decoded(stakeVaultAbi, input);
  const call = outer?.functionName === "report" ? outer.args[1] : input;
  const fork = decoded(evidenceSlasherAbi, call);
  if (fork?.functionName === "reportEquivocation") {
    const [one, other] = fork.args;
    return {
      offence: "Equivocation",
      signatures: [signatureIn(one), signatureIn(other)],
      headers: [one.header, other.header],
    };
  }
  const doubled = decoded(windowValidatorsAbi, call);
  if (doubled?.functionName !== "reportDoubleSigning") return undefined;
  const [one, other] = doubled.args;
  return {
    offence: "DoubleSigning",
    signatures: [one.signature, other.signature],
    headers: [one.header, other.header],
  };
}

/** @returns undefined where the call is none of the contract's */
function decoded<const A extends Abi>(abi: A, data: Hex): DecodeFunctionDataReturnType<A> | undefined {
  try {
    return decodeFunctionData({ abi, data });
  } catch {
    return undefined;
  }
}

/** Field by field: what is the same in both, and where they part. */
function* layOut({ headers: [one, other] }: Pair): Generator<Step, void, void> {
  for (const [name, value] of Object.entries(one)) {
    const [left, right] = [String(value), String(other[name as keyof typeof other])];
    yield { name, isOk: true, detail: left === right ? left : `${left} in one, ${right} in the other`, about: "chain" };
  }
}

function* verifySigners({ deployment }: Chain, pair: Pair): Generator<Step, void, void> {
  const domain = { chainId: deployment.chainId, ...deployment.contracts };
  const digests =
    pair.offence === "Equivocation"
      ? pair.headers.map((header) => headerDigest(header, domain))
      : pair.headers.map((header) => typedDataDigest("BatchHeader", header, domain));
  const [a, b] = digests as [Hex, Hex];
  yield { name: "two headers", isOk: a !== b, detail: `they hash to ${a} and ${b}`, about: "chain" };
  const [one, other] = [signerOf(a, pair.signatures[0]), signerOf(b, pair.signatures[1])];
  const isOne = one !== undefined && one === other;
  const detail = isOne ? `${one} signed both` : `${one ?? "nobody"} signed one, ${other ?? "nobody"} the other`;
  yield { name: "one key", isOk: isOne, detail, about: "chain" };
}

function signerOf(digest: Hex, signature: Hex): string | undefined {
  const signer = recoverSigner(digest, signature);
  return signer.kind === "accept" ? signer.value : undefined;
}
