import {
  GraphQLError,
  Kind,
  type ASTVisitor,
  type FragmentDefinitionNode,
  type SelectionSetNode,
  type ValidationContext,
} from "graphql";

/** Rows of one list: The Graph's own bound, which its clients page by. */
export const MAX_FIRST = 1_000;
export const DEFAULT_FIRST = 100;
/** SQLite walks over what it skips; deeper pages go by `where: { id_gt }`. */
export const MAX_SKIP = 5_000;
/** Rows that one request may read in all: about 100 ms on one core. */
export const MAX_ROWS = 20_000;
/** Rows that one count costs: it walks an index, which is far quicker than to read what it counts. */
export const COUNT_ROWS = 500;
/** Changes since a past block that cost a list of it as much as one row. Measured under load: 5 us to filter one, 11 us to read it. */
export const CHANGES_PER_ROW = 2;
/** agent -> deals -> provider -> signers is 5; nothing sensible is twice as deep. */
export const MAX_DEPTH = 10;
/** Aliases repeat a field; a page of a marketplace uses a dozen. */
export const MAX_ALIASES = 30;
/** Tokens of a query: an introspection has about 350. */
export const MAX_TOKENS = 2_000;
/** Terms of one `where`, and members of one `_in`. */
export const MAX_WHERE_TERMS = 50;
export const MAX_IN = 1_000;
/** Terms that a filter on another table's row costs. */
export const NESTED_WHERE_TERMS = 5;
/** Bytes of a request's body; a query within MAX_TOKENS and one full `_in` of ids fit. */
export const MAX_BODY_BYTES = 128 * 1024;

/** Refuses documents that are too deep or repeat too much, before anything is read. */
export function limitRule(context: ValidationContext): ASTVisitor {
  let aliases = 0;
  return {
    Field(node) {
      if (node.alias !== undefined && ++aliases === MAX_ALIASES + 1) {
        report(context, "QUERY_TOO_MANY_ALIASES", `A query may have ${MAX_ALIASES} aliases.`, MAX_ALIASES);
      }
    },
    OperationDefinition(node) {
      if (depthOf(context, node.selectionSet, new Set()) <= MAX_DEPTH) return;
      report(context, "QUERY_TOO_DEEP", `A query may be ${MAX_DEPTH} fields deep.`, MAX_DEPTH);
    },
  };
}

function report(context: ValidationContext, code: string, message: string, max: number): void {
  context.reportError(new GraphQLError(message, { extensions: { code, max } }));
}

/** Depth of a selection with its fragments. Introspection is finite and does not count. */
function depthOf(
  context: ValidationContext,
  selections: SelectionSetNode,
  open: ReadonlySet<FragmentDefinitionNode>,
): number {
  let depth = 0;
  for (const selection of selections.selections) {
    if (selection.kind === Kind.FIELD) {
      if (selection.name.value.startsWith("__")) continue;
      const inner = selection.selectionSet === undefined ? 0 : depthOf(context, selection.selectionSet, open);
      depth = Math.max(depth, 1 + inner);
    } else if (selection.kind === Kind.INLINE_FRAGMENT) {
      depth = Math.max(depth, depthOf(context, selection.selectionSet, open));
    } else {
      const fragment = context.getFragment(selection.name.value);
      // A cycle is refused by GraphQL's own rules.
      if (fragment === undefined || fragment === null || open.has(fragment)) continue;
      depth = Math.max(depth, depthOf(context, fragment.selectionSet, new Set([...open, fragment])));
    }
    if (depth > MAX_DEPTH) return depth;
  }
  return depth;
}
