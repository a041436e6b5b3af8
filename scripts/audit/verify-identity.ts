import { getAddress, keccak256, numberToHex, size, zeroAddress, type Address, type Hex } from "viem";
import {
  addressOf,
  changesSlot,
  commitmentSlot,
  decodeHolding,
  decodeLogTip,
  decodePendingRecovery,
  decodeRecovery,
  decodeSignerRecord,
  decodeTenure,
  decodeVersion,
  decodeWallet,
  headSlot,
  holdingSlot,
  logAnchorSlot,
  logTipSlot,
  operatorSlot,
  ownerSlot,
  pendingRecoverySlot,
  recoverySlot,
  revocationSlot,
  signerSlot,
  sourceSlot,
  structHash,
  versionSlot,
  type BindingsContract,
} from "#protocol";
import { verifyBatched } from "./batch.ts";
import type { Bundle, BundledAnchor, ProvenContract } from "./bundle.ts";
import { check, fails, holds, type Check } from "./checks.ts";
import type { Words } from "./proven-state.ts";

/** Proven storage of the contracts of an agent's bundle. */
export type AgentWords = Words<ProvenContract>;

/** Proven storage of one of the two registries of bindings. */
export interface BindingWords {
  readonly of: BindingsContract;
  readonly word: (slot: Hex) => bigint;
}

/** Owner, wallet, signers, credential, version chain, recovery and anchors of an agent at the bundle's block. */
export function* verifyIdentity(bundle: Bundle, words: AgentWords, timestamp: number): Generator<Check, void, void> {
  const { agentId } = bundle;
  const bindings: BindingWords = { of: "identityRegistry", word: (slot) => words("identityRegistry", slot) };
  const owner = addressOf(words("identityRegistry", ownerSlot(agentId)));
  yield check("owner", owner !== zeroAddress, owner === zeroAddress ? `agent ${agentId} does not exist` : owner);
  const changes = words("identityRegistry", changesSlot(agentId));
  yield holds("wallet", decodeWallet(changes) ?? owner);
  const { tenure } = decodeTenure(changes);
  yield verifyVersions(agentId, bindings);
  for (const signer of bundle.signers) yield verifySigner(agentId, signer, bindings, { tenure, timestamp });
  const anchored = (slot: Hex) => words("anchors", slot);
  for (const evidence of bundle.batched) yield verifyBatched(agentId, evidence, anchored, timestamp);
  yield verifyCredential(bundle, words, { owner, timestamp });
  yield verifyRecovery(agentId, words, tenure);
  for (const log of logsOf(bundle.signers)) yield* verifyAnchors(bundle, log, words);
  const strayed = bundle.anchors.find(({ log }) => !logsOf(bundle.signers).includes(log));
  if (strayed !== undefined) yield fails("anchors", `${strayed.log} is no log of the agent`);
}

/** Plain keys among the signers: each is the id of a log, if it was bound for that. */
export const logsOf = (signers: readonly Hex[]): Address[] => [
  ...new Set(signers.filter((signer) => size(signer) === 20).map((signer) => getAddress(signer))),
];

/** Slots of an agent's version chain and signers. */
export const bindingSlotsOf = (of: BindingsContract, agentId: bigint, signers: readonly Hex[]): Hex[] => [
  ...[commitmentSlot(agentId, of), headSlot(agentId, of), versionSlot(agentId, of)],
  ...signers.map((signer) => signerSlot(keccak256(signer), of)),
];

export function verifyVersions(agentId: bigint, { of, word: wordAt }: BindingWords): Check {
  const commitment = wordAt(commitmentSlot(agentId, of));
  const head = wordAt(headSlot(agentId, of));
  const version = decodeVersion(wordAt(versionSlot(agentId, of)));
  // At version 1 the commitment is the head, and neither version nor head is stored.
  const current = commitment === 0n ? 0n : version === 0n ? 1n : version;
  const isConsistent = version === 0n ? head === 0n : head !== 0n && version > 1n && commitment !== 0n;
  const word = (value: bigint) => numberToHex(value, { size: 32 });
  const shown = `version ${current}, commitment ${word(commitment)}, head ${word(version === 0n ? commitment : head)}`;
  return check("version chain", isConsistent, current === 0n ? "no code commitment" : shown);
}

export function verifySigner(
  agentId: bigint,
  signer: Hex,
  { of, word }: BindingWords,
  { tenure, timestamp }: { tenure: number; timestamp: number },
): Check {
  const record = decodeSignerRecord(word(signerSlot(keccak256(signer), of)));
  const isOfAgent = record.agentId === agentId && record.purpose !== undefined;
  const window = `from ${record.validFrom} to ${record.validUntil || "no end"}`;
  const state = stateOf(record, tenure, timestamp);
  return check(`signer ${signer}`, isOfAgent, `agent ${record.agentId}, ${record.purpose}, ${state}, ${window}`);
}

function stateOf(record: ReturnType<typeof decodeSignerRecord>, tenure: number, timestamp: number): string {
  // Signers end with the tenure of the owner who bound them; when that was, the agent's transfers tell.
  if (record.tenure !== tenure) return "a former owner's";
  if (record.invalidFrom !== 0 && timestamp >= record.invalidFrom) return "revoked";
  if (record.validUntil !== 0 && timestamp >= record.validUntil) return "ended";
  return timestamp < record.validFrom ? "not yet valid" : "valid";
}

function verifyCredential(
  { agentId, contracts }: Bundle,
  words: AgentWords,
  { owner, timestamp }: { owner: Address; timestamp: number },
): Check {
  const operator = numberToHex(words("credentials", operatorSlot(agentId)), { size: 32 });
  if (BigInt(operator) === 0n) return holds("credential", "none: no issuer says who answers for this agent");
  const holding = decodeHolding(words("credentials", holdingSlot(operator)));
  const verifier = addressOf(words("credentials", sourceSlot(holding.source)));
  const name = verifierNames.find((known) => contracts[known] === verifier);
  if (name === undefined) return fails("credential", `its verifier ${verifier} is none that a bundle can prove`);
  const isRevoked = words(name, revocationSlot(name, operator)) !== 0n;
  const isPresent = holding.agentId === agentId && holding.owner === owner && timestamp < holding.validUntil;
  const state = isRevoked ? "revoked" : isPresent ? "valid" : "of another agent or owner, or ended";
  const detail = `operator ${operator}, level ${holding.level}, until ${holding.validUntil}, by ${verifier}: ${state}`;
  return check("credential", isPresent && !isRevoked, detail);
}

/** Credential verifiers whose revocations a bundle proves. */
export const verifierNames = ["issuerCredentials", "semaphoreCredentials"] as const;

function verifyRecovery(agentId: bigint, words: AgentWords, tenure: number): Check {
  const setting = decodeRecovery(words("ownerRecovery", recoverySlot(agentId)));
  const pending = decodePendingRecovery(words("ownerRecovery", pendingRecoverySlot(agentId)));
  if (pending.newOwner !== zeroAddress && pending.tenure === tenure) {
    return fails("recovery", `guardians hand it to ${pending.newOwner} from ${pending.executableAt} on`);
  }
  const isSet = setting.threshold !== 0 && setting.tenure === tenure;
  return holds(
    "recovery",
    isSet ? `by ${setting.threshold} guardians after ${setting.delay} s; none under way` : "none",
  );
}

/** The last ranges of a log: each one's word is the hash of its fields, and they lead to the tip without a gap. */
function* verifyAnchors({ agentId, anchors }: Bundle, log: Address, words: AgentWords): Generator<Check, void, void> {
  const { nextSeq, anchoredAt } = decodeLogTip(words("anchors", logTipSlot(log)));
  const ranges = anchors.filter((anchor) => anchor.log === log);
  const isKept = ({ fromSeq, ...rest }: BundledAnchor) => {
    const expected = structHash("LogAnchor", { agentId, fromSeq, ...rest });
    return words("anchors", logAnchorSlot(log, fromSeq)) === BigInt(expected);
  };
  const follows = ranges.every(({ fromSeq }, at) => at === 0 || fromSeq === (ranges[at - 1]?.toSeq ?? 0) + 1);
  const isWhole = follows && (ranges.at(-1)?.toSeq ?? -1) + 1 === nextSeq;
  const isOk = isWhole && ranges.every(isKept);
  if (nextSeq === 0 && ranges.length === 0) return;
  yield check(
    "anchors",
    isOk,
    `${log}: ${nextSeq} entries, the last ${ranges.length} ranges proven, last at ${anchoredAt}`,
  );
}
