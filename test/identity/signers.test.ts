import { p256 } from "@noble/curves/nist.js";
import { expect } from "chai";
import {
  bytesToHex,
  concat,
  hexToBytes,
  keccak256,
  parseEventLogs,
  stringToHex,
  toHex,
  zeroAddress,
  type Hex,
} from "viem";
import { purposes, signerHashOf, typedDataDigest, type Signer } from "#protocol";
import { commitment, createIdentityChain, uri } from "./setup.ts";

const chain = await createIdentityChain();
const { registry, owner, stranger, operator, buyer } = chain;
const noRecord = [0n, toHex(0, { size: 32 }), 0, 0, 0];
const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const gas = 1_000_000n;
const DAY = 86_400;

const isValidAt = (agentId: bigint, signerHash: Hex, second: number, purpose: Hex = purposes.log) =>
  registry.read.isSignerValidAt([agentId, signerHash, purpose, BigInt(second)]);

/** The other signature over the same digest that plain ecrecover would take. */
function malleate(signature: Hex): Hex {
  const bytes = hexToBytes(signature);
  const s = order - BigInt(bytesToHex(bytes.subarray(32, 64)));
  return concat([bytesToHex(bytes.subarray(0, 32)), toHex(s, { size: 32 }), bytes[64] === 27 ? "0x1c" : "0x1b"]);
}

describe("signers: binding", () => {
  for (const [name, purpose] of Object.entries(purposes)) {
    it(`binds a ${name} signer from now without end, for that purpose and agent only`, async () => {
      const agentId = await chain.registerAgent();
      const signer = chain.newSigner();
      const binding = chain.bindingOf(signer, agentId, { purpose });
      const { timestamp, logs } = await chain.mine(chain.bind(signer, binding));
      const [event] = parseEventLogs({ abi: registry.abi, logs, eventName: "SignerBound" });
      expect(event?.args).to.deep.equal({
        agentId,
        signerHash: signer.signerHash,
        purpose,
        signer: signer.address.toLowerCase(),
        validFrom: timestamp,
        validUntil: 0,
      });
      expect(await registry.read.agentOfSigner([signer.signerHash])).to.equal(agentId);
      expect(await registry.read.signerOf([signer.signerHash])).to.deep.equal([agentId, purpose, timestamp, 0, 0]);
      expect(await isValidAt(agentId, signer.signerHash, timestamp, purpose)).to.equal(true);
      expect(await isValidAt(agentId + 1n, signer.signerHash, timestamp, purpose)).to.equal(false);
      for (const other of Object.values(purposes).filter((p) => p !== purpose)) {
        expect(await isValidAt(agentId, signer.signerHash, timestamp, other)).to.equal(false);
      }
    });
  }

  it("counts a window from validFrom to the second before validUntil", async () => {
    const agentId = await chain.registerAgent();
    const from = (await chain.now()) + 1_000;
    const { signer } = await chain.bindFresh(agentId, { validFrom: from, validUntil: from + 10 });
    const answers = await Promise.all(
      [from - 1, from, from + 1, from + 9, from + 10, from + 11].map((t) => isValidAt(agentId, signer.signerHash, t)),
    );
    expect(answers).to.deep.equal([false, true, true, true, false, false]);
  });

  it("knows nothing of a signer that was never bound, not even as the signer of agent 0 without purpose", async () => {
    const { signerHash } = chain.newSigner();
    expect(await registry.read.agentOfSigner([signerHash])).to.equal(0n);
    expect(await registry.read.signerOf([signerHash])).to.deep.equal(noRecord);
    expect(await isValidAt(0n, signerHash, await chain.now(), toHex(0, { size: 32 }))).to.equal(false);
  });

  it("takes a proof in its last second and refuses it in the next", async () => {
    const agentId = await chain.registerAgent();
    const deadline = (await chain.now()) + 100;
    for (const [second, isTaken] of [
      [deadline - 1, true],
      [deadline, true],
      [deadline + 1, false],
    ] as const) {
      const signer = chain.newSigner();
      const binding = chain.bindingOf(signer, agentId, { deadline });
      await chain.atSecond(second);
      if (isTaken) await chain.mine(chain.bind(signer, binding));
      else await chain.refuses(() => chain.bind(signer, binding), "BindingsExpired", [deadline, BigInt(second)]);
    }
  });

  it("takes a window that begins now and refuses one that began a second ago", async () => {
    const agentId = await chain.registerAgent();
    const validFrom = (await chain.now()) + 100;
    const first = chain.newSigner();
    await chain.atSecond(validFrom);
    await chain.mine(chain.bind(first, chain.bindingOf(first, agentId, { validFrom })));
    const second = chain.newSigner();
    await chain.atSecond(validFrom + 1);
    await chain.refuses(
      () => chain.bind(second, chain.bindingOf(second, agentId, { validFrom })),
      "BindingsBadWindow",
      [validFrom, 0, BigInt(validFrom + 1)],
    );
  });

  it("refuses a window without an inside and takes one of a single second", async () => {
    const agentId = await chain.registerAgent();
    const from = (await chain.now()) + 1_000;
    for (const validUntil of [from - 1, from]) {
      const signer = chain.newSigner();
      const second = (await chain.now()) + 10;
      await chain.atSecond(second);
      await chain.refuses(
        () => chain.bind(signer, chain.bindingOf(signer, agentId, { validFrom: from, validUntil })),
        "BindingsBadWindow",
        [from, validUntil, BigInt(second)],
      );
    }
    const { signer } = await chain.bindFresh(agentId, { validFrom: from, validUntil: from + 1 });
    expect(await isValidAt(agentId, signer.signerHash, from)).to.equal(true);
  });

  it("refuses an end in the past where the window begins now", async () => {
    const agentId = await chain.registerAgent();
    const signer = chain.newSigner();
    const second = (await chain.now()) + 10;
    await chain.atSecond(second);
    await chain.refuses(
      () => chain.bind(signer, chain.bindingOf(signer, agentId, { validUntil: second })),
      "BindingsBadWindow",
      [0, second, BigInt(second)],
    );
  });

  it("refuses a purpose that it does not know", async () => {
    const agentId = await chain.registerAgent();
    for (const purpose of [
      toHex(0, { size: 32 }),
      stringToHex("log", { size: 32 }),
      stringToHex("LOG ", { size: 32 }),
    ]) {
      const signer = chain.newSigner();
      const binding = chain.bindingOf(signer, agentId, { purpose });
      await chain.refuses(() => chain.bind(signer, binding), "BindingsUnknownPurpose", [purpose]);
    }
  });

  it("refuses a second binding of a signer: same agent, other agent, other purpose, after revocation", async () => {
    const agentId = await chain.registerAgent();
    const otherId = await chain.registerAgent();
    const { signer } = await chain.bindFresh(agentId);
    const taken = [signer.signerHash, agentId];
    const again = (id: bigint, purpose: Hex) => () => chain.bind(signer, chain.bindingOf(signer, id, { purpose }));
    await chain.refuses(again(agentId, purposes.log), "BindingsSignerTaken", taken);
    await chain.refuses(again(otherId, purposes.log), "BindingsSignerTaken", taken);
    await chain.refuses(again(agentId, purposes.operator), "BindingsSignerTaken", taken);
    await chain.mine(registry.write.revokeSigner([agentId, signer.signerHash, 0]));
    await chain.refuses(again(agentId, purposes.log), "BindingsSignerTaken", taken);
  });

  it("lets the approved account and the operator bind, and refuses a stranger and an unknown agent", async () => {
    const agentId = await chain.registerAgent();
    const as = (account: Hex) => () => {
      const signer = chain.newSigner();
      return chain.bind(signer, chain.bindingOf(signer, agentId), undefined, account);
    };
    await chain.refuses(as(stranger.account.address), "ERC721InsufficientApproval", [
      stranger.account.address,
      agentId,
    ]);
    await registry.write.approve([stranger.account.address, agentId]);
    await registry.write.setApprovalForAll([operator.account.address, true]);
    await chain.mine(as(stranger.account.address)());
    await chain.mine(as(operator.account.address)());
    await registry.write.setApprovalForAll([operator.account.address, false]);
    await chain.refuses(as(operator.account.address), "ERC721InsufficientApproval", [
      operator.account.address,
      agentId,
    ]);
    const signer = chain.newSigner();
    const unknown = chain.bindingOf(signer, 999n);
    await chain.refuses(() => chain.bind(signer, unknown), "ERC721NonexistentToken", [999n]);
  });
});

describe("signers: proof of possession", () => {
  it("refuses a proof over any other field, by another key, malleated, truncated or for another chain", async () => {
    const agentId = await chain.registerAgent();
    const otherId = await chain.registerAgent();
    const signer = chain.newSigner();
    const binding = chain.bindingOf(signer, agentId);
    const sign = (fields: Partial<typeof binding>) => signer.sign(chain.bindingDigest({ ...binding, ...fields }));
    const otherDomain = (fields: Partial<typeof chain.domain>) =>
      signer.sign(typedDataDigest("SignerBinding", binding, { ...chain.domain, ...fields }));
    const good = sign({});
    const proofs: Record<string, Hex> = {
      "another agent": sign({ agentId: otherId }),
      "agent 0": sign({ agentId: 0n }),
      "another owner": sign({ owner: stranger.account.address }),
      "another signer": sign({ signerHash: chain.newSigner().signerHash }),
      "another purpose": sign({ purpose: purposes.transport }),
      "another start": sign({ validFrom: 1 }),
      "another end": sign({ validUntil: 2 ** 48 - 1 }),
      "another deadline": sign({ deadline: 2 ** 48 - 2 }),
      "another chain": otherDomain({ chainId: chain.domain.chainId + 1 }),
      "another registry": otherDomain({ identityRegistry: owner.account.address }),
      "the owner's key": chain.ownerSigner.sign(chain.bindingDigest(binding)),
      "high s": malleate(good),
      "cut short": good.slice(0, -2) as Hex,
      nothing: "0x",
      zeros: toHex(0, { size: 65 }),
    };
    for (const [name, proof] of Object.entries(proofs)) {
      await chain
        .refuses(() => chain.bind(signer, binding, proof), "BindingsBadProof", [agentId, signer.signerHash])
        .catch((cause: unknown) => {
          throw new Error(`proof with ${name}`, { cause });
        });
    }
    await chain.mine(chain.bind(signer, binding, good));
  });

  it("refuses a proof given to the seller once the agent has a new owner", async () => {
    const agentId = await chain.registerAgent();
    const signer = chain.newSigner();
    const binding = chain.bindingOf(signer, agentId);
    await registry.write.transferFrom([owner.account.address, buyer.account.address, agentId]);
    await chain.refuses(() => chain.bind(signer, binding, undefined, buyer.account.address), "BindingsBadProof", [
      agentId,
      signer.signerHash,
    ]);
  });

  it("refuses malformed signers: too short, too long, zero, a verifier without code", async () => {
    const agentId = await chain.registerAgent();
    const deadline = 2 ** 48 - 1;
    const bindBytes = (signer: Hex) => () =>
      registry.write.bindSigner([agentId, signer, purposes.log, 0, 0, deadline, "0x"], { gas });
    const key = "22".repeat(64);
    await chain.refuses(bindBytes("0x"), "BindingsMalformedSigner", [0n]);
    await chain.refuses(bindBytes(`0x${"11".repeat(19)}`), "BindingsMalformedSigner", [19n]);
    await chain.refuses(bindBytes(`0x${"11".repeat(1_025)}`), "BindingsMalformedSigner", [1_025n]);
    await chain.refuses(bindBytes(zeroAddress), "BindingsZeroSigner", [20n]);
    await chain.refuses(bindBytes(`${zeroAddress}${key}`), "BindingsZeroSigner", [84n]);
    await chain.refuses(bindBytes(`${stranger.account.address}${key}`), "BindingsNoVerifier", [
      stranger.account.address,
    ]);
    // The ecrecover precompile answers calls, yet it has no code.
    await chain.refuses(bindBytes(`0x${"00".repeat(19)}01${key}`), "BindingsNoVerifier", [
      "0x0000000000000000000000000000000000000001",
    ]);
  });

  it("takes a P-256 key through its ERC-7913 verifier, and refuses it with another key's signature", async () => {
    const verifier = await chain.viem.deployContract("P256Verifier");
    const agentId = await chain.registerAgent();
    const secret = hexToBytes(toHex(0xabcdn, { size: 32 }));
    const publicKey = bytesToHex(p256.getPublicKey(secret, false).subarray(1));
    const signer = concat([verifier.address, publicKey]);
    const signerHash = keccak256(signer);
    const binding = chain.bindingOf({ signerHash }, agentId, { purpose: purposes.operator });
    const sign = (key: Uint8Array) =>
      bytesToHex(p256.sign(hexToBytes(chain.bindingDigest(binding)), key, { prehash: false, lowS: true }));
    const bind = (proof: Hex) =>
      registry.write.bindSigner([agentId, signer, purposes.operator, 0, 0, binding.deadline, proof], { gas });
    const wrong = sign(hexToBytes(toHex(0xabcen, { size: 32 })));
    await chain.refuses(() => bind(wrong), "BindingsBadProof", [agentId, signerHash]);
    const { timestamp } = await chain.mine(bind(sign(secret)));
    expect(await isValidAt(agentId, signerHash, timestamp, purposes.operator)).to.equal(true);
  });

  it("takes an ERC-1271 account while it vouches, and refuses a closed one and a truncated answer", async () => {
    const agentId = await chain.registerAgent();
    const key = chain.newSigner();
    const wallet = await chain.viem.deployContract("ExecutingWallet", [key.address]);
    const closed = await chain.viem.deployContract("ExecutingWallet", [key.address]);
    await closed.write.close();
    const truncating = await chain.viem.deployContract("TruncatingVerifier");
    const attempt = (signer: Hex) => {
      const binding = chain.bindingOf({ signerHash: keccak256(signer) }, agentId);
      const proof = key.sign(chain.bindingDigest(binding));
      return registry.write.bindSigner([agentId, signer, purposes.log, 0, 0, binding.deadline, proof], { gas });
    };
    const asVerifier = concat([truncating.address, "0x1234"]);
    for (const signer of [closed.address, truncating.address, asVerifier]) {
      await chain.refuses(() => attempt(signer), "BindingsBadProof", [agentId, keccak256(signer)]);
    }
    const { timestamp } = await chain.mine(attempt(wallet.address));
    expect(await isValidAt(agentId, signerHashOf(wallet.address), timestamp)).to.equal(true);
  });
});

describe("signers: the end of one", () => {
  it("revokes at once: valid before, not from that second on", async () => {
    const agentId = await chain.registerAgent();
    const { signer, timestamp: boundAt } = await chain.bindFresh(agentId);
    await chain.atSecond(boundAt + 50);
    const { logs } = await chain.mine(registry.write.revokeSigner([agentId, signer.signerHash, 0]));
    const [event] = parseEventLogs({ abi: registry.abi, logs, eventName: "SignerRevoked" });
    expect(event?.args).to.deep.equal({ agentId, signerHash: signer.signerHash, invalidFrom: boundAt + 50 });
    const answers = await Promise.all(
      [boundAt - 1, boundAt, boundAt + 49, boundAt + 50, boundAt + 51].map((t) =>
        isValidAt(agentId, signer.signerHash, t),
      ),
    );
    expect(answers).to.deep.equal([false, true, true, false, false]);
    expect((await registry.read.signerOf([signer.signerHash]))[4]).to.equal(boundAt + 50);
  });

  it("dates a compromise back: history before it stays valid", async () => {
    const agentId = await chain.registerAgent();
    const { signer, timestamp: boundAt } = await chain.bindFresh(agentId);
    await chain.atSecond(boundAt + 100);
    await chain.mine(registry.write.revokeSigner([agentId, signer.signerHash, boundAt + 30]));
    const answers = await Promise.all(
      [boundAt, boundAt + 29, boundAt + 30, boundAt + 31].map((t) => isValidAt(agentId, signer.signerHash, t)),
    );
    expect(answers).to.deep.equal([true, true, false, false]);
  });

  it("takes a compromise from the first second of validity to now, and none outside", async () => {
    const agentId = await chain.registerAgent();
    const from = (await chain.now()) + 100;
    const until = from + 100;
    const bound = () => chain.bindFresh(agentId, { validFrom: from, validUntil: until });
    const signers: Signer[] = [];
    for (let i = 0; i < 7; i++) signers.push((await bound()).signer);
    const revoke = (i: number, compromisedAt: number, second: number) => async () => {
      await chain.atSecond(second);
      return registry.write.revokeSigner([agentId, signers[i]?.signerHash as Hex, compromisedAt], { gas });
    };
    const refuses = (i: number, compromisedAt: number, second: number) =>
      chain.refuses(revoke(i, compromisedAt, second), "BindingsBadCompromiseTime", [
        compromisedAt === 0 ? second : compromisedAt,
        compromisedAt === 0 ? 0n : BigInt(from),
        BigInt(Math.min(second, until - 1)),
      ]);
    await refuses(0, from - 1, from + 50);
    await refuses(0, from + 52, from + 51);
    await chain.mine(revoke(0, from, from + 52)());
    await chain.mine(revoke(1, from + 53, from + 53)());
    await chain.mine(revoke(2, until - 1, until - 1)());
    await refuses(3, until, until + 1);
    await refuses(4, 0, until + 2);
    await chain.mine(revoke(4, until - 1, until + 3)());
  });

  it("ends a signer before it began, so that it never counts", async () => {
    const agentId = await chain.registerAgent();
    const from = (await chain.now()) + 1_000;
    const { signer } = await chain.bindFresh(agentId, { validFrom: from });
    await chain.mine(registry.write.revokeSigner([agentId, signer.signerHash, 0]));
    for (const second of [from - 1, from, from + 1_000]) {
      expect(await isValidAt(agentId, signer.signerHash, second)).to.equal(false);
    }
  });

  it("refuses a second revocation, a foreign signer, an unknown one and a stranger", async () => {
    const agentId = await chain.registerAgent();
    const otherId = await chain.registerAgent();
    const { signer } = await chain.bindFresh(agentId);
    const revoke = (id: bigint, signerHash: Hex, account: Hex) => () =>
      registry.write.revokeSigner([id, signerHash, 0], { account, gas });
    const self = owner.account.address;
    const unknown = chain.newSigner().signerHash;
    await chain.refuses(revoke(otherId, signer.signerHash, self), "BindingsUnknownSigner", [
      otherId,
      signer.signerHash,
    ]);
    await chain.refuses(revoke(agentId, unknown, self), "BindingsUnknownSigner", [agentId, unknown]);
    await chain.refuses(revoke(0n, unknown, self), "ERC721NonexistentToken", [0n]);
    await chain.refuses(revoke(agentId, signer.signerHash, stranger.account.address), "ERC721InsufficientApproval", [
      stranger.account.address,
      agentId,
    ]);
    const { timestamp } = await chain.mine(revoke(agentId, signer.signerHash, self)());
    await chain.refuses(revoke(agentId, signer.signerHash, self), "BindingsAlreadyRevoked", [
      signer.signerHash,
      timestamp,
    ]);
  });

  it("dates a compromise back by seven days at most: what is older stays, whoever it harms", async () => {
    const agentId = await chain.registerAgent();
    const { signer, timestamp: boundAt } = await chain.bindFresh(agentId);
    const second = boundAt + 30 * DAY;
    const revoke = (compromisedAt: number) => async () => {
      await chain.atSecond(second);
      return registry.write.revokeSigner([agentId, signer.signerHash, compromisedAt], { gas });
    };
    await chain.refuses(revoke(second - 7 * DAY - 1), "BindingsBadCompromiseTime", [
      second - 7 * DAY - 1,
      BigInt(second - 7 * DAY),
      BigInt(second),
    ]);
    await chain.atSecond(second + 1);
    await chain.mine(registry.write.revokeSigner([agentId, signer.signerHash, second + 1 - 7 * DAY], { gas }));
    expect(await isValidAt(agentId, signer.signerHash, second - 7 * DAY)).to.equal(true);
    expect(await isValidAt(agentId, signer.signerHash, second + 1 - 7 * DAY)).to.equal(false);
  });

  it("leaves an agent answerable up to the record of a revocation, whatever it is dated back to", async () => {
    const agentId = await chain.registerAgent();
    const { signer, timestamp: boundAt } = await chain.bindFresh(agentId);
    expect(await registry.read.answerableOf([signer.signerHash])).to.deep.equal([agentId, purposes.log, boundAt, 0]);
    await chain.atSecond(boundAt + 1_000);
    await chain.mine(registry.write.revokeSigner([agentId, signer.signerHash, boundAt + 10]));
    expect(await isValidAt(agentId, signer.signerHash, boundAt + 500)).to.equal(false);
    expect(await registry.read.answerableOf([signer.signerHash])).to.deep.equal([
      agentId,
      purposes.log,
      boundAt,
      boundAt + 1_000,
    ]);
  });

  it("ends a seller's signers with the sale, in that second, and leaves what they signed before", async () => {
    const agentId = await chain.registerAgent();
    const { signer, timestamp: boundAt } = await chain.bindFresh(agentId);
    const { signer: later } = await chain.bindFresh(agentId, { validFrom: boundAt + 10_000 });
    const soldAt = boundAt + 100;
    await chain.atSecond(soldAt);
    await chain.mine(registry.write.transferFrom([owner.account.address, buyer.account.address, agentId]));
    const answers = await Promise.all(
      [boundAt, soldAt - 1, soldAt, soldAt + 1].map((t) => isValidAt(agentId, signer.signerHash, t)),
    );
    expect(answers).to.deep.equal([true, true, false, false]);
    expect(await isValidAt(agentId, later.signerHash, boundAt + 10_001)).to.equal(false);
    expect(await registry.read.signerOf([signer.signerHash])).to.deep.equal([
      agentId,
      purposes.log,
      boundAt,
      0,
      soldAt,
    ]);
    expect((await registry.read.answerableOf([signer.signerHash]))[3]).to.equal(soldAt);
    expect(await registry.read.tenureOf([agentId])).to.deep.equal([1, soldAt]);
  });

  it("lets neither seller nor buyer touch the seller's signers after the sale", async () => {
    const agentId = await chain.registerAgent();
    const { signer } = await chain.bindFresh(agentId);
    const { timestamp: soldAt } = await chain.mine(
      registry.write.transferFrom([owner.account.address, buyer.account.address, agentId]),
    );
    const revoke = (account: Hex) => () =>
      registry.write.revokeSigner([agentId, signer.signerHash, 0], { account, gas });
    await chain.refuses(revoke(owner.account.address), "ERC721InsufficientApproval", [owner.account.address, agentId]);
    const former = [signer.signerHash, soldAt];
    await chain.refuses(revoke(buyer.account.address), "BindingsFormerSigner", former);
    const next = chain.newSigner();
    const binding = chain.bindingOf(next, agentId, { owner: buyer.account.address });
    const proof = next.sign(chain.bindingDigest(binding));
    const rotation = [agentId, signer.signerHash, next.address, 0, binding.deadline, proof] as const;
    await chain.refuses(
      () => registry.write.rotateSigner(rotation, { account: buyer.account.address, gas }),
      "BindingsFormerSigner",
      former,
    );
  });

  it("ends each owner's signers at its own sale, however many sales follow, and a return revives none", async () => {
    const agentId = await chain.registerAgent();
    const accounts = [owner, buyer, stranger, owner, buyer];
    const bound: { signer: Signer; from: number; until: number }[] = [];
    for (const [i, holder] of accounts.entries()) {
      const account = holder.account.address;
      const signer = chain.newSigner();
      const binding = chain.bindingOf(signer, agentId, { owner: account });
      const { timestamp: from } = await chain.mine(chain.bind(signer, binding, undefined, account));
      const next = accounts[i + 1]?.account.address;
      if (next === undefined) {
        bound.push({ signer, from, until: 0 });
        break;
      }
      await chain.atSecond(from + 50);
      await chain.mine(registry.write.transferFrom([account, next, agentId], { account }));
      bound.push({ signer, from, until: from + 50 });
    }
    for (const { signer, from, until } of bound) {
      expect((await registry.read.signerOf([signer.signerHash]))[4]).to.equal(until);
      expect(await isValidAt(agentId, signer.signerHash, from + 49)).to.equal(true);
      expect(await isValidAt(agentId, signer.signerHash, from + 50)).to.equal(until === 0);
    }
    expect((await registry.read.tenureOf([agentId]))[0]).to.equal(4);
  });
});

describe("signers: rotation", () => {
  const rotate = (
    agentId: bigint,
    oldSignerHash: Hex,
    next = chain.newSigner(),
    fields: { purpose?: Hex; validUntil?: number; deadline?: number; proof?: Hex; account?: Hex } = {},
  ) => {
    const { purpose = purposes.log, validUntil = 0, deadline = 2 ** 48 - 1 } = fields;
    const binding = chain.bindingOf(next, agentId, { purpose, validUntil, deadline });
    const proof = fields.proof ?? next.sign(chain.bindingDigest(binding));
    return registry.write.rotateSigner([agentId, oldSignerHash, next.address, validUntil, deadline, proof], {
      account: fields.account ?? owner.account.address,
      gas,
    });
  };

  it("hands the purpose over in one second: never both, never neither", async () => {
    const agentId = await chain.registerAgent();
    const { signer: old } = await chain.bindFresh(agentId, { purpose: purposes.transport });
    const next = chain.newSigner();
    const at = (await chain.now()) + 100;
    await chain.atSecond(at);
    const { logs } = await chain.mine(
      rotate(agentId, old.signerHash, next, { purpose: purposes.transport, validUntil: at + 10 }),
    );
    const names = parseEventLogs({ abi: registry.abi, logs }).map((log) => log.eventName);
    expect(names).to.deep.equal(["SignerRevoked", "SignerBound"]);
    for (const [second, ofOld, ofNext] of [
      [at - 1, true, false],
      [at, false, true],
      [at + 9, false, true],
      [at + 10, false, false],
    ] as const) {
      expect(await isValidAt(agentId, old.signerHash, second, purposes.transport)).to.equal(ofOld);
      expect(await isValidAt(agentId, next.signerHash, second, purposes.transport)).to.equal(ofNext);
    }
  });

  it("refuses to rotate a revoked, ended, foreign or unknown signer, and into a taken one", async () => {
    const agentId = await chain.registerAgent();
    const otherId = await chain.registerAgent();
    const { signer: revoked } = await chain.bindFresh(agentId);
    const { timestamp: revokedAt } = await chain.mine(registry.write.revokeSigner([agentId, revoked.signerHash, 0]));
    const until = (await chain.now()) + 100;
    const { signer: ended } = await chain.bindFresh(agentId, { validUntil: until });
    const { signer: alive } = await chain.bindFresh(agentId);
    const { signer: foreign } = await chain.bindFresh(otherId);
    const unknown = chain.newSigner().signerHash;
    await chain.atSecond(until);
    await chain.refuses(() => rotate(agentId, ended.signerHash), "BindingsBadCompromiseTime", [
      until,
      0n,
      BigInt(until - 1),
    ]);
    await chain.refuses(() => rotate(agentId, revoked.signerHash), "BindingsAlreadyRevoked", [
      revoked.signerHash,
      revokedAt,
    ]);
    for (const hash of [foreign.signerHash, unknown]) {
      await chain.refuses(() => rotate(agentId, hash), "BindingsUnknownSigner", [agentId, hash]);
    }
    await chain.refuses(() => rotate(agentId, alive.signerHash, foreign), "BindingsSignerTaken", [
      foreign.signerHash,
      otherId,
    ]);
    await chain.refuses(() => rotate(agentId, alive.signerHash, alive), "BindingsSignerTaken", [
      alive.signerHash,
      agentId,
    ]);
  });

  it("refuses a bad proof, an old one and a stranger, and then leaves the old signer in office", async () => {
    const agentId = await chain.registerAgent();
    const { signer: old, timestamp } = await chain.bindFresh(agentId);
    const next = chain.newSigner();
    await chain.refuses(() => rotate(agentId, old.signerHash, next, { proof: "0x" }), "BindingsBadProof", [
      agentId,
      next.signerHash,
    ]);
    // A proof for another purpose does not let the successor take this one.
    const binding = chain.bindingOf(next, agentId, { purpose: purposes.operator });
    const proof = next.sign(chain.bindingDigest(binding));
    await chain.refuses(() => rotate(agentId, old.signerHash, next, { proof }), "BindingsBadProof", [
      agentId,
      next.signerHash,
    ]);
    const second = (await chain.now()) + 10;
    await chain.atSecond(second);
    await chain.refuses(() => rotate(agentId, old.signerHash, next, { deadline: second - 1 }), "BindingsExpired", [
      second - 1,
      BigInt(second),
    ]);
    const account = stranger.account.address;
    await chain.refuses(() => rotate(agentId, old.signerHash, next, { account }), "ERC721InsufficientApproval", [
      account,
      agentId,
    ]);
    expect(await isValidAt(agentId, old.signerHash, timestamp + 10_000)).to.equal(true);
  });
});

describe("signers: registration with a signer", () => {
  const initial = (signer: Signer, fields: { owner?: Hex; commitment?: Hex } = {}) => {
    const binding = chain.bindingOf(signer, 0n, { owner: fields.owner ?? owner.account.address });
    return {
      commitment: fields.commitment ?? commitment,
      signer: signer.address,
      validFrom: 0,
      validUntil: 0,
      deadline: binding.deadline,
      proof: signer.sign(chain.bindingDigest(binding)),
    };
  };

  it("registers agent, commitment and LOG signer in one transaction, with events in order", async () => {
    const signer = chain.newSigner();
    const { logs, timestamp } = await chain.mine(registry.write.registerBound([uri, initial(signer)]));
    const agentId = await registry.read.agentOfSigner([signer.signerHash]);
    expect(parseEventLogs({ abi: registry.abi, logs }).map((log) => log.eventName)).to.deep.equal([
      "Transfer",
      "Registered",
      "MetadataSet",
      "CommitmentUpdated",
      "SignerBound",
    ]);
    expect(await registry.read.ownerOf([agentId])).to.equal(chain.ownerSigner.address);
    expect(await registry.read.tokenURI([agentId])).to.equal(uri);
    expect(await registry.read.commitmentOf([agentId])).to.deep.equal([commitment, 1n, commitment]);
    expect(await registry.read.signerOf([signer.signerHash])).to.deep.equal([agentId, purposes.log, timestamp, 0, 0]);
  });

  it("registers without a commitment where it is zero", async () => {
    const signer = chain.newSigner();
    const zero = toHex(0, { size: 32 });
    const { logs } = await chain.mine(registry.write.registerBound([uri, initial(signer, { commitment: zero })]));
    expect(parseEventLogs({ abi: registry.abi, logs, eventName: "CommitmentUpdated" })).to.deep.equal([]);
    const agentId = await registry.read.agentOfSigner([signer.signerHash]);
    expect(await registry.read.commitmentOf([agentId])).to.deep.equal([zero, 0n, zero]);
  });

  it("refuses a proof that names another registrant, and a second use: no agent is left behind", async () => {
    const signer = chain.newSigner();
    const stolen = initial(signer, { owner: owner.account.address });
    const account = stranger.account.address;
    const nextId = (await chain.registerAgent()) + 1n;
    await chain.refuses(() => registry.write.registerBound([uri, stolen], { account, gas }), "BindingsBadProof", [
      nextId,
      signer.signerHash,
    ]);
    await chain.mine(registry.write.registerBound([uri, stolen]));
    await chain.refuses(() => registry.write.registerBound([uri, stolen], { gas }), "BindingsSignerTaken", [
      signer.signerHash,
      nextId,
    ]);
    await chain.refuses(() => registry.read.ownerOf([nextId + 1n]), "ERC721NonexistentToken", [nextId + 1n]);
  });
});
