import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { bytesToHex, hexToBytes, zeroHash, type Address } from "viem";
import { applyHeader, createLogState, decodeBody, judgeRotation, type DomainContracts, type LogEntry } from "#protocol";
import { signCheckpoint } from "../../../node/log/checkpoint.ts";
import { createLogStore, type LogStore, type StoredEntry } from "../../../node/log/log-store.ts";
import { rotateLog } from "../../../node/log/rotate.ts";
import { openLogWriter, type CheckpointPort } from "../../../node/log/writer.ts";
import { openStore } from "../../../node/store/sqlite.ts";
import type { Store } from "../../../node/store/port.ts";
import { cliHere } from "../../fixtures/cli-here.ts";
import { testDeployment } from "../../fixtures/deployment.ts";
import { chainOf, signedEntry, signedHeader, testContracts, testDeclare, testSigner } from "../../fixtures/log.ts";

const [from, to] = [testSigner(0), testSigner(1)];
/** Long ago, so that what the logs declare is over by any clock. */
const nowMs = (): number => 1_700_000_000_000;
const signal = new AbortController().signal;
const contracts: DomainContracts = testContracts;
const checkpoints: CheckpointPort = {
  sign: (range) =>
    signCheckpoint(
      { agentId: 7n, log: from.address, ...range, stateHead: zeroHash },
      { signer: from, contracts, block: { number: 1n, hash: zeroHash } },
    ),
  onCheckpoint: () => undefined,
};
const rotate = (store: Store, logs: LogStore) =>
  rotateLog({ store, logs, from, to, contracts, checkpoints, nowMs, signal });

async function write(count: number, path = ":memory:") {
  const store = openStore(path);
  const logs = createLogStore(store);
  const peers = { fetchOwnHeaders: async () => [] };
  const writer = await openLogWriter({ store, logs, signer: from, contracts, peers, nowMs, signal, checkpoints });
  for (let i = 0; i < count; i++) writer.append("declare", testDeclare({ name: `agent ${i}` }), 3_600);
  writer.close();
  return { store, logs };
}
const entryOf = ({ header, body }: StoredEntry): LogEntry => {
  const decoded = decodeBody(header.header.kind, body as Uint8Array);
  if (decoded.kind !== "accept") throw new Error(decoded.detail);
  return { header, body: decoded.value };
};
const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "no error",
    (error: unknown) => (error as { code?: string }).code,
  );

describe("rotation from log to log", () => {
  it("withdraws what the old log declares, ends it, and begins the next, each naming the other", async () => {
    const { store, logs } = await write(2);
    const { withdrawn, ends, starts } = await rotate(store, logs);
    expect(withdrawn).to.have.length(2);
    const [last, first] = [logs.headOf(from.address), logs.headOf(to.address)];
    expect([last?.digest, first?.digest]).to.deep.equal([ends.header.digest, starts.header.digest]);
    const entries = [last, first].map((header) => entryOf(logs.entryByDigest(header!.digest)!)) as [LogEntry, LogEntry];
    expect(judgeRotation(...entries)).to.deep.equal({
      kind: "accept",
      value: { from: from.address, to: to.address },
    });
    expect(judgeRotation(entries[1], entries[0])).to.include({ code: "ROTATION_PLACE" });
    const other = signedEntry(testSigner(2), "rotate", { role: "starts", log: from.address, head: ends.header.digest });
    const stolen = {
      header: other.header,
      body: { kind: "rotate" as const, body: { role: "starts" as const, log: from.address, head: ends.header.digest } },
    };
    expect(judgeRotation(entries[0], stolen)).to.include({ code: "ROTATION_NAMES" });
    const unheard = signedEntry(to, "rotate", { role: "starts", log: from.address, head: zeroHash });
    const headless = {
      header: unheard.header,
      body: { kind: "rotate" as const, body: { role: "starts" as const, log: from.address, head: zeroHash } },
    };
    expect(judgeRotation(entries[0], headless)).to.include({ code: "ROTATION_HEAD" });
  });

  it("lets nobody write to a log that ended, nor take an entry of it", async () => {
    const { store, logs } = await write(1);
    await rotate(store, logs);
    expect(await codeOf(rotate(store, logs))).to.equal("LOG_STARTED");
    const peers = { fetchOwnHeaders: async () => [] };
    const again = openLogWriter({ store, logs, signer: from, contracts, peers, nowMs, signal });
    expect(await codeOf(again)).to.equal("LOG_ENDED");
    const head = logs.headOf(from.address)!;
    const after = signedHeader(from, { seq: head.header.seq + 1, prev: head.digest });
    const state = createLogState(from.address, head);
    expect(applyHeader(state, after, () => head).verdict).to.include({ kind: "ignore", code: "LOG_ENDED" });
    const rival = signedHeader(from, { seq: head.header.seq, prev: head.header.prev, ttl: 9 });
    expect(applyHeader(state, rival, () => head).fork?.kind, "a second end is still a fork").to.equal("same-seq");
  });

  it("drops what waited beyond the end", () => {
    const [first] = chainOf(from, 1);
    const end = signedHeader(from, { kind: 9, seq: 1, prev: first!.digest });
    const beyond = signedHeader(from, { seq: 2, prev: end.digest });
    let state = createLogState(from.address);
    for (const header of [first!, beyond]) state = applyHeader(state, header, () => first).state;
    const step = applyHeader(state, end, () => first);
    expect(step.appended).to.deep.equal([end]);
    expect([step.state.pending.size, step.state.isEnded]).to.deep.equal([0, true]);
  });

  it("leaves both logs as they were when it cannot end the one", async () => {
    const { store, logs } = await write(1);
    const before = logs.counts();
    const failing = {
      ...logs,
      appendOwn: (...args: Parameters<LogStore["appendOwn"]>) => {
        if (args[0].header.log === to.address) throw new Error("the disk is full");
        logs.appendOwn(...args);
      },
    };
    expect(await rotate(store, failing).catch((error: Error) => error.message)).to.equal("the disk is full");
    expect(logs.counts()).to.deep.equal(before);
    expect(
      await codeOf(rotateLog({ store, logs, from: testSigner(3), to, contracts, checkpoints, nowMs, signal })),
    ).to.equal("LOG_EMPTY");
    await rotate(store, logs);
  });

  it("writes the checkpoint that falls on the way", async () => {
    const { store, logs } = await write(32);
    await rotate(store, logs);
    expect(logs.entryAt(from.address, 64)?.header.header.kind).to.equal(10);
    expect(logs.headOf(from.address)?.header.seq).to.equal(65);
  });
});

describe("surety log", function () {
  this.timeout(60_000);
  const dir = mkdtempSync(join(tmpdir(), "surety-log-"));
  const [path, deployment] = [join(dir, "node.sqlite"), join(dir, "localhost")];
  after(() => rmSync(dir, { recursive: true }));
  const [file, next] = [join(dir, "old.jsonl"), join(dir, "new.jsonl")];

  before(async () => {
    const { store, logs } = await write(33, path);
    await rotate(store, logs);
    store.close();
    const { identityRegistry, dealEscrow } = contracts;
    mkdirSync(deployment);
    writeFileSync(
      join(deployment, "deployment.json"),
      JSON.stringify(testDeployment({ identityRegistry, dealEscrow })),
    );
  });
  const exportLog = (log: Address, out: string) =>
    cliHere.json(
      "log",
      "export",
      "--store",
      path,
      "--log",
      log,
      "--out",
      out,
      "--data-dir",
      dir,
      "--network",
      "localhost",
    );

  it("shows what a store and a log hold", async () => {
    const all = await cliHere.json<{ logs: { log: string; entries: number }[] }>("log", "show", "--store", path);
    expect(all.result.logs.map(({ log }) => log)).to.have.members([from.address, to.address]);
    const one = await cliHere.json("log", "show", "--store", path, "--log", from.address);
    expect(one.result).to.include({ rotatedTo: to.address, isForked: false });
    expect(one.result["byKind"]).to.include({ declare: 33, withdraw: 33, rotate: 1, checkpoint: 1 });
    expect(await cliHere.failure("log", "show", "--store", path, "--log", testSigner(4).address)).to.deep.equal([
      1,
      "LOG_UNKNOWN",
    ]);
    expect(await cliHere.failure("log", "show", "--store", join(dir, "none"))).to.deep.equal([
      2,
      "USAGE_STORE_MISSING",
    ]);
  });

  it("exports logs that verify by themselves, and the rotation between them", async () => {
    expect((await exportLog(from.address, file)).result).to.include({ entries: 68, bodiless: 0 });
    expect((await exportLog(to.address, next)).result).to.include({ entries: 1 });
    const { code, result } = await cliHere.json<{ holds: boolean; logs: Record<string, unknown>[] }>(
      "log",
      "verify",
      file,
      next,
    );
    expect([code, result.holds]).to.deep.equal([0, true]);
    expect(result.logs[0]).to.include({ entries: 68, bodies: 68, checkpoints: 1, rotatedTo: to.address });
    const swapped = await cliHere.json<{ rotation: { code: string } }>("log", "verify", next, file);
    expect([swapped.code, swapped.result.rotation.code]).to.deep.equal([1, "ROTATION_MISSING"]);
  });

  it("names the entry whose header, body or place was changed", async () => {
    const lines = readFileSync(file, "utf8").trimEnd().split("\n").slice(0, 9);
    const tampered = async (change: (lines: string[]) => string[]): Promise<string | undefined> => {
      const path = join(dir, "tampered.jsonl");
      writeFileSync(path, `${change([...lines]).join("\n")}\n`);
      const { code, result } = await cliHere.json<{ logs: { findings: { code: string }[] }[] }>("log", "verify", path);
      expect(code).to.equal(1);
      return result.logs[0]?.findings[0]?.code;
    };
    const edit = (at: number, field: "header" | "body", byte: number) => (all: string[]) => {
      const entry = JSON.parse(all[at] as string) as { header: `0x${string}`; body: `0x${string}` };
      const bytes = hexToBytes(entry[field]);
      bytes[byte] = (bytes[byte] as number) ^ 1;
      all[at] = JSON.stringify({ ...entry, [field]: bytesToHex(bytes) });
      return all;
    };
    expect(await tampered(edit(5, "header", 60))).to.equal("HEADER_SIGNER");
    expect(await tampered(edit(5, "body", 20))).to.equal("BODY_HASH");
    expect(await tampered((all) => all.filter((_, i) => i !== 5))).to.equal("LOG_GAP");
    expect(await tampered(([head, ...rest]) => [head as string, ...rest.slice(0, 4), rest[2] as string])).to.equal(
      "ENTRY_KNOWN",
    );
    expect(await cliHere.failure("log", "verify", path)).to.deep.equal([3, "LOG_FILE_INVALID"]);
  });

  it("compacts a store, after which its logs still verify", async () => {
    const compact = () =>
      cliHere.json<{ bodies: number }>("log", "compact", "--store", path, "--own", from.address, to.address);
    expect((await compact()).result).to.include({ logs: 1, bodies: 66 });
    expect((await compact()).result).to.include({ bodies: 0 });
    expect((await exportLog(from.address, file)).result).to.include({ entries: 68, bodiless: 66 });
    const { code, result } = await cliHere.json<{ logs: { checkpoints: number }[] }>("log", "verify", file, next);
    expect([code, result.logs[0]?.checkpoints]).to.deep.equal([0, 1]);
  });
});
