import { Bool, Cache, Field, UInt64, verify, VerificationKey, type JsonProof } from "o1js";
import type { Hex } from "viem";
import { SuretyError } from "../../contracts/protocol/errors.ts";
import { BATCH_SIZE, Claim, LogCompliance, type LogComplianceProof, PROGRAM_NAME, ShadowEntry } from "./program.ts";
import { budgetCommitmentOf, digestField, shadowHead, wordOf, type LogEntry } from "./shadow.ts";

/** What a proof says, as a verifier states it before it looks at the proof. Words are field elements. */
export interface Statement {
  readonly headFrom: Hex;
  readonly fromSeq: number;
  readonly headTo: Hex;
  /** seq after the last entry. */
  readonly nextSeq: number;
  readonly limit: bigint;
  readonly budgetCommitment: Hex;
}

/** What only the agent knows. */
export interface Secrets {
  readonly budget: bigint;
  readonly budgetSalt: bigint;
}

/** A proof file. The verification key is not in it: a verifier has its own, or that of the chain. */
export interface ComplianceProof {
  readonly program: typeof PROGRAM_NAME;
  /** Hash of the verification key: the code commitment of the compliance program, not of the agent's binary. */
  readonly programHash: string;
  readonly statement: Statement;
  /** Poseidon(total, salt); the agent can open it to somebody. */
  readonly spentCommitment: Hex;
  readonly proof: JsonProof;
}

export interface ProverKey {
  readonly data: string;
  readonly hash: bigint;
}

/** What happened, for a reader who waits. */
export type Progress = (line: string) => void;

/** Compiles prover and verifier; a cache of files spares most of it the next time. */
export async function compileProgram(cacheDir: string): Promise<ProverKey> {
  const { verificationKey } = await LogCompliance.compile({ cache: Cache.FileSystem(cacheDir) });
  return { data: verificationKey.data, hash: verificationKey.hash.toBigInt() };
}

const batchesOf = (entries: readonly LogEntry[]): LogEntry[][] =>
  Array.from({ length: Math.max(1, Math.ceil(entries.length / BATCH_SIZE)) }, (_, i) =>
    entries.slice(i * BATCH_SIZE, (i + 1) * BATCH_SIZE),
  );

function fill(entries: readonly LogEntry[]): ShadowEntry[] {
  const live = entries.map(
    ({ spend, digest }) =>
      new ShadowEntry({ isLive: Bool(true), spend: UInt64.from(spend), digest: digestField(digest) }),
  );
  const rest = new ShadowEntry({ isLive: Bool(false), spend: UInt64.from(0), digest: Field(0) });
  return [...live, ...Array.from({ length: BATCH_SIZE - live.length }, () => rest)];
}

/**
 * Proves that the entries follow on `headFrom`, one by one, within limit and budget. The program is compiled before.
 * @param entries consecutive, at least one
 * @throws SuretyError PROOF_SEQUENCE, PROOF_OVER_LIMIT or PROOF_OVER_BUDGET before any work; the circuit refuses them as well
 */
export async function makeProof(
  start: { readonly headFrom: Hex; readonly limit: bigint },
  entries: readonly LogEntry[],
  { budget, budgetSalt }: Secrets,
  key: ProverKey,
  progress: Progress = () => {},
): Promise<ComplianceProof> {
  requireProvable(entries, start.limit, budget);
  const first = entries[0]?.seq ?? 0;
  const claim = new Claim({
    headFrom: Field(BigInt(start.headFrom)),
    fromSeq: Field(first),
    limit: UInt64.from(start.limit),
    budgetCommitment: budgetCommitmentOf(budget, budgetSalt),
  });
  const proof = await prove(claim, entries, { budget, budgetSalt }, progress);
  return {
    program: PROGRAM_NAME,
    programHash: key.hash.toString(),
    statement: {
      headFrom: start.headFrom,
      fromSeq: first,
      headTo: wordOf(proof.publicOutput.headTo),
      nextSeq: Number(proof.publicOutput.nextSeq.toBigInt()),
      limit: start.limit,
      budgetCommitment: wordOf(claim.budgetCommitment),
    },
    spentCommitment: wordOf(proof.publicOutput.spentCommitment),
    proof: proof.toJSON(),
  };
}

async function prove(
  claim: Claim,
  entries: readonly LogEntry[],
  { budget, budgetSalt }: Secrets,
  progress: Progress,
): Promise<LogComplianceProof> {
  const batches = batchesOf(entries);
  const [budgetWord, budgetSaltWord] = [UInt64.from(budget), Field(budgetSalt)];
  let salt = Field.random();
  let spent = 0n;
  let proof: LogComplianceProof | undefined;
  for (const [index, batch] of batches.entries()) {
    const startedAt = performance.now();
    const nextSalt = Field.random();
    const filled = fill(batch);
    const made =
      proof === undefined
        ? await LogCompliance.base(claim, filled, budgetWord, budgetSaltWord, nextSalt)
        : await LogCompliance.step(claim, proof, filled, budgetWord, budgetSaltWord, Field(spent), salt, nextSalt);
    proof = made.proof;
    salt = nextSalt;
    spent += batch.reduce((sum, entry) => sum + entry.spend, 0n);
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    progress(`proved batch ${index + 1} of ${batches.length}, ${batch.length} entries, in ${seconds} s`);
  }
  if (proof === undefined) throw new Error("a range without a batch");
  return proof;
}

/** @throws SuretyError PROOF_SEQUENCE, PROOF_OVER_LIMIT, PROOF_OVER_BUDGET */
export function requireProvable(entries: readonly LogEntry[], limit: bigint, budget: bigint): void {
  if (entries.length === 0) throw fault("PROOF_SEQUENCE", "The range has no entry.", {});
  let spent = 0n;
  for (const [index, { seq, spend }] of entries.entries()) {
    const expected = (entries[0]?.seq ?? 0) + index;
    if (seq !== expected)
      throw fault("PROOF_SEQUENCE", `Entry ${expected} is missing; ${seq} follows.`, { expected, seq });
    if (spend > limit)
      throw fault("PROOF_OVER_LIMIT", `Entry ${seq} spends ${spend}, over ${limit}.`, { seq, spend, limit });
    spent += spend;
  }
  if (spent > budget)
    throw fault("PROOF_OVER_BUDGET", `The entries spend ${spent}, over ${budget}.`, { spent, budget });
}

const fault = (code: string, message: string, values: Record<string, unknown>) =>
  new SuretyError(code, message, { values, next: "Nothing can be proven of this range; show it to who asked." });

/** Why a proof is not believed; undefined = it holds. */
export type CheckFault =
  "PROOF_PROGRAM" | "PROOF_KEY_FORGED" | "PROOF_STATEMENT" | "PROOF_PUBLIC_VALUES" | "PROOF_FORM" | "PROOF_INVALID";

/**
 * Checks a proof against what the verifier itself states: heads and seqs from anchors, limit and commitment from the agent's policy.
 * @param key of the compiled program, or of the chain; o1js verifies by `data` alone, so its hash is computed again here
 * @param expectedHash hash of the program's verification key that the verifier believes
 */
export async function checkProof(
  file: ComplianceProof,
  expected: Statement,
  key: ProverKey,
  expectedHash: bigint,
): Promise<CheckFault | undefined> {
  if (file.program !== PROGRAM_NAME || file.programHash !== expectedHash.toString()) return "PROOF_PROGRAM";
  if (
    key.hash !== expectedHash ||
    !(await VerificationKey.checkValidity(new VerificationKey({ data: key.data, hash: Field(key.hash) })))
  ) {
    return "PROOF_KEY_FORGED";
  }
  if (!isSame(file.statement, expected)) return "PROOF_STATEMENT";
  const input = [
    BigInt(expected.headFrom),
    BigInt(expected.fromSeq),
    expected.limit,
    BigInt(expected.budgetCommitment),
  ];
  const output = [BigInt(expected.headTo), BigInt(expected.nextSeq), BigInt(file.spentCommitment)];
  const { publicInput, publicOutput, maxProofsVerified } = file.proof;
  // INVARIANT: what the proof is about is every public value, so every one of them is compared.
  if (!isEqual(publicInput, input) || !isEqual(publicOutput, output)) return "PROOF_PUBLIC_VALUES";
  if (maxProofsVerified !== 1) return "PROOF_FORM";
  try {
    return (await verify(file.proof, key.data)) ? undefined : "PROOF_INVALID";
  } catch {
    return "PROOF_FORM";
  }
}

const isEqual = (shown: readonly string[], expected: readonly bigint[]): boolean =>
  shown.length === expected.length && shown.every((value, index) => value === expected[index]?.toString());

const isSame = (a: Statement, b: Statement): boolean =>
  BigInt(a.headFrom) === BigInt(b.headFrom) &&
  BigInt(a.headTo) === BigInt(b.headTo) &&
  a.fromSeq === b.fromSeq &&
  a.nextSeq === b.nextSeq &&
  a.limit === b.limit &&
  BigInt(a.budgetCommitment) === BigInt(b.budgetCommitment);

/** The statement about entries that a verifier has in full: an auditor with the log derives the end itself. */
export const headAfter = (headFrom: Hex, entries: readonly LogEntry[]): Hex =>
  wordOf(shadowHead(Field(BigInt(headFrom)), entries));
