import { expect } from "chai";
import fc from "fast-check";
import { bytesToHex, concat, hexToBytes, keccak256, parseEventLogs, toHex, type Hex } from "viem";
import {
  commitmentOf,
  mountainRangeProof,
  mountainRangeRoot,
  nextHead,
  signerHashOf,
  typedDataDigest,
  versionLeafOf,
  type CommitmentVersion,
  type Signer,
  type Structs,
} from "#protocol";
import { createIdentityChain, uri } from "./setup.ts";

const chain = await createIdentityChain();
const { registry, owner, stranger, buyer, ownerSigner, strangerSigner } = chain;
const zero = toHex(0, { size: 32 });
const gas = 1_000_000n;
const deltaOf = (n: number): Hex => keccak256(toHex(n));

type Update = Structs["BindingUpdate"];

const sign = (update: Update, signer: Signer = ownerSigner, fields: Partial<typeof chain.domain> = {}) =>
  signer.sign(typedDataDigest("BindingUpdate", update, { ...chain.domain, ...fields }));

/** Anyone relays: the sender is never the owner here. */
const send = (update: Update, signature: Hex = sign(update), account: Hex = stranger.account.address) =>
  registry.write.updateCommitment([update.agentId, update.version, update.delta, update.deadline, signature], {
    account,
    gas,
  });

async function nextUpdate(agentId: bigint, delta: Hex): Promise<Update> {
  const [, version, head] = await registry.read.commitmentOf([agentId]);
  return { agentId, version: version + 1n, previous: head, delta, deadline: 2 ** 48 - 1 };
}

describe("version chain", () => {
  it("starts with nothing: no commitment, version 0, no head, and nothing opens it", async () => {
    const agentId = await chain.registerAgent();
    expect(await registry.read.commitmentOf([agentId])).to.deep.equal([zero, 0n, zero]);
    expect(await registry.read.verifyOpening([agentId, zero, zero, zero, zero])).to.equal(false);
  });

  it("advances by the owner's signatures, whoever relays them, to the heads that TypeScript computes", async () => {
    const agentId = await chain.registerAgent();
    let head: Hex = zero;
    for (const version of [1n, 2n, 3n]) {
      const update = { agentId, version, previous: head, delta: deltaOf(Number(version)), deadline: 2 ** 48 - 1 };
      const signature = sign(update);
      head = version === 1n ? update.delta : nextHead(head, update.delta, signature);
      const { logs } = await chain.mine(send(update, signature));
      const [event] = parseEventLogs({ abi: registry.abi, logs, eventName: "CommitmentUpdated" });
      expect(event?.args).to.deep.equal({ agentId, version, head, commitment: update.delta, signature });
      expect(await registry.read.commitmentOf([agentId])).to.deep.equal([update.delta, version, head]);
    }
  });

  it("goes on from the commitment of a registration", async () => {
    const signer = chain.newSigner();
    const binding = chain.bindingOf(signer, 0n);
    const proof = signer.sign(chain.bindingDigest(binding));
    const initial = { commitment: deltaOf(1), signer: signer.address, validFrom: 0, validUntil: 0, proof };
    await registry.write.registerBound([uri, { ...initial, deadline: binding.deadline }]);
    const agentId = await registry.read.agentOfSigner([signer.signerHash]);
    const update = await nextUpdate(agentId, deltaOf(2));
    expect(update).to.include({ version: 2n, previous: deltaOf(1) });
    await chain.mine(send(update));
    const head = nextHead(deltaOf(1), deltaOf(2), sign(update));
    expect(await registry.read.commitmentOf([agentId])).to.deep.equal([deltaOf(2), 2n, head]);
  });

  it("keeps the chains of two agents apart", async () => {
    const first = await chain.registerAgent();
    const second = await chain.registerAgent();
    await chain.mine(send(await nextUpdate(first, deltaOf(1))));
    await chain.mine(send(await nextUpdate(first, deltaOf(2))));
    expect(await registry.read.commitmentOf([second])).to.deep.equal([zero, 0n, zero]);
    expect((await registry.read.commitmentOf([first]))[1]).to.equal(2n);
  });

  it("opens to the four words of the current commitment and to no other", async () => {
    const agentId = await chain.registerAgent();
    const word = fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }).map((n) => toHex(n, { size: 32 }));
    // The first byte of a code commitment is its type.
    const codeWord = fc
      .tuple(fc.integer({ min: 1, max: 5 }), word)
      .map(([type, w]) => concat([toHex(type, { size: 1 }), `0x${w.slice(4)}`]));
    await fc.assert(
      fc.asyncProperty(codeWord, word, word, word, async (codeCommitment, configDigest, userId, salt) => {
        const delta = commitmentOf({ codeCommitment, configDigest, userId, salt });
        const [before] = await registry.read.commitmentOf([agentId]);
        if (delta === before) return;
        await chain.mine(send(await nextUpdate(agentId, delta)));
        const words = [codeCommitment, configDigest, userId, salt] as const;
        expect(await registry.read.verifyOpening([agentId, ...words])).to.equal(true);
        for (let i = 0; i < 4; i++) {
          const other = words.map((w, j) => (i === j ? keccak256(w) : w)) as unknown as typeof words;
          expect(await registry.read.verifyOpening([agentId, ...other])).to.equal(false);
        }
      }),
      { numRuns: 5 },
    );
  });

  it("takes a signature in its last second and refuses it in the next", async () => {
    const agentId = await chain.registerAgent();
    const deadline = (await chain.now()) + 100;
    await chain.atSecond(deadline - 1);
    await chain.mine(send({ ...(await nextUpdate(agentId, deltaOf(1))), deadline }));
    await chain.atSecond(deadline);
    await chain.mine(send({ ...(await nextUpdate(agentId, deltaOf(2))), deadline }));
    const late = { ...(await nextUpdate(agentId, deltaOf(3))), deadline };
    await chain.atSecond(deadline + 1);
    await chain.refuses(() => send(late), "BindingsExpired", [deadline, BigInt(deadline + 1)]);
  });

  it("refuses a replayed signature, a skipped and a repeated version", async () => {
    const agentId = await chain.registerAgent();
    const first = await nextUpdate(agentId, deltaOf(1));
    const signature = sign(first);
    await chain.mine(send(first, signature));
    await chain.refuses(() => send(first, signature), "BindingsWrongVersion", [agentId, 2n, 1n]);
    const next = await nextUpdate(agentId, deltaOf(2));
    for (const version of [0n, 1n, 3n]) {
      const wrong = { ...next, version };
      await chain.refuses(() => send(wrong), "BindingsWrongVersion", [agentId, 2n, version]);
    }
    // The version fits, the signature is the one of before.
    await chain.refuses(() => send(next, signature), "BindingsBadSignature", [agentId, ownerSigner.address]);
  });

  it("refuses a zero commitment and an unknown agent", async () => {
    const agentId = await chain.registerAgent();
    const update = await nextUpdate(agentId, zero);
    await chain.refuses(() => send(update), "BindingsZeroCommitment", [agentId]);
    const unknown = { ...update, agentId: 999n, delta: deltaOf(1) };
    await chain.refuses(() => send(unknown), "ERC721NonexistentToken", [999n]);
  });

  it("refuses signatures over another field, by another key, malleated, cut short or for another domain", async () => {
    const agentId = await chain.registerAgent();
    const otherId = await chain.registerAgent();
    const update = await nextUpdate(agentId, deltaOf(1));
    const good = sign(update);
    const bytes = hexToBytes(good);
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const s = order - BigInt(bytesToHex(bytes.subarray(32, 64)));
    const r = bytesToHex(bytes.subarray(0, 32));
    const signatures: Record<string, Hex> = {
      "another agent": sign({ ...update, agentId: otherId }),
      "another version": sign({ ...update, version: 2n }),
      "another head": sign({ ...update, previous: deltaOf(9) }),
      "another delta": sign({ ...update, delta: deltaOf(2) }),
      "another deadline": sign({ ...update, deadline: 2 ** 48 - 2 }),
      "a stranger's key": sign(update, strangerSigner),
      "another chain": sign(update, ownerSigner, { chainId: chain.domain.chainId + 1 }),
      "another registry": sign(update, ownerSigner, { identityRegistry: owner.account.address }),
      "high s": concat([r, toHex(s, { size: 32 }), bytes[64] === 27 ? "0x1c" : "0x1b"]),
      "cut short": good.slice(0, -2) as Hex,
      nothing: "0x",
    };
    for (const [name, signature] of Object.entries(signatures)) {
      await chain
        .refuses(() => send(update, signature), "BindingsBadSignature", [agentId, ownerSigner.address])
        .catch((cause: unknown) => {
          throw new Error(`signature with ${name}`, { cause });
        });
    }
    // Not even the owner's own transaction stands for the signature.
    await chain.refuses(() => send(update, "0x", owner.account.address), "BindingsBadSignature", [
      agentId,
      ownerSigner.address,
    ]);
  });

  it("asks the present owner: the seller's signature ends with the sale", async () => {
    const agentId = await chain.registerAgent();
    const update = await nextUpdate(agentId, deltaOf(1));
    const signature = sign(update);
    await registry.write.transferFrom([owner.account.address, buyer.account.address, agentId]);
    const present = await registry.read.ownerOf([agentId]);
    await chain.refuses(() => send(update, signature), "BindingsBadSignature", [agentId, present]);
  });

  it("lets an ERC-1271 account own an agent and advance its chain", async () => {
    const key = chain.newSigner();
    const wallet = await chain.viem.deployContract("ExecutingWallet", [key.address]);
    const agentId = await chain.registerAgent();
    await registry.write.transferFrom([owner.account.address, wallet.address, agentId]);
    const update = await nextUpdate(agentId, deltaOf(1));
    await chain.refuses(() => send(update, sign(update)), "BindingsBadSignature", [
      agentId,
      await registry.read.ownerOf([agentId]),
    ]);
    await chain.mine(send(update, sign(update, key)));
    expect((await registry.read.commitmentOf([agentId]))[0]).to.equal(deltaOf(1));
    expect(signerHashOf(key.address)).to.equal(key.signerHash);
  });

  it("keeps every past version provable by one root, and nothing that never was", async () => {
    const agentId = await chain.registerAgent();
    const versions: CommitmentVersion[] = [];
    for (let n = 1; n <= 20; n++) {
      await chain.mine(send(await nextUpdate(agentId, deltaOf(n))));
      const [current, version, head] = await registry.read.commitmentOf([agentId]);
      versions.push({ agentId, version, commitment: current, head });
      const leaves = versions.slice(0, -1).map(versionLeafOf);
      const root = leaves.length === 0 ? keccak256(toHex(0, { size: 64 })) : mountainRangeRoot(leaves);
      expect(await registry.read.historyOf([agentId])).to.deep.equal([BigInt(n - 1), root]);
      const had = (of: CommitmentVersion, proof: readonly Hex[]) =>
        registry.read.verifyVersion([of.agentId, of.version, of.commitment, of.head, proof]);
      for (const [index, past] of versions.slice(0, -1).entries()) {
        if (n % 5 !== 0 && index !== n - 2) continue;
        const proof = mountainRangeProof(leaves, index) as Hex[];
        expect(await had(past, proof)).to.equal(true);
        expect(await had({ ...past, commitment: deltaOf(99) }, proof)).to.equal(false);
        expect(await had({ ...past, version: past.version + 1n }, proof)).to.equal(false);
        expect(await had({ ...past, agentId: agentId + 1n }, proof)).to.equal(false);
        expect(await had(past, [...proof, zero])).to.equal(false);
        if (proof.length > 0) expect(await had(past, proof.toReversed().slice(1))).to.equal(false);
      }
      const present = versions.at(-1) as CommitmentVersion;
      expect(await had(present, [])).to.equal(true);
      expect(await had(present, [zero])).to.equal(false);
      expect(await had({ ...present, version: present.version + 1n }, [])).to.equal(false);
      expect(await had({ ...present, version: 0n }, [])).to.equal(false);
    }
    expect(mountainRangeProof([], 0)).to.equal(undefined);
  });

  it("opens no commitment whose code is of an unknown type", async () => {
    const agentId = await chain.registerAgent();
    for (const type of [0, 1, 5, 6, 255]) {
      const cp = concat([toHex(type, { size: 1 }), toHex(9, { size: 31 })]);
      const opening = { codeCommitment: cp, configDigest: deltaOf(1), userId: deltaOf(2), salt: deltaOf(type) };
      await chain.mine(send(await nextUpdate(agentId, commitmentOf(opening))));
      const { configDigest, userId, salt } = opening;
      const isOpen = await registry.read.verifyOpening([agentId, cp, configDigest, userId, salt]);
      expect(isOpen).to.equal(type >= 1 && type <= 5);
    }
  });
});
