import { GraphQLError, Kind, parse, visit, type DocumentNode, type ParseOptions, type Source } from "graphql";
import type { Plugin } from "graphql-yoga";
import { SuretyError, type Deployment } from "#protocol";
import type { IndexerStatus } from "../status.ts";
import type { Snapshot, Store } from "../store/store.ts";
import { MeteredRows, type QueryContext } from "./context.ts";
import { limitRule, MAX_TOKENS } from "./limits.ts";

/** Seconds after which a client that got 503 asks again. */
const RETRY_AFTER_SECONDS = 1;

/** Bounds what a stranger's document may cost before it runs. */
export function limitPlugin(): Plugin {
  return {
    onParse({ setParseFn }) {
      setParseFn((source: string | Source, options?: ParseOptions) =>
        readIds(parse(source, { ...options, maxTokens: MAX_TOKENS })),
      );
    },
    onValidate({ addValidationRule }) {
      addValidationRule(limitRule);
    },
  };
}

/** Variables of type ID become Strings: The Graph takes either for an id, and clients declare either. */
function readIds(document: DocumentNode): DocumentNode {
  return visit(document, {
    VariableDefinition: (definition) =>
      visit(definition, {
        NamedType: (type) =>
          type.name.value === "ID" ? { ...type, name: { kind: Kind.NAME, value: "String" } as const } : undefined,
      }),
  });
}

/** Gives each query one snapshot, and refuses while the rows are incomplete or of an orphaned branch. */
export function snapshotPlugin(parts: {
  readonly deployment: Deployment;
  readonly store: Pick<Store, "snapshot">;
  readonly statusOf: (snapshot: Snapshot) => IndexerStatus;
}): Plugin {
  return {
    async onExecute({ args }) {
      const snapshot = await takeSnapshot(parts.store);
      // Read after the snapshot was taken: were it older, rows of a branch that is being undone could be answered.
      const status = parts.statusOf(snapshot);
      if (!status.isServing) {
        snapshot.close();
        throw unavailable(status);
      }
      const context: QueryContext = {
        deployment: parts.deployment,
        status,
        rows: new MeteredRows(snapshot),
        past: new Map(),
      };
      Object.assign(args.contextValue as object, context);
      return { onExecuteDone: () => snapshot.close() };
    },
  };
}

async function takeSnapshot(store: Pick<Store, "snapshot">): Promise<Snapshot> {
  try {
    return await store.snapshot();
  } catch (error) {
    if (!(error instanceof SuretyError)) throw error;
    throw refuse(error.message, { code: error.code });
  }
}

function unavailable(status: IndexerStatus): GraphQLError {
  const { sync, progress, etaSeconds, checkpoint, head } = status;
  const code = status.fatal === undefined ? `INDEXER_${sync.toUpperCase()}` : "INDEXER_STOPPED";
  return refuse(`The indexer is ${status.fatal === undefined ? sync : "stopped"}: ask again later.`, {
    code,
    progress,
    etaSeconds,
    block: checkpoint?.number,
    head: head?.number,
  });
}

function refuse(message: string, extensions: Record<string, unknown>): GraphQLError {
  const http = { status: 503, headers: { "retry-after": String(RETRY_AFTER_SECONDS) } };
  return new GraphQLError(message, { extensions: { ...extensions, http } });
}
