import type { Child } from "./dom.ts";
import type { Site } from "./parts.ts";

/** What a page is made from. */
export interface PageRequest {
  readonly site: Site;
  readonly url: URL;
  /** What the path named: an agent's number, a deal's id. */
  readonly subject: string;
  readonly signal: AbortSignal;
}

export interface PageView {
  readonly title: string;
  readonly body: readonly Child[];
  /** The block that its rows are as of; absent where it shows none. */
  readonly block?: { readonly number: number; readonly timestamp: number };
}

export type Page = (request: PageRequest) => Promise<PageView>;

/** Rows of a page of a list. One more is asked for, to know whether there is a next page. */
export const PAGE_ROWS = 50;

/** Which page of a list the address names, 0-based, and the `first` and `skip` to ask for. */
export function pageOf(url: URL): { page: number; first: number; skip: number } {
  const asked = Number(url.searchParams.get("page") ?? 0);
  // GraphQL refuses to skip more than 5,000 rows.
  const page = Number.isSafeInteger(asked) ? Math.min(Math.max(asked, 0), 99) : 0;
  return { page, first: PAGE_ROWS + 1, skip: page * PAGE_ROWS };
}

/** What was asked for does not exist: a page of its own, not an error. */
export function notFound(what: string, hint: Child): PageView {
  return { title: `${what} not found`, body: [hint] };
}
