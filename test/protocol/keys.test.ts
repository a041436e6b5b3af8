import { expect } from "chai";
import fc from "fast-check";
import { bytesToHex, hexToBytes, keccak256 } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { compactSignature, createSigner, expandCompactSignature, recoverSigner } from "#protocol";

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const secret = bytes32.filter((b) => {
  const scalar = BigInt(bytesToHex(b));
  return scalar > 0n && scalar < ORDER;
});

describe("keys", () => {
  it("derives viem's address and recovers what it signed, in both byte forms", async () => {
    await fc.assert(
      fc.asyncProperty(secret, bytes32, async (key, message) => {
        const signer = createSigner(key);
        const digest = keccak256(message);
        const signature = signer.sign(digest);
        const account = privateKeyToAccount(bytesToHex(key));
        expect(signer.address).to.equal(account.address);
        expect(signature).to.equal(await account.sign({ hash: digest }));
        const compact = compactSignature(signature);
        expect(bytesToHex(expandCompactSignature(compact))).to.equal(signature);
        expect(recoverSigner(digest, signature)).to.deep.equal({ kind: "accept", value: signer.address });
        expect(recoverSigner(digest, compact)).to.deep.equal({ kind: "accept", value: signer.address });
      }),
      { numRuns: 20 },
    );
  });

  it("rejects the malleated twin of a signature", () => {
    const signer = createSigner(hexToBytes(`0x${"11".repeat(32)}`));
    const digest = keccak256("0x01");
    const signature = hexToBytes(signer.sign(digest));
    const s = BigInt(bytesToHex(signature.subarray(32, 64)));
    const twin = Uint8Array.from(signature);
    twin.set(hexToBytes(`0x${(ORDER - s).toString(16).padStart(64, "0")}`), 32);
    twin[64] = signature[64] === 27 ? 28 : 27;
    expect(recoverSigner(digest, twin)).to.include({ kind: "reject", code: "SIGNATURE_HIGH_S" });
  });

  it("answers any bytes with a verdict", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), bytes32, (signature, message) => {
        expect(recoverSigner(bytesToHex(message), signature).kind).to.be.oneOf(["accept", "reject"]);
      }),
    );
  });
});
