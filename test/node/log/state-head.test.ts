import { expect } from "chai";
import { zeroHash, type Hex } from "viem";
import {
  checkpointRange,
  decodeBody,
  kinds,
  stateGenesis,
  stateHeadAfter,
  type Bodies,
  type LogRange,
  type StateEntry,
} from "#protocol";
import { createLogStore, type LogReader } from "../../../node/log/log-store.ts";
import { stateHeadOf } from "../../../node/log/state-head.ts";
import { openLogWriter, type LogWriter } from "../../../node/log/writer.ts";
import { openStore } from "../../../node/store/sqlite.ts";
import { testContracts, testDeclare, testSigner } from "../../fixtures/log.ts";

const signer = testSigner(0);
const log = signer.address;
const dealOf = (n: number): Hex => `0x${n.toString(16).padStart(64, "0")}`;
const known = (dealId: Hex) => BigInt(dealId) * 1_000n;
const genesis = stateGenesis({ chainId: testContracts.chainId, registry: testContracts.identityRegistry, log });
const seals = { agentId: 7n, anchorSignature: "0x", blockNumber: 9n, blockHash: zeroHash } as const;

/** A log whose checkpoints carry what `stateHeadOf` says; every tenth entry is a receipt of a paid deal. */
async function writeLog(count: number, headOf: (range: LogRange, logs: LogReader) => Hex) {
  const store = openStore(":memory:");
  const logs = createLogStore(store);
  const writer: LogWriter = await openLogWriter({
    ...{ store, logs, signer, contracts: testContracts, nowMs: () => 1_795_000_000_000 },
    ...{ peers: { fetchOwnHeaders: () => Promise.resolve([]) }, signal: new AbortController().signal },
    checkpoints: { sign: (range) => ({ ...seals, stateHead: headOf(range, logs) }), onCheckpoint: () => {} },
  });
  for (let i = 1; i <= count; i++) {
    const receipt = { role: "client", outcome: "completed", rating: 0, transaction: zeroHash } as const;
    if (i % 10 === 0) writer.append("receipt", { dealId: dealOf(i), ...receipt }, 60);
    else writer.append("declare", testDeclare({ name: `agent ${i}` }), 60);
  }
  writer.close();
  return logs;
}

const bodyAt = (logs: LogReader, seq: number) => {
  const entry = logs.entryAt(log, seq);
  const decoded = entry?.body && decodeBody(entry.header.header.kind, entry.body);
  if (decoded?.kind !== "accept") throw new Error(`no body at ${seq}`);
  return decoded.value;
};
const checkpointAt = (logs: LogReader, seq: number): Bodies["checkpoint"] => {
  const body = bodyAt(logs, seq);
  if (body.kind !== "checkpoint") throw new Error(`no checkpoint at ${seq}`);
  return body.body;
};
/** The head as a stranger with all entries computes it. */
function headAfter(logs: LogReader, count: number): Hex {
  const entries: StateEntry[] = logs.range(log, 0, count).map(({ header: { seq }, digest }) => {
    const body = bodyAt(logs, seq);
    return { seq, digest, spend: body.kind === "receipt" ? known(body.body.dealId) : 0n };
  });
  return stateHeadAfter(genesis, entries);
}

describe("the Poseidon head of an own log", function () {
  this.timeout(60_000);

  it("stands in each checkpoint, over all entries and spends from the first one on", async () => {
    const logs = await writeLog(150, (range, own) =>
      stateHeadOf(log, range, { logs: own, contracts: testContracts, priceOf: known }),
    );
    expect(checkpointAt(logs, 64).stateHead).to.equal(headAfter(logs, 64));
    expect(checkpointAt(logs, 128).stateHead).to.equal(headAfter(logs, 128));
  });

  it("begins in a log that went without: from its first entry, not from nothing", async () => {
    const logs = await writeLog(150, (range, own) =>
      range.fromSeq === 0 ? zeroHash : stateHeadOf(log, range, { logs: own, contracts: testContracts, priceOf: known }),
    );
    expect(checkpointAt(logs, 64).stateHead).to.equal(zeroHash);
    expect(checkpointAt(logs, 128).stateHead).to.equal(headAfter(logs, 128));
  });

  it("is none where a deal's price or a receipt's body is unknown, or a price is no 64-bit number", async () => {
    const logs = await writeLog(70, () => zeroHash);
    const range = checkpointRange(64);
    if (range === undefined) throw new Error("no range");
    const headWith = (options: Partial<Parameters<typeof stateHeadOf>[2]>) =>
      stateHeadOf(log, range, { logs, contracts: testContracts, priceOf: known, ...options });
    expect(headWith({})).to.equal(headAfter(logs, 64));
    expect(headWith({ priceOf: () => undefined })).to.equal(zeroHash);
    expect(headWith({ priceOf: () => 2n ** 64n })).to.equal(zeroHash);
    expect(headWith({ priceOf: () => 2n ** 64n - 1n })).to.not.equal(zeroHash);
    const isReceipt = (seq: number): boolean => logs.entryAt(log, seq)?.header.header.kind === kinds.receipt;
    const seqs = Array.from({ length: 64 }, (_, seq) => seq);
    const hollowAt = (at: number | undefined): LogReader => ({
      ...logs,
      entryAt: (of, seq) => {
        const entry = logs.entryAt(of, seq);
        return entry && seq === at ? { ...entry, body: undefined } : entry;
      },
    });
    expect(headWith({ logs: hollowAt(seqs.find(isReceipt)) })).to.equal(zeroHash);
    // What spends nothing by its kind needs no body: it may have been dropped.
    expect(headWith({ logs: hollowAt(seqs.find((seq) => !isReceipt(seq))) })).to.equal(headAfter(logs, 64));
  });
});
