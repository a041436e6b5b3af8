import { expect } from "chai";
import fc from "fast-check";
import { network } from "hardhat";
import { concat, hexToBytes, keccak256, numberToHex, bytesToHex, type Hex } from "viem";
import { decodeHeader, encodeHeader, NodeSet, storageRootOf, storageWordOf } from "#protocol";

const { viem, provider } = await network.create();
const client = await viem.getPublicClient();
const [wallet] = await viem.getWalletClients();
if (wallet === undefined) throw new Error("no wallet");
const account = wallet;

/** Runtime code that stores its second calldata word at its first: sstore(calldataload(0), calldataload(32)). */
const storer: Hex = "0x60203560003555";
async function deployStorer() {
  // Copies the 7 bytes after these 12 to memory and returns them as the contract's code.
  const hash = await account.deployContract({ abi: [], bytecode: `0x6007600c60003960076000f3${storer.slice(2)}` });
  const { contractAddress } = await client.waitForTransactionReceipt({ hash });
  if (!contractAddress) throw new Error("not deployed");
  return contractAddress;
}

async function readProof(address: Hex, slots: Hex[]) {
  const block = (await provider.request({ method: "eth_getBlockByNumber", params: ["latest", false] })) as Record<
    string,
    unknown
  >;
  const proof = await client.getProof({ address, storageKeys: slots });
  const nodes = new Set([...proof.accountProof, ...proof.storageProof.flatMap((s) => s.proof)]);
  return { block, nodes };
}

describe("state proofs", () => {
  const words = fc.bigInt({ min: 1n, max: 2n ** 256n - 1n });

  it("reads any storage word, present or absent, from the block hash alone", async () => {
    const address = await deployStorer();
    const stored = new Map<bigint, bigint>();
    for (const [slot, value] of fc.sample(
      fc.tuple(fc.bigInt({ min: 0n, max: 40n }), fc.oneof(words, fc.bigInt({ min: 1n, max: 300n }))),
      60,
    )) {
      stored.set(slot, value);
      const input = concat([numberToHex(slot, { size: 32 }), numberToHex(value, { size: 32 })]);
      await account.sendTransaction({ to: address, data: input });
    }
    const slots = Array.from({ length: 42 }, (_, slot) => numberToHex(BigInt(slot), { size: 32 }));
    const { block, nodes } = await readProof(address, slots);
    const header = decodeHeader(encodeHeader(block));
    if (header.kind !== "accept") throw new Error(header.detail);
    expect(header.value.hash).to.equal(block["hash"]);
    const set = new NodeSet(nodes);
    const root = storageRootOf(set, header.value.stateRoot, address);
    if (root.kind !== "accept") throw new Error(root.detail);
    for (const slot of slots) {
      const word = storageWordOf(set, root.value, slot);
      expect(word).to.deep.equal({ kind: "accept", value: stored.get(BigInt(slot)) ?? 0n });
    }
    expect(set.visitedCount).to.equal(set.size);
  });

  it("refuses every flipped byte of a header and of each node", async () => {
    const address = await deployStorer();
    await account.sendTransaction({ to: address, data: concat([numberToHex(5, { size: 32 }), keccak256("0x05")]) });
    const slot = numberToHex(5, { size: 32 });
    const { block, nodes } = await readProof(address, [slot]);
    const encoded = encodeHeader(block);
    for (let index = 2; index < encoded.length; index += 2) {
      const bytes = hexToBytes(encoded);
      bytes[index / 2 - 1] = (bytes[index / 2 - 1] as number) ^ 1;
      const header = decodeHeader(bytesToHex(bytes));
      expect(header.kind === "accept" && header.value.hash === block["hash"]).to.equal(false);
    }
    const stateRoot = block["stateRoot"] as Hex;
    for (const node of nodes) {
      const bytes = hexToBytes(node);
      for (let index = 0; index < bytes.length; index++) {
        const flipped = Uint8Array.from(bytes);
        flipped[index] = (flipped[index] as number) ^ 0x80;
        const set = new NodeSet([...nodes].map((n) => (n === node ? bytesToHex(flipped) : n)));
        const root = storageRootOf(set, stateRoot, address);
        const word = root.kind === "accept" ? storageWordOf(set, root.value, slot) : root;
        expect(word.kind).to.equal("reject");
      }
    }
  });

  it("answers any bytes with a verdict", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        const node = bytesToHex(bytes);
        expect(decodeHeader(node).kind).to.be.oneOf(["accept", "reject"]);
        const set = new NodeSet([node]);
        expect(storageWordOf(set, keccak256(node), "0x00").kind).to.be.oneOf(["accept", "reject"]);
        expect(storageRootOf(set, keccak256(node), "0x0000000000000000000000000000000000000001").kind).to.be.oneOf([
          "accept",
          "reject",
        ]);
      }),
      { numRuns: 2000 },
    );
  });
});
