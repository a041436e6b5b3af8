import { expect } from "chai";
import { zeroHash, type Address, type Hex } from "viem";
import { purposes, signerHashOf, type BoundSigner } from "#protocol";
import type { IdentityReader } from "../../node/chain/port.ts";
import { createSignerCache } from "../../node/signer-cache.ts";

const log = (n: number): Address => `0x${n.toString(16).padStart(40, "0")}`;
const { signal } = new AbortController();
const unbound: BoundSigner = { agentId: 0n, purpose: zeroHash, validFrom: 0, validUntil: 0, invalidFrom: 0 };
const bound: BoundSigner = { ...unbound, agentId: 7n, purpose: purposes.log };

/** A registry that one can look over the shoulder of; the real one is asked in test/node/negotiation. */
class Registry implements IdentityReader {
  readonly signers = new Map<Hex, BoundSigner>();
  askedCount = 0;
  failure: Error | undefined;

  ownerOf = () => Promise.reject(new Error("not asked"));
  readonly commitments = new Map<bigint, Hex>();
  commitmentOf = (agentId: bigint) => {
    this.askedCount++;
    return Promise.resolve(this.commitments.get(agentId) ?? zeroHash);
  };
  agentOfSigner = () => Promise.reject(new Error("not asked"));
  isSignerValidAt = () => Promise.reject(new Error("not asked"));

  signerOf(signerHash: Hex): Promise<BoundSigner> {
    this.askedCount++;
    if (this.failure !== undefined) return Promise.reject(this.failure);
    return Promise.resolve(this.signers.get(signerHash) ?? unbound);
  }
}

describe("what a node remembers of the registry", () => {
  let registry: Registry;
  let nowMs: number;
  let cache: ReturnType<typeof createSignerCache>;
  const bind = (record: Partial<BoundSigner>) => registry.signers.set(signerHashOf(log(1)), { ...bound, ...record });
  beforeEach(() => {
    registry = new Registry();
    nowMs = 1_000_000;
    bind({});
    cache = createSignerCache(registry, () => nowMs);
  });

  it("asks once for a busy log, and again after the time for which a record is believed", async () => {
    for (let k = 0; k < 5; k++) expect(await cache.isSignerValidAt(log(1), nowMs + k, signal)).to.equal(true);
    expect(registry.askedCount).to.equal(1);
    registry.signers.clear();
    nowMs += 14_999;
    expect(await cache.isSignerValidAt(log(1), nowMs, signal)).to.equal(true);
    nowMs += 1;
    expect(await cache.isSignerValidAt(log(1), nowMs, signal)).to.equal(false);
  });

  it("judges each header at its own time: before a compromise it counts, from it on it does not", async () => {
    bind({ validFrom: 500, invalidFrom: 900, validUntil: 950 });
    expect(await cache.isSignerValidAt(log(1), 899_999, signal)).to.equal(true);
    expect(await cache.isSignerValidAt(log(1), 900_000, signal)).to.equal(false);
    expect(await cache.isSignerValidAt(log(1), 500_000, signal)).to.equal(true);
    expect(registry.askedCount).to.equal(1);
  });

  it("asks once for an agent's commitment, and again after the time for which it is believed", async () => {
    const commitment = signerHashOf(log(9));
    registry.commitments.set(7n, commitment);
    for (let k = 0; k < 5; k++) expect(await cache.commitmentOf(7n, signal)).to.equal(commitment);
    expect(registry.askedCount).to.equal(1);
    registry.commitments.clear();
    nowMs += 15_000;
    expect(await cache.commitmentOf(7n, signal)).to.equal(zeroHash);
  });

  it("says of an unbound key, and of one bound for another purpose, that it speaks for nobody", async () => {
    expect(await cache.isSignerValidAt(log(2), nowMs, signal)).to.equal(false);
    expect(await cache.agentOf(log(2), signal)).to.equal(undefined);
    bind({ purpose: purposes.transport });
    expect(await cache.agentOf(log(1), signal)).to.equal(undefined);
  });

  it("names a log's agent while its signer is valid, and nobody once its revocation was seen", async () => {
    expect(await cache.agentOf(log(1), signal)).to.equal(7n);
    bind({ invalidFrom: 1_001 });
    nowMs += 15_000;
    expect(await cache.agentOf(log(1), signal)).to.equal(undefined);
  });

  it("forgives an author whose clock lags two minutes behind the block that bound its key, and no more", async () => {
    bind({ validFrom: 1_120 });
    expect(await cache.isSignerValidAt(log(1), 1_000_000, signal)).to.equal(true);
    expect(await cache.isSignerValidAt(log(1), 999_999, signal)).to.equal(false);
  });

  it("gives no validity beyond its end to whose clock lags", async () => {
    bind({ validFrom: 990, validUntil: 1_000 });
    expect(await cache.isSignerValidAt(log(1), 1_000_000, signal)).to.equal(false);
  });

  it("does not remember a failure", async () => {
    registry.failure = new Error("the chain does not answer");
    const failed = await cache.isSignerValidAt(log(1), nowMs, signal).catch((error: unknown) => error);
    expect(failed).to.equal(registry.failure);
    registry.failure = undefined;
    expect(await cache.isSignerValidAt(log(1), nowMs, signal)).to.equal(true);
  });

  it("forgets the log that was learnt longest ago when there are more than 4,096", async () => {
    for (let k = 1; k <= 4_097; k++) await cache.agentOf(log(k), signal);
    const before = registry.askedCount;
    await cache.agentOf(log(4_097), signal);
    expect(registry.askedCount).to.equal(before);
    await cache.agentOf(log(1), signal);
    expect(registry.askedCount).to.equal(before + 1);
  });
});
