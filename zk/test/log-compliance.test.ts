import { expect } from "chai";
import { Bool, Field, UInt64, VerificationKey, verify } from "o1js";
import { keccak256, numberToHex } from "viem";
import { SuretyError } from "../../contracts/protocol/errors.ts";
import { BATCH_SIZE, Claim, LogCompliance, ShadowEntry } from "../log/program.ts";
import {
  checkProof,
  compileProgram,
  headAfter,
  makeProof,
  type ComplianceProof,
  type ProverKey,
  type Statement,
} from "../log/proof.ts";
import { budgetCommitmentOf, digestField, shadowGenesis, wordOf, type LogEntry } from "../log/shadow.ts";
import { cacheDir, createStopwatch, keepCache } from "./cache.ts";

const isNightly = process.env["SURETY_PROFILE"] === "nightly";
/** Compiling without a cache and two proofs take two minutes on two idle cores; CI's may be busy. */
const TIMEOUT_MS = (isNightly ? 90 : 30) * 60_000;
/** One base and one step; at night five steps. The last batch is never full. */
const ENTRIES = (isNightly ? 5 : 1) * BATCH_SIZE + 5;

const log = { chainId: 31_337, registry: numberToHex(0xa1, { size: 20 }), log: numberToHex(0xb2, { size: 20 }) };
const entryAt = (seq: number): LogEntry => ({
  seq,
  digest: keccak256(numberToHex(seq, { size: 32 })),
  spend: seq % 3 === 0 ? BigInt(seq % 400) : 0n,
});
const entries = Array.from({ length: ENTRIES }, (_, seq) => entryAt(seq));
const limit = 400n;
const spent = entries.reduce((sum, { spend }) => sum + spend, 0n);
/** Spent to the last unit: one more entry that spends is over budget. */
const secrets = { budget: spent, budgetSalt: 77n };
const genesis = wordOf(shadowGenesis(log));
const budgetCommitment = wordOf(budgetCommitmentOf(secrets.budget, secrets.budgetSalt));
const expected: Statement = {
  headFrom: genesis,
  fromSeq: 0,
  headTo: headAfter(genesis, entries),
  nextSeq: ENTRIES,
  limit,
  budgetCommitment,
};

describe("log compliance, with the real recursive prover and verifier", function () {
  this.timeout(TIMEOUT_MS);
  let key: ProverKey;
  let proof: ComplianceProof;
  const say = (line: string) => console.log(`      ${line}`);

  before(async () => {
    const compiled = createStopwatch();
    key = await compileProgram(cacheDir);
    compiled("compiled, or read from the cache");
    keepCache();
    const proved = createStopwatch();
    proof = await makeProof({ headFrom: genesis, limit }, entries, secrets, key, say);
    proved(`proved ${Math.ceil(ENTRIES / BATCH_SIZE)} batches of ${BATCH_SIZE}, the first by base, each other by step`);
  });

  const check = (file: ComplianceProof, statement = expected, its = key, hash = key.hash) =>
    checkProof(file, statement, its, hash);
  const withProof = (change: Partial<ComplianceProof["proof"]>): ComplianceProof => ({
    ...proof,
    proof: { ...proof.proof, ...change },
  });

  it("holds from the first entry to the last, through a base and a step", async () => {
    expect(await check(proof)).to.equal(undefined);
    const checked = createStopwatch();
    expect(await check(JSON.parse(JSON.stringify(proof, bigints), readBigints) as ComplianceProof)).to.equal(undefined);
    checked(`checked warm, ${proof.proof.proof.length} bytes`);
  });

  it("refuses every public value but the true one", async () => {
    const { publicInput, publicOutput } = proof.proof;
    for (const [name, values] of [
      ["publicInput", publicInput],
      ["publicOutput", publicOutput],
    ] as const) {
      for (const index of values.keys()) {
        const forged = values.map((value, i) => (i === index ? String(BigInt(value) + 1n) : value));
        expect(await check(withProof({ [name]: forged })), `${name} ${index}`).to.equal("PROOF_PUBLIC_VALUES");
      }
    }
    expect(await check(withProof({ publicOutput: publicOutput.slice(1) }))).to.equal("PROOF_PUBLIC_VALUES");
  });

  it("is a proof of nothing else, even where file and verifier agree on a false statement", async () => {
    const nextSeq = expected.nextSeq + 1;
    const [headTo, , total] = proof.proof.publicOutput;
    const forged = withProof({ publicOutput: [headTo ?? "", String(nextSeq), total ?? ""] });
    const statement = { ...expected, nextSeq };
    expect(await check({ ...forged, statement }, statement)).to.equal("PROOF_INVALID");
  });

  it("refuses another statement than the verifier's: a skipped entry, another limit, another budget", async () => {
    const skipped = headAfter(genesis, [...entries.slice(0, 3), ...entries.slice(4)]);
    for (const change of [
      { headTo: skipped },
      { limit: limit + 1n },
      { budgetCommitment: wordOf(budgetCommitmentOf(secrets.budget + 1n, secrets.budgetSalt)) },
      { fromSeq: 1 },
      { headFrom: wordOf(shadowGenesis({ ...log, chainId: 1 })) },
    ]) {
      expect(await check(proof, { ...expected, ...change })).to.equal("PROOF_STATEMENT");
    }
  });

  it("refuses a forged key: its data decide, so its hash is computed and compared", async () => {
    expect(await check(proof, expected, { ...key, hash: key.hash + 1n })).to.equal("PROOF_KEY_FORGED");
    expect(await check({ ...proof, programHash: "5" })).to.equal("PROOF_PROGRAM");
    const dummy = await VerificationKey.dummy();
    const forged = { data: dummy.data, hash: key.hash };
    expect(await check(proof, expected, forged)).to.equal("PROOF_KEY_FORGED");
    expect(await check(withProof({ maxProofsVerified: 0 }))).to.equal("PROOF_FORM");
    expect(await check(withProof({ proof: proof.proof.proof.slice(4) }))).to.equal("PROOF_FORM");
  });

  const circuit = async (given: readonly LogEntry[], start = { head: genesis, seq: 0 }, budget = secrets.budget) => {
    const claim = new Claim({
      headFrom: Field(BigInt(start.head)),
      fromSeq: Field(start.seq),
      limit: UInt64.from(limit),
      budgetCommitment: Field(BigInt(budgetCommitment)),
    });
    const batch = Array.from({ length: BATCH_SIZE }, (_, i) => {
      const entry = given[i] ?? { digest: "0x00" as const, spend: 0n };
      const isLive = Bool(i < given.length);
      return new ShadowEntry({ isLive, spend: UInt64.from(entry.spend), digest: digestField(entry.digest) });
    });
    return LogCompliance.rawMethods.base(claim, batch, UInt64.from(budget), Field(secrets.budgetSalt), Field(1));
  };
  const refusal = async (act: Promise<unknown>): Promise<string> =>
    act.then(
      () => "accepted",
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );

  it("has a circuit that refuses an entry over the limit, a total over the budget and another budget", async () => {
    const over = { ...entryAt(1), spend: limit + 1n };
    expect(await refusal(circuit([entryAt(0), over]))).to.match(/range/i);
    const many = Array.from({ length: BATCH_SIZE }, (_, seq) => ({ ...entryAt(seq), spend: limit }));
    expect(await refusal(circuit(many.slice(0, Number(spent / limit))))).to.equal("accepted");
    expect(await refusal(circuit(many.slice(0, Number(spent / limit) + 1)))).to.match(/range/i);
    expect(await refusal(circuit([entryAt(0)], { head: genesis, seq: 0 }, spent + 1n))).to.match(/assertEquals|!=/);
  });

  it("has a circuit whose head tells a skipped, an exchanged and an altered entry apart", async () => {
    const heads = await Promise.all(
      [
        [entryAt(0), entryAt(1), entryAt(2)],
        [entryAt(0), entryAt(2)],
        [entryAt(0), entryAt(2), entryAt(1)],
        [entryAt(0), { ...entryAt(1), spend: 1n }, entryAt(2)],
      ].map(async (given) => (await circuit(given)).publicOutput.headTo.toString()),
    );
    expect(new Set(heads).size).to.equal(heads.length);
    expect(wordOf(Field(heads[0] ?? "0"))).to.equal(headAfter(genesis, [entryAt(0), entryAt(1), entryAt(2)]));
  });

  it("names what cannot be proven before it works for it", async () => {
    const make = async (given: readonly LogEntry[], budget = secrets.budget): Promise<unknown> => {
      try {
        await makeProof({ headFrom: genesis, limit }, given, { ...secrets, budget }, key);
        return "made";
      } catch (error) {
        return error instanceof SuretyError ? error.code : error;
      }
    };
    expect(await make([])).to.equal("PROOF_SEQUENCE");
    expect(await make([entryAt(0), entryAt(2)])).to.equal("PROOF_SEQUENCE");
    expect(await make([{ ...entryAt(0), spend: limit + 1n }])).to.equal("PROOF_OVER_LIMIT");
    expect(await make(entries, spent - 1n)).to.equal("PROOF_OVER_BUDGET");
  });

  it("needs no prover to be checked: proof and key suffice", async () => {
    expect(await verify(proof.proof, key.data)).to.equal(true);
  });
});

const bigints = (_: string, value: unknown): unknown => (typeof value === "bigint" ? `${value}n` : value);
const readBigints = (_: string, value: unknown): unknown =>
  typeof value === "string" && /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value;
