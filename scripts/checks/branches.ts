/** One statement that a coverage run can see: where its range begins (UTF-16 units, blanks and comments before it included). */
export interface StatementHits {
  readonly start: number;
  /** Calls in which it began to run. */
  readonly hits: number;
}

/** One way that control can take. `isTaken` undefined = statements cannot tell. */
export interface Branch {
  readonly line: number;
  readonly what: string;
  readonly isTaken: boolean | undefined;
}

/** A node of solc's AST. `src` is "start:length:file", in bytes. */
interface AstNode {
  readonly nodeType: string;
  readonly src: string;
  readonly [key: string]: unknown;
}

const isNode = (value: unknown): value is AstNode =>
  typeof value === "object" && value !== null && typeof (value as AstNode).nodeType === "string";
const childrenOf = (node: AstNode): readonly AstNode[] => Object.values(node).flat().filter(isNode);
const BLANK = /(?:\s|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y;

/**
 * The branches of a source, from the statements that ran. Hardhat counts calls by statement and solc knows where statements
 * stand, so: an arm with a statement of its own was taken if that ran; `require` failed, and an `if` without else was
 * passed by, if what comes next ran less, or the body ran less, than the statement itself. What is the last statement of
 * its block leaves no trace of failing, and the arms of ?: are no statements: those stay unknown.
 */
export function findBranches(ast: unknown, source: string, statements: readonly StatementHits[]): readonly Branch[] {
  const hitsByStart = new Map(statements.map(({ start, hits }) => [skipBlanks(source, start), hits]));
  const bytes = Buffer.from(source);
  const startOf = ({ src }: AstNode) => bytes.subarray(0, Number(src.split(":")[0])).toString().length;
  /** Calls in which a statement, or the first one of a block, began to run. */
  const hitsOf = (node: unknown): number | undefined => {
    if (!isNode(node)) return undefined;
    const inner = node["statements"];
    return Array.isArray(inner) ? hitsOf(inner[0]) : hitsByStart.get(startOf(node));
  };
  const branches: Branch[] = [];
  const visit = (node: AstNode, next: AstNode | undefined, isInConstructor: boolean) => {
    const isCreating = isInConstructor || node["kind"] === "constructor";
    for (const [what, isTaken] of armsOf(node, next, hitsOf)) {
      // Hardhat counts nothing of a transaction that creates a contract: an arm of a constructor shows only where it failed.
      const known = isCreating && isTaken === false ? undefined : isTaken;
      branches.push({ line: source.slice(0, startOf(node)).split("\n").length, what, isTaken: known });
    }
    const block = Array.isArray(node["statements"]) ? (node["statements"] as AstNode[]) : [];
    for (const child of childrenOf(node)) visit(child, block[block.indexOf(child) + 1], isCreating);
  };
  if (isNode(ast)) visit(ast, undefined, false);
  return branches;
}

type Arm = readonly [what: string, isTaken: boolean | undefined];

function armsOf(
  node: AstNode,
  next: AstNode | undefined,
  hitsOf: (node: unknown) => number | undefined,
): readonly Arm[] {
  const own = hitsOf(node);
  if (node.nodeType === "IfStatement") {
    const body = hitsOf(node["trueBody"]);
    const after = isLeaving(node["trueBody"]) ? hitsOf(next) : undefined;
    const isPassed = isNode(node["falseBody"])
      ? hasRun(hitsOf(node["falseBody"]))
      : (hasRun(after) ?? isMore(own, body));
    return [
      ["then", hasRun(body)],
      ["else", isPassed],
    ];
  }
  if (isRequire(node))
    return [
      ["passes", next === undefined ? undefined : hasRun(hitsOf(next))],
      ["fails", isMore(own, hitsOf(next))],
    ];
  if (node.nodeType === "TryCatchClause") return [["clause", hasRun(hitsOf(node["block"]))]];
  if (node.nodeType === "Conditional")
    return [
      ["?", undefined],
      [":", undefined],
    ];
  return [];
}

const hasRun = (hits: number | undefined) => (hits === undefined ? undefined : hits > 0);
const isMore = (all: number | undefined, some: number | undefined) =>
  all === undefined || some === undefined ? undefined : all > some;

function isRequire({ nodeType, expression }: AstNode): boolean {
  if (nodeType !== "ExpressionStatement" || !isNode(expression)) return false;
  const called = expression["expression"];
  return expression.nodeType === "FunctionCall" && isNode(called) && called["name"] === "require";
}

/** Whether control never comes out at the end of a body. */
function isLeaving(body: unknown): boolean {
  if (!isNode(body)) return false;
  const inner = body["statements"];
  if (Array.isArray(inner)) return isLeaving(inner.at(-1));
  return ["RevertStatement", "Return", "Continue", "Break"].includes(body.nodeType);
}

function skipBlanks(source: string, start: number): number {
  BLANK.lastIndex = start;
  return start + (BLANK.exec(source)?.[0].length ?? 0);
}
