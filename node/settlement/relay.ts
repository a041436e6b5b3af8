import { SuretyError, type Signer } from "#protocol";
import type { ChainSender } from "../chain/port.ts";

/**
 * Another account that sends, and pays for, what is valid whoever sends it: by its nature, or by our signature. Our own
 * account then needs no ether but for the calls below.
 */
export interface Relay {
  readonly sender: ChainSender;
  /** Ours: it signs what the other account sends. */
  readonly signer: Signer;
  /** Unix seconds of the chain: how long a signature is good is reckoned from it. */
  readonly chainTime: () => number;
}

/** Calls that our own account has to send, and why no signature replaces them. */
const ownReasons: Readonly<Record<string, string>> = {
  approve: "the token knows no allowance by signature (EIP-2612 with EIP-5267)",
  open: "the contract takes the price from who calls: the chain's coin, or a token without EIP-3009",
  openWithProof: "the escrow takes a price with a score proof from who calls",
  depositCredit: "a bond in the chain's coin is credited to who brings it",
  topUp: "the contract takes more of a deposit from who calls",
  submitEvidence: "the contract takes evidence from a side itself",
  withdrawCredit: "a credit is paid out to whom it belongs",
  commitVote: "the panel takes a vote from who speaks for the juror",
};

/** Our own account. Beside a relay, where it has no ether, its error names the call that needs it, and why. */
export function ownSender(own: ChainSender, relay: ChainSender | undefined): ChainSender {
  if (relay === undefined) return own;
  return {
    address: own.address,
    stop: () => own.stop(),
    async send(call, signal) {
      try {
        return await own.send(call, signal);
      } catch (fault) {
        if (!(fault instanceof SuretyError) || fault.code !== "SENDER_WITHOUT_FUNDS") throw fault;
        throw withoutOwnFunds(own.address, call.functionName, fault);
      }
    },
  };
}

function withoutOwnFunds(address: string, functionName: string, cause: SuretyError): SuretyError {
  const reason = ownReasons[functionName] ?? "the contract asks who calls";
  return new SuretyError(
    "SENDER_WITHOUT_FUNDS",
    `The agent's own account ${address} cannot pay for ${functionName}, and its gas account cannot send it: ${reason}.`,
    {
      values: { address, functionName, reason },
      next: `Send ${address} some of the chain's native coin.`,
      isRetryable: true,
      cause,
    },
  );
}
