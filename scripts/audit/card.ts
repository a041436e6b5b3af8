import { concat, keccak256, sha256, stringToHex, type Address, type Hex, type PublicClient } from "viem";
import {
  addressOfPublicKey,
  canonicalJson,
  CARD_EXTENSION,
  identityRegistryAbi,
  peerIdOf,
  purposes,
  recoverPublicKey,
  type Deployment,
} from "#protocol";
import { check, fails, holds, type Check } from "./checks.ts";

/** More than any card has; a stranger's file is read whole. */
export const MAX_CARD_BYTES = 1 << 20;
/** A card carries three; a fourth and a fifth may be of tools that we do not know. */
const MAX_SIGNATURES = 8;

/** A published key, as `/.well-known/jwks.json` has it. */
interface PublicJwk {
  readonly kty: string;
  readonly crv: string;
  readonly x: string;
  readonly y: string;
}

interface Jws {
  readonly protected: string;
  readonly signature: string;
  readonly header: { readonly alg: string; readonly kid: string };
}

/** A card and what its keys are, as the auditor was given them. */
export interface CardEvidence {
  /** JSON text of the card, as it was served. */
  readonly card: string;
  /** JSON text of the key set; undefined = nobody gave it, and the card's own key stays unchecked. */
  readonly keys: string | undefined;
}

/**
 * Whether an A2A agent card is the word of an agent on chain: its registry, its agent, both of its keys and its peer id.
 * The LOG key's signature (ES256K) relates the card to the chain; the other key (ES256), which stock clients check, is the one
 * whose thumbprint the signed card names, so that whoever served the key set is not believed.
 */
export async function* auditCard(
  client: PublicClient,
  deployment: Deployment,
  { card: text, keys }: CardEvidence,
): AsyncGenerator<Check, void, void> {
  const card = readJson(text);
  if (!isRecord(card)) return yield fails("form", `not a JSON object of at most ${MAX_CARD_BYTES} bytes`);
  const claim = claimOf(card);
  if (typeof claim === "string") return yield fails("form", claim);
  const payloads = payloadsOf(card);
  if (payloads === undefined) return yield fails("form", "the card has no canonical JSON");
  yield holds("form", `${String(card["name"])} claims to be agent ${claim.agentId}`);
  const registry = `eip155:${deployment.chainId}:${deployment.contracts.identityRegistry}`;
  const isHere = claim.agentRegistry.toLowerCase() === registry.toLowerCase();
  yield check("registry", isHere, isHere ? registry : `the card names ${claim.agentRegistry}, this is ${registry}`);

  const signatures = signaturesOf(card);
  const account = `did:pkh:eip155:${deployment.chainId}:${claim.logSigner}`.toLowerCase();
  const byLog = signatures.filter(({ header }) => header.alg === "ES256K" && header.kid.toLowerCase() === account);
  const publicKey = byLog.map((jws) => logKeyOf(jws, payloads, claim.logSigner)).find((key) => key !== undefined);
  if (publicKey === undefined) {
    const reason = byLog.length === 0 ? `no signature of ${account}` : `the signature of ${account} does not hold`;
    return yield fails("log key", `${reason}: this card is not the word of ${claim.logSigner}`);
  }
  yield holds("log key", `ES256K by ${claim.logSigner} over the card as it is here`);
  yield* auditOnChain(client, deployment, claim);
  const peerId = peerIdOf(publicKey);
  yield check("peer", claim.peerId === peerId, `the key's is ${peerId}, the card names ${claim.peerId}`);
  yield await checkCardKey(claim, signatures, payloads, keys);
}

/** What the card says of itself, under the extension that both keys sign. */
interface Claim {
  readonly agentId: bigint;
  readonly agentRegistry: string;
  readonly logSigner: Address;
  readonly thumbprint: string;
  readonly peerId: string;
}

async function* auditOnChain(
  client: PublicClient,
  { contracts }: Deployment,
  { agentId, logSigner }: Claim,
): AsyncGenerator<Check, void, void> {
  const { number: blockNumber, timestamp } = await client.getBlock();
  const registry = { abi: identityRegistryAbi, address: contracts.identityRegistry, blockNumber } as const;
  const signerHash = keccak256(logSigner);
  const found = await client.readContract({ ...registry, functionName: "agentOfSigner", args: [signerHash] });
  yield check("agent", found === agentId, found === 0n ? `no agent has ${logSigner}` : `the key is agent ${found}'s`);
  const args = [agentId, signerHash, purposes.log, timestamp] as const;
  const isValid = await client.readContract({ ...registry, functionName: "isSignerValidAt", args });
  const state = isValid ? "speaks" : "does not speak";
  yield check("signer", isValid, `${logSigner} ${state} for agent ${agentId} as LOG at block ${blockNumber}`);
}

async function checkCardKey(
  { thumbprint }: Claim,
  signatures: readonly Jws[],
  payloads: readonly string[],
  keys: string | undefined,
): Promise<Check> {
  const name = "card key";
  if (keys === undefined) return holds(name, `not checked: no key set was given (--keys); the LOG key vouches for it`);
  const set = readJson(keys);
  const list = isRecord(set) && Array.isArray(set["keys"]) ? set["keys"].slice(0, MAX_SIGNATURES) : [];
  const key = list.filter(isP256).find((jwk) => thumbprintOf(jwk) === thumbprint);
  if (key === undefined) return fails(name, `the key set has no key of thumbprint ${thumbprint}, which the card names`);
  const own = signatures.filter(({ header }) => header.alg === "ES256" && header.kid === thumbprint);
  for (const jws of own) if (await isSignedBy(key, jws, payloads)) return holds(name, `ES256 by ${thumbprint}`);
  return fails(name, `${own.length} signatures of ${thumbprint}, none of which holds`);
}

function claimOf(card: Readonly<Record<string, unknown>>): Claim | string {
  const capabilities = isRecord(card["capabilities"]) ? card["capabilities"] : {};
  const extensions = Array.isArray(capabilities["extensions"]) ? capabilities["extensions"].filter(isRecord) : [];
  const ours = extensions.filter(({ uri }) => uri === CARD_EXTENSION);
  const params = ours[0]?.["params"];
  if (ours.length !== 1 || !isRecord(params)) return `it carries the extension ${CARD_EXTENSION} ${ours.length} times`;
  const { agentId, agentRegistry, logSigner, cardKeyThumbprint: thumbprint, peerId } = params;
  const isAgent = typeof agentId === "string" && /^[1-9]\d{0,77}$/.test(agentId);
  if (!isAgent || typeof agentRegistry !== "string" || !isAddressText(logSigner)) return "its agent is malformed";
  if (typeof thumbprint !== "string" || typeof peerId !== "string") return "its keys are malformed";
  return { agentId: BigInt(agentId), agentRegistry, logSigner, thumbprint, peerId };
}

/**
 * What a signature may be over: the card without its signatures (RFC 8785), with empty fields left out as A2A 1.0 §8.4.1 says,
 * or whole as cards of 0.3 are signed.
 */
function payloadsOf({ signatures: _, ...card }: Readonly<Record<string, unknown>>): string[] | undefined {
  try {
    return [canonicalJson(withoutEmpty(card) ?? {}), canonicalJson(card)];
  } catch {
    return undefined;
  }
}

function withoutEmpty(value: unknown): unknown {
  if (value === "" || value === null) return undefined;
  if (Array.isArray(value)) {
    const kept = value.map(withoutEmpty).filter((item) => item !== undefined);
    return kept.length > 0 ? kept : undefined;
  }
  if (!isRecord(value)) return value;
  const kept = Object.entries(value).flatMap(([name, item]) => {
    const cleaned = withoutEmpty(item);
    return cleaned === undefined ? [] : [[name, cleaned] as const];
  });
  return kept.length > 0 ? Object.fromEntries(kept) : undefined;
}

function signaturesOf(card: Readonly<Record<string, unknown>>): Jws[] {
  const given = Array.isArray(card["signatures"]) ? card["signatures"].slice(0, MAX_SIGNATURES) : [];
  return given.filter(isRecord).flatMap(({ protected: head, signature }) => {
    if (typeof head !== "string" || typeof signature !== "string") return [];
    const bytes = bytesOfBase64url(head);
    const header = bytes === undefined ? undefined : readJson(new TextDecoder().decode(bytes));
    if (!isRecord(header) || typeof header["alg"] !== "string" || typeof header["kid"] !== "string") return [];
    return [{ protected: head, signature, header: { alg: header["alg"], kid: header["kid"] } }];
  });
}

/** The compressed key of the account that signed; undefined where it did not. */
function logKeyOf(jws: Jws, payloads: readonly string[], account: Address): Uint8Array | undefined {
  const rs = bytesOfBase64url(jws.signature);
  if (rs?.length !== 64) return undefined;
  for (const payload of payloads) {
    const digest = sha256(inputOf(jws, payload));
    for (const v of [27, 28]) {
      const key = recoverPublicKey(digest, Uint8Array.from([...rs, v]));
      if (key.kind !== "accept") continue;
      if (addressOfPublicKey(key.value).toLowerCase() === account.toLowerCase()) return key.value;
    }
  }
  return undefined;
}

async function isSignedBy({ x, y }: PublicJwk, jws: Jws, payloads: readonly string[]): Promise<boolean> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
  const rs = bytesOfBase64url(jws.signature);
  if (rs?.length !== 64) return false;
  try {
    const key = await crypto.subtle.importKey("jwk", { kty: "EC", crv: "P-256", x, y }, algorithm, false, ["verify"]);
    const judged = payloads.map((payload) =>
      crypto.subtle.verify(algorithm, key, Uint8Array.from(rs), Uint8Array.from(inputOf(jws, payload))),
    );
    return (await Promise.all(judged)).includes(true);
  } catch {
    // No point of the curve.
    return false;
  }
}

/** RFC 7638, over the members that an EC key requires. */
const thumbprintOf = ({ x, y }: PublicJwk): string =>
  base64urlOf(sha256(stringToHex(JSON.stringify({ crv: "P-256", kty: "EC", x, y }))));

const inputOf = (jws: Jws, payload: string): Uint8Array =>
  new TextEncoder().encode(`${jws.protected}.${base64urlOf(concat([stringToHex(payload)]))}`);

const base64urlOf = (hex: Hex): string => Buffer.from(hex.slice(2), "hex").toString("base64url");

function bytesOfBase64url(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return undefined;
  return Uint8Array.from(Buffer.from(text, "base64url"));
}

function readJson(text: string): unknown {
  if (text.length > MAX_CARD_BYTES) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isAddressText = (value: unknown): value is Address =>
  typeof value === "string" && /^0x[0-9a-fA-F]{40}$/.test(value);
const isP256 = (jwk: unknown): jwk is PublicJwk =>
  isRecord(jwk) && jwk["kty"] === "EC" && jwk["crv"] === "P-256" && isText(jwk["x"]) && isText(jwk["y"]);
const isText = (value: unknown): boolean => typeof value === "string";
