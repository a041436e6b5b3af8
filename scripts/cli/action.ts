import { BaseError, HttpRequestError, TimeoutError } from "viem";
import { SuretyError } from "#protocol";
import { unreachable } from "../../node/chain/connect.ts";
import { revertDataOf, revertErrorOf } from "../../node/chain/revert.ts";

/** What a command's exit code says; `surety --help` prints the same list. */
export const exitCodes = {
  ok: 0,
  /** The command ran, and what it was asked about does not hold or does not exist. */
  checkFailed: 1,
  /** The command line or an input file is wrong. */
  usage: 2,
  /** Something outside failed: an endpoint, a file, a transaction. */
  environment: 3,
  interrupted: 130,
} as const;

/** What an action may use of the terminal. */
export interface Terminal {
  readonly isJson: boolean;
  /** Fires on Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  /** A line about the work's progress: to stderr, so that stdout stays a result. */
  readonly progress: (line: string) => void;
}

/** What an action answers: one object for programs, lines for people, and whether what it checked holds. */
export interface Outcome {
  readonly result: unknown;
  readonly lines: readonly string[];
  readonly isFailed?: boolean;
}

/** Runs one command from its start to its exit code. Long-running commands return when their signal fires. */
export async function runAction(isJson: boolean, action: (terminal: Terminal) => Promise<Outcome>): Promise<void> {
  const controller = new AbortController();
  const interrupt = () => controller.abort(new SuretyError("INTERRUPTED", "Interrupted.", { next: "Run it again." }));
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  try {
    const outcome = await action({
      isJson,
      signal: controller.signal,
      progress: (line) => void process.stderr.write(`${line}\n`),
    });
    process.stdout.write(isJson ? `${stringify(outcome.result)}\n` : outcome.lines.map((line) => `${line}\n`).join(""));
    process.exitCode = outcome.isFailed === true ? exitCodes.checkFailed : exitCodes.ok;
  } catch (error) {
    process.exitCode = reportError(controller.signal.aborted ? controller.signal.reason : error, isJson);
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}

/** JSON with bigints as decimal strings, as every 256-bit number is written here. */
export function stringify(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => (typeof item === "bigint" ? item.toString() : item), 2);
}

/** Prints an error for its reader, with the next step. @returns the exit code */
export function reportError(error: unknown, isJson: boolean): number {
  const known = error instanceof SuretyError ? error : chainErrorOf(error);
  const message = known?.message ?? (error instanceof Error ? error.message : String(error));
  const {
    code = "UNEXPECTED",
    values = {},
    next = "Report it as a bug, with the command and this output.",
  } = known ?? {};
  if (isJson) {
    process.stdout.write(`${stringify({ error: { code, message, values, next } })}\n`);
  } else {
    process.stderr.write(`error ${code}: ${known === undefined ? describe(error) : message}\nnext: ${next}\n`);
  }
  return exitCodeOf(code);
}

function exitCodeOf(code: string): number {
  if (code === "INTERRUPTED") return exitCodes.interrupted;
  if (code.startsWith("USAGE_")) return exitCodes.usage;
  return /^(?:AGENT|DEAL|TAB|AWARD|TASK|GRAPH|LOG)_UNKNOWN$/.test(code) ? exitCodes.checkFailed : exitCodes.environment;
}

/** What viem throws of a chain, as one of ours: refused by a contract, or not answered. */
function chainErrorOf(error: unknown): SuretyError | undefined {
  if (!(error instanceof BaseError)) return undefined;
  const unanswered = error.walk((at) => at instanceof HttpRequestError || at instanceof TimeoutError);
  if (unanswered !== null) return unreachable(unanswered) as SuretyError;
  const revert = revertDataOf(error);
  if (revert !== undefined) return revertErrorOf("the call", revert, error);
  return new SuretyError("RPC_FAILED", `The chain refused: ${error.details || error.shortMessage}`, {
    next: "Look at the message; nothing after it was sent.",
    cause: error,
  });
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
