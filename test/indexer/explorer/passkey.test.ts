// The passkey page in a real Chromium with its virtual authenticator; what it gives is checked by the registry on a chain.
import { expect } from "chai";
import { concat, keccak256, size, slice, type Hex } from "viem";
import { domainOf, purposes, structTypes, typedDataDigest, type Structs } from "#protocol";
import { findChromium } from "../../fixtures/chromium.ts";
import { openPasskeyPage, type Assertion, type Passkey, type PasskeyPage } from "../../fixtures/passkey-page.ts";
import { createIdentityChain, type IdentityChain } from "../../identity/setup.ts";

const FAR = 2 ** 48 - 1;
const WRONG_SIGNATURE = "0xffffffff";
describe("the passkey page, in Chromium", function () {
  this.timeout(180_000);
  let page: PasskeyPage;
  let chain: IdentityChain;
  let verifier: Awaited<ReturnType<typeof deployVerifier>>;
  let passkey: Passkey;
  const deployVerifier = () => chain.viem.deployContract("WebAuthnVerifier");

  before(async function () {
    const chromium = findChromium();
    if (chromium === undefined) {
      console.log("        no Chromium on this machine: skipped; apt-get install chromium, or set SURETY_CHROMIUM");
      this.skip();
    }
    chain = await createIdentityChain();
    verifier = await deployVerifier();
    page = await openPasskeyPage(chromium);
  });
  after(() => page?.close());

  const typedDataOf = <K extends keyof Structs>(primaryType: K, message: Structs[K]) =>
    JSON.stringify(
      {
        domain: domainOf(primaryType, chain.domain),
        types: { [primaryType]: structTypes[primaryType] },
        primaryType,
        message,
      },
      (_, value: unknown) => (typeof value === "bigint" ? value.toString() : value),
    );

  /** Has the page show and sign a struct, as a person would. */
  async function sign<K extends keyof Structs>(struct: K, message: Structs[K]): Promise<Assertion> {
    const { shown, answer: signed } = await page.sign(typedDataOf(struct, message));
    const digest = typedDataDigest(struct, message, chain.domain);
    expect(shown).to.include(struct).and.to.include(digest);
    for (const value of Object.values(message)) expect(shown).to.include(String(value));
    expect(signed.digest).to.equal(digest);
    return signed;
  }

  const bindingOf = (agentId: bigint) => chain.bindingOf(passkey, agentId, { purpose: purposes.operator });
  const bind = (agentId: bigint, proof: Hex) =>
    chain.registry.write.bindSigner([agentId, passkey.signer, purposes.operator, 0, 0, FAR, proof], {
      gas: 1_000_000n,
    });

  it("makes a P-256 key and names its ERC-7913 bytes and hash", async () => {
    passkey = await page.create(verifier.address);
    expect(size(passkey.signer)).to.equal(84);
    expect(slice(passkey.signer, 0, 20)).to.equal(verifier.address.toLowerCase());
    expect(passkey.signerHash).to.equal(keccak256(passkey.signer));
  });

  it("signs a SignerBinding that the registry accepts from OpenZeppelin's verifier, for OPERATOR", async () => {
    const agentId = await chain.registerAgent();
    const { signature } = await sign("SignerBinding", bindingOf(agentId));
    const { timestamp } = await chain.mine(bind(agentId, signature));
    expect(await chain.registry.read.signerOf([passkey.signerHash])).to.deep.equal([
      agentId,
      purposes.operator,
      timestamp,
      0,
      0,
    ]);
  });

  it("signs an operator's order: the registry ends another signer of the agent by it, whoever delivers it", async () => {
    const agentId = await chain.registry.read.agentOfSigner([passkey.signerHash]);
    const { signer: old } = await chain.bindFresh(agentId);
    const order = { agentId, signerHash: old.signerHash, compromisedAt: 0, nonce: 1n, deadline: FAR };
    const { signature } = await sign("SignerRevocation", order);
    const consent = { signer: passkey.signer, nonce: 1n, deadline: FAR, signature };
    const { timestamp } = await chain.mine(
      chain.signedBindings.write.revokeSignerWithSignature([agentId, old.signerHash, 0, consent], {
        account: chain.stranger.account.address,
      }),
    );
    expect((await chain.registry.read.signerOf([old.signerHash]))[4]).to.equal(timestamp);
  });

  it("signs with a low s whatever the authenticator gave: sixteen of sixteen pass the verifier", async () => {
    const [key, agentId] = [slice(passkey.signer, 20), await chain.registerAgent()];
    for (let k = 0; k < 16; k++) {
      const { digest, signature } = await sign("SignerBinding", { ...bindingOf(agentId), deadline: FAR - k });
      expect(await verifier.read.verify([key, digest, signature])).to.not.equal(WRONG_SIGNATURE);
      const flipped = concat([slice(signature, 0, 31), "0x01", slice(signature, 32)]);
      expect(await verifier.read.verify([key, digest, flipped])).to.equal(WRONG_SIGNATURE);
      expect(await verifier.read.verify([key, keccak256(digest), signature])).to.equal(WRONG_SIGNATURE);
    }
  });

  it("signs nothing that it has not shown, and refuses what it cannot show exactly", async () => {
    const binding = bindingOf(1n);
    await page.fill("typed", typedDataOf("SignerBinding", binding));
    await page.click("review", "fields");
    await page.fill("typed", typedDataOf("SignerBinding", { ...binding, agentId: 2n }));
    expect(await page.browser.evaluate<boolean>(`document.getElementById("sign").disabled`)).to.equal(true);
    const refused: [string, RegExp][] = [
      ["{", /JSON/],
      [typedDataOf("SignerBinding", { ...binding, hidden: 1n } as never), /hidden is not a field/],
      [typedDataOf("SignerBinding", { ...binding, signerHash: "0x12" }), /signerHash is no bytes32/],
      [typedDataOf("SignerBinding", { ...binding, deadline: 2 ** 48 }), /deadline is no uint48/],
    ];
    for (const [text, fault] of refused) {
      await page.fill("typed", text);
      expect(await page.click("review", "fields")).to.match(fault);
      expect(await page.browser.evaluate<boolean>(`document.getElementById("sign").disabled`)).to.equal(true);
    }
  });

  it("asked for nothing but itself", () => {
    expect(
      page.browser.requested.filter((url) => url !== page.origin && url !== `${page.origin}favicon.ico`),
    ).to.deep.equal([]);
  });
});
