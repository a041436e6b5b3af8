// What the page asks of the server that it came from. None of it is believed before somebody presses Verify.
import type { Deployment } from "#protocol";

/** What the server says of its deployment, and which RPC endpoint it would suggest. */
export interface SiteConfig {
  readonly deployment: Deployment;
  readonly rpcUrl: string | null;
  /** Names of topics; the page hashes them itself, so that a name cannot be given to another topic. */
  readonly topics: readonly string[];
  readonly token: { readonly symbol: string; readonly decimals: number } | null;
}

/** The block that all rows of one answer are as of. */
export interface MetaBlock {
  readonly number: number;
  readonly hash: `0x${string}`;
  readonly timestamp: number;
}

export interface Meta {
  readonly _meta: { readonly block: MetaBlock; readonly finalizedBlock: number; readonly hasIndexingErrors: boolean };
}

export const META = "_meta { block { number hash timestamp } finalizedBlock hasIndexingErrors }";

/** What the server could not answer, in words for the visitor. */
export class AskError extends Error {
  override readonly name = "AskError";
  readonly code: string;
  /** 0..1 while an indexer is reading the chain. */
  readonly progress: number | undefined;

  constructor(code: string, message: string, progress?: number) {
    super(message);
    this.code = code;
    this.progress = progress;
  }
}

interface GraphqlAnswer {
  readonly data?: unknown;
  readonly errors?: readonly { message: string; extensions?: { code?: string; progress?: number } }[];
}

/** One GraphQL query; every answer tells the block that it is as of. @throws AskError */
export async function ask<T>(
  document: string,
  variables: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<T & Meta> {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify({ query: document, variables }),
    signal,
  });
  const { data, errors = [] } = (await response.json()) as GraphqlAnswer;
  const [first] = errors;
  if (first !== undefined) {
    throw new AskError(first.extensions?.code ?? "QUERY_FAILED", first.message, first.extensions?.progress);
  }
  return data as T & Meta;
}

export async function readConfig(): Promise<SiteConfig> {
  return (await fetch("/explorer.json")).json() as Promise<SiteConfig>;
}

/** How the indexer is, as /health has it. */
export interface Health {
  readonly sync: string;
  readonly isReady: boolean;
  readonly progress: number;
  readonly block?: number;
  readonly head?: number;
  readonly trouble?: string;
}

export async function readHealth(signal: AbortSignal): Promise<Health> {
  return (await fetch("/health", { signal })).json() as Promise<Health>;
}
