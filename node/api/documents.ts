import { parseAbi } from "viem";
import { withSignal } from "../chain/clock.ts";
import { unreachable, type ChainClient } from "../chain/connect.ts";
import { strangersText } from "../desk/untrusted.ts";
import { didPkhOf, type CardKeys } from "./a2a/keys.ts";
import { agentRegistryOf, descriptionOf, VERSION, type AgentSelf } from "./self.ts";
import { failure, type Mount } from "./server.ts";
import { writeJson } from "./web.ts";

// What anybody may read of an agent without a token, under the paths that its readers know: ERC-8004's registration file,
// the AI Catalog (specVersion 1.0, draft of 2026), the MCP server card that it lists (SEP-2127), and DID documents.

const uriAbi = parseAbi(["function tokenURI(uint256 agentId) view returns (string)"]);
const REGISTRATION_TYPE = "https://eips.ethereum.org/EIPS/eip-8004#registration-v1";
const SERVER_CARD_SCHEMA = "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json";
/** An on-chain registration file that is longer is not read. */
const MAX_URI = 65_536;
const JSON_URI = /^data:application\/json(?:;charset=utf-8)?(;base64)?,/i;

export function createDocumentMounts(self: AgentSelf, keys: CardKeys, client: ChainClient): Mount[] {
  const open = (
    path: string,
    make: (signal: AbortSignal) => object | Promise<object>,
    type = "application/json",
  ): Mount => ({
    path,
    isOpen: true,
    async serve({ request, response, signal }) {
      if (request.method !== "GET")
        return writeJson(response, failure(405, "METHOD_WRONG", "a document is read by GET"));
      const body = await make(signal);
      writeJson(response, { status: 200, body }, { "content-type": type, "access-control-allow-origin": "*" });
    },
  });
  return [
    open("/.well-known/agent-registration.json", async (signal) =>
      registrationOf(self, await readUri(self, client, signal)),
    ),
    open("/.well-known/ai-catalog.json", () => catalogOf(self), "application/ai-catalog+json"),
    open("/mcp/server-card", () => serverCardOf(self), "application/mcp-server-card+json"),
    open("/.well-known/did.json", () => webDocumentOf(self, keys), "application/did+json"),
    open("/did/pkh.json", () => pkhDocumentOf(self), "application/did+json"),
    open("/.well-known/jwks.json", () => ({ keys: [keys.es256, keys.es256k] }), "application/jwk-set+json"),
  ];
}

/** did:web of an origin: its host, with the port's colon escaped (did:web §3.1). */
export const didWebOf = (self: AgentSelf): string => `did:web:${encodeURIComponent(new URL(self.origin()).host)}`;

async function readUri(
  { agentId, identityRegistry }: AgentSelf,
  client: ChainClient,
  signal: AbortSignal,
): Promise<string> {
  const call = { address: identityRegistry, abi: uriAbi, functionName: "tokenURI", args: [agentId] } as const;
  return await withSignal(client.readContract(call), signal).catch((cause: unknown) => {
    signal.throwIfAborted();
    throw unreachable(cause);
  });
}

/**
 * The registration file. What the registry itself holds (a data: URI) comes first, so that nobody reads here something
 * else than on chain; a file elsewhere is named, not fetched: it is not ours to vouch for, nor to be sent to.
 */
export function registrationOf(self: AgentSelf, agentURI: string): object {
  const onChain = readRegistration(agentURI);
  const origin = self.origin();
  return {
    type: REGISTRATION_TYPE,
    name: onChain?.name ?? self.name,
    description: onChain?.description ?? descriptionOf(self),
    ...(onChain?.image === undefined ? {} : { image: onChain.image }),
    services: [
      { name: "A2A", endpoint: `${origin}/.well-known/agent-card.json`, version: "1.0.0" },
      { name: "MCP", endpoint: `${origin}/mcp`, version: "2026-07-28" },
      { name: "DID", endpoint: didPkhOf(self.chainId, self.address), version: "v1" },
      ...(self.shopUrl === undefined ? [] : [{ name: "web", endpoint: self.shopUrl }]),
    ],
    x402Support: self.shopUrl !== undefined,
    active: true,
    registrations: [{ agentId: Number(self.agentId), agentRegistry: agentRegistryOf(self) }],
    supportedTrust: ["reputation", "crypto-economic"],
    agentURI: onChain === undefined ? strangersText(agentURI, 2_048) : "data:",
  };
}

interface OnChainFile {
  readonly name: string | undefined;
  readonly description: string | undefined;
  readonly image: string | undefined;
}

/** The file that a data: URI holds; undefined: it holds none, or lies elsewhere. */
function readRegistration(agentURI: string): OnChainFile | undefined {
  const [head, base64] = JSON_URI.exec(agentURI) ?? [];
  if (head === undefined || agentURI.length > MAX_URI) return undefined;
  const content = agentURI.slice(head.length);
  try {
    const text = base64 === undefined ? decodeURIComponent(content) : Buffer.from(content, "base64").toString("utf8");
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    const fields = value as Record<string, unknown>;
    const textOf = (name: string) =>
      typeof fields[name] === "string" ? strangersText(fields[name], 2_048) : undefined;
    return { name: textOf("name"), description: textOf("description"), image: textOf("image") };
  } catch {
    return undefined;
  }
}

function catalogOf(self: AgentSelf): object {
  const origin = self.origin();
  const { hostname } = new URL(origin);
  const entry = (kind: string, type: string, path: string) => ({
    ...{ identifier: `urn:air:${hostname}:${kind}:${self.name}`, type, url: origin + path },
  });
  return {
    specVersion: "1.0",
    host: { displayName: self.name, identifier: didWebOf(self) },
    entries: [
      entry("a2a", "application/a2a-agent-card+json", "/.well-known/agent-card.json"),
      entry("mcp", "application/mcp-server-card+json", "/mcp/server-card"),
    ],
  };
}

/** Reverse-DNS of a host, for names of MCP servers; an address stays as it is. */
const reversed = (hostname: string): string =>
  /^[\d.]+$|:/.test(hostname) ? hostname.replace(/[[\]:]/g, "") : hostname.split(".").toReversed().join(".");

function serverCardOf(self: AgentSelf): object {
  const origin = self.origin();
  return {
    $schema: SERVER_CARD_SCHEMA,
    name: `${reversed(new URL(origin).hostname)}/${self.name}`,
    title: self.name,
    description: "Find, verify, hire and audit agents of the Surety network.",
    version: VERSION,
    remotes: [
      {
        type: "streamable-http",
        url: `${origin}/mcp`,
        headers: [{ name: "Authorization", isRequired: true, isSecret: true }],
        supportedProtocolVersions: ["2026-07-28", "2025-11-25", "2025-06-18"],
      },
    ],
  };
}

function webDocumentOf(self: AgentSelf, keys: CardKeys): object {
  const [id, pkh, origin] = [didWebOf(self), didPkhOf(self.chainId, self.address), self.origin()];
  const method = (name: string, jwk: CardKeys["es256"]) => {
    const { kid: _kid, use: _use, ...publicKeyJwk } = jwk;
    return { id: `${id}#${name}`, type: "JsonWebKey2020", controller: id, publicKeyJwk };
  };
  const methods = [method("log", keys.es256k), method("card", keys.es256)];
  return {
    "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/jws-2020/v1"],
    ...{ id, alsoKnownAs: [pkh], verificationMethod: methods },
    assertionMethod: methods.map((one) => one.id),
    authentication: [`${id}#log`],
    service: [
      { id: `${id}#a2a`, type: "A2A", serviceEndpoint: `${origin}/a2a` },
      { id: `${id}#mcp`, type: "MCP", serviceEndpoint: `${origin}/mcp` },
    ],
  };
}

/** As anybody derives it from the identifier alone (did:pkh, eip155). */
function pkhDocumentOf({ chainId, address }: AgentSelf): object {
  const id = didPkhOf(chainId, address);
  const method = {
    ...{ id: `${id}#blockchainAccountId`, type: "EcdsaSecp256k1RecoveryMethod2020", controller: id },
    blockchainAccountId: `eip155:${chainId}:${address}`,
  };
  return {
    "@context": [
      "https://www.w3.org/ns/did/v1",
      { blockchainAccountId: "https://w3id.org/security#blockchainAccountId" },
    ],
    ...{ id, verificationMethod: [method], authentication: [method.id], assertionMethod: [method.id] },
  };
}
