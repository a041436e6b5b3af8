import { readFileSync } from "node:fs";
import { expect } from "chai";
import { toHex, type Address, type Hex } from "viem";
import { PALLAS_ORDER, paidDealOf, poseidonHash, stateGenesis, stateHeadAfter, type Receipt } from "#protocol";

interface Vectors {
  readonly hashes: readonly { readonly input: readonly string[]; readonly hash: string }[];
  readonly log: {
    readonly name: { readonly chainId: number; readonly registry: Address; readonly log: Address };
    readonly genesis: Hex;
    readonly entries: readonly {
      readonly seq: number;
      readonly digest: Hex;
      readonly spend: string;
      readonly head: Hex;
    }[];
  };
}

const vectors = JSON.parse(
  readFileSync(new URL("../vectors/poseidon-kimchi.json", import.meta.url), "utf8"),
) as Vectors;
const { name, genesis } = vectors.log;
const entries = vectors.log.entries.map((entry) => ({ ...entry, spend: BigInt(entry.spend) }));

describe("Poseidon over Pallas", () => {
  it("hashes as o1js does, inputs of every length and the field's edges among them", () => {
    expect(new Set(vectors.hashes.map(({ input }) => input.length)).size).to.equal(5);
    for (const { input, hash } of vectors.hashes) {
      expect(poseidonHash(input.map(BigInt)).toString(), input.join()).to.equal(hash);
    }
  });

  it("takes an element for what it is modulo the field's order", () => {
    expect(poseidonHash([PALLAS_ORDER + 5n, 1n])).to.equal(poseidonHash([5n, 1n]));
  });
});

describe("the Poseidon head of a log", () => {
  it("is the circuit's: from the log's name, through each entry", () => {
    expect(stateGenesis(name)).to.equal(genesis);
    expect(entries.length).to.be.greaterThan(64);
    for (const [index, { head }] of entries.entries()) {
      expect(stateHeadAfter(genesis, entries.slice(0, index + 1)), `entry ${index}`).to.equal(head);
      if (index === 8) break;
    }
    expect(stateHeadAfter(genesis, entries)).to.equal(entries.at(-1)?.head);
  });

  it("continues from any head: two halves are the whole", () => {
    const [first, second] = [entries.slice(0, 64), entries.slice(64)];
    expect(stateHeadAfter(stateHeadAfter(genesis, first), second)).to.equal(stateHeadAfter(genesis, entries));
  });

  it("tells logs, chains, registries, places, spends and digests apart", () => {
    const [entry] = entries.slice(1);
    if (entry === undefined) throw new Error("no entry");
    const heads = [
      stateGenesis(name),
      stateGenesis({ ...name, chainId: 1 }),
      stateGenesis({ ...name, log: name.registry }),
      stateGenesis({ ...name, registry: name.log }),
      stateHeadAfter(genesis, [entry]),
      stateHeadAfter(genesis, [{ ...entry, seq: entry.seq + 1 }]),
      stateHeadAfter(genesis, [{ ...entry, spend: entry.spend + 1n }]),
      stateHeadAfter(genesis, [{ ...entry, digest: toHex(BigInt(entry.digest) ^ 1n, { size: 32 }) }]),
      stateHeadAfter(genesis, []),
    ];
    expect(new Set(heads).size, "an empty range is the head itself, all others differ").to.equal(heads.length - 1);
  });

  it("counts as spent what a client's receipt of a paid deal says, and nothing else", () => {
    const dealId = toHex(7, { size: 32 });
    const receipt = (change: Partial<Receipt>) =>
      paidDealOf({
        kind: "receipt",
        body: { dealId, role: "client", outcome: "completed", rating: 0, transaction: dealId, ...change },
      });
    expect(receipt({})).to.equal(dealId);
    expect(receipt({ outcome: "resolved" })).to.equal(dealId);
    expect(receipt({ outcome: "refunded" })).to.equal(undefined);
    expect(receipt({ outcome: "cancelled" })).to.equal(undefined);
    expect(receipt({ role: "provider" })).to.equal(undefined);
    expect(paidDealOf({ kind: "rotate", body: { role: "ends", log: name.log, head: dealId } })).to.equal(undefined);
  });
});
