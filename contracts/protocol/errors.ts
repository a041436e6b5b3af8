/** What we or the machine caused. What a stranger can cause is a Verdict, never thrown. */
export class SuretyError extends Error {
  override readonly name = "SuretyError";
  /** Stable, SCREAMING_SNAKE_CASE, for programs. */
  readonly code: string;
  /** The offending values, by name. */
  readonly values: Readonly<Record<string, unknown>>;
  /** What the reader does next, as one sentence. */
  readonly next: string;
  readonly isRetryable: boolean;

  constructor(
    code: string,
    message: string,
    details: { values?: Record<string, unknown>; next: string; cause?: unknown; isRetryable?: boolean },
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.values = details.values ?? {};
    this.next = details.next;
    this.isRetryable = details.isRetryable ?? false;
  }
}

/** Judgement over a stranger's input: use it, drop it silently (late, duplicate, over budget), or count it against the sender. */
export type Verdict<T> =
  | { readonly kind: "accept"; readonly value: T }
  | { readonly kind: "ignore"; readonly code: string; readonly detail: string }
  | { readonly kind: "reject"; readonly code: string; readonly detail: string };

export const accept = <T>(value: T): Verdict<T> => ({ kind: "accept", value });
export const ignore = (code: string, detail: string): Verdict<never> => ({ kind: "ignore", code, detail });
export const reject = (code: string, detail: string): Verdict<never> => ({ kind: "reject", code, detail });
