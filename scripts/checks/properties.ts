import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./run-tool.ts";

const reference = /^\s*- `(test\/[^`]+)`: `([^`]+)`$/;
const anyTest = /`test\//;

/** Claims of PROPERTIES.md whose test does not exist, or that name it in a form that this check cannot read. */
export function brokenClaims(page: string, readTest: (path: string) => string | undefined): string[] {
  return page.split("\n").flatMap((line, index) => {
    if (!anyTest.test(line)) return [];
    const at = `PROPERTIES.md:${index + 1}`;
    const [, path, name] = reference.exec(line) ?? [];
    if (path === undefined || name === undefined) return [`${at} write a test as - \`path\`: \`name\``];
    const text = readTest(path);
    if (text === undefined) return [`${at} there is no ${path}`];
    return text.includes(name) ? [] : [`${at} ${path} has no test "${name}"`];
  });
}

export function checkProperties(): string {
  const read = (path: string) => (existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : undefined);
  return brokenClaims(read("PROPERTIES.md") ?? "", read).join("\n");
}
