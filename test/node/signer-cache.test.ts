import { expect } from "chai";
import type { Address, Hex } from "viem";
import { purposes, signerHashOf } from "#protocol";
import type { IdentityReader, SignerQuery } from "../../node/chain/port.ts";
import { createSignerCache } from "../../node/signer-cache.ts";

const log = (n: number): Address => `0x${n.toString(16).padStart(40, "0")}`;
const { signal } = new AbortController();

/** A registry that one can look over the shoulder of; the real one is asked in test/node/negotiation. */
class Registry implements IdentityReader {
  readonly agents = new Map<Hex, bigint>();
  readonly asked: string[] = [];
  validFrom = 0;
  failure: Error | undefined;

  ownerOf = () => Promise.reject(new Error("not asked"));

  agentOfSigner(signerHash: Hex): Promise<bigint> {
    this.asked.push("agent");
    if (this.failure !== undefined) return Promise.reject(this.failure);
    return Promise.resolve(this.agents.get(signerHash) ?? 0n);
  }

  isSignerValidAt({ agentId, signerHash, purpose, time = 0 }: SignerQuery): Promise<boolean> {
    this.asked.push(`valid at ${time}`);
    const isBound = this.agents.get(signerHash) === agentId && purpose === purposes.log;
    return Promise.resolve(isBound && time >= this.validFrom);
  }
}

describe("what a node remembers of the registry", () => {
  let registry: Registry;
  let nowMs: number;
  let cache: ReturnType<typeof createSignerCache>;
  beforeEach(() => {
    registry = new Registry();
    registry.agents.set(signerHashOf(log(1)), 7n);
    nowMs = 1_000_000;
    cache = createSignerCache(registry, () => nowMs);
  });

  it("asks once for a busy log, and again after the time for which an answer is believed", async () => {
    for (let k = 0; k < 5; k++) expect(await cache.isSignerValidAt(log(1), nowMs + k, signal)).to.equal(true);
    expect(registry.asked).to.deep.equal(["agent", "valid at 1000"]);
    registry.agents.clear();
    nowMs += 14_999;
    expect(await cache.isSignerValidAt(log(1), nowMs, signal)).to.equal(true);
    nowMs += 1;
    expect(await cache.isSignerValidAt(log(1), nowMs, signal)).to.equal(false);
  });

  it("says of an unbound key that it speaks for nobody, without asking for its validity", async () => {
    expect(await cache.isSignerValidAt(log(2), nowMs, signal)).to.equal(false);
    expect(await cache.agentOf(log(2), signal)).to.equal(undefined);
    expect(registry.asked).to.deep.equal(["agent"]);
  });

  it("names a log's agent while its signer is valid, and nobody after its revocation was seen", async () => {
    expect(await cache.agentOf(log(1), signal)).to.equal(7n);
    registry.validFrom = Infinity;
    nowMs += 15_000;
    expect(await cache.agentOf(log(1), signal)).to.equal(undefined);
  });

  it("forgives an author whose clock lags two minutes behind the block that bound its key, and no more", async () => {
    registry.validFrom = 1_120;
    expect(await cache.isSignerValidAt(log(1), nowMs, signal)).to.equal(true);
    registry.validFrom = 1_136;
    nowMs += 15_000;
    expect(await cache.isSignerValidAt(log(1), nowMs, signal)).to.equal(false);
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
    registry.asked.length = 0;
    await cache.agentOf(log(4_097), signal);
    expect(registry.asked).to.deep.equal([]);
    await cache.agentOf(log(1), signal);
    expect(registry.asked[0]).to.equal("agent");
  });
});
