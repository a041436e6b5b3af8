// The compliance program. What it proves of a log, between two anchored heads: every entry is linked to the one before, each spend is
// within the limit, and all spends since the first head are within the committed budget. Entries, amounts, budget and total stay hidden.
import { Bool, Field, Gadgets, Poseidon, Provable, SelfProof, setBackend, Struct, UInt64, ZkProgram } from "o1js";

// Before anything else of o1js runs: its WebAssembly is several times slower.
setBackend("native");

/** Entries that one proof folds. 128 take 4,471 rows; checking the proof before takes most of a step whatever they are. */
export const BATCH_SIZE = 128;
/** Names the program's rules; with them its verification key changes, and so does the code commitment of the compliance program. */
export const PROGRAM_NAME = "surety-log-compliance-1";

const TWO_TO_64 = 2n ** 64n;

/** Public input: where the range begins, and under which rules. */
export class Claim extends Struct({
  /** Poseidon head before the first entry. */
  headFrom: Field,
  /** seq of the first entry. */
  fromSeq: Field,
  /** No single spend above this, in the token's smallest unit. */
  limit: UInt64,
  /** Poseidon(budget, salt). */
  budgetCommitment: Field,
}) {}

/** Public output: where the range ends. */
export class Result extends Struct({
  headTo: Field,
  /** seq after the last entry. */
  nextSeq: Field,
  /** Poseidon(total, salt). */
  spentCommitment: Field,
}) {}

/** One entry. One that is not live fills a batch up and changes nothing. */
export class ShadowEntry extends Struct({ isLive: Bool, spend: UInt64, digest: Field }) {}

const Batch = Provable.Array(ShadowEntry, BATCH_SIZE);

/** Hides a number behind a salt. */
export const commit = (value: Field, salt: Field): Field => Poseidon.hash([value, salt]);

/** Head after one entry: seq and spend share a word, as both together have fewer bits than the field. */
export const nextShadowHead = (head: Field, seq: Field, spend: Field, digest: Field): Field =>
  Poseidon.hash([head, seq.mul(TWO_TO_64).add(spend), digest]);

interface Running {
  readonly head: Field;
  readonly seq: Field;
  readonly spent: Field;
}

function fold(claim: Claim, start: Running, entries: readonly ShadowEntry[], budget: UInt64): Running {
  let { head, seq, spent } = start;
  for (const { isLive, spend, digest } of entries) {
    const amount = isLive.toField().mul(spend.value).seal();
    // amount <= limit: else the difference is a number near the field's order.
    Gadgets.rangeCheck64(claim.limit.value.sub(amount).seal());
    head = Provable.if(isLive, nextShadowHead(head, seq, amount, digest), head);
    seq = seq.add(isLive.toField()).seal();
    spent = spent.add(amount).seal();
  }
  // spent <= budget: both are far below the field's order, so no sum wraps.
  Gadgets.rangeCheck64(budget.value.sub(spent).seal());
  return { head, seq, spent };
}

const close = ({ head, seq, spent }: Running, salt: Field): { publicOutput: Result } => ({
  publicOutput: new Result({ headTo: head, nextSeq: seq, spentCommitment: commit(spent, salt) }),
});

export const LogCompliance = ZkProgram({
  name: PROGRAM_NAME,
  publicInput: Claim,
  publicOutput: Result,
  methods: {
    /** Folds the first batch. */
    base: {
      privateInputs: [Batch, UInt64, Field, Field],
      async method(claim: Claim, entries: ShadowEntry[], budget: UInt64, budgetSalt: Field, spentSalt: Field) {
        commit(budget.value, budgetSalt).assertEquals(claim.budgetCommitment);
        const start = { head: claim.headFrom, seq: claim.fromSeq, spent: Field(0) };
        return Promise.resolve(close(fold(claim, start, entries, budget), spentSalt));
      },
    },
    /** Checks the proof so far, made under the same claim, and folds the next batch. */
    step: {
      privateInputs: [SelfProof, Batch, UInt64, Field, Field, Field, Field],
      async method(
        claim: Claim,
        previous: SelfProof<Claim, Result>,
        entries: ShadowEntry[],
        budget: UInt64,
        budgetSalt: Field,
        spent: Field,
        spentSalt: Field,
        nextSpentSalt: Field,
      ) {
        previous.verify();
        const before = Claim.toFields(previous.publicInput);
        Claim.toFields(claim).forEach((field, index) => field.assertEquals(before[index] ?? Field(0)));
        commit(budget.value, budgetSalt).assertEquals(claim.budgetCommitment);
        commit(spent, spentSalt).assertEquals(previous.publicOutput.spentCommitment);
        const { headTo, nextSeq } = previous.publicOutput;
        return Promise.resolve(
          close(fold(claim, { head: headTo, seq: nextSeq, spent }, entries, budget), nextSpentSalt),
        );
      },
    },
  },
});

export class LogComplianceProof extends ZkProgram.Proof(LogCompliance) {}
