import { readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { root, runTool } from "./run-tool.ts";

/** A README of a folder is read in one glance, or not at all. */
const FOLDER_README_LINES_MAX = 40;
/** Larger files are inputs, not sources. */
const FILE_BYTES_MAX = 2_000_000;

interface TextRule {
  readonly name: string;
  readonly pattern: RegExp;
  readonly files: RegExp;
  /** Files that may break the rule, with the reason. */
  readonly allowed: Readonly<Record<string, string>>;
  /** A text that named files may hold although it breaks the rule; the rest of their lines is checked. */
  readonly exception?: { readonly text: string; readonly paths: Readonly<Record<string, string>> };
}

const everyFile = /./;
const sources = /\.(ts|js|sol|json|sh|ya?ml)$|^\.ci\//;
const thisFile = {
  "scripts/checks/hygiene.ts": "holds the patterns",
  "test/scripts/checks/hygiene.test.ts": "breaks them",
};

const textRules: readonly TextRule[] = [
  {
    name: "machine path",
    pattern: /(^|[\s"'`=(:])(\/(work|home|Users|root|mnt|opt)\/\w|[A-Z]:\\Users\\)/,
    files: everyFile,
    allowed: thisFile,
  },
  {
    name: "registry host",
    pattern:
      /https?:\/\/[^\s"'`]*(registry|npmjs|artifactory|nexus|verdaccio)|"resolved":|^\s*(@[\w-]+:)?registry\s*=\s*http/,
    files: everyFile,
    allowed: thisFile,
  },
  {
    name: "fixed port",
    pattern:
      /(127\.0\.0\.1|localhost|0\.0\.0\.0|\[::1?\]):[1-9]\d|\blisten\(\s*[1-9]\d|\bport:\s*[1-9]\d|--port[ =][1-9]\d/i,
    files: sources,
    allowed: thisFile,
    // Where `npx hardhat node` listens in another terminal; we never do.
    exception: {
      text: "127.0.0.1:8545",
      paths: {
        "scripts/cli/network.ts": "where a command looks for a chain that nobody named",
        "hardhat.config.ts": "the network `localhost`",
      },
    },
  },
];

export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
  readonly text: string;
}

/** Lines of one file that break a rule about text. @param path relative to the repository's root */
export function findingsOf(path: string, text: string): Finding[] {
  const rules = textRules.filter((rule) => rule.files.test(path) && rule.allowed[path] === undefined);
  const lines = text.split("\n");
  const findings = lines.flatMap((line, index) =>
    rules
      .filter(({ pattern, exception }) =>
        pattern.test(isIn(path, exception) ? line.replaceAll(exception.text, "") : line),
      )
      .map(({ name }) => ({ path, line: index + 1, rule: name, text: line.trim().slice(0, 120) })),
  );
  const lineCount = text.endsWith("\n") ? lines.length - 1 : lines.length;
  const isFolderReadme = basename(path) === "README.md" && path !== "README.md";
  if (isFolderReadme && lineCount > FOLDER_README_LINES_MAX) {
    const excess = `${lineCount} lines, at most ${FOLDER_README_LINES_MAX}`;
    findings.push({ path, line: FOLDER_README_LINES_MAX + 1, rule: "long README", text: excess });
  }
  return findings;
}

function isIn(path: string, exception: TextRule["exception"]): exception is NonNullable<TextRule["exception"]> {
  return exception?.paths[path] !== undefined;
}

/** Checks every file that git tracks or would track. */
export async function checkHygiene(): Promise<Finding[]> {
  const { exitCode, output } = await runTool("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
  if (exitCode !== 0) throw new Error(`git ls-files failed: ${output}`);
  return output.split("\0").flatMap((path) => {
    const stat = path === "" ? undefined : statSync(join(root, path), { throwIfNoEntry: false });
    if (stat === undefined || !stat.isFile() || stat.size > FILE_BYTES_MAX) return [];
    const bytes = readFileSync(join(root, path));
    return bytes.includes(0) ? [] : findingsOf(path, bytes.toString());
  });
}
