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
import { purposes, signerHashOf, typedDataDigest } from "#protocol";
import { createIdentityChain, malleate } from "./setup.ts";

const chain = await createIdentityChain();
const { registry, owner, stranger, operator, buyer } = chain;
const noRecord = [0n, toHex(0, { size: 32 }), 0, 0, 0];
const gas = 1_000_000n;

const isValidAt = (agentId: bigint, signerHash: Hex, second: number, purpose: Hex = purposes.log) =>
  registry.read.isSignerValidAt([agentId, signerHash, purpose, BigInt(second)]);

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
