import { encodeAbiParameters, getAbiItem, keccak256, sha256, type AbiParameterToPrimitiveType, type Hex } from "viem";
import { codeProofVerifierAbi } from "./generated/abis.ts";

const journalParameter = getAbiItem({ abi: codeProofVerifierAbi, name: "verify" }).inputs[1];

/** What a program under proof puts out; the fields of CodeJournal in Types.sol. */
export type CodeJournal = AbiParameterToPrimitiveType<typeof journalParameter>;

/** The journal as the guest commits it: its ABI encoding, 288 bytes. */
export const encodeJournal = (journal: CodeJournal): Hex => encodeAbiParameters([journalParameter], [journal]);

/** SHA-256 of the journal, as RISC Zero's verifiers take it. */
export const journalDigestOf = (journal: CodeJournal): Hex => sha256(encodeJournal(journal));

/** What the journal of the next step names as `previous`; ICodeProofVerifier.verify returns it. */
export function proofDigestOf(codeCommitment: Hex, journal: CodeJournal): Hex {
  const word = { type: "bytes32" } as const;
  return keccak256(encodeAbiParameters([word, word], [codeCommitment, journalDigestOf(journal)]));
}
