import { bytesToHex, hexToBytes, isHex } from "viem";
import { accept, reject, type Verdict } from "../errors.ts";
import type { Call, Deal } from "../generated/structs.ts";
import { structHash, type DomainContracts } from "../typed-data.ts";
import { checkCertificate, type Award, type CertifiedBidder } from "./award.ts";
import { MAX_CERTIFICATE_BYTES, MAX_MECHANISM_BYTES } from "./limits.ts";
import { checkCallRules, decodeRules, type Rules } from "./rules.ts";
import { contentHashOf } from "./strict-cbor.ts";
import { decodeStruct, encodeStruct } from "./struct-codec.ts";

/** What either side of a deal can show of its award. The deal's hashes bind every byte of it, so nobody has to be believed. */
export interface AwardEvidence {
  readonly call: Call;
  readonly mechanism: Uint8Array;
  readonly certificate: Uint8Array;
}

const FORMAT = "surety-award/1";

/** One JSON object: the call as its ABI words, rules and certificate as their canonical bytes, all in hex. */
export function writeAwardEvidence({ call, mechanism, certificate }: AwardEvidence): string {
  const words = bytesToHex(encodeStruct("Call", call));
  return JSON.stringify({
    format: FORMAT,
    call: words,
    mechanism: bytesToHex(mechanism),
    certificate: bytesToHex(certificate),
  });
}

/** Rejects AWARD_FORMAT, and as `decodeStruct` does. */
export function readAwardEvidence(text: string): Verdict<AwardEvidence> {
  let json: Partial<Record<"format" | "call" | "mechanism" | "certificate", unknown>> | null;
  try {
    json = JSON.parse(text) as typeof json;
  } catch {
    return reject("AWARD_FORMAT", "it is not JSON");
  }
  if (json?.format !== FORMAT) return reject("AWARD_FORMAT", `its format is not ${FORMAT}`);
  const call = bytesOf(json.call, 1_024);
  const mechanism = bytesOf(json.mechanism, MAX_MECHANISM_BYTES);
  const certificate = bytesOf(json.certificate, MAX_CERTIFICATE_BYTES);
  if (call === undefined || mechanism === undefined || certificate === undefined)
    return reject("AWARD_FORMAT", "call, mechanism or certificate is not bytes in hex");
  const decoded = decodeStruct("Call", call);
  return decoded.kind === "accept" ? accept({ call: decoded.value, mechanism, certificate }) : decoded;
}

function bytesOf(value: unknown, maxBytes: number): Uint8Array | undefined {
  if (typeof value !== "string" || value.length > 2 + 2 * maxBytes || value.length % 2 !== 0) return undefined;
  return isHex(value) ? hexToBytes(value) : undefined;
}

/**
 * Whether the evidence is of this deal, and the deal is the award that its rules make: the follower's own check, for anybody. Whether the
 * bidders' signers spoke for their agents is for the identity registry.
 */
export function checkAwardEvidence(
  { call, mechanism, certificate }: AwardEvidence,
  deal: Deal,
  contracts: DomainContracts,
): Verdict<{ rules: Rules; award: Award; bidders: readonly CertifiedBidder[] }> {
  if (BigInt(structHash("Call", call)) !== deal.salt)
    return reject("AWARD_OTHER_CALL", `the deal's call is ${deal.salt}`);
  const mechanismHash = contentHashOf(mechanism);
  if (mechanismHash !== deal.mechanismHash || mechanismHash !== call.mechanismHash)
    return reject("AWARD_OTHER_RULES", `the deal cites ${deal.mechanismHash}, these are ${mechanismHash}`);
  const rules = decodeRules(mechanism);
  if (rules.kind !== "accept") return rules;
  const kept = checkCallRules(call, rules.value);
  if (kept.kind !== "accept") return kept;
  const checked = checkCertificate(call, rules.value, certificate, deal, contracts);
  if (checked.kind !== "accept") return checked;
  const { award, bidders } = checked.value;
  return accept({ rules: rules.value, award, bidders });
}
