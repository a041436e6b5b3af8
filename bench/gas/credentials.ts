import { readFileSync } from "node:fs";
import { keccak256, toHex, type Hex } from "viem";
import { encodeIssuerPresentation, groupIdOf, issuerIdOf, scopeOf, typedDataDigest } from "#protocol";
import { createProductionChain } from "../harness/production.ts";
import type { Result } from "../harness/report.ts";
import { gasResult, signerAt } from "./rig.ts";

const DAY = 86_400;
const vector = JSON.parse(
  readFileSync(new URL("../../test/vectors/semaphore-membership.json", import.meta.url), "utf8"),
) as { root: string; validUntil: number; presentation: Hex };

/**
 * Presenting a credential: checked, and written for good. On a chain of its own, as the proof of membership in the vector is for the
 * contracts that a fresh chain deploys first.
 */
export async function measureCredentials(): Promise<Result[]> {
  const folder = "identity/credentials";
  const sources = ["identity/IdentityRegistry.sol", `${folder}/Credentials.sol`];
  sources.push(`${folder}/IssuerCredentials.sol`, `${folder}/SemaphoreCredentials.sol`);
  const chain = await createProductionChain(sources, vector.validUntil - DAY);
  try {
    const { viem } = chain;
    const client = await viem.getPublicClient();
    const measure = async (hash: Hex) => Number((await client.getTransactionReceipt({ hash })).gasUsed);
    const [owner, issuer] = [signerAt(0), signerAt(1)];
    const registry = await viem.deployContract("IdentityRegistry");
    const semaphore = await viem.deployContract("SemaphoreCredentials", [3_600, 30 * DAY]);
    const groupId = groupIdOf(issuer.address);
    const group = { verifier: semaphore.address, minLevel: 1, issuerId: groupId };
    const byMembership = await viem.deployContract("Credentials", [registry.address, [group]]);
    const issuers = await viem.deployContract("IssuerCredentials");
    const issuerId = issuerIdOf(issuer.address);
    const signed = { verifier: issuers.address, minLevel: 1, issuerId };
    const byIssuer = await viem.deployContract("Credentials", [registry.address, [signed]]);
    await registry.write.register();
    await semaphore.write.publishRoot([BigInt(vector.root)], { account: issuer.address });
    const chainId = await client.getChainId();
    const credential = {
      ...{ scope: scopeOf(chainId, byIssuer.address, registry.address), issuerId, agentId: 1n, level: 1 },
      ...{ nullifier: keccak256(toHex("somebody")), owner: owner.address, validUntil: vector.validUntil },
    };
    const contracts = { chainId, identityRegistry: registry.address, dealEscrow: registry.address };
    const digest = typedDataDigest("IssuerCredential", credential, {
      ...contracts,
      issuerCredentials: issuers.address,
    });
    const presentation = encodeIssuerPresentation(credential, issuer.address, issuer.sign(digest));
    const { networkHelpers } = chain;
    const membership = [1n, semaphore.address, groupId, vector.presentation] as const;
    const unprepared = await networkHelpers.takeSnapshot();
    const presenting = await measure(await byMembership.write.present([...membership]));
    await unprepared.restore();
    const preparing = await measure(await semaphore.write.prepareScope([await byMembership.read.scope()]));
    return [
      gasResult(
        "identity.credential.zero-knowledge",
        await measure(await byMembership.write.present([...membership])),
        {
          goal: 300_000,
          note: "proof checked and credential registered, in a scope that was prepared; Semaphore's verifier alone: 241,441",
        },
      ),
      gasResult("identity.credential.zero-knowledge.unprepared-scope", presenting),
      gasResult("identity.credential.prepare-scope", preparing, { note: "once for a scope, by anybody" }),
      gasResult(
        "identity.credential.issuer",
        await measure(await byIssuer.write.present([1n, issuers.address, issuerId, presentation])),
      ),
    ];
  } finally {
    await chain.close();
  }
}
