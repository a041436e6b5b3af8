import { expect } from "chai";
import { bytesToHex, concat, encodeAbiParameters, hexToBytes, keccak256, toHex, zeroHash, type Hex } from "viem";
import { compactSignature, headerDigest, purposes, type Signer, type Structs } from "#protocol";
import { createIdentityChain } from "./setup.ts";

const chain = await createIdentityChain();
const { registry, owner, buyer } = chain;
const evidence = await chain.viem.deployContract("LogEvidence", [registry.address]);
const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const DAY = 86_400;

type Header = Structs["LogHeader"];

const headerOf = (log: Hex, time: number, fields: Partial<Header> = {}): Header => ({
  ...{ version: 1, kind: 1, log, seq: 3, prev: keccak256("0x01"), bodyHash: keccak256("0x02"), bodyLength: 9 },
  ...{ timeMs: time * 1000 + 999, ttl: 60, tags: 7n, sketch: zeroHash },
  ...fields,
});

const sign = (header: Header, signer: Signer): { header: Header; signature: Hex } => ({
  header,
  signature: signer.sign(headerDigest(header, chain.domain)),
});

/** A LOG signer with two headers of one seq, signed `after` seconds after its binding. */
async function fork(after = 10) {
  const agentId = await chain.registerAgent();
  const { signer, timestamp: boundAt } = await chain.bindFresh(agentId);
  const first = sign(headerOf(signer.address, boundAt + after), signer);
  const second = sign(headerOf(signer.address, boundAt + after, { bodyHash: keccak256("0x03") }), signer);
  const forkId = keccak256(encodeAbiParameters([{ type: "address" }, { type: "uint40" }], [signer.address, 3]));
  return { agentId, signer, boundAt, first, second, forkId };
}

const refuses = async (
  first: Awaited<ReturnType<typeof fork>>["first"],
  second: typeof first,
  error: string,
  values: readonly unknown[],
) => {
  await chain.refuses(() => evidence.read.judge([first, second]), error, values, evidence);
  const agentId = await registry.read.agentOfSigner([keccak256(first.header.log)]);
  expect(await evidence.read.isEquivocation([agentId, first, second])).to.equal(false);
};

describe("evidence of a forked log", () => {
  it("names the agent and the fork, in either order, with signatures of 65 and of 64 bytes", async () => {
    const { agentId, first, second, forkId } = await fork();
    const compact = { ...second, signature: bytesToHex(compactSignature(second.signature)) };
    for (const [a, b] of [
      [first, second],
      [second, first],
      [first, compact],
    ] as const) {
      expect(await evidence.read.judge([a, b])).to.deep.equal([agentId, forkId]);
      expect(await evidence.read.isEquivocation([agentId, a, b])).to.equal(true);
      expect(await evidence.read.isEquivocation([agentId + 1n, a, b])).to.equal(false);
    }
  });

  it("takes no second signature over one digest for a second header, malleated or not", async () => {
    const { signer, first } = await fork();
    const digest = headerDigest(first.header, chain.domain);
    const bytes = hexToBytes(first.signature);
    const s = toHex(order - BigInt(bytesToHex(bytes.subarray(32, 64))), { size: 32 });
    const malleated = concat([bytesToHex(bytes.subarray(0, 32)), s, bytes[64] === 27 ? "0x1c" : "0x1b"]);
    for (const signature of [first.signature, malleated, bytesToHex(compactSignature(first.signature))]) {
      await refuses(first, { ...first, signature }, "LogEvidenceSameHeader", [digest]);
    }
    // Nor is a malleated copy a signature of another header.
    const other = headerOf(signer.address, Math.floor(first.header.timeMs / 1000), { bodyLength: 10 });
    const forged = { header: other, signature: malleated };
    await refuses(first, forged, "LogEvidenceBadSignature", [signer.address, headerDigest(other, chain.domain)]);
  });

  it("refuses headers of two logs or two seqs, and what another key or nobody signed", async () => {
    const { signer, boundAt, first, second } = await fork();
    const stranger = chain.newSigner();
    const elsewhere = sign(headerOf(stranger.address, boundAt + 10), stranger);
    await refuses(first, elsewhere, "LogEvidenceOtherEntry", [signer.address, 3, stranger.address, 3]);
    const later = sign(headerOf(signer.address, boundAt + 10, { seq: 4 }), signer);
    await refuses(first, later, "LogEvidenceOtherEntry", [signer.address, 3, signer.address, 4]);
    const digest = headerDigest(second.header, chain.domain);
    for (const signature of [stranger.sign(digest), "0x", toHex(0, { size: 65 }), toHex(0, { size: 64 })] as Hex[]) {
      await refuses(first, { ...second, signature }, "LogEvidenceBadSignature", [signer.address, digest]);
    }
    const otherChain = { ...chain.domain, chainId: chain.domain.chainId + 1 };
    const signature = signer.sign(headerDigest(second.header, otherChain));
    await refuses(first, { ...second, signature }, "LogEvidenceBadSignature", [signer.address, digest]);
  });

  it("holds nobody to what was signed before the binding, after the end, or by a key of another purpose", async () => {
    const { agentId, signer, boundAt, first } = await fork();
    const early = sign(headerOf(signer.address, boundAt - 1), signer);
    const before = [signer.address, agentId, BigInt(boundAt - 1)];
    await refuses(first, early, "LogEvidenceNotAnswerable", before);
    await chain.atSecond(boundAt + 100);
    await chain.mine(registry.write.revokeSigner([agentId, signer.signerHash, 0]));
    const late = sign(headerOf(signer.address, boundAt + 100), signer);
    const after = [signer.address, agentId, BigInt(boundAt + 100)];
    await refuses(first, late, "LogEvidenceNotAnswerable", after);
    const { signer: courier, timestamp } = await chain.bindFresh(agentId, { purpose: purposes.transport });
    const [a, b] = [1, 2].map((bodyLength) =>
      sign(headerOf(courier.address, timestamp + 1, { bodyLength }), courier),
    ) as [typeof first, typeof first];
    await refuses(a, b, "LogEvidenceNotAnswerable", [courier.address, agentId, BigInt(timestamp + 1)]);
  });

  it("lets no revocation that is dated back undo a fork, nor a sale", async () => {
    const { agentId, signer, boundAt, first, second, forkId } = await fork(50);
    await chain.atSecond(boundAt + 100);
    await chain.mine(registry.write.revokeSigner([agentId, signer.signerHash, boundAt + 10]));
    const log = [agentId, signer.signerHash, purposes.log, BigInt(boundAt + 50)] as const;
    expect(await registry.read.isSignerValidAt(log)).to.equal(false);
    expect(await evidence.read.judge([first, second])).to.deep.equal([agentId, forkId]);
    const sold = await fork(0);
    await chain.atSecond(sold.boundAt + 10);
    await registry.write.transferFrom([owner.account.address, buyer.account.address, sold.agentId]);
    expect((await evidence.read.judge([sold.first, sold.second]))[0]).to.equal(sold.agentId);
  });

  it("is good until fourteen days after the key's end was on record, and not a second longer", async () => {
    const { agentId, signer, boundAt, first, second } = await fork(50);
    const endedAt = boundAt + 100;
    await chain.atSecond(endedAt);
    await chain.mine(registry.write.revokeSigner([agentId, signer.signerHash, 0]));
    const period = await evidence.read.evidencePeriod();
    expect(period).to.equal(14 * DAY);
    await chain.time.increaseTo(endedAt + period);
    expect((await evidence.read.judge([first, second]))[0]).to.equal(agentId);
    await chain.time.increaseTo(endedAt + period + 1);
    await refuses(first, second, "LogEvidenceTooLate", [signer.address, BigInt(endedAt), BigInt(endedAt + period)]);
  });
});
