import { expect } from "chai";
import { keccak256, toHex } from "viem";
import type { BlockRef, StoredChain } from "../../../indexer/store/store.ts";
import {
  createSyncState,
  FIRST_RANGE_BLOCKS,
  step,
  UNDO_BLOCKS,
  WINDOW_BLOCKS,
  type SyncState,
} from "../../../indexer/sync/core.ts";

const ref = (number: number, branch = "a"): BlockRef => ({
  number,
  hash: keccak256(toHex(`${branch}${number}`)),
  parentHash: keccak256(toHex(`${branch}${number - 1}`)),
  timestamp: number,
});

const chainAt = (checkpoint: BlockRef, undoFloor: number): StoredChain => ({
  ...{ anchor: ref(9), checkpoint, undoFloor, finalized: undoFloor },
});

/** A state whose stored rows were compared with the chain. */
function liveAt(checkpoint: BlockRef, undoFloor: number): SyncState {
  return { ...createSyncState(10), status: "live", chain: chainAt(checkpoint, undoFloor), head: checkpoint };
}

describe("sync core", () => {
  it("compares the stored checkpoint with the chain before anything else", () => {
    const [opened] = step(createSyncState(10), { kind: "opened", chain: chainAt(ref(50), 20), isForeign: false });
    const [, action] = step(opened, { kind: "head", head: ref(60), finalized: 40 });
    expect(action).to.deep.equal({ kind: "compare", number: 50 });
  });

  it("reads singly, with their former states, as many blocks as are to be answered for", () => {
    const head = ref(10_000);
    const start = { ...liveAt(ref(7_999), 7_999), undoBlocks: createSyncState(10, undefined, 2_000).undoBlocks };
    const [, range] = step(start, { kind: "head", head, finalized: 10_000 });
    expect(range).to.deep.equal({ kind: "fetchRange", from: 8_000, to: 8_000 });
    const [, single] = step({ ...start, chain: chainAt(ref(8_000), 8_000) }, { kind: "head", head, finalized: 10_000 });
    expect(single).to.deep.equal({ kind: "fetchBlocks", from: 8_001, to: 8_000 + WINDOW_BLOCKS });
    expect(createSyncState(10, undefined, 1).undoBlocks).to.equal(UNDO_BLOCKS);
  });

  it("reads ranges up to what can no more be undone, and single blocks above", () => {
    const head = ref(10_000);
    const [, far] = step(liveAt(ref(9), 9), { kind: "head", head, finalized: 10_000 });
    expect(far).to.deep.equal({ kind: "fetchRange", from: 10, to: 9 + FIRST_RANGE_BLOCKS });
    const floor = 10_000 - UNDO_BLOCKS;
    const [, near] = step(liveAt(ref(floor), floor), { kind: "head", head, finalized: 10_000 });
    expect(near).to.deep.equal({ kind: "fetchBlocks", from: floor + 1, to: floor + WINDOW_BLOCKS });
  });

  it("halves a range that failed, and grows it again while it gives little", () => {
    const state: SyncState = { ...liveAt(ref(9), 9), head: ref(10_000), finalized: 10_000 };
    const [halved] = step(state, { kind: "failed", isRange: true });
    expect(halved.rangeBlocks).to.equal(FIRST_RANGE_BLOCKS / 2);
    const end = ref(9 + halved.rangeBlocks);
    const range = { first: ref(10), blocks: [], end, endHashBefore: end.hash };
    const [grown, action] = step(halved, { kind: "range", range });
    expect(grown.rangeBlocks).to.equal(FIRST_RANGE_BLOCKS);
    expect(action.kind).to.equal("apply");
  });

  it("refuses a range during which the chain moved", () => {
    const state: SyncState = { ...liveAt(ref(9), 9), head: ref(10_000), finalized: 10_000 };
    const range = { first: ref(10), blocks: [], end: ref(20), endHashBefore: ref(20, "b").hash };
    const [refused, action] = step(state, { kind: "range", range });
    expect(action).to.deep.equal({ kind: "backOff", failures: 1 });
    expect(refused.refusal).to.match(/^RANGE_MOVED/);
  });

  it("finds the common ancestor in as many questions as the undo log has bits, and undoes to it", () => {
    const fork = 137;
    let [state, action] = step(liveAt(ref(180), 60), { kind: "head", head: ref(180, "b"), finalized: 60 });
    let questions = 0;
    while (action.kind === "compare") {
      expect(state.status).to.equal("searching");
      const { number } = action;
      const actual = ref(number, number <= fork ? "a" : "b").hash;
      [state, action] = step(state, { kind: "compared", number, stored: ref(number).hash, actual });
      questions++;
    }
    expect(action).to.deep.equal({ kind: "undo", to: fork });
    expect(questions).to.be.at.most(8);
    expect(state.counts).to.include({ reorgs: 1, undoneBlocks: 180 - fork });
  });

  it("starts over when the undo floor itself is gone", () => {
    const [state] = step(liveAt(ref(180), 60), { kind: "head", head: ref(180, "b"), finalized: 60 });
    const lost = { kind: "compared", number: 60, stored: ref(60).hash, actual: ref(60, "b").hash } as const;
    const [fresh, action] = step(state, lost);
    expect(action).to.deep.equal({ kind: "wipe" });
    expect(fresh).to.deep.include({ status: "rebuilding", chain: undefined });
  });

  it("answers nobody while a short chain may be ours or another", () => {
    const [state] = step(liveAt(ref(180), 60), { kind: "head", head: ref(30), finalized: 30 });
    const [asked, action] = step(state, { kind: "compared", number: 60, stored: ref(60).hash, actual: undefined });
    expect(action).to.deep.equal({ kind: "compareOlder", atMost: 30 });
    const [unsure] = step(asked, { kind: "comparedOlder", isSame: true });
    expect(unsure.status).to.equal("unsure");
    const [other] = step(asked, { kind: "comparedOlder", isSame: false });
    expect(other.status).to.equal("rebuilding");
  });

  it("counts failures until something was stored, however often the head is read", () => {
    let state = liveAt(ref(50), 20);
    for (let round = 1; round <= 3; round++) {
      [state] = step(state, { kind: "head", head: ref(51), finalized: 20 });
      const log = {
        blockNumber: 51,
        blockHash: ref(51, "b").hash,
        transactionHash: "0x",
        logIndex: 0,
        address: "0x",
        topics: [],
        payload: "0x",
      } as const;
      const decoded = { kind: "ignore", code: "", detail: "" } as const;
      [state] = step(state, { kind: "blocks", blocks: [{ ref: ref(51), events: [{ log, decoded }] }] });
      expect(state).to.deep.include({ failures: round });
    }
    const [, action] = step(state, { kind: "blocks", blocks: [{ ref: ref(51), events: [] }] });
    expect(action.kind).to.equal("apply");
    const [stored] = step(state, { kind: "stored", chain: chainAt(ref(51), 20) });
    expect(stored).to.deep.include({ failures: 0, refusal: undefined });
  });
});
