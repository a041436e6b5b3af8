import { readFileSync } from "node:fs";
import { isHex, keccak256, type Address, type Hex } from "viem";
import { structTypes, SuretyError, type Deployment, type Structs } from "#protocol";
import type { Signed } from "./calls.ts";
import { digestOf, statements, type ConsentingSigner, type Enclosed, type Order, type Statement } from "./order.ts";

/** What a page or a wallet shows and signs, as typed data; `surety` is for sending, and the page passes over it. */
export interface RequestFile {
  readonly domain: { readonly verifyingContract?: string };
  readonly types: object;
  readonly primaryType: Statement;
  readonly message: Readonly<Record<string, unknown>>;
  readonly surety: {
    /** ERC-7913 bytes of who is asked. */
    readonly signer: Hex;
    readonly enclosed?: Enclosed;
  };
}

/** What the page gives back. */
export interface SignedFile {
  readonly digest: Hex;
  readonly signature: Hex;
}

/**
 * An order and its signature, out of two files.
 * @throws SuretyError USAGE_PASSKEY_FILE, USAGE_PASSKEY_REQUEST, and USAGE_PASSKEY_OTHER where something else was signed
 */
export function readSigned(
  requestPath: string,
  signedPath: string,
  deployment: Deployment,
): { readonly order: Order; readonly signed: Signed } {
  const request = readJson<RequestFile>(requestPath);
  const order = orderOf(request, requestPath);
  const { digest, signature } = readJson<SignedFile>(signedPath);
  if (!isHex(signature) || digestOf(order, deployment) !== digest) {
    throw new SuretyError("USAGE_PASSKEY_OTHER", "The passkey signed something else than this request.", {
      values: { request: requestPath, signed: signedPath, digest },
      next: "Paste this very request into the page; requests of another network or deployment are others.",
    });
  }
  return { order, signed: { signer: request.surety.signer, signature } };
}

/** Whether a request names this contract as the one that executes it. */
export function isWrittenFor(path: string, contract: Address): boolean {
  const { domain } = readJson<RequestFile>(path);
  return domain?.verifyingContract?.toLowerCase() === contract.toLowerCase();
}

/** A passkey's consent to speak for an agent, as an order of the owner encloses it. */
export function readConsent(requestPath: string, signedPath: string, deployment: Deployment): ConsentingSigner {
  const { order, signed } = readSigned(requestPath, signedPath, deployment);
  if (order.statement !== "SignerBinding") throw notARequest(requestPath);
  const { signerHash, purpose, validFrom, validUntil, deadline } = order.message;
  if (keccak256(signed.signer) !== signerHash) throw notARequest(requestPath);
  return { signer: signed.signer, purpose, validFrom, validUntil, deadline, proof: signed.signature };
}

/** The order of a file, its numbers as the protocol types them: bigints above 48 bits. */
function orderOf({ primaryType, message, surety }: RequestFile, path: string): Order {
  if (!statements.includes(primaryType) || !isHex(surety?.signer)) throw notARequest(path);
  const fields: readonly { readonly name: string; readonly type: string }[] = structTypes[primaryType];
  const typed = fields.map(({ name, type }) => {
    const text = String(message[name]);
    const bits = Number(/^uint(\d+)$/.exec(type)?.[1] ?? 0);
    const isValid = bits > 0 ? /^\d+$/.test(text) : type === "bool" ? /^(true|false)$/.test(text) : isHex(text);
    if (!isValid) throw notARequest(path);
    if (type === "bool") return [name, text === "true"];
    return [name, bits === 0 ? text : bits > 48 ? BigInt(text) : Number(text)];
  });
  const { enclosed = {} } = surety;
  return { statement: primaryType, message: Object.fromEntries(typed) as Structs[Statement], enclosed } as Order;
}

const notARequest = (path: string) =>
  new SuretyError("USAGE_PASSKEY_REQUEST", `${path} is no request of \`surety passkey ask\`, or of another kind.`, {
    values: { path },
    next: "Name the file that `surety passkey ask` wrote.",
  });

/** @throws SuretyError USAGE_PASSKEY_FILE */
export function readJson<T>(path: string): T {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch (cause) {
    throw new SuretyError("USAGE_PASSKEY_FILE", `${path} cannot be read as JSON.`, {
      values: { path },
      next: "Save there, whole, what the page or `surety passkey ask` wrote.",
      cause,
    });
  }
}
