import { SuretyError } from "../errors.ts";

/** The file of ignore rules in the root of an agent's code. It is always part of the manifest. */
export const IGNORE_FILE = ".suretyignore";
/** Never code: the history, and what `surety` itself keeps beside it. */
const ALWAYS_IGNORED = ["/.git", "/.surety"];
const MAX_RULES = 1_000;

/** Whether a path is left out. A folder that is left out is not looked into. */
export type IgnoreRules = (path: string, isFolder: boolean) => boolean;

/**
 * Reads ignore rules, a subset of gitignore: one pattern a line, # comments; `*` and `?` within a name, `**` across
 * folders; a slash at the start or in the middle anchors at the root, one at the end means folders only. `!` is refused:
 * a rule that takes back another makes it hard to see what is committed.
 * @throws SuretyError IGNORE_RULE
 */
export function parseIgnoreRules(text: string): IgnoreRules {
  const lines = text.split("\n").map((line) => line.replace(/\r$/, "").trimEnd());
  const patterns = [...ALWAYS_IGNORED, ...lines.filter((line) => line !== "" && !line.startsWith("#"))];
  if (patterns.length > MAX_RULES) throw invalid(`more than ${MAX_RULES} rules`, String(patterns.length));
  const rules = patterns.map(compile);
  return (path, isFolder) =>
    path !== IGNORE_FILE &&
    rules.some(({ expression, isFolderOnly }) => (isFolder || !isFolderOnly) && expression.test(path));
}

function compile(pattern: string): { expression: RegExp; isFolderOnly: boolean } {
  if (pattern.startsWith("!")) throw invalid("a rule may not take back another", pattern);
  if (/[[\]\\]/.test(pattern)) throw invalid("[, ] and \\ have no meaning here", pattern);
  const isFolderOnly = pattern.endsWith("/");
  const body = pattern.replace(/\/$/, "");
  const isAnchored = body.includes("/");
  const plain = body.replace(/^\//, "");
  if (plain === "") throw invalid("an empty pattern would leave out everything", pattern);
  const source = plain.split("/").map((step, at, steps) => stepSource(step, at === steps.length - 1));
  return { expression: new RegExp(`^${isAnchored ? "" : "(?:.*/)?"}${source.join("")}$`, "su"), isFolderOnly };
}

function stepSource(step: string, isLast: boolean): string {
  if (step === "**") return isLast ? ".*" : "(?:.*/)?";
  const escaped = step
    .replace(/[.+^${}()|]/g, "\\$&")
    .replace(/\*+/g, "[^/]*")
    .replaceAll("?", "[^/]");
  return isLast ? escaped : `${escaped}/`;
}

function invalid(fault: string, rule: string): SuretyError {
  return new SuretyError("IGNORE_RULE", `A line of ${IGNORE_FILE} is not a rule: ${fault}.`, {
    values: { rule },
    next: `Mend ${IGNORE_FILE}; contracts/protocol/binding/ignore.ts says what a rule may be.`,
  });
}
