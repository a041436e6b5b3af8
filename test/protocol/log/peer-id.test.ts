import { privateKeyFromRaw } from "@libp2p/crypto/keys";
import { peerIdFromPrivateKey } from "@libp2p/peer-id";
import { expect } from "chai";
import fc from "fast-check";
import { hexToBytes } from "viem";
import { addressOfPeerId, peerIdOf, publicKeyOfPeerId } from "#protocol";
import { testKey, testSigner } from "../../fixtures/log.ts";

describe("peer id", () => {
  it("is the one that libp2p derives from the same key, and leads back to the address", () => {
    for (let i = 0; i < 10; i++) {
      const signer = testSigner(i);
      const peerId = peerIdOf(signer.publicKey);
      expect(peerId).to.equal(peerIdFromPrivateKey(privateKeyFromRaw(hexToBytes(testKey(i)))).toString());
      expect(publicKeyOfPeerId(peerId)).to.deep.equal({ kind: "accept", value: signer.publicKey });
      expect(addressOfPeerId(peerId)).to.deep.equal({ kind: "accept", value: signer.address });
    }
  });

  it("answers any text with a verdict", () => {
    const base58 = fc.string({
      unit: fc.constantFrom(..."123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"),
    });
    const near = base58.map((tail) => `16Uiu2HA${tail}`);
    fc.assert(
      fc.property(fc.oneof(fc.string(), near, fc.string({ minLength: 54, maxLength: 5000 })), (text) => {
        const verdict = publicKeyOfPeerId(text);
        if (verdict.kind === "accept") expect(peerIdOf(verdict.value)).to.equal(text);
        else expect(verdict).to.include({ kind: "reject", code: "PEER_ID_INVALID" });
      }),
    );
  });

  it("rejects an Ed25519 peer id and refuses a key that is none", () => {
    const ed25519 = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    expect(publicKeyOfPeerId(ed25519)).to.include({ kind: "reject", code: "PEER_ID_INVALID" });
    expect(() => peerIdOf(new Uint8Array(33)))
      .to.throw()
      .with.property("code", "PUBLIC_KEY_INVALID");
  });
});
