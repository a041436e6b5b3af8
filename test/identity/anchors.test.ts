import { expect } from "chai";
import { bytesToHex, keccak256, parseEventLogs, toHex, zeroHash, type Hex } from "viem";
import {
  batchLeafOf,
  compactSignature,
  createBindingBatch,
  purposes,
  typedDataDigest,
  type Signer,
  type Structs,
} from "#protocol";
import { createIdentityChain } from "./setup.ts";

const chain = await createIdentityChain();
const { registry, owner, stranger, operator, buyer } = chain;
const anchors = await chain.viem.deployContract("Anchors", [registry.address]);
const gas = 3_000_000n;
const root = keccak256("0x77");

type Anchor = Structs["LogAnchor"];

const anchorOf = (agentId: bigint, log: Hex, fromSeq: number, fields: Partial<Anchor> = {}): Anchor => ({
  ...{ agentId, log, fromSeq, toSeq: fromSeq + 63, root, stateHead: zeroHash },
  ...fields,
});
const sign = (anchor: Anchor, signer: Signer, domain = chain.domain): Hex =>
  signer.sign(typedDataDigest("LogAnchor", anchor, domain));
const send = (list: readonly Anchor[], signatures: readonly Hex[]) =>
  anchors.write.anchorLogs([list, signatures], { account: stranger.account.address, gas });

async function loggedAgent() {
  const agentId = await chain.registerAgent();
  const { signer, timestamp } = await chain.bindFresh(agentId);
  return { agentId, signer, timestamp };
}

describe("anchored logs", () => {
  it("keeps ranges of many logs and agents from one transaction, each signed by its own key", async () => {
    const agents = [await loggedAgent(), await loggedAgent(), await loggedAgent()];
    const list = agents.flatMap(({ agentId, signer }, i) => [
      anchorOf(agentId, signer.address, 0, { root: keccak256(toHex(i)), stateHead: keccak256("0x09") }),
      anchorOf(agentId, signer.address, 64, { toSeq: 64 + i }),
    ]);
    const signatures = list.map((anchor, i) => {
      const signature = sign(anchor, agents[Math.floor(i / 2)]?.signer as Signer);
      return i % 2 === 0 ? signature : bytesToHex(compactSignature(signature));
    });
    const { logs, timestamp } = await chain.mine(send(list, signatures));
    const events = parseEventLogs({ abi: anchors.abi, logs, eventName: "LogAnchored" });
    expect(events.map(({ args }) => args)).to.deep.equal(list);
    for (const [i, anchor] of list.entries()) {
      expect(await anchors.read.isLogAnchored([anchor])).to.equal(true);
      expect(await anchors.read.isLogAnchored([{ ...anchor, root: keccak256("0x78") }])).to.equal(false);
      expect(await anchors.read.isLogAnchored([{ ...anchor, toSeq: anchor.toSeq + 1 }])).to.equal(false);
      expect(await anchors.read.isLogAnchored([{ ...anchor, agentId: anchor.agentId + 1n }])).to.equal(false);
      if (i % 2 === 1) {
        expect(await anchors.read.anchoredUpTo([anchor.log])).to.deep.equal([anchor.toSeq + 1, timestamp]);
      }
    }
    expect(await anchors.read.isLogAnchored([anchorOf(1n, stranger.account.address, 0)])).to.equal(false);
  });

  it("lets a log's account anchor by its own transaction", async () => {
    const agentId = await chain.registerAgent();
    const { ownerSigner } = chain;
    await chain.mine(chain.bind(ownerSigner, chain.bindingOf(ownerSigner, agentId)));
    await chain.mine(anchors.write.anchorLog([agentId, 0, 63, root, zeroHash]));
    expect(await anchors.read.isLogAnchored([anchorOf(agentId, ownerSigner.address, 0)])).to.equal(true);
    const account = stranger.account.address;
    const values = [agentId, (value: unknown) => String(value).toLowerCase() === account];
    await chain.refuses(
      () => anchors.write.anchorLog([agentId, 0, 63, root, zeroHash], { account, gas }),
      "AnchorsNotLogSigner",
      values,
      anchors,
    );
  });

  it("takes ranges in order from seq 0, without gap, overlap or repetition", async () => {
    const { agentId, signer } = await loggedAgent();
    const refuses = async (fromSeq: number, toSeq: number, expected: number) => {
      const anchor = anchorOf(agentId, signer.address, fromSeq, { toSeq });
      const values = [signer.address, expected, fromSeq, toSeq];
      await chain.refuses(() => send([anchor], [sign(anchor, signer)]), "AnchorsBadRange", values, anchors);
    };
    await refuses(1, 63, 0);
    await refuses(0, 2 ** 40 - 1, 0);
    const first = anchorOf(agentId, signer.address, 0);
    await chain.mine(send([first], [sign(first, signer)]));
    await refuses(0, 63, 64);
    await refuses(0, 64, 64);
    await refuses(63, 100, 64);
    await refuses(65, 100, 64);
    await refuses(64, 63, 64);
    const single = anchorOf(agentId, signer.address, 64, { toSeq: 64 });
    await chain.mine(send([single], [sign(single, signer)]));
  });

  it("refuses another key's signature, another chain's, a zero root, a foreign agent, a revoked key", async () => {
    const { agentId, signer, timestamp } = await loggedAgent();
    const other = await loggedAgent();
    const anchor = anchorOf(agentId, signer.address, 0);
    const otherChain = { ...chain.domain, chainId: chain.domain.chainId + 1 };
    const nobody = anchorOf(agentId, "0x0000000000000000000000000000000000000000", 0);
    for (const [given, signature] of [
      [anchor, sign(anchor, other.signer)],
      [anchor, sign({ ...anchor, toSeq: 62 }, signer)],
      [anchor, sign(anchor, signer, otherChain)],
      [anchor, "0x"],
      [nobody, toHex(0, { size: 65 })],
    ] as const) {
      await chain.refuses(() => send([given], [signature]), "AnchorsBadSignature", [given.log], anchors);
    }
    await chain.refuses(() => send([anchor], []), "AnchorsLengths", [1n, 0n], anchors);
    const empty = { ...anchor, root: zeroHash };
    await chain.refuses(() => send([empty], [sign(empty, signer)]), "AnchorsZeroRoot", [], anchors);
    const foreign = { ...anchor, agentId: other.agentId };
    const foreignValues = [other.agentId, signer.address];
    const sendForeign = () => send([foreign], [sign(foreign, signer)]);
    await chain.refuses(sendForeign, "AnchorsNotLogSigner", foreignValues, anchors);
    await chain.atSecond(timestamp + 100);
    await chain.mine(registry.write.revokeSigner([agentId, signer.signerHash, 0]));
    const revoked = () => send([anchor], [sign(anchor, signer)]);
    await chain.refuses(revoked, "AnchorsNotLogSigner", [agentId, signer.address], anchors);
  });
});

describe("anchored bindings", () => {
  const issuer = operator.account.address;
  const batchOf = (count: number, agentId: bigint, validUntil = 0) => {
    const bindings = Array.from({ length: count }, (_, i) => ({
      ...{ agentId, signerHash: keccak256(toHex(i)), purpose: purposes.log, validFrom: 0, validUntil },
    }));
    const batch = createBindingBatch(bindings);
    return { batch, bindingAt: (index: number) => ({ ...(bindings[index] as (typeof bindings)[0]), index }) };
  };
  const anchor = (batchRoot: Hex, count: number) =>
    anchors.write.anchorBindings([batchRoot, count], { account: issuer });

  it("proves each binding of a batch of any size, and no other", async () => {
    const agentId = await chain.registerAgent();
    for (const count of [1, 2, 3, 7, 100]) {
      const { batch, bindingAt } = batchOf(count, agentId + BigInt(count));
      const { timestamp } = await chain.mine(anchor(batch.root, count));
      expect(await anchors.read.batchOf([issuer, batch.root])).to.deep.equal([count, timestamp]);
      for (let i = 0; i < count; i += Math.ceil(count / 7)) {
        const [binding, proof] = [bindingAt(i), batch.proofOf(i)];
        const isBound = (leaf: typeof binding, by: Hex = issuer, given = proof) =>
          anchors.read.isBoundIn([by, batch.root, leaf, given]);
        expect(await isBound(binding)).to.equal(true);
        expect(await isBound({ ...binding, index: i + 1 })).to.equal(false);
        expect(await isBound({ ...binding, purpose: purposes.operator })).to.equal(false);
        expect(await isBound({ ...binding, agentId: 1n })).to.equal(false);
        // Another's copy of the root is another batch.
        expect(await isBound(binding, stranger.account.address)).to.equal(false);
        if (count > 1) expect(await isBound(binding, issuer, [])).to.equal(false);
      }
    }
  });

  it("counts a binding in its window, and not before its batch was anchored", async () => {
    const { batch, bindingAt } = batchOf(4, 1n, 2 ** 40);
    const { timestamp } = await chain.mine(anchor(batch.root, 4));
    const at = (time: number) =>
      anchors.read.isBoundInAt([issuer, batch.root, bindingAt(2), batch.proofOf(2), BigInt(time)]);
    expect(await Promise.all([timestamp - 1, timestamp, 2 ** 40 - 1, 2 ** 40].map(at))).to.deep.equal([
      false,
      true,
      true,
      false,
    ]);
  });

  it("ends one binding alone, by its issuer or by the agent's owner, from that second on", async () => {
    const agentId = await chain.registerAgent();
    const { batch, bindingAt } = batchOf(8, agentId);
    await chain.mine(anchor(batch.root, 8));
    const revoke =
      (index: number, account: Hex, proof = batch.proofOf(index)) =>
      () =>
        anchors.write.revokeBatched([issuer, batch.root, bindingAt(index), proof], { account, gas });
    const isBoundAt = (index: number, time: number) =>
      anchors.read.isBoundInAt([issuer, batch.root, bindingAt(index), batch.proofOf(index), BigInt(time)]);
    const lower = (wanted: Hex) => (value: unknown) => String(value).toLowerCase() === wanted;
    for (const [index, account] of [
      [3, issuer],
      [4, owner.account.address],
    ] as const) {
      await chain.atSecond((await chain.now()) + 10);
      const { timestamp } = await chain.mine(revoke(index, account)());
      expect(await isBoundAt(index, timestamp - 1)).to.equal(true);
      expect(await isBoundAt(index, timestamp)).to.equal(false);
      expect(await isBoundAt(index + 2, timestamp)).to.equal(true);
      const again = [lower(issuer), batch.root, index, timestamp];
      await chain.refuses(revoke(index, account), "AnchorsAlreadyRevoked", again, anchors);
    }
    const byStranger = [agentId, lower(buyer.account.address)];
    await chain.refuses(revoke(5, buyer.account.address), "AnchorsNotRevoker", byStranger, anchors);
    const notThere = [lower(issuer), batch.root, 5];
    await chain.refuses(revoke(5, issuer, batch.proofOf(6)), "AnchorsNotInBatch", notThere, anchors);
  });

  it("refuses a zero root, an empty batch and a root anchored twice, and lets two issuers have one root", async () => {
    const { batch } = batchOf(5, 77n);
    const send_ =
      (batchRoot: Hex, count: number, account: Hex = issuer) =>
      () =>
        anchors.write.anchorBindings([batchRoot, count], { account, gas });
    await chain.refuses(send_(zeroHash, 5), "AnchorsZeroRoot", [], anchors);
    await chain.refuses(send_(batch.root, 0), "AnchorsBadCount", [0], anchors);
    await chain.mine(send_(batch.root, 5, stranger.account.address)());
    await chain.mine(send_(batch.root, 5)());
    const known = [(value: unknown) => String(value).toLowerCase() === issuer, batch.root];
    await chain.refuses(send_(batch.root, 5), "AnchorsKnownRoot", known, anchors);
  });

  it("hashes leaves as the chain encodes them: twice, over the struct's words", () => {
    const { bindingAt, batch } = batchOf(1, 5n);
    expect(batch.root).to.equal(batchLeafOf(bindingAt(0)));
  });
});
