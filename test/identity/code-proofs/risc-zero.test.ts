import { createHash } from "node:crypto";
import { expect } from "chai";
import { network } from "hardhat";
import { getAddress, hexToBytes, keccak256, size, toHex, zeroAddress, zeroHash, type Hex } from "viem";
import { encodeJournal, journalDigestOf, proofDigestOf, type CodeJournal } from "#protocol";

const { viem } = await network.create();
const word = (text: string): Hex => keccak256(toHex(text));
const imageId = word("image");
const seal = "0x5ea1" as const;
const journal: CodeJournal = {
  chainId: 31_337n,
  registry: getAddress(`0x${"a1".repeat(20)}`),
  agentId: 7n,
  configDigest: word("config"),
  previous: zeroHash,
  inputHash: word("input"),
  outputHash: word("output"),
  step: 0n,
  nonce: 5n,
};
const verifier = await viem.deployContract("OneProofVerifier", [seal, imageId, journalDigestOf(journal)]);
const proofs = await viem.deployContract("RiscZeroCodeProofs", [verifier.address]);

const refuses = (act: Promise<unknown>, error: string, values: readonly unknown[]) =>
  viem.assertions.revertWithCustomErrorWithArgs(act as Promise<Hex>, proofs, error as never, values as never);
const refusal = "0x439cc0cd";

describe("code proofs by RISC Zero", () => {
  it("ask for exactly this image and the SHA-256 of exactly this journal", async () => {
    expect(size(encodeJournal(journal))).to.equal(288);
    const digest = createHash("sha256")
      .update(hexToBytes(encodeJournal(journal)))
      .digest("hex");
    expect(journalDigestOf(journal)).to.equal(`0x${digest}`);
    expect(await proofs.read.verify([imageId, journal, seal])).to.equal(proofDigestOf(imageId, journal));
  });

  it("refuse every other field, image and seal, and say what the verifier said", async () => {
    const changes: Partial<CodeJournal>[] = [
      { registry: zeroAddress },
      { agentId: 8n },
      { configDigest: word("other") },
      { previous: word("other") },
      { inputHash: word("other") },
      { outputHash: word("other") },
      { step: 1n },
      { nonce: 6n },
    ];
    expect(changes.length).to.equal(Object.keys(journal).length - 1);
    for (const change of changes) {
      const other = { ...journal, ...change };
      const values = [imageId, journalDigestOf(other), refusal];
      await refuses(proofs.read.verify([imageId, other, seal]), "CodeProofRefused", values);
    }
    const digest = journalDigestOf(journal);
    await refuses(proofs.read.verify([word("x"), journal, seal]), "CodeProofRefused", [word("x"), digest, refusal]);
    await refuses(proofs.read.verify([imageId, journal, "0x"]), "CodeProofRefused", [imageId, digest, refusal]);
  });

  it("refuse another chain's journal and no image at all, before they ask", async () => {
    await refuses(proofs.read.verify([imageId, { ...journal, chainId: 1n }, seal]), "CodeProofOtherChain", [
      31_337n,
      1n,
    ]);
    await refuses(proofs.read.verify([zeroHash, journal, seal]), "CodeProofZeroCommitment", []);
  });

  it("link one step to the next by digests that differ for each", async () => {
    const first = proofDigestOf(imageId, journal);
    const second = proofDigestOf(imageId, { ...journal, previous: first, step: 1n });
    expect(new Set([first, second, proofDigestOf(word("x"), journal)]).size).to.equal(3);
  });

  it("are not deployed on an address without code, where every proof would pass", async () => {
    await refuses(viem.deployContract("RiscZeroCodeProofs", [zeroAddress]), "RiscZeroNoVerifier", [zeroAddress]);
  });
});
