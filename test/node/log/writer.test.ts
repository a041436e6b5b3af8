import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect } from "chai";
import { hexToBytes, zeroHash, type Hex } from "viem";
import {
  applyHeader,
  createLogState,
  decodeBody,
  decodeLogHeader,
  encodeLogHeader,
  isBoundHeader,
  rangeRootOf,
  verifyLogHeader,
  type VerifiedHeader,
} from "#protocol";
import { createLogStore, type LogStore } from "../../../node/log/log-store.ts";
import { openLogWriter, type LogWriter, type OwnEntry, type OwnLogPeers } from "../../../node/log/writer.ts";
import { openStore } from "../../../node/store/sqlite.ts";
import type { Store } from "../../../node/store/port.ts";
import { chainOf, testContracts, testDeclare, testSigner } from "../../fixtures/log.ts";

const signer = testSigner(0);
const nobody: OwnLogPeers = { fetchOwnHeaders: async () => [] };
const holding = (entries: readonly VerifiedHeader[]): OwnLogPeers => ({
  fetchOwnHeaders: async (_log, fromSeq) =>
    entries
      .filter((e) => e.header.seq >= fromSeq)
      .map(encodeLogHeader)
      .slice(0, 3),
});

async function open(
  peers = nobody,
  store: Store = openStore(":memory:"),
): Promise<{ writer: LogWriter; logs: LogStore; store: Store }> {
  const logs = createLogStore(store);
  const signal = new AbortController().signal;
  const nowMs = (): number => 1_795_000_000_000;
  const writer = await openLogWriter({ store, logs, signer, contracts: testContracts, peers, nowMs, signal });
  return { writer, logs, store };
}

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "no error",
    (error: unknown) => (error as { code?: string }).code,
  );

describe("log writer", () => {
  it("appends linked, signed entries whose bodies and headers are stored", async () => {
    const { writer, logs } = await open();
    const entries = [1, 2, 3].map((i) => writer.append("declare", testDeclare({ name: `agent ${i}` }), 60));
    let state = createLogState(signer.address);
    for (const { headerBytes, body } of entries) {
      const decoded = decodeLogHeader(headerBytes);
      const verified = decoded.kind === "accept" ? verifyLogHeader(decoded.value, testContracts) : decoded;
      if (verified.kind !== "accept") throw new Error(verified.detail);
      state = applyHeader(state, verified.value, () => undefined).state;
      expect(logs.entryByDigest(verified.value.digest)?.body).to.deep.equal(body);
    }
    expect(state.nextSeq).to.equal(3);
    expect(logs.headOf(signer.address)?.digest).to.equal(state.head);
    expect(logs.heads(undefined, 10)).to.deep.include({ log: signer.address, seq: 2, digest: state.head });
  });

  it("signs nothing and stores nothing of a body that others would refuse", async () => {
    const { writer, logs } = await open();
    expect(() => writer.append("declare", testDeclare({ name: "x".repeat(129) }), 60))
      .to.throw()
      .with.property("code", "BODY_INVALID");
    expect(() => writer.append("declare", testDeclare(), 2 ** 24))
      .to.throw()
      .with.property("code", "HEADER_INVALID");
    expect(logs.headOf(signer.address)).to.equal(undefined);
  });

  it("is the only writer until it is closed", async () => {
    const { writer, store } = await open();
    expect(await codeOf(open(nobody, store))).to.equal("LEASE_HELD");
    writer.close();
    expect(() => writer.append("declare", testDeclare(), 60))
      .to.throw()
      .with.property("code", "WRITER_CLOSED");
    await open(nobody, store);
  });

  it("takes back from peers what a lost disk lacks, and goes on after it", async () => {
    const chain = chainOf(signer, 8);
    const { writer, logs } = await open(holding(chain));
    expect(logs.headOf(signer.address)).to.deep.equal(chain.at(-1));
    const { header } = writer.append("declare", testDeclare(), 60);
    expect(header.header).to.include({ seq: 8, prev: chain.at(-1)?.digest });
  });

  it("refuses to write while peers hold newer entries that it cannot get", async () => {
    const chain = chainOf(signer, 8);
    expect(await codeOf(open(holding(chain.slice(4))))).to.equal("LOG_BEHIND");
  });

  it("refuses to write to a log that forked, and remembers the evidence", async () => {
    const { writer, logs, store } = await open();
    const own = writer.append("declare", testDeclare(), 60);
    writer.close();
    const rival = chainOf(signer, 1);
    expect(await codeOf(open(holding(rival), store))).to.equal("LOG_FORKED");
    expect(logs.forkOf(signer.address)).to.deep.equal({ kind: "same-seq", first: own.header, second: rival[0] });
    expect(await codeOf(open(nobody, store))).to.equal("LOG_FORKED");
  });

  it("passes over what peers invent", async () => {
    const foreign = chainOf(testSigner(1), 3);
    const forged = chainOf(signer, 1).map((entry) => ({ ...entry, header: { ...entry.header, ttl: 77 } }));
    const junk: OwnLogPeers = {
      fetchOwnHeaders: async () => [new Uint8Array(300), ...[...foreign, ...forged].map(encodeLogHeader)],
    };
    const { writer } = await open(junk);
    expect(writer.append("declare", testDeclare(), 60).header.header.seq).to.equal(0);
  });
});

describe("log writer that is killed", () => {
  it("never signs one seq twice, whenever SIGKILL hits it", async function () {
    this.timeout(60_000);
    const folder = mkdtempSync(join(tmpdir(), "surety-writer-"));
    const sent: Hex[] = [];
    for (const killAfter of [1, 3, 7]) sent.push(...(await appendUntilKilled(join(folder, "node.db"), killAfter)));
    rmSync(folder, { recursive: true });
    let state = createLogState(signer.address);
    const held: VerifiedHeader[] = [];
    for (const line of sent) {
      const decoded = decodeLogHeader(hexToBytes(line));
      const verified = decoded.kind === "accept" ? verifyLogHeader(decoded.value, testContracts) : decoded;
      if (verified.kind !== "accept") throw new Error(verified.detail);
      const step = applyHeader(state, verified.value, (seq) => held[seq]);
      held.push(...step.appended);
      state = step.state;
    }
    expect(state.fork).to.equal(undefined);
    expect(sent.length).to.be.at.least(11);
    // An entry that was on disk but not yet sent when the kill hit is the only gap there can be: one a kill.
    expect(state.pending.size + held.length).to.equal(sent.length);
  });
});

/** Runs a writer in a process of its own that prints each entry once it may be sent; kills it after some lines. */
async function appendUntilKilled(path: string, killAfter: number): Promise<Hex[]> {
  const script = new URL("../../fixtures/append-forever.ts", import.meta.url).pathname;
  const child: ChildProcess = spawn(process.execPath, [script, path], { stdio: ["ignore", "pipe", "inherit"] });
  const lines: Hex[] = [];
  const exited = once(child, "exit");
  for await (const line of createInterface({ input: child.stdout! })) {
    if (!/^0x[0-9a-f]{418,430};$/.test(line)) continue;
    lines.push(line.slice(0, -1) as Hex);
    if (lines.length === killAfter) child.kill("SIGKILL");
  }
  await exited;
  return lines;
}

describe("checkpoints of a log writer", () => {
  const blockHash: Hex = `0x${"b1".repeat(32)}`;
  const entries: OwnEntry[] = [];
  const checkpoints = {
    sign: () => ({ agentId: 7n, stateHead: zeroHash, anchorSignature: "0x", blockNumber: 9n, blockHash }) as const,
    onCheckpoint: (entry: OwnEntry) => void entries.push(entry),
  };
  const openWith = (store: Store, logs: LogStore) => {
    const signal = new AbortController().signal;
    const rest = { contracts: testContracts, peers: nobody, nowMs: () => 1_795_000_000_000, signal };
    return openLogWriter({ store, logs, signer, ...rest, checkpoints, isBound: false });
  };
  const say = (writer: LogWriter, i: number) => writer.append("declare", testDeclare({ name: `agent ${i}` }), 60);

  it("stand at every 64th seq with the root of the 64 entries before, across restarts, and no entry twice", async () => {
    const store = openStore(":memory:");
    const logs = createLogStore(store);
    entries.length = 0;
    for (let round = 0; round < 3; round++) {
      const writer = await openWith(store, logs);
      for (let i = 0; i < 50; i++) say(writer, i);
      writer.close();
    }
    expect(entries.map(({ header }) => header.header.seq)).to.deep.equal([64, 128]);
    for (const { header, body } of entries) {
      const decoded = decodeBody(header.header.kind, body);
      if (decoded.kind !== "accept" || decoded.value.kind !== "checkpoint") throw new Error("no checkpoint");
      const { fromSeq, toSeq, root, ...rest } = decoded.value.body;
      expect([fromSeq, toSeq]).to.deep.equal([header.header.seq - 64, header.header.seq - 1]);
      expect(root).to.equal(rangeRootOf(logs.range(signer.address, fromSeq, 64).map(({ digest }) => digest)));
      expect(rest).to.deep.equal(checkpoints.sign());
    }
    expect(logs.headOf(signer.address)?.header.seq).to.equal(151);
  });

  it("are not spent on an entry that others would refuse", async () => {
    const store = openStore(":memory:");
    const logs = createLogStore(store);
    entries.length = 0;
    const writer = await openWith(store, logs);
    for (let i = 0; i < 64; i++) say(writer, i);
    expect(() => writer.append("declare", testDeclare({ name: "x".repeat(129) }), 60)).to.throw("refused");
    expect([entries.length, logs.headOf(signer.address)?.header.seq]).to.deep.equal([0, 63]);
    expect(say(writer, 64).header.header.seq).to.equal(65);
    expect(entries).to.have.length(1);
  });

  it("and every other entry say that the author is unbound, if it is", async () => {
    const store = openStore(":memory:");
    const logs = createLogStore(store);
    const entry = say(await openWith(store, logs), 0);
    expect(isBoundHeader(entry.header.header)).to.equal(false);
    const decoded = decodeLogHeader(entry.headerBytes);
    if (decoded.kind !== "accept") throw new Error(decoded.detail);
    expect(decoded.value.header.version).to.equal(0x81);
    const { writer } = await open();
    expect(isBoundHeader(say(writer, 0).header.header)).to.equal(true);
  });
});
