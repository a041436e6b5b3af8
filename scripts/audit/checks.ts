/** One thing that an auditor established, or found not to hold. */
export interface Check {
  readonly name: string;
  readonly isOk: boolean;
  /** What was compared with what, with the values. */
  readonly detail: string;
  /** Nothing speaks against it, and nothing proves it: its reader has to ask elsewhere. */
  readonly isUnproven?: true;
}

export const holds = (name: string, detail: string): Check => ({ name, isOk: true, detail });
export const fails = (name: string, detail: string): Check => ({ name, isOk: false, detail });
/** What no evidence at hand can show, told so that nobody takes silence for a proof. */
export const unproven = (name: string, detail: string): Check => ({ name, isOk: true, detail, isUnproven: true });
export const check = (name: string, isOk: boolean, detail: string): Check => ({ name, isOk, detail });

/** Seconds since 1970 as a date that people read; what no calendar has, as a number. 0 = no end. */
export function dateOf(seconds: number): string {
  const date = new Date(seconds * 1000);
  if (seconds === 0) return "no end";
  // A stranger's uint48 reaches beyond JavaScript's dates: an audit that threw there would be one that never fails.
  return Number.isNaN(date.getTime()) ? `second ${seconds}` : date.toISOString();
}

/** An audit's result: every check up to the first that fails, which ends it. */
export interface Verdict {
  readonly subject: string;
  readonly isOk: boolean;
  readonly checks: readonly Check[];
}

/** Runs checks in order and stops at the first that fails: what comes after would rest on it. */
export async function runChecks(subject: string, checks: AsyncIterable<Check> | Iterable<Check>): Promise<Verdict> {
  const done: Check[] = [];
  for await (const next of checks) {
    done.push(next);
    if (!next.isOk) return { subject, isOk: false, checks: done };
  }
  return { subject, isOk: true, checks: done };
}
