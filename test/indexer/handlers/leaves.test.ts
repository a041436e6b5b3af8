// Leaves that came with no commit: they are answered on chain, 256 at a time, to whoever asks.
import { expect } from "chai";
import fc from "fast-check";
import { zeroHash, type Hex } from "viem";
import { CHUNK_LEAVES, LeafTree } from "#protocol";
import type { AnyRow, TableName } from "../../../indexer/entities.ts";
import { foldEvent } from "../../../indexer/handlers/fold.ts";
import type { EventPlace, RowReader } from "../../../indexer/handlers/row-change.ts";

const LEAF_COUNT = 2 * CHUNK_LEAVES + 30;
const place: EventPlace = { chainId: 1, blockNumber: 1, timestamp: 1, transaction: zeroHash, logIndex: 0 };
const address: Hex = "0x0000000000000000000000000000000000000001";
/** Of seat k the leaf of agent k with score k. */
const words = Array.from({ length: LEAF_COUNT }, (_, k) => (BigInt(k) << 224n) | (BigInt(k) << 160n));

class Rows implements RowReader {
  readonly #rows = new Map<string, AnyRow>();
  // Row types follow from the table's name, which a map of all tables does not know.
  readonly get = ((table: TableName, id: string) => this.#rows.get(`${table} ${id}`)) as RowReader["get"];

  fold(name: string, args: Readonly<Record<string, unknown>>): void {
    for (const { table, row } of foldEvent({ contract: "reputationEpochs", name, args }, place, this))
      this.#rows.set(`${table} ${row.id}`, row);
  }

  put(table: TableName, row: AnyRow & { readonly id: string }): void {
    this.#rows.set(`${table} ${row.id}`, row);
  }

  count(table: TableName): number {
    return [...this.#rows.keys()].filter((key) => key.startsWith(`${table} `)).length;
  }
}

function committed(): Rows {
  const rows = new Rows();
  const seats = { seatCount: LEAF_COUNT, seatEpoch: 1, seatCountBefore: 0 };
  rows.put("topics", { id: "7", ...seats, finalizedEpoch: null, finalizedCandidate: null });
  const topics = [{ topic: 7n, root: new LeafTree(words).root, multiplier: 1n, shift: 0 }];
  const commit = { epoch: 1, candidateId: 5n, publisher: 2, closingBlockHash: zeroHash, topics, leaves: "0x" };
  rows.fold("EpochCommitted", commit);
  return rows;
}

const ask = (rows: Rows, chunk: number) =>
  rows.fold("LeavesRequested", {
    ...{ candidateId: 5n, topic: 7n, chunk: BigInt(chunk), requester: address, fee: 9n, answerBy: 100 },
  });
const answer = (rows: Rows, chunk: number) =>
  rows.fold("LeavesAnswered", {
    ...{ candidateId: 5n, topic: 7n, chunk: BigInt(chunk) },
    leaves: words.slice(chunk * CHUNK_LEAVES, (chunk + 1) * CHUNK_LEAVES),
  });
const stateOf = (rows: Rows) => [
  rows.get("candidates", "5")?.leavesState,
  rows.get("topicRoots", "5:7")?.leavesState,
  rows.get("topicRoots", "5:7")?.knownLeafCount,
];

describe("leaves that are answered on chain", () => {
  it("are announced, available chunk by chunk in any order, and verified when all are there", () => {
    const orders = fc.shuffledSubarray([0, 1, 2], { minLength: 3 });
    fc.assert(
      fc.property(orders, (order) => {
        const rows = committed();
        expect(stateOf(rows)).to.deep.equal(["announced", "announced", 0]);
        let known = 0;
        for (const [k, chunk] of order.entries()) {
          ask(rows, chunk);
          expect(rows.get("leafRequests", `5:7:${chunk}`)).to.include({ state: "waiting", answerBy: 100, fee: 9n });
          answer(rows, chunk);
          expect(rows.get("leafRequests", `5:7:${chunk}`)).to.include({ state: "answered" });
          known += Math.min(CHUNK_LEAVES, LEAF_COUNT - chunk * CHUNK_LEAVES);
          const state = k === 2 ? "verified" : "available";
          expect(stateOf(rows)).to.deep.equal([state, state, known]);
          expect(rows.count("scores")).to.equal(known);
        }
        for (const seat of [0, CHUNK_LEAVES - 1, CHUNK_LEAVES, LEAF_COUNT - 1])
          expect(rows.get("scores", `5:7:${seat}`)).to.include({ seat, score: BigInt(seat), agent: `1:${seat}` });
      }),
      { numRuns: 6 },
    );
  });

  it("say of a request that nobody answered that its fee went back, and leave the rest as it was", () => {
    const rows = committed();
    ask(rows, 1);
    rows.fold("RequestFeeReclaimed", { candidateId: 5n, topic: 7n, chunk: 1n, requester: address, fee: 9n });
    expect(rows.get("leafRequests", "5:7:1")).to.include({ state: "reclaimed", answeredTx: null });
    expect(stateOf(rows)).to.deep.equal(["announced", "announced", 0]);
  });
});
