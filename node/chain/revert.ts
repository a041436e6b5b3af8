import { decodeErrorResult, type Abi, type AbiParameter, type Hex } from "viem";
import {
  dealDisputesAbi,
  dealEscrowAbi,
  evidenceSlasherAbi,
  identityRegistryAbi,
  jurorPanelAbi,
  logEvidenceAbi,
  reputationEpochsAbi,
  rulingSlasherAbi,
  stakeVaultAbi,
  SuretyError,
  tabEscrowAbi,
  testTokenAbi,
  trustLedgerAbi,
  windowValidatorsAbi,
} from "#protocol";

/** Every custom error of our contracts, once each: a call may revert with the error of a contract further down. */
const errorAbi: Abi = [
  ...new Map(
    [
      identityRegistryAbi,
      dealEscrowAbi,
      dealDisputesAbi,
      tabEscrowAbi,
      trustLedgerAbi,
      stakeVaultAbi,
      reputationEpochsAbi,
      evidenceSlasherAbi,
      logEvidenceAbi,
      jurorPanelAbi,
      rulingSlasherAbi,
      windowValidatorsAbi,
      testTokenAbi,
    ]
      .flatMap((abi) => abi.filter((entry) => entry.type === "error"))
      .map((entry) => [`${entry.name}(${entry.inputs.map((input) => input.type).join()})`, entry]),
  ).values(),
];

/** What a reader does about an error, by how its name ends. */
const NEXT_STEPS: readonly (readonly [suffix: string, next: string, isRetryable: boolean])[] = [
  ["WrongState", "Read the state again: somebody else moved it first.", false],
  ["TooEarly", "Wait until the given second of block time, then try again.", true],
  ["TooLate", "The deadline has passed; read the state for what is still possible.", false],
  ["InvalidSigner", "Bind the signer to the agent for the purpose LOG, or sign with one that is bound.", false],
  ["BadSignature", "Sign the same struct under this chain's and this contract's domain.", false],
  ["InsufficientBalance", "Give the account enough of the token.", true],
  ["InsufficientAllowance", "Approve the contract for at least the amount.", true],
  ["NotAuthorized", "Send it from the agent's owner, or from an account that it has approved.", false],
  ["NothingUnbonding", "Start unbonding first: `surety stake unbond`.", false],
  ["NotParty", "Send it from the owner or operator of a party to the deal.", false],
];

/** The bytes that the EVM gave back, if this error is a revert; "0x" for a revert without any. */
export function revertDataOf(error: unknown): Hex | undefined {
  let isRevert = false;
  for (let at = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth++) {
    const { data } = at as { data?: unknown };
    const hex = typeof data === "object" && data !== null && "data" in data ? data.data : data;
    if (typeof hex === "string" && /^0x([0-9a-f]{2})+$/i.test(hex)) return hex as Hex;
    const { code, details } = at as { code?: unknown; details?: unknown };
    isRevert ||= code === 3 || /revert/i.test(`${at.message} ${String(details)}`);
  }
  return isRevert ? "0x" : undefined;
}

/**
 * A revert as our error: code `CALL_REVERTED_` and the contract's own error name in SCREAMING_SNAKE_CASE; its
 * arguments by name under `values`, with the name itself as `error`.
 */
export function revertErrorOf(functionName: string, revertData: Hex, cause?: unknown): SuretyError {
  const { name, args } = decodeRevert(revertData);
  const step = NEXT_STEPS.find(([suffix]) => name.endsWith(suffix));
  const details = Object.entries(args).map(([key, value]) => `${key} ${String(value)}`);
  return new SuretyError(
    `CALL_REVERTED_${name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").toUpperCase()}`,
    `${functionName} was refused: ${name}${details.length > 0 ? ` (${details.join(", ")})` : ""}.`,
    {
      values: { functionName, error: name, ...args },
      next: step?.[1] ?? "Compare the given values with what the contract's interface allows.",
      isRetryable: step?.[2] ?? false,
      cause,
    },
  );
}

function decodeRevert(revertData: Hex): { name: string; args: Record<string, unknown> } {
  if (revertData === "0x") return { name: "WithoutReason", args: {} };
  try {
    // Error(string) and Panic(uint256) are known to viem beside the ABI.
    const { errorName, args, abiItem } = decodeErrorResult({ abi: errorAbi, data: revertData });
    const inputs = (abiItem as { inputs?: readonly AbiParameter[] }).inputs ?? [];
    const values = args ?? [];
    return {
      name: errorName,
      args: Object.fromEntries(inputs.map((input, i) => [input.name || `arg${i}`, values[i]])),
    };
  } catch {
    return { name: "Unknown", args: { data: revertData } };
  }
}
