import { expect } from "chai";
import fc from "fast-check";
import { keccak256, toHex, type Hex } from "viem";
import {
  commitmentOf,
  commitmentOfDisclosure,
  codeWordOf,
  configDigestFromProof,
  configDigestOf,
  configFields,
  proveField,
  readDisclosure,
  writeDisclosure,
  type Config,
  type Disclosure,
} from "#protocol";

const secret = keccak256(toHex("a test's secret"));
const config: Config = {
  model: { name: "m-1", weights: { sha256: `0x${"11".repeat(32)}` } },
  promptTemplate: { sha256: `0x${"22".repeat(32)}` },
  toolPermissions: { allow: ["search", "read"], deny: ["shell"] },
  safetyPolicy: null,
  budgetPolicy: { perDealWei: "5000000", perDayWei: "20000000" },
  region: "eu",
};
const disclosed = (name: string): Disclosure => ({
  field: proveField(config, secret, name),
  code: { kind: "manifest", digest: `0x${"33".repeat(32)}` },
  userId: `0x${"44".repeat(32)}`,
  salt: `0x${"55".repeat(32)}`,
});

describe("the config tree", () => {
  it("has one digest for a config, whatever the order of its fields", () => {
    const reversed = Object.fromEntries(Object.entries(config).reverse());
    expect(configDigestOf(reversed, secret)).to.equal(configDigestOf(config, secret));
  });

  it("changes with any field, any name and the secret", () => {
    const digests = new Set([configDigestOf(config, secret), configDigestOf(config, keccak256(secret))]);
    for (const name of Object.keys(config)) digests.add(configDigestOf({ ...config, [name]: "other" }, secret));
    const { region, ...rest } = config;
    digests.add(configDigestOf({ ...rest, regions: region as string }, secret));
    digests.add(configDigestOf(rest, secret));
    expect(digests.size).to.equal(Object.keys(config).length + 4);
  });

  it("proves each field alone; no other value, name, salt or place leads to the digest", () => {
    const digest = configDigestOf(config, secret);
    for (const name of Object.keys(config)) {
      const proof = proveField(config, secret, name);
      expect(configDigestFromProof(proof)).to.equal(digest);
      expect(configDigestFromProof({ ...proof, value: "forged" })).to.not.equal(digest);
      expect(configDigestFromProof({ ...proof, name: "forged" })).to.not.equal(digest);
      expect(configDigestFromProof({ ...proof, leafSalt: secret })).to.not.equal(digest);
      const { index, leafCount } = proof.place;
      expect(configDigestFromProof({ ...proof, place: { index: (index + 1) % leafCount, leafCount } })).to.not.equal(
        digest,
      );
    }
  });

  it("hides undisclosed fields: with every likely value at hand, a sibling's leaf is not found without its salt", () => {
    // Two fields, so that the only sibling of one is the leaf of the other.
    const proof = proveField(config, secret, "budgetPolicy");
    const shown = new Set<Hex>(proof.siblings);
    const guesses = fc.sample(fc.jsonValue(), 50).concat(Object.values(config) as never);
    for (const name of Object.keys(config)) {
      for (const value of guesses) {
        // All that the reader of one proof has for a guess: its own leaf salt.
        const guess = configDigestFromProof({
          ...proof,
          name,
          value: value as never,
          siblings: [],
          place: { index: 0, leafCount: 1 },
        });
        expect(shown.has(guess as Hex)).to.equal(false);
      }
    }
    const salts = Object.keys(config).map((name) => proveField(config, secret, name).leafSalt);
    expect(new Set(salts).size).to.equal(salts.length);
    expect(salts).to.not.include(secret);
  });

  it("refuses a config without a named field, with a bad name, no object, and a secret that is none", () => {
    for (const name of configFields) {
      const { [name]: _left, ...rest } = config;
      expect(() => configDigestOf(rest, secret)).to.throw(`${name} is missing`);
    }
    expect(() => configDigestOf({ ...config, "a b": 1 }, secret)).to.throw("field name");
    expect(() => configDigestOf([] as never, secret)).to.throw("not an object");
    expect(() => configDigestOf({ ...config, big: "x".repeat(262_145) }, secret)).to.throw("larger");
    for (const bad of ["0x", `0x${"00".repeat(32)}`] as Hex[])
      expect(() => configDigestOf(config, bad)).to.throw("secret");
    expect(() => proveField(config, secret, "none")).to.throw("no field none");
  });
});

describe("a disclosed field", () => {
  it("leads to the commitment on chain", () => {
    const disclosure = disclosed("budgetPolicy");
    expect(commitmentOfDisclosure(disclosure)).to.equal(
      commitmentOf({
        codeCommitment: codeWordOf(disclosure.code),
        configDigest: configDigestOf(config, secret),
        userId: disclosure.userId,
        salt: disclosure.salt,
      }),
    );
  });

  it("shows nothing of the other fields", () => {
    const text = writeDisclosure(disclosed("region"));
    expect(text).to.include('"eu"');
    for (const hidden of ["perDealWei", "m-1", "shell", secret.slice(2)]) expect(text).to.not.include(hidden);
  });

  it("passes in its one text only: no byte of it can be another", () => {
    const text = writeDisclosure(disclosed("budgetPolicy"));
    const commitment = commitmentOfDisclosure(disclosed("budgetPolicy"));
    const opened = (given: string) => {
      const read = readDisclosure(given);
      return read.kind === "accept" ? commitmentOfDisclosure(read.value) : undefined;
    };
    expect(opened(text)).to.equal(commitment);
    const passed: number[] = [];
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      const changed = String.fromCharCode(/[0-8a-e]/.test(text[at] as string) ? code + 1 : code ^ 1);
      if (opened(text.slice(0, at) + changed + text.slice(at + 1)) === commitment) passed.push(at);
    }
    expect(passed).to.deep.equal([]);
  });
});
