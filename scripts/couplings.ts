import { requireCouplings, SHARE_ONE, SuretyError, topicIdOf, type Couplings } from "#protocol";

/** Couplings as people write them: topics by name, shares and similarities from 0 to 1. */
export interface NamedCouplings {
  readonly minClients: number;
  /** Of what a stake counts, reputation elsewhere adds at most this. */
  readonly maxShare: number;
  readonly links: readonly { readonly to: string; readonly from: string; readonly similarity: number }[];
}

/** @returns them as the contract takes them @throws SuretyError COUPLING_UNSTABLE or COUPLING_LINK, where it would refuse */
export function couplingsOf({ minClients, maxShare, links }: NamedCouplings): Couplings {
  const ids = links.map(({ to, from, similarity }) => ({
    to: topicIdOf(to),
    from: topicIdOf(from),
    omega: Math.floor(similarity * SHARE_ONE),
  }));
  ids.sort((a, b) => (a.to === b.to ? compare(a.from, b.from) : compare(a.to, b.to)));
  const couplings = { minClients, maxShare: Math.floor(maxShare * SHARE_ONE), links: ids };
  requireCouplings(couplings);
  return couplings;
}

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

/** @param text the JSON of NamedCouplings @throws SuretyError COUPLINGS_INVALID, or as `couplingsOf` */
export function parseCouplings(text: string): Couplings {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw invalid("it is not JSON", cause);
  }
  if (!isRecord(json)) throw invalid("it is no object");
  const { minClients, maxShare, links, ...others } = json;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw invalid(`it has a field "${unknown}" that means nothing`);
  if (typeof minClients !== "number") throw invalid("minClients is no number");
  if (typeof maxShare !== "number") throw invalid("maxShare is no number");
  if (!Array.isArray(links)) throw invalid("links is no list");
  return couplingsOf({ minClients, maxShare, links: links.map(readLink) });
}

function readLink(link: unknown, index: number): NamedCouplings["links"][number] {
  const { to, from, similarity } = isRecord(link) ? link : {};
  if (typeof to === "string" && typeof from === "string" && typeof similarity === "number") {
    return { to, from, similarity };
  }
  throw invalid(`link ${index + 1} needs "to", "from" and "similarity"`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(detail: string, cause?: unknown): SuretyError {
  return new SuretyError("COUPLINGS_INVALID", `The couplings cannot be read: ${detail}.`, {
    values: { detail },
    next: 'Write {"minClients": 2, "maxShare": 0.5, "links": [{"to": "a", "from": "b", "similarity": 0.5}]}.',
    cause,
  });
}
