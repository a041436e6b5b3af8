// The work that the built-in scenario's agents sell: small, real, deterministic, and checkable by whoever ordered it.

/** Input and result are JSON values; a task that the skill cannot read is refused by an Error. */
export interface Skill {
  readonly topic: string;
  readonly title: string;
  readonly description: string;
  readonly skills: readonly string[];
  perform(input: unknown): unknown;
}

function asNumbers(input: unknown): number[] {
  if (!Array.isArray(input) || input.length === 0 || !input.every((n) => Number.isSafeInteger(n))) {
    throw new Error("expected a list of integers");
  }
  return input as number[];
}

function asText(input: unknown): string {
  if (typeof input !== "string" || input.length === 0) throw new Error("expected a text");
  return input;
}

const describeSeries: Skill = {
  topic: "data_analysis",
  title: "Describe a series of integers",
  description: "Count, sum, extremes, median and quartiles of a series of integers, by the nearest-rank method.",
  skills: ["statistics", "data analysis", "quartiles"],
  perform(input) {
    const sorted = [...asNumbers(input)].sort((a, b) => a - b);
    const rank = (percent: number) => sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)];
    return {
      count: sorted.length,
      sum: sorted.reduce((sum, n) => sum + n, 0),
      min: sorted[0],
      q1: rank(25),
      median: rank(50),
      q3: rank(75),
      max: sorted.at(-1),
    };
  },
};

/** Calls that turn a string into code or a command, or bypass a check; by the name of the weakness (CWE). */
const weaknesses: readonly (readonly [string, RegExp])[] = [
  ["CWE-95", /\beval\s*\(|new Function\s*\(/],
  ["CWE-78", /\bexec(Sync)?\s*\(\s*[`"'].*\$\{|child_process/],
  ["CWE-79", /\.innerHTML\s*=|document\.write\s*\(/],
  ["CWE-295", /rejectUnauthorized\s*:\s*false|NODE_TLS_REJECT_UNAUTHORIZED/],
  ["CWE-338", /Math\.random\s*\(\)/],
  ["CWE-798", /(password|secret|api_?key)\s*[:=]\s*["'][^"']+["']/i],
];

const reviewCode: Skill = {
  topic: "code_review_security",
  title: "Review JavaScript for common weaknesses",
  description: "Lines of a JavaScript file that match well-known weaknesses, each with its CWE number.",
  skills: ["code review", "security", "javascript", "static analysis"],
  perform(input) {
    const lines = asText(input).split("\n");
    return lines.flatMap((text, index) =>
      weaknesses.filter(([, pattern]) => pattern.test(text)).map(([cwe]) => ({ line: index + 1, cwe })),
    );
  },
};

const summarizeLog: Skill = {
  topic: "devops_tool_execution",
  title: "Count a service log by level and service",
  description: "Reads lines of the form `LEVEL service: message` and counts them by level and by service.",
  skills: ["devops", "log analysis", "monitoring"],
  perform(input) {
    const counts: Record<string, number> = {};
    for (const line of asText(input).split("\n")) {
      const match = /^(DEBUG|INFO|WARN|ERROR) ([\w-]+):/.exec(line);
      if (match === null) continue;
      const key = `${match[1]} ${match[2]}`;
      counts[key] = (counts[key] ?? 0) + 1;
    }
    return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
  },
};

export const skills: readonly Skill[] = [describeSeries, reviewCode, summarizeLog];
