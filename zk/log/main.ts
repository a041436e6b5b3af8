// The prover's process: requests on stdin, answers on stdout, one JSON object a line. It lives until stdin ends: a first check needs the
// program compiled, and every later one a second.
import { createInterface } from "node:readline";
import { SuretyError } from "../../contracts/protocol/errors.ts";
import type { Answer, LogFile, ProofFile, Request, StatementFile } from "./messages.ts";
import {
  checkProof,
  compileProgram,
  headAfter,
  makeProof,
  requireProvable,
  type ComplianceProof,
  type ProverKey,
  type Statement,
} from "./proof.ts";
import type { PROGRAM_NAME } from "./program.ts";
import { budgetCommitmentOf, wordOf, type LogEntry } from "./shadow.ts";

let compiled: Promise<ProverKey> | undefined;

const say = (answer: Answer) => void process.stdout.write(`${JSON.stringify(answer)}\n`);

function keyOf(request: Request): Promise<ProverKey> {
  if (compiled === undefined) {
    say({ id: request.id, progress: "compiling the compliance program; minutes the first time, then half a minute" });
    compiled = compileProgram(request.cacheDir);
  }
  return compiled;
}

const entriesOf = (file: LogFile): LogEntry[] =>
  file.entries.map(({ seq, digest, spend }) => ({ seq, digest, spend: BigInt(spend) }));
const statementOf = (file: StatementFile): Statement => ({ ...file, limit: BigInt(file.limit) });

async function answer(request: Request): Promise<unknown> {
  switch (request.action) {
    case "make":
      return make(request);
    case "check":
      return check(request);
    case "heads":
      return { headTo: headAfter(request.file.headFrom, entriesOf(request.file)) };
    case "commit":
      return { commitment: wordOf(budgetCommitmentOf(BigInt(request.budget), BigInt(request.budgetSalt))) };
  }
}

async function make(request: Request & { action: "make" }): Promise<ProofFile> {
  const { file } = request;
  // Before the program is compiled, which takes longer than to say no.
  requireProvable(entriesOf(file), BigInt(request.limit), BigInt(request.budget));
  const key = await keyOf(request);
  const start = { headFrom: file.headFrom, limit: BigInt(request.limit) };
  const secrets = { budget: BigInt(request.budget), budgetSalt: BigInt(request.budgetSalt) };
  const made = await makeProof(start, entriesOf(file), secrets, key, (progress) => say({ id: request.id, progress }));
  const { chainId, registry, log, agentId } = file;
  return {
    ...made,
    log: { chainId, registry, log, agentId },
    statement: { ...made.statement, limit: made.statement.limit.toString() },
  };
}

async function check(request: Request & { action: "check" }): Promise<{ fault: string | null; programHash: string }> {
  const key = await keyOf(request);
  const { file } = request;
  const proof: ComplianceProof = {
    ...{ program: file.program as typeof PROGRAM_NAME, programHash: file.programHash, proof: file.proof },
    ...{ statement: statementOf(file.statement), spentCommitment: file.spentCommitment },
  };
  const expectedHash = request.programHash === undefined ? key.hash : BigInt(request.programHash);
  const fault = await checkProof(proof, statementOf(request.statement), key, expectedHash);
  return { fault: fault ?? null, programHash: key.hash.toString() };
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as Request;
  try {
    say({ id: request.id, result: await answer(request) });
  } catch (error) {
    const isNamed = error instanceof SuretyError;
    const { code, values, next } = isNamed ? error : { code: "PROOF_FAILED", values: {}, next: "Look at the message." };
    const message = error instanceof Error ? error.message : String(error);
    const shown = JSON.parse(
      JSON.stringify(values, (_, v: unknown) => (typeof v === "bigint" ? v.toString() : v)),
    ) as Record<string, unknown>;
    say({ id: request.id, error: { code, message, values: shown, next } });
  }
}
// o1js keeps threads.
process.exit(0);
