import { ignore, reject, accept, type Verdict } from "#protocol";

/** First byte of an answer: what the responder thought of the request. */
const STATUS = { accept: 0, ignore: 1, reject: 2, busy: 3, failed: 4 } as const;
/** Longest `CODE: detail` that travels back; more would only serve to fill the asker's log. */
export const MAX_REASON_BYTES = 256;

export const busyFrame: Uint8Array = Uint8Array.of(STATUS.busy);
export const failedFrame: Uint8Array = Uint8Array.of(STATUS.failed);

/** A responder's verdict as the frame that travels back. */
export function encodeAnswer(verdict: Verdict<Uint8Array>): Uint8Array {
  if (verdict.kind === "accept") return prefixed(STATUS.accept, verdict.value);
  const reason = new TextEncoder().encode(`${verdict.code}: ${verdict.detail}`).subarray(0, MAX_REASON_BYTES);
  return prefixed(STATUS[verdict.kind], reason);
}

/** What the asker makes of it. The reason is a stranger's text: cut, and never more than text. */
export function decodeAnswer(frame: Uint8Array): Verdict<Uint8Array> {
  const [status] = frame;
  const rest = frame.subarray(1);
  switch (status) {
    case STATUS.accept:
      return accept(rest);
    case STATUS.ignore:
      return ignore("REMOTE_IGNORED", reasonOf(rest));
    case STATUS.reject:
      return ignore("REMOTE_REJECTED", reasonOf(rest));
    case STATUS.busy:
      return ignore("REMOTE_BUSY", "the peer works on too many of our requests");
    case STATUS.failed:
      return ignore("REMOTE_FAILED", "the peer failed at the request");
    default:
      return reject("FRAME_INVALID", status === undefined ? "an empty answer" : `status ${status}`);
  }
}

function prefixed(status: number, rest: Uint8Array): Uint8Array {
  const frame = new Uint8Array(1 + rest.length);
  frame[0] = status;
  frame.set(rest, 1);
  return frame;
}

const reasonOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes.subarray(0, MAX_REASON_BYTES));
