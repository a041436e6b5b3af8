import { decodeFunctionData, type Hex } from "viem";
import {
  evidenceSlasherAbi,
  headerDigest,
  recoverSigner,
  stakeVaultAbi,
  typedDataDigest,
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

/** Reads both headers from the report itself, lays them side by side, and recovers who signed each. */
export async function* verifyFork(chain: Chain, claim: ForkClaim, block: MetaBlock): AsyncGenerator<Step, void, void> {
  yield* verifyBlock(chain, block);
  const { client, deployment } = chain;
  const address = deployment.contracts.evidenceSlasher;
  const events = await readEvents(client, {
    ...{ abi: evidenceSlasherAbi, address, eventName: "Punished", args: { offenceId: claim.id } },
    ...{ fromBlock: BigInt(deployment.deployedAtBlock), toBlock: BigInt(block.number) },
  });
  const [first] = events;
  yield compare("agent", claim.agent?.id.split(":")[1], first?.args.agentId);
  yield compare("stake that it cost", claim.taken, events.at(-1)?.args.takenInAll);
  yield compare("shown in", claim.transaction, first?.transactionHash);
  if (first === undefined) return;
  const { input } = await client.getTransaction({ hash: first.transactionHash });
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

/** A report is sent to the slasher directly, or through the vault that pays the reporter. */
function pairIn(input: Hex): Pair | undefined {
  try {
    return pairOfReport(input);
  } catch {
    try {
      const { functionName, args } = decodeFunctionData({ abi: stakeVaultAbi, data: input });
      return functionName === "report" ? pairOfReport(args[1]) : undefined;
    } catch {
      return undefined;
    }
  }
}

function pairOfReport(call: Hex): Pair | undefined {
  const { functionName, args } = decodeFunctionData({ abi: evidenceSlasherAbi, data: call });
  if (functionName !== "reportEquivocation" && functionName !== "reportDoubleSigning") return undefined;
  const [one, other] = args;
  const signatures = [one.signature, other.signature] as const;
  return functionName === "reportEquivocation"
    ? { offence: "Equivocation", signatures, headers: [one.header as LogHeader, other.header as LogHeader] }
    : { offence: "DoubleSigning", signatures, headers: [one.header as BatchHeader, other.header as BatchHeader] };
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
