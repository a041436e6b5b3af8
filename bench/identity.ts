import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keccak256, toHex } from "viem";
import {
  CHECKPOINT_INTERVAL,
  configDigestFromProof,
  configDigestOf,
  manifestCommitment,
  proveField,
  stateHeadAfter,
  topicIdOf,
  type Config,
} from "#protocol";
import { measureCode } from "../node/identity/measure.ts";
import { readBundle, writeBundle } from "../scripts/audit/bundle.ts";
import { runChecks } from "../scripts/audit/checks.ts";
import { exportBundle } from "../scripts/audit/export.ts";
import { auditSigner } from "../scripts/audit/responsibility.ts";
import { verifyBundle } from "../scripts/audit/verify-bundle.ts";
import { startLocalNetwork, type LocalNetwork } from "../test/fixtures/local-network.ts";
import { elsewhere } from "./identity/elsewhere.ts";
import { measureLogProof } from "./identity/log-proof.ts";
import type { Bench, Result } from "./harness/report.ts";

/** Verification of a binding as BAID's authors published it (arXiv 2512.17538); their prototype is not to be had here. */
const PUBLISHED = "BAID prototype 67-78 ms as published, not measured here";
const signal = new AbortController().signal;

export const bench: Bench = {
  profile: "default",
  async run({ isQuick }) {
    const rounds = isQuick ? 20 : 200;
    const world = await startLocalNetwork(isQuick ? 10 : 40);
    try {
      const audit = await measureAudit(world, rounds);
      return [...audit, ...(await measureMaterial(rounds)), ...(await measureLogProof(isQuick)), ...elsewhere()];
    } finally {
      await world.stop();
    }
  },
};

const figure = (id: string, values: readonly number[], goal: number | null, note: string, unit = "ms"): Result => ({
  ...{ id, unit, value: Math.round(medianOf(values) * 1000) / 1000, goal, better: "lower" },
  ...{ peers: {}, ratio: null, note },
});

const medianOf = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

async function timesOf(rounds: number, work: () => unknown): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const startMs = performance.now();
    await work();
    times.push(performance.now() - startMs);
  }
  return times;
}

/** Bundles of an agent with a score, against a real chain's state; the first check is timed alone, before anything is warm. */
async function measureAudit(world: LocalNetwork, rounds: number): Promise<Result[]> {
  const { client, deployment, agents } = world;
  const count = agents.length;
  const ratings = agents.map((_, k) => [k, (k + 1) % count, 50] as const);
  await world.rate(topicIdOf("bench"), ratings);
  await world.finalizeEpoch();
  const agentId = agents[1]?.agentId ?? 0n;
  const exports: number[] = [];
  const { bundle, blockHash } = await timed(exports, () => exportBundle(client, deployment, agentId));
  exports.push(...(await timesOf(Math.min(rounds, 20), () => exportBundle(client, deployment, agentId))));
  const text = writeBundle(bundle);
  const check = async () => {
    const read = readBundle(text);
    const verdict = read.kind === "accept" ? await runChecks("bundle", verifyBundle(read.value, blockHash)) : undefined;
    if (verdict?.isOk !== true) throw new Error("bench: the bundle does not hold");
  };
  const cold = await timesOf(1, check);
  const warm = await timesOf(rounds, check);
  const blockNumber = await client.getBlockNumber({ cacheTime: 0 });
  const subject = { client, deployment, agentId, blockNumber };
  const question = { signer: agents[1]?.address ?? "0x", time: Number((await client.getBlock()).timestamp) } as const;
  const signer = await timesOf(rounds, async () => {
    if (!(await runChecks("signer", auditSigner(subject, question))).isOk)
      throw new Error("bench: the signer is not valid");
  });
  const shape = `${text.length.toLocaleString("en-US")} B, ${bundle.nodes.length} nodes, 1 score`;
  return [
    figure("offline bundle check, warm", warm, 20, `median of ${rounds}; ${shape}; ${PUBLISHED}`),
    figure("offline bundle check, first", cold, 20, "the first in its process, nothing compiled yet"),
    figure("bundle export", exports, null, `${count} agents; against a chain on the same machine`),
    figure("signer check", signer, null, "two calls to a chain on the same machine"),
    figure("bundle size", [text.length], null, shape, "B"),
  ];
}

async function timed<T>(times: number[], work: () => Promise<T>): Promise<T> {
  const startMs = performance.now();
  const value = await work();
  times.push(performance.now() - startMs);
  return value;
}

const FILES = 1_000;
const FILE_BYTES = 10_000;

/** Hashing a folder of code, and one disclosed field of a config. */
async function measureMaterial(rounds: number): Promise<Result[]> {
  const dir = mkdtempSync(join(tmpdir(), "surety-bench-"));
  try {
    for (let k = 0; k < FILES; k++) {
      mkdirSync(join(dir, `f${k % 20}`), { recursive: true });
      writeFileSync(join(dir, `f${k % 20}/${k}.js`), new Uint8Array(FILE_BYTES).fill(k % 256));
    }
    const manifest = await timesOf(Math.min(rounds, 20), async () =>
      manifestCommitment(await measureCode(dir, signal)),
    );
    const secret = keccak256(toHex("bench"));
    const policy = { allow: ["search"], perDayWei: "1" };
    const config: Config = Object.fromEntries(
      ["model", "promptTemplate", "toolPermissions", "safetyPolicy", "budgetPolicy"].map((name) => [name, policy]),
    );
    const proof = proveField(config, secret, "budgetPolicy");
    const digest = configDigestOf(config, secret);
    const proving = await timesOf(rounds, () => proveField(config, secret, "budgetPolicy"));
    const checking = await timesOf(rounds, () => {
      if (configDigestFromProof(proof) !== digest) throw new Error("bench: the proof does not hold");
    });
    const entries = Array.from({ length: CHECKPOINT_INTERVAL }, (_, seq) => ({
      ...{ seq, digest: keccak256(toHex(seq)), spend: BigInt(seq) },
    }));
    const hashing = await timesOf(Math.min(rounds, 20), () => stateHeadAfter(digest, entries));
    return [
      figure(
        "Poseidon head of a checkpoint",
        hashing,
        null,
        `${CHECKPOINT_INTERVAL} entries, on the node's only thread`,
      ),
      figure("manifest of a folder", manifest, null, `${FILES} files of ${FILE_BYTES} B, in the page cache`),
      figure("config field: prove", proving, null, "five fields, salts derived anew"),
      figure("config field: check", checking, null, `${proof.siblings.length} siblings`),
    ];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
