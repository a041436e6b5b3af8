import { keccak256, stringToHex, type Address, type Hash, type Hex } from "viem";
import {
  createSigner,
  encodeIssuerPresentation,
  issuerIdOf,
  operatorIdOf,
  scopeOf,
  typedDataDigest,
  type Signer,
  type Structs,
} from "#protocol";
import { createIdentityChain } from "../setup.ts";

export const DAY = 86_400;
/** A person, by the issuer's pseudonym. */
export const person = (name: string): Hex => keccak256(stringToHex(name));
export const issuerKey = (name: string): Signer => createSigner(keccak256(stringToHex(`issuer ${name}`)));

/** A registry, the adapter of issuers, and a scope in which the issuers "first" (level 2 and up) and "second" count. */
export async function createCredentialChain() {
  const identity = await createIdentityChain();
  const { viem, registry, domain } = identity;
  const [first, second] = [issuerKey("first"), issuerKey("second")];
  const issuers = await viem.deployContract("IssuerCredentials");
  const contracts = { ...domain, issuerCredentials: issuers.address };
  const sourceOf = (issuer: Signer, minLevel: number) => ({
    verifier: issuers.address,
    minLevel,
    issuerId: issuerIdOf(issuer.address),
  });
  const createScope = async (sources = [sourceOf(first, 2), sourceOf(second, 0)]) =>
    viem.deployContract("Credentials", [registry.address, sources]);
  const credentials = await createScope();
  const scope = scopeOf(domain.chainId, credentials.address, registry.address);

  const chain = {
    ...identity,
    ...{ issuers, credentials, scope, contracts, first, second, sourceOf, createScope },

    operatorOf: (issuer: Signer, nullifier: Hex): Hex =>
      operatorIdOf(scope, issuers.address, issuerIdOf(issuer.address), nullifier),

    /** A credential of the first issuer for an agent of the owner, for a day, unless the fields say otherwise. */
    async issue(agentId: bigint, nullifier: Hex, fields: Partial<Structs["IssuerCredential"]> = {}) {
      const credential = {
        ...{ scope, issuerId: issuerIdOf(first.address), nullifier, agentId, level: 2 },
        ...{ owner: identity.owner.account.address, validUntil: (await identity.now()) + DAY },
        ...fields,
      };
      return credential satisfies Structs["IssuerCredential"];
    },

    sign: (credential: Structs["IssuerCredential"], issuer: Signer = first): Hex =>
      encodeIssuerPresentation(
        credential,
        issuer.address,
        issuer.sign(typedDataDigest("IssuerCredential", credential, contracts)),
      ),

    presentRaw: (
      agentId: bigint,
      presentation: Hex,
      account: Address = identity.owner.account.address,
      issuerId: Hex = issuerIdOf(first.address),
    ): Promise<Hash> =>
      credentials.write.present([agentId, issuers.address, issuerId, presentation], { account, gas: 1_000_000n }),

    present: (credential: Structs["IssuerCredential"], issuer: Signer = first): Promise<Hash> =>
      chain.presentRaw(credential.agentId, chain.sign(credential, issuer), credential.owner, credential.issuerId),

    revoke(nullifier: Hex, issuer: Signer = first, fields: Partial<Structs["CredentialRevocation"]> = {}) {
      const revocation = { scope, issuerId: issuerIdOf(issuer.address), nullifier };
      const signed = { ...revocation, ...fields };
      const signature = issuer.sign(typedDataDigest("CredentialRevocation", signed, contracts));
      return issuers.write.revoke([issuer.address, scope, nullifier, signature], {
        account: identity.stranger.account.address,
        gas: 1_000_000n,
      });
    },

    isValid: async (agentId: bigint): Promise<boolean> => (await credentials.read.credentialOf([agentId]))[4],

    /** Expects the named error with its values, and no change of what the scope holds. */
    async refusesCredential(
      act: () => Promise<unknown>,
      contract: { readonly address: Address },
      error: string,
      values: readonly unknown[],
    ): Promise<void> {
      const rootOf = async () =>
        (await identity.publicClient.getProof({ address: credentials.address, storageKeys: [] })).storageHash;
      const before = await rootOf();
      await viem.assertions.revertWithCustomErrorWithArgs(
        act() as Promise<Hash>,
        contract as typeof credentials,
        error as never,
        values as never,
      );
      if ((await rootOf()) !== before) throw new Error(`${error} changed the scope's storage`);
    },
  };
  return chain;
}
