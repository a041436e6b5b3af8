import { SuretyError } from "#protocol";

/** What a command's exit code says; `surety --help` prints the same list. */
export const exitCodes = {
  ok: 0,
  /** The command ran, and what it checked does not hold. */
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
    process.exitCode = report(error, isJson);
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}

/** JSON with bigints as decimal strings, as every 256-bit number is written here. */
export function stringify(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => (typeof item === "bigint" ? item.toString() : item), 2);
}

function report(error: unknown, isJson: boolean): number {
  const known = error instanceof SuretyError ? error : undefined;
  const message = error instanceof Error ? error.message : String(error);
  if (isJson) {
    const { code = "UNEXPECTED", values = {}, next } = known ?? {};
    process.stdout.write(`${stringify({ error: { code, message, values, next } })}\n`);
  } else {
    process.stderr.write(known === undefined ? `error: ${describe(error)}\n` : `error ${known.code}: ${message}\n`);
    if (known !== undefined) process.stderr.write(`next: ${known.next}\n`);
  }
  if (known?.code === "INTERRUPTED") return exitCodes.interrupted;
  return known?.code.startsWith("USAGE_") === true ? exitCodes.usage : exitCodes.environment;
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
