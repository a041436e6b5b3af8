import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { keccak256, toHex, zeroHash, type Abi, type Hex } from "viem";
import { anchorsAbi, stateGenesis, SuretyError } from "#protocol";
import { anchoredHeadAt, lastProvableSeq, readAnchoredHeads } from "../../scripts/proof/anchored.ts";
import { startProver } from "../../scripts/proof/prover.ts";
import type { LogFile } from "../../zk/log/messages.ts";
import { CommandLine } from "../fixtures/cli.ts";
import { cliHere } from "../fixtures/cli-here.ts";
import { writeProvableLog, type ProvableLog } from "../fixtures/provable-log.ts";
import { startLocalNetwork, writeAs, type LocalNetwork } from "../fixtures/local-network.ts";

const codeOf = (act: () => unknown): unknown => {
  try {
    act();
  } catch (error) {
    return error instanceof SuretyError ? error.code : error;
  }
  return "nothing thrown";
};

/** A statement is all that is read of a proof before a prover is asked. */
const proofOf = (log: Hex, fromSeq: number, nextSeq: number) =>
  JSON.stringify({ log: { log }, statement: { fromSeq, nextSeq } });

describe("surety proof check, before it starts a prover", () => {
  let world: LocalNetwork;
  before(async function () {
    this.timeout(120_000);
    world = await startLocalNetwork(1);
  });
  after(() => world.stop());

  it("refuses ranges that are not anchored, or anchored without a Poseidon head", async function () {
    this.timeout(120_000);
    const { agents, deployment, dir, rpcUrl } = world;
    const [agent] = agents;
    if (agent === undefined) throw new Error("the network has no agent");
    const anchor = (fromSeq: number, toSeq: number, stateHead: Hex) =>
      writeAs(world, agent, deployment.contracts.anchors, anchorsAbi as Abi, "anchorLog", [
        ...[agent.agentId, fromSeq, toSeq, keccak256(toHex(fromSeq)), stateHead],
      ]);
    await anchor(0, 63, zeroHash);
    await anchor(64, 127, toHex(10, { size: 32 }));
    const line = new CommandLine();
    const network = ["--data-dir", dir, "--network", "network", "--rpc-url", rpcUrl];
    const rules = ["--limit", "1", "--budget-commitment", zeroHash];
    const refusalOf = (fromSeq: number, nextSeq: number) => {
      const file = join(dir, `proof-${fromSeq}-${nextSeq}.json`);
      writeFileSync(file, proofOf(agent.address, fromSeq, nextSeq));
      return line.failure("proof", "check", file, ...rules, ...network);
    };
    expect(await refusalOf(0, 64)).to.deep.equal([3, "PROOF_HEAD_MISSING"]);
    expect(await refusalOf(64, 128)).to.deep.equal([3, "PROOF_HEAD_MISSING"]);
    expect(await refusalOf(0, 100)).to.deep.equal([3, "PROOF_NOT_ANCHORED"]);
  });
});

describe("surety proof entries", function () {
  this.timeout(120_000);
  let world: LocalNetwork;
  let own: ProvableLog;
  let network: string[];
  const line = new CommandLine();
  before(async () => {
    world = await startLocalNetwork(2);
    own = await writeProvableLog(world);
    network = ["--data-dir", world.dir, "--network", "network", "--rpc-url", world.rpcUrl];
  });
  after(() => world.stop());
  const entries = (...more: string[]) => {
    const named = ["--store", own.storePath, "--agent", String(own.agentId), "--log", own.log];
    return ["proof", "entries", ...named, ...more, "-o", join(world.dir, "range.json"), ...network];
  };

  it("takes a node's log up to its last anchor, with what the escrow says its receipts paid", async () => {
    const { code, result } = await line.json<LogFile>(...entries());
    expect(code).to.equal(0);
    expect(result.entries.map(({ seq }) => seq)).to.deep.equal(Array.from({ length: 128 }, (_, seq) => seq));
    const spends = result.entries.map(({ spend }) => BigInt(spend));
    expect(spends.filter((spend) => spend > 0n)).to.have.length(3);
    expect(spends.reduce((a, b) => a + b)).to.equal(own.spentWei);
    const { chainId, contracts } = world.deployment;
    expect(result.headFrom).to.equal(stateGenesis({ chainId, registry: contracts.identityRegistry, log: own.log }));
  });

  it("begins at an anchor with the head that the chain has, and at nothing else", async () => {
    const { result } = await line.json<LogFile>(...entries("--from", "64"));
    const heads = await readAnchoredHeads(world.client, world.deployment, own.log);
    expect(result.headFrom).to.equal(heads.get(64));
    expect(result.entries[0]?.seq).to.equal(64);
    expect(await line.failure(...entries("--from", "10"))).to.deep.equal([3, "PROOF_NOT_ANCHORED"]);
    expect(await line.failure(...entries("--to", "100"))).to.deep.equal([3, "PROOF_NOT_ANCHORED"]);
  });

  it("refuses, before minutes of proving, a log whose anchored head is not the one of its entries", async () => {
    const agent = world.agents[1];
    if (agent === undefined) throw new Error("the network has no second agent");
    const { anchors } = world.deployment.contracts;
    // The second agent's log is the first one's store: it has nothing, so any head that its key anchors is another.
    await writeAs(world, agent, anchors, anchorsAbi as Abi, "anchorLog", [
      ...[agent.agentId, 0, 63, keccak256("0x01"), toHex(5, { size: 32 })],
    ]);
    const other = entries().map((word) => (word === own.log ? agent.address : word));
    expect(await line.failure(...other)).to.deep.equal([3, "LOG_EMPTY"]);
    const first = world.agents[0];
    if (first === undefined) throw new Error("the network has no agent");
    const lie = [first.agentId, 128, 191, keccak256("0x02"), toHex(6, { size: 32 })];
    await writeAs(world, first, anchors, anchorsAbi as Abi, "anchorLog", lie);
    expect(await line.failure(...entries("--from", "128"))).to.deep.equal([3, "PROOF_HEAD_DIFFERS"]);
  });

  it("goes on as another log once both keys are the agent's, and not before", async () => {
    const [agent] = world.agents;
    const [oldKey, newKey] = ["old.key", "new.key"].map((name) => join(world.dir, name)) as [string, string];
    writeFileSync(oldKey, `${agent!.key}\n`, { mode: 0o600 });
    await cliHere.json("agent", "key", "--key-file", newKey);
    const rotate = [
      "log",
      "rotate",
      "--store",
      own.storePath,
      "--key-file",
      oldKey,
      "--new-key-file",
      newKey,
      ...network,
    ];
    expect(await cliHere.failure(...rotate)).to.deep.equal([3, "ROTATION_AGENTS"]);
    const grant = ["agent", "grant", own.agentId.toString(), "--key-file", oldKey, "--new-key-file", newKey];
    expect((await cliHere.json(...grant, ...network)).code).to.equal(0);
    const { code, result } = await cliHere.json<{ from: Hex; to: Hex }>(...rotate);
    expect([code, result.from]).to.deep.equal([0, own.log]);
    const files = [result.from, result.to].map((log) => join(world.dir, `${log}.jsonl`)) as [string, string];
    for (const [i, log] of [result.from, result.to].entries()) {
      const out = ["--log", log, "--out", files[i] as string];
      await cliHere.json(
        "log",
        "export",
        "--store",
        own.storePath,
        ...out,
        "--data-dir",
        world.dir,
        "--network",
        "network",
      );
    }
    const verified = await cliHere.json<{ holds: boolean }>("log", "verify", ...files);
    expect([verified.code, verified.result.holds]).to.deep.equal([0, true]);
  });
});

describe("surety proof, where the provers are not installed", () => {
  let dir: string;
  before(() => (dir = mkdtempSync(join(tmpdir(), "surety-proof-"))));
  after(() => rmSync(dir, { recursive: true, force: true }));

  it("names what is missing, and the command that installs it", () => {
    const options = { cacheDir: dir, signal: new AbortController().signal, progress: () => {}, zkDir: dir };
    let error: unknown;
    try {
      startProver(options);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).to.be.instanceOf(SuretyError);
    expect(error).to.have.property("code", "ZK_NOT_INSTALLED");
    expect((error as SuretyError).next).to.contain("npm run zk:setup");
  });

  it("begins and ends ranges at anchored heads only", () => {
    const heads = new Map([
      [64, "0x0a"],
      [128, "0x00"],
    ] as const);
    expect(anchoredHeadAt(heads, 64)).to.equal("0x0a");
    expect(codeOf(() => anchoredHeadAt(heads, 65))).to.equal("PROOF_NOT_ANCHORED");
    expect(codeOf(() => anchoredHeadAt(heads, 128))).to.equal("PROOF_HEAD_MISSING");
    expect(lastProvableSeq(heads)).to.equal(63);
    expect(codeOf(() => lastProvableSeq(new Map([[64, "0x00"]])))).to.equal("PROOF_NOT_ANCHORED");
  });

  it("refuses a negative limit as wrong usage, in one JSON object", async () => {
    const line = new CommandLine();
    const args = ["proof", "make", join(dir, "none.json"), "--limit", "-1", "--budget", "1", "--salt", "1", "-o", "x"];
    const { code } = await line.json(...args);
    expect(code).to.equal(2);
  });
});
