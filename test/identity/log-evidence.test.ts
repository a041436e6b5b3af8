import { expect } from "chai";
import { bytesToHex, concat, encodeAbiParameters, keccak256, toHex, zeroHash, type Hex } from "viem";
import {
  compactSignature,
  evidenceOf,
  headerDigest,
  purposes,
  signatureIn,
  type Signer,
  type Structs,
} from "#protocol";
import { createIdentityChain } from "./setup.ts";

const chain = await createIdentityChain();
const { registry, owner, buyer } = chain;
const evidence = await chain.viem.deployContract("LogEvidence", [registry.address]);
const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
/** The parity bit of EIP-2098. */
const HALF = 1n << 255n;
const DAY = 86_400;

type Header = Structs["LogHeader"];

const headerOf = (log: Hex, time: number, fields: Partial<Header> = {}): Header => ({
  ...{ version: 1, kind: 1, log, seq: 3, prev: keccak256("0x01"), bodyHash: keccak256("0x02"), bodyLength: 9 },
  ...{ timeMs: time * 1000 + 999, ttl: 60, tags: 7n, sketch: zeroHash },
  ...fields,
});

const compact = (signature: Hex): Hex => bytesToHex(compactSignature(signature));
const sign = (header: Header, signer: Signer) =>
  evidenceOf({ header, signature: compact(signer.sign(headerDigest(header, chain.domain))) });
/** The same evidence with another signature. */
const signedBy = ({ header }: { header: Header }, signature: Hex) => evidenceOf({ header, signature });

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
  it("names the agent and the fork, in either order", async () => {
    const { agentId, first, second, forkId } = await fork();
    for (const [a, b] of [
      [first, second],
      [second, first],
    ] as const) {
      expect(await evidence.read.judge([a, b])).to.deep.equal([agentId, forkId]);
      expect(await evidence.read.isEquivocation([agentId, a, b])).to.equal(true);
      expect(await evidence.read.isEquivocation([agentId + 1n, a, b])).to.equal(false);
    }
  });

  it("takes no second signature over one digest for a second header, malleated or not", async () => {
    const { signer, first } = await fork();
    const digest = headerDigest(first.header, chain.domain);
    // n - s has no room for the parity beside it (EIP-2098): cut to its 255 bits, with either parity, it is a signature of nobody's.
    const s = (order - (BigInt(first.vs) & (HALF - 1n))) & (HALF - 1n);
    const malleated = [s, s | HALF].map((vs) => concat([first.r, toHex(vs, { size: 32 })]));
    for (const signature of [signatureIn(first), ...malleated])
      await refuses(first, signedBy(first, signature), "LogEvidenceSameHeader", [digest]);
    // Nor is a malleated copy a signature of another header.
    const other = headerOf(signer.address, Math.floor(first.header.timeMs / 1000), { bodyLength: 10 });
    for (const signature of [signatureIn(first), ...malleated]) {
      const forged = evidenceOf({ header: other, signature });
      await refuses(first, forged, "LogEvidenceBadSignature", [signer.address, headerDigest(other, chain.domain)]);
    }
  });

  it("refuses headers of two logs or two seqs, and what another key or nobody signed", async () => {
    const { signer, boundAt, first, second } = await fork();
    const stranger = chain.newSigner();
    const elsewhere = sign(headerOf(stranger.address, boundAt + 10), stranger);
    await refuses(first, elsewhere, "LogEvidenceOtherEntry", [signer.address, 3, stranger.address, 3]);
    const later = sign(headerOf(signer.address, boundAt + 10, { seq: 4 }), signer);
    await refuses(first, later, "LogEvidenceOtherEntry", [signer.address, 3, signer.address, 4]);
    const digest = headerDigest(second.header, chain.domain);
    // High s, as far as EIP-2098 can write it: just above half the order.
    const high = concat([second.r, toHex(order / 2n + 1n, { size: 32 })]);
    const flipped = concat([second.r, toHex(BigInt(second.vs) ^ HALF, { size: 32 })]);
    for (const signature of [compact(stranger.sign(digest)), toHex(0, { size: 64 }), high, flipped])
      await refuses(first, signedBy(second, signature), "LogEvidenceBadSignature", [signer.address, digest]);
    const otherChain = { ...chain.domain, chainId: chain.domain.chainId + 1 };
    const signature = compact(signer.sign(headerDigest(second.header, otherChain)));
    await refuses(first, signedBy(second, signature), "LogEvidenceBadSignature", [signer.address, digest]);
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
