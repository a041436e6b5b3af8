import { joinList, type Row } from "../entities.ts";

type RegistrationFile = Omit<Row<"agentRegistrationFiles">, "id" | "agent" | "agentId" | "createdAt">;

/** A longer file is not read: agent0 writes at most as much, and every fold has a bound. Characters of the URI. */
const MAX_URI_LENGTH = 360_000;
/** Items of one list that are kept: a file is a stranger's. */
const MAX_ITEMS = 200;
/** Characters of one text that are kept. */
const MAX_TEXT_LENGTH = 4_096;

type Json = Readonly<Record<string, unknown>>;

/** @returns what a `data:application/json` URI holds, plain or in base64; undefined = no such URI, or no JSON object */
export function parseJsonUri(uri: string): Json | undefined {
  const comma = uri.indexOf(",");
  if (uri.length > MAX_URI_LENGTH || !/^data:application\/json[;,]/i.test(uri) || comma < 0) return undefined;
  const content = uri.slice(comma + 1);
  try {
    const isBase64 = /;base64$/i.test(uri.slice(0, comma));
    const text = isBase64 ? Buffer.from(content, "base64").toString("utf8") : decodeURIComponent(content);
    const json = JSON.parse(text) as unknown;
    return isObject(json) ? json : undefined;
  } catch {
    // A stranger's URI may hold anything.
    return undefined;
  }
}

/** The registration file (ERC-8004, registration-v1) that stands in a URI itself. Pure: nothing is fetched. */
export function parseRegistrationFile(uri: string): RegistrationFile | undefined {
  const file = parseJsonUri(uri);
  if (file === undefined) return undefined;
  const services = [file["services"], file["endpoints"]].flatMap(objectsOf);
  const service = (name: string) => services.find((one) => textOf(one["name"])?.toLowerCase() === name);
  const endpoint = (name: string) => textOf(service(name)?.["endpoint"]);
  const [mcp, a2a, oasf] = [service("mcp"), service("a2a"), service("oasf")];
  const [oasfSkills, oasfDomains] = [itemsOf(oasf?.["skills"]), itemsOf(oasf?.["domains"])];
  return {
    name: textOf(file["name"]) ?? "",
    description: textOf(file["description"]) ?? "",
    image: textOf(file["image"]),
    active: file["active"] === true,
    x402Support: file["x402Support"] === true || file["x402support"] === true,
    supportedTrusts: joinList(itemsOf(file["supportedTrust"])),
    mcpEndpoint: endpoint("mcp"),
    mcpVersion: textOf(mcp?.["version"]),
    mcpTools: joinList(itemsOf(mcp?.["mcpTools"])),
    mcpPrompts: joinList(itemsOf(mcp?.["mcpPrompts"])),
    mcpResources: joinList(itemsOf(mcp?.["mcpResources"])),
    a2aEndpoint: endpoint("a2a"),
    a2aVersion: textOf(a2a?.["version"]),
    a2aSkills: joinList(itemsOf(a2a?.["a2aSkills"])),
    webEndpoint: endpoint("web"),
    emailEndpoint: endpoint("email"),
    hasOASF: oasfSkills.length + oasfDomains.length > 0,
    oasfSkills: joinList(oasfSkills),
    oasfDomains: joinList(oasfDomains),
    ens: endpoint("ens"),
    did: endpoint("did"),
  };
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function objectsOf(value: unknown): Json[] {
  return Array.isArray(value) ? value.slice(0, MAX_ITEMS).filter(isObject) : [];
}

export function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value.slice(0, MAX_TEXT_LENGTH) : null;
}

/** Names in a list: strings, or objects with a name. */
export function itemsOf(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return value
    .slice(0, MAX_ITEMS)
    .map((item: unknown) => textOf(isObject(item) ? item["name"] : item))
    .filter((item) => item !== null);
}
