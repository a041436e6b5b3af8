import { BaseError, HttpRequestError, TimeoutError, WebSocketRequestError, type Address } from "viem";
import { SuretyError } from "#protocol";

/**
 * What became of a transaction that the node did not take: `known`, it has it already; `underpriced`, another one of the
 * same nonce bids more; `nonceUsed`, it is in a block; `funds`, the account cannot pay; `lost`, there was no answer, so
 * that it may be in the pool or not; `refused`, anything else.
 */
export type BroadcastFault = "known" | "underpriced" | "nonceUsed" | "funds" | "lost" | "refused";

/** JSON-RPC has no codes for these: geth's, Nethermind's, Erigon's and EDR's words. */
const WORDS: readonly (readonly [RegExp, BroadcastFault])[] = [
  // A development chain that mines at once: the transaction is in a block, and reverted there. Its receipt says so.
  [/VM Exception while processing transaction/i, "known"],
  [/already known|known transaction|alreadyknown|already imported/i, "known"],
  [/underpriced|replacement|too low to replace|feetoolow/i, "underpriced"],
  [/nonce (is )?too low|oldnonce|nonce has already been used/i, "nonceUsed"],
  [/insufficient funds|enough funds|insufficientfunds/i, "funds"],
];

export function classifyBroadcastFault(cause: unknown): BroadcastFault {
  const isUnanswered = (at: unknown) =>
    at instanceof HttpRequestError || at instanceof TimeoutError || at instanceof WebSocketRequestError;
  if (cause instanceof BaseError && cause.walk(isUnanswered) !== null) return "lost";
  const text = wordsOf(cause);
  return WORDS.find(([pattern]) => pattern.test(text))?.[1] ?? "refused";
}

/** viem keeps the node's own words in `details`; the message around it quotes the request. */
function wordsOf(cause: unknown): string {
  const words: string[] = [];
  for (let at: unknown = cause; at instanceof Error; at = at.cause) {
    words.push(at instanceof BaseError ? `${at.shortMessage} ${at.details}` : at.message);
  }
  return words.join(" ");
}

export function withoutFunds(address: Address, cause: unknown): SuretyError {
  return new SuretyError("SENDER_WITHOUT_FUNDS", `The account ${address} cannot pay for gas.`, {
    values: { address },
    next: "Send it some of the chain's native coin.",
    isRetryable: true,
    cause,
  });
}
